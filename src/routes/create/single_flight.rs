//! Single flight: in one process, a second create with a reference waits for the first, until its own deadline.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use crate::ledger::Key;

/// The references of the creates in flight. Clones share them; the last request with a reference removes its entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct SingleFlight(Arc<DashMap<String, Arc<Mutex<()>>>>);

/// The right of one request to work on its references. Dropping it admits the next request.
#[derive(Debug)]
pub(super) struct Turn {
    flights: SingleFlight,
    held: Vec<(String, Option<OwnedMutexGuard<()>>)>,
}

impl SingleFlight {
    /// Waits for all references. They are sorted, so no two requests wait for each other. `None` if `until` passes first.
    pub(super) async fn enter(&self, keys: &[Key<'_>], until: Instant) -> Option<Turn> {
        let mut turn = Turn { flights: self.clone(), held: Vec::with_capacity(keys.len()) };
        for key in keys {
            let name = format!("{}\0{}", key.tenant(), key.ref_id());
            let lock = Arc::clone(&self.0.entry(name.clone()).or_default());
            // Pushed before the wait, so that a request that gives up also removes its entry.
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
            // A waiting request holds a clone of the lock.
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
