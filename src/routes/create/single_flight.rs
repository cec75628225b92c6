//! One POST per reference is in flight per process: a second request waits for the first, until its own deadline.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use crate::ledger::Key;

/// The references that requests of this process work on. Clones share them; an entry lives as long as a request needs it.
#[derive(Clone, Debug, Default)]
pub struct SingleFlight(Arc<DashMap<String, Arc<Mutex<()>>>>);

/// The turn of one request with all of its references. Dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct Turn {
    flights: SingleFlight,
    held: Vec<(String, Option<OwnedMutexGuard<()>>)>,
}

impl SingleFlight {
    /// Waits for the references, which are sorted, so that no two requests wait for each other. `None`: not before `until`.
    pub(super) async fn enter(&self, keys: &[Key<'_>], until: Instant) -> Option<Turn> {
        let mut turn = Turn { flights: self.clone(), held: Vec::with_capacity(keys.len()) };
        for key in keys {
            let name = format!("{}\0{}", key.tenant(), key.ref_id());
            let lock = Arc::clone(&self.0.entry(name.clone()).or_default());
            // Entered before the wait, so that a turn that is given up removes its entry too.
            turn.held.push((name, None));
            let guard = timeout_at(until, lock.lock_owned()).await.ok()?;
            if let Some((_, held)) = turn.held.last_mut() {
                *held = Some(guard);
            }
        }
        Some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        for (name, guard) in self.held.drain(..) {
            drop(guard);
            // Whoever waits holds a clone of the lock.
            self.flights.0.remove_if(&name, |_, lock| Arc::strong_count(lock) == 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_request_waits_and_nothing_is_left_behind() {
        let flights = SingleFlight::default();
        let key = Key::new("tenant", "r").unwrap();
        let soon = || Instant::now() + Duration::from_secs(1);
        let first = flights.enter(&[key], soon()).await.unwrap();
        assert!(flights.enter(&[key], soon()).await.is_none());
        drop(first);
        drop(flights.enter(&[key], soon()).await.unwrap());
        assert!(flights.0.is_empty());
    }
}
