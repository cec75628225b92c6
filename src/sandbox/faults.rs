//! What goes wrong, on request: which requests a fault meets, how often, and the signals a test waits for.
//! How a fault looks on the wire lives in `answer` and `serve`.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::records::HiddenRecords;
use super::requests::{Operation, Target};
use super::serve::ListenerCommand;
use crate::translate::side::Side;

/// What a fault does to a request. `applied` says whether the write takes effect before it strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The request, or its answer, waits this long.
    Delay {
        /// How long.
        pause: Duration,
        /// Whether the write takes effect before the wait.
        applied: bool,
    },
    /// The request, or its answer, waits until it is let through: see [`ArmedFault`].
    Gate {
        /// Whether the write takes effect before the gate.
        applied: bool,
    },
    /// The connection is reset (TCP RST) without a byte of an answer. On HTTP/2 this ends every request on the connection.
    Reset {
        /// Whether the write takes effect before the reset.
        applied: bool,
    },
    /// The answer's headers and half of its body, then the connection closes.
    Truncate,
    /// Another status instead of the answer.
    Status {
        /// The status.
        code: StatusCode,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
        /// What the answer holds.
        body: RefusalBody,
        /// Whether the write takes effect all the same.
        applied: bool,
    },
    /// A success whose JSON has fields of the wrong types.
    WrongTypes,
    /// A success with a page of HTML.
    NotJson,
    /// A success with nothing in it.
    EmptyBody,
    /// A list that ignores every filter (not order, limit and cursor).
    IgnoreFilters,
    /// A list or get that does not show some records yet. Writes still know them.
    Lag(HiddenRecords),
}

/// When in a request's life a fault acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Before the work.
    Before,
    /// In what the work reads.
    During,
    /// On the answer, when a write has taken effect.
    After,
}

impl FaultKind {
    pub(super) const fn moment(&self) -> Moment {
        match self {
            Self::IgnoreFilters | Self::Lag(_) => Moment::During,
            Self::Delay { applied: false, .. }
            | Self::Gate { applied: false }
            | Self::Reset { applied: false }
            | Self::Status { applied: false, .. } => Moment::Before,
            _ => Moment::After,
        }
    }
}

/// The body of [`FaultKind::Status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalBody {
    /// A problem object.
    Problem,
    /// A page of HTML, as a gateway in between would send it.
    Html,
    /// Nothing.
    Empty,
}

/// A fault and the requests it meets: by default every one of any side and operation.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Only requests to this API. Tokens and unknown paths belong to none.
    pub side: Option<Side>,
    /// Only this operation.
    pub operation: Option<Operation>,
    /// The first so many matching requests pass.
    pub skip: u64,
    /// It strikes so many times; `None` is always.
    pub times: Option<u64>,
    /// It strikes so many out of a hundred matching requests, by a generator with this seed.
    pub chance: Option<(u8, u64)>,
    /// What it does.
    pub kind: FaultKind,
}

impl Fault {
    /// A fault that meets every request, always.
    #[must_use]
    pub const fn new(kind: FaultKind) -> Self {
        Self { side: None, operation: None, skip: 0, times: None, chance: None, kind }
    }

    /// Only on this side and operation.
    #[must_use]
    pub fn on(mut self, side: impl Into<Option<Side>>, operation: impl Into<Option<Operation>>) -> Self {
        (self.side, self.operation) = (side.into(), operation.into());
        self
    }

    /// Lets the first `count` matching requests pass.
    #[must_use]
    pub const fn after(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Strikes `count` times, then never again.
    #[must_use]
    pub const fn times(mut self, count: u64) -> Self {
        self.times = Some(count);
        self
    }

    /// Strikes `percent` of the matching requests, the same ones for the same seed.
    #[must_use]
    pub const fn sometimes(mut self, percent: u8, seed: u64) -> Self {
        self.chance = Some((percent, seed));
        self
    }
}

#[derive(Default)]
struct Count {
    met: u64,
    struck: u64,
    random: u64,
}

pub(super) struct ArmedState {
    pub(super) id: u64,
    pub(super) fault: Fault,
    count: Mutex<Count>,
    hits: watch::Sender<u64>,
    gate: Semaphore,
}

impl ArmedState {
    /// Counts the request if the fault is for it, and says whether it strikes.
    fn strikes(&self, (side, operation): Target) -> bool {
        let fault = &self.fault;
        if fault.side.is_some_and(|only| side != Some(only))
            || fault.operation.is_some_and(|only| operation != only)
        {
            return false;
        }
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        count.met += 1;
        if count.met <= fault.skip || fault.times.is_some_and(|times| count.struck >= times) {
            return false;
        }
        if let Some((percent, _)) = fault.chance {
            count.random = next_random(count.random);
            if (count.random >> 33) % 100 >= u64::from(percent) {
                return false;
            }
        }
        count.struck += 1;
        true
    }

    /// Tells whoever waits that it acts now.
    pub(super) fn hit(&self) {
        self.hits.send_modify(|hits| *hits += 1);
    }

    /// Waits at the gate. A closed semaphore is an open gate.
    pub(super) async fn wait(&self) {
        if let Ok(permit) = self.gate.acquire().await {
            permit.forget();
        }
    }
}

/// Knuth's MMIX generator: enough to scatter faults, the same on every machine.
const fn next_random(state: u64) -> u64 {
    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

/// A fault that is in place: what it did so far, and its gate.
#[derive(Clone)]
pub struct ArmedFault(Arc<ArmedState>);

impl ArmedFault {
    /// The number that `/sandbox/books` shows.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// How many times it has acted. One that acts after the write counts once the write has taken effect.
    #[must_use]
    pub fn hits(&self) -> u64 {
        *self.0.hits.borrow()
    }

    /// Resolves once it has acted `count` times: "someone stands at the gate". Unbounded: give it a deadline.
    pub async fn reached(&self, count: u64) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.hits.subscribe().wait_for(|hits| *hits >= count).await;
    }

    /// Lets so many requests through the gate, now or when they come.
    pub fn release(&self, count: usize) {
        self.0.gate.add_permits(count);
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        self.0.gate.close();
    }
}

impl fmt::Debug for ArmedFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ArmedFault").field("fault", &self.0.fault).field("hits", &self.hits()).finish()
    }
}

/// The faults of one sandbox, and its front door.
pub struct Faults {
    armed: Mutex<Vec<Arc<ArmedState>>>,
    next: AtomicU64,
    door: mpsc::UnboundedSender<ListenerCommand>,
}

impl Faults {
    pub(super) fn new(door: mpsc::UnboundedSender<ListenerCommand>) -> Self {
        Self { armed: Mutex::default(), next: AtomicU64::new(1), door }
    }

    fn armed(&self) -> MutexGuard<'_, Vec<Arc<ArmedState>>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a fault in place. Several may strike the same request; they do so in the order in which they were armed.
    pub fn arm(&self, fault: Fault) -> ArmedFault {
        let random = fault.chance.map_or(0, |(_, seed)| next_random(seed));
        let arm = Arc::new(ArmedState {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            fault,
            count: Mutex::new(Count { random, ..Count::default() }),
            hits: watch::Sender::new(0),
            gate: Semaphore::new(0),
        });
        self.armed().push(Arc::clone(&arm));
        ArmedFault(arm)
    }

    /// Takes a fault away and opens its gate.
    pub fn remove(&self, armed: &ArmedFault) {
        armed.open();
        self.armed().retain(|arm| arm.id != armed.0.id);
    }

    /// Takes all faults away and opens their gates.
    pub fn clear(&self) {
        for arm in self.armed().drain(..) {
            arm.gate.close();
        }
    }

    /// Every fault in place.
    #[must_use]
    pub fn all(&self) -> Vec<ArmedFault> {
        self.armed().iter().cloned().map(ArmedFault).collect()
    }

    /// The faults that strike this request.
    pub(super) fn striking(&self, target: Target) -> Vec<Arc<ArmedState>> {
        self.armed().iter().filter(|arm| arm.strikes(target)).cloned().collect()
    }

    /// Closes the port and every connection: from here on connecting is refused. Requests that arrived are still worked on.
    pub async fn go_down(&self) {
        let (done, is_done) = oneshot::channel();
        if self.door.send(ListenerCommand::Close(done)).is_ok() {
            let _ = is_done.await;
        }
    }

    /// Listens on the same port again.
    ///
    /// # Errors
    /// The port is taken meanwhile, or the sandbox has stopped.
    pub async fn come_up(&self) -> io::Result<()> {
        let (done, is_done) = oneshot::channel();
        let stopped = || io::Error::other("the sandbox has stopped");
        self.door.send(ListenerCommand::Open(done)).map_err(|_| stopped())?;
        is_done.await.map_err(|_| stopped())?
    }

    /// Goes down now and comes up again after a while; does not wait for either.
    pub(super) fn go_down_for(&self, pause: Duration) {
        let _ = self.door.send(ListenerCommand::CloseFor(pause));
    }
}
