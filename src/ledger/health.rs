//! Health of the ledger, derived from its own calls. The caller schedules probes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use tokio::sync::watch;

use super::error::LedgerError;

/// The state after the last calls.
#[derive(Clone, Debug)]
pub enum Health {
    /// No call has failed since the last write that succeeded.
    Ready,
    /// Calls have been failing.
    Down {
        /// When the first of them failed.
        since: Timestamp,
        /// The error of the first of them, or of a later one with more detail.
        why: LedgerError,
    },
}

impl Health {
    /// Whether creates can be served.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Ready)
    }
}

/// What a call that succeeds proves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CallKind {
    Read,
    Write,
    /// A write that also read that nothing holds creates.
    Probe,
}

#[derive(Clone)]
pub(super) struct Monitor {
    health: Arc<watch::Sender<Health>>,
    /// Creates were on hold when that was last read. Other writes go on meanwhile, and say nothing about it.
    held: Arc<AtomicBool>,
}

impl Monitor {
    pub(super) fn new() -> Self {
        Self { health: Arc::new(watch::Sender::new(Health::Ready)), held: Arc::default() }
    }

    pub(super) fn now(&self) -> Health {
        self.health.borrow().clone()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Any failure makes the state down; only a successful write ends it, because a full disk can still be read, and a hold only a probe
    /// that finds none.
    pub(super) fn observe<T>(&self, outcome: &Result<T, LedgerError>, kind: CallKind) {
        match outcome {
            Ok(_) if kind == CallKind::Probe => {
                self.held.store(false, Ordering::Relaxed);
                self.up();
            }
            Ok(_) if kind == CallKind::Write && !self.held.load(Ordering::Relaxed) => self.up(),
            Ok(_) => {}
            Err(why @ (LedgerError::Held(_) | LedgerError::Suspended)) => {
                self.held.store(true, Ordering::Relaxed);
                self.down(why);
            }
            Err(
                why @ (LedgerError::Unavailable(_)
                | LedgerError::Timeout
                | LedgerError::Replaced
                | LedgerError::Session
                | LedgerError::Older
                | LedgerError::NoTables
                | LedgerError::Closed),
            ) => self.down(why),
            // About one row, about the load, or an operator's decision: not about the database.
            Err(
                LedgerError::Corrupt(_)
                | LedgerError::Unfit(_)
                | LedgerError::Overloaded
                | LedgerError::Tripped(_),
            ) => {}
        }
    }

    /// What was suspended goes on: the next write ends that state, but no hold.
    pub(super) fn resumed(&self) {
        if matches!(&*self.health.borrow(), Health::Down { why: LedgerError::Suspended, .. }) {
            self.held.store(false, Ordering::Relaxed);
        }
    }

    fn up(&self) {
        let mut down_since = None;
        self.health.send_if_modified(|health| {
            if let Health::Down { since, .. } = std::mem::replace(health, Health::Ready) {
                down_since = Some(since);
            }
            down_since.is_some()
        });
        if let Some(since) = down_since {
            let seconds = Timestamp::now().duration_since(since).as_secs_f64();
            tracing::info!(target: "ledger", %since, seconds, "the ledger works again");
        }
    }

    fn down(&self, why: &LedgerError) {
        let changed = self.health.send_if_modified(|health| {
            let since = match health {
                Health::Ready => Timestamp::now(),
                Health::Down { why: known, .. } if same_reason(known, why) => return false,
                Health::Down { since, .. } => *since,
            };
            *health = Health::Down { since, why: why.clone() };
            true
        });
        if changed {
            tracing::warn!(target: "ledger", error = %why, "the ledger fails; creates are refused until it works again");
        }
    }
}

/// Whether two states are equal to an operator. The text of a connection error changes from call to call.
fn same_reason(known: &LedgerError, now: &LedgerError) -> bool {
    let unreachable =
        |error: &LedgerError| matches!(error, LedgerError::Unavailable(_) | LedgerError::Timeout);
    match (known, now) {
        (LedgerError::Held(known), LedgerError::Held(now)) => known == now,
        (known, now) if unreachable(known) => unreachable(now),
        (known, now) => std::mem::discriminant(known) == std::mem::discriminant(now),
    }
}
