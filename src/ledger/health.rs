//! Health of the ledger, derived from its own calls. The caller schedules probes.

use std::sync::Arc;

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

#[derive(Clone)]
pub(super) struct Monitor(Arc<watch::Sender<Health>>);

impl Monitor {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Health::Ready)))
    }

    pub(super) fn now(&self) -> Health {
        self.0.borrow().clone()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Health> {
        self.0.subscribe()
    }

    /// Any failure makes the state down; only a successful write ends it, because a full disk can still be read.
    pub(super) fn observe<T>(&self, outcome: &Result<T, LedgerError>, wrote: bool) {
        match outcome {
            Ok(_) if wrote => self.up(),
            Ok(_) => {}
            Err(
                why @ (LedgerError::Unavailable(_)
                | LedgerError::Timeout
                | LedgerError::Replaced
                | LedgerError::Held(_)
                | LedgerError::Suspended
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

    fn up(&self) {
        let mut down_since = None;
        self.0.send_if_modified(|health| {
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
        let changed = self.0.send_if_modified(|health| {
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
