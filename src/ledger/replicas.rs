//! Which replicas run with this ledger, with which config and modes: part of their heartbeats.

use jiff::Timestamp;

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

/// The processes whose last heartbeat is not older than a time.
struct ReplicasSince(Timestamp);

const REPLICAS_SINCE: &str = "SELECT process, seen_at_us, config, modes, modes_since_us, version FROM ledger_processes \
     WHERE seen_at_us >= $1 AND modes IS NOT NULL ORDER BY started_at_us, process";

type StoredReplica = (String, i64, String, String, i64, String);

impl LedgerRequest for ReplicasSince {
    type Output = Vec<ReplicaRow>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let rows: Vec<StoredReplica> =
            connection.rows(REPLICAS_SINCE, &[Bind::Number(self.0.as_microsecond())]).await?;
        let row = |(process, seen_at, config, modes, since, version): StoredReplica| {
            let (seen_at, modes_since) = (time(seen_at)?, time(since)?);
            Ok(ReplicaRow { process, seen_at, config, modes, modes_since, version })
        };
        rows.into_iter().map(row).collect()
    }
}

impl Reader {
    /// The processes whose last heartbeat is not older than a time, by their start.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn replicas_since(&self, since: Timestamp) -> Result<Vec<ReplicaRow>, LedgerError> {
        self.ask(&ReplicasSince(since)).await
    }
}
