//! Which replicas run with this ledger, with which config and modes: part of their heartbeats.

use jiff::{SignedDuration, Timestamp};

use super::Reader;
use super::connection::{Bind, Connection, LedgerRequest};
use super::error::LedgerError;
use super::queries::time;

/// The last heartbeat of a process that serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplicaRow {
    pub(crate) process: String,
    pub(crate) seen_at: Timestamp,
    /// The hash of its config.
    pub(crate) config: String,
    /// The modes in force, as the audit shows them.
    pub(crate) modes: String,
    pub(crate) modes_since: Timestamp,
    pub(crate) version: String,
}

/// The processes with a heartbeat within this time.
struct FreshReplicas(SignedDuration);

// Times are of the clock that all processes share; a process of an older version wrote those of its own, which may be ahead.
const FRESH_REPLICAS: &str = "SELECT process, seen_at_us, config, modes, modes_since_us, version FROM ledger_processes \
     WHERE seen_at_us >= $1 AND seen_at_us <= $2 AND modes IS NOT NULL ORDER BY started_at_us, process";

type StoredReplica = (String, i64, String, String, i64, String);

impl LedgerRequest for FreshReplicas {
    type Output = Vec<ReplicaRow>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let now = connection.clock().await?;
        let within = i64::try_from(self.0.as_micros()).unwrap_or(i64::MAX);
        let bounds = [now.saturating_sub(within), now.saturating_add(within)].map(Bind::Number);
        let rows: Vec<StoredReplica> = connection.rows(FRESH_REPLICAS, &bounds).await?;
        // In the clock of this process, which is what the times are compared with.
        let differs = Timestamp::now().as_microsecond().saturating_sub(now);
        let here = |at: i64| time(at.saturating_add(differs));
        let row = |(process, seen_at, config, modes, since, version): StoredReplica| {
            let (seen_at, modes_since) = (here(seen_at)?, here(since)?);
            Ok(ReplicaRow { process, seen_at, config, modes, modes_since, version })
        };
        rows.into_iter().map(row).collect()
    }
}

impl Reader {
    /// The processes with a heartbeat within this time, by their start.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn fresh_replicas(
        &self,
        within: SignedDuration,
    ) -> Result<Vec<ReplicaRow>, LedgerError> {
        self.ask(&FreshReplicas(within)).await
    }
}
