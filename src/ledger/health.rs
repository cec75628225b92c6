//! Whether the ledger works, as its own calls find out. Probing on a schedule is the caller's business.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use super::error::LedgerError;

/// What the last calls found.
#[derive(Clone, Debug)]
pub enum Health {
    /// No call has failed since the last write that succeeded.
    Ready,
    /// Calls have been failing.
    Down {
        /// When the first of them failed.
        since: Timestamp,
        /// How they fail: the first of them, until one says more.
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

    /// Any failure is news; only a write proves that it is over (a full disk can still be read).
    pub(super) fn observe<T>(&self, outcome: &Result<T, LedgerError>, wrote: bool) {
        match outcome {
            Ok(_) if wrote => self.up(),
            Ok(_) => {}
            Err(
                why @ (LedgerError::Unavailable(_)
                | LedgerError::Timeout
                | LedgerError::Replaced
                | LedgerError::Held(_)
                | LedgerError::Session
                | LedgerError::Older
                | LedgerError::NoTables
                | LedgerError::Closed),
            ) => self.down(why),
            // Says something about one row, or about how much is asked; nothing about the database.
            Err(LedgerError::Corrupt(_) | LedgerError::Unfit(_) | LedgerError::Overloaded) => {}
        }
    }

    fn up(&self) {
        let changed = self.0.send_if_modified(|health| {
            let was_down = !health.is_ready();
            *health = Health::Ready;
            was_down
        });
        if changed {
            tracing::info!(target: "ledger", "the ledger works again");
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

/// Whether an operator has nothing new to learn. How exactly a database cannot be reached changes from call to call.
fn same_reason(known: &LedgerError, now: &LedgerError) -> bool {
    let unreachable =
        |error: &LedgerError| matches!(error, LedgerError::Unavailable(_) | LedgerError::Timeout);
    match (known, now) {
        (LedgerError::Held(known), LedgerError::Held(now)) => known == now,
        (known, now) if unreachable(known) => unreachable(now),
        (known, now) => std::mem::discriminant(known) == std::mem::discriminant(now),
    }
}
