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
        /// How the first of them failed.
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
            let was_ready = health.is_ready();
            if was_ready {
                *health = Health::Down { since: Timestamp::now(), why: why.clone() };
            }
            was_ready
        });
        if changed {
            tracing::warn!(target: "ledger", error = %why, "the ledger fails; creates are refused until it works again");
        }
    }
}
