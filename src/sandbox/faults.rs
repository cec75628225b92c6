//! The armed faults of one sandbox: which of them affect a request, how often they acted, and the signals that tests wait for.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::fault::{Fault, FaultKind};
use super::listener::ListenerControl;
use super::operation::OperationTarget;

#[derive(Default)]
struct FaultCounts {
    matched: u64,
    affected: u64,
    random: u64,
}

struct Inner {
    id: u64,
    fault: Fault,
    counts: Mutex<FaultCounts>,
    hits: watch::Sender<u64>,
    gate: Semaphore,
}

/// A fault in force: how often it acted, and its gate. Clones share both.
#[derive(Clone)]
pub struct ArmedFault(Arc<Inner>);

impl ArmedFault {
    fn new(id: u64, fault: Fault) -> Self {
        let random = fault.chance.map_or(0, |(_, seed)| next_random(seed));
        let counts = Mutex::new(FaultCounts { random, ..FaultCounts::default() });
        Self(Arc::new(Inner { id, fault, counts, hits: watch::Sender::new(0), gate: Semaphore::new(0) }))
    }

    /// The number that `/sandbox/inspector` shows.
    #[must_use]
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    /// How many times it has acted. One that acts after the write counts once the write has taken effect.
    #[must_use]
    pub fn hits(&self) -> u64 {
        *self.0.hits.borrow()
    }

    /// Resolves once it has acted `count` times, for example once a request waits at the gate. Unbounded: give it a deadline.
    pub async fn reached(&self, count: u64) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.hits.subscribe().wait_for(|hits| *hits >= count).await;
    }

    /// Lets that many requests through the gate, waiting or future ones.
    pub fn release(&self, count: usize) {
        self.0.gate.add_permits(count);
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        self.0.gate.close();
    }

    pub(super) fn kind(&self) -> &FaultKind {
        &self.0.fault.kind
    }

    /// Counts a matching request, and says whether the fault affects it.
    fn affects(&self, (side, operation): OperationTarget) -> bool {
        let fault = &self.0.fault;
        if fault.side.is_some_and(|only| side != Some(only))
            || fault.operation.is_some_and(|only| operation != only)
        {
            return false;
        }
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.matched += 1;
        if counts.matched <= fault.skip || fault.times.is_some_and(|times| counts.affected >= times) {
            return false;
        }
        if let Some((percent, _)) = fault.chance {
            counts.random = next_random(counts.random);
            if (counts.random >> 33) % 100 >= u64::from(percent) {
                return false;
            }
        }
        counts.affected += 1;
        true
    }

    /// Counts that it acts now, and wakes those who wait in [`Self::reached`].
    pub(super) fn hit(&self) {
        self.0.hits.send_modify(|hits| *hits += 1);
    }

    pub(super) async fn wait(&self) {
        // A closed semaphore is an open gate.
        if let Ok(permit) = self.0.gate.acquire().await {
            permit.forget();
        }
    }
}

impl fmt::Debug for ArmedFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ArmedFault").field("fault", &self.0.fault).field("hits", &self.hits()).finish()
    }
}

/// Knuth's MMIX generator: enough to scatter faults, and the same on every machine.
const fn next_random(state: u64) -> u64 {
    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

/// The faults of one sandbox, and control of its listener.
pub struct Faults {
    armed: Mutex<Vec<ArmedFault>>,
    next_id: AtomicU64,
    listener: ListenerControl,
}

impl Faults {
    pub(super) fn new(listener: ListenerControl) -> Self {
        Self { armed: Mutex::default(), next_id: AtomicU64::new(1), listener }
    }

    fn armed(&self) -> MutexGuard<'_, Vec<ArmedFault>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a fault in force. Several may affect the same request; they act in the order in which they were armed.
    pub fn arm(&self, fault: Fault) -> ArmedFault {
        let armed = ArmedFault::new(self.next_id.fetch_add(1, Ordering::Relaxed), fault);
        self.armed().push(armed.clone());
        armed
    }

    /// Removes a fault and opens its gate.
    pub fn remove(&self, armed: &ArmedFault) {
        armed.open();
        self.armed().retain(|other| other.id() != armed.id());
    }

    /// Removes all faults and opens their gates.
    pub fn clear(&self) {
        self.armed().drain(..).for_each(|armed| armed.open());
    }

    /// A copy of the faults in force, in the order in which they were armed.
    #[must_use]
    pub fn all(&self) -> Vec<ArmedFault> {
        self.armed().clone()
    }

    /// The faults that affect this request.
    pub(super) fn affecting(&self, target: OperationTarget) -> Vec<ArmedFault> {
        self.armed().iter().filter(|armed| armed.affects(target)).cloned().collect()
    }

    /// Closes the listener and every connection: connecting is refused from now on. Requests that arrived are still handled.
    pub async fn go_down(&self) {
        self.listener.close().await;
    }

    /// Listens on the same port again.
    ///
    /// # Errors
    /// Another process has taken the port, or the sandbox has stopped.
    pub async fn come_up(&self) -> io::Result<()> {
        self.listener.open().await
    }

    /// Goes down now and comes up again after a while; does not wait for either.
    pub(super) fn go_down_for(&self, pause: Duration) {
        self.listener.close_for(pause);
    }
}
