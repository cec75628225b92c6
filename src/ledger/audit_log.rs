//! Reading the audit, and its rows about walks.

#![allow(missing_docs, reason = "the docs of a type say what its fields are")]

use jiff::Timestamp;

use super::connection::{Bind, Connection, LedgerRequest};
use super::error::LedgerError;
use super::queries::time;
use super::walk_audit::AuditWalks;
use super::{Ledger, Reader};

/// A row of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    pub at: Timestamp,
    /// The process that wrote it: a replica, or a command.
    pub process: String,
    /// The user who ran the command, `config HASH` for what a replica took from its config, or empty for what a process found by itself.
    pub operator: String,
    pub kind: String,
    /// The `ref_id` or walk that it is about; empty if it is about none.
    pub subject: String,
    pub reason: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// The newest rows since a time.
struct NewestRows {
    since: Timestamp,
    most: i64,
    /// Whether the evidence that replicas record by themselves is left out.
    decisions_only: bool,
}

const NEWEST_ROWS: &str = "SELECT at_us, process, operator, kind, subject, reason, value_before, value_after FROM ledger_audit \
     WHERE at_us >= $1 ORDER BY at_us DESC LIMIT $2";
const NEWEST_DECISIONS: &str = "SELECT at_us, process, operator, kind, subject, reason, value_before, value_after FROM ledger_audit \
     WHERE at_us >= $1 AND NOT (kind = 'evidence' AND operator LIKE 'config %') ORDER BY at_us DESC LIMIT $2";

type StoredRow = (i64, String, String, String, String, String, Option<String>, Option<String>);

impl LedgerRequest for NewestRows {
    type Output = Vec<AuditRow>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let binds = [Bind::Number(self.since.as_microsecond()), Bind::Number(self.most)];
        let sql = if self.decisions_only { NEWEST_DECISIONS } else { NEWEST_ROWS };
        let rows: Vec<StoredRow> = connection.rows(sql, &binds).await?;
        let row = |row: StoredRow| {
            let (at, process, operator, kind, subject, reason, before, after) = row;
            Ok(AuditRow { at: time(at)?, process, operator, kind, subject, reason, before, after })
        };
        rows.into_iter().map(row).collect()
    }
}

impl Reader {
    /// The newest rows of the audit since a time, newest first, at most that many.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn audit(&self, since: Timestamp, most: u32) -> Result<Vec<AuditRow>, LedgerError> {
        self.ask(&NewestRows { since, most: most.into(), decisions_only: false }).await
    }

    /// The newest rows of the audit, newest first, without the evidence of walks that replicas make by themselves.
    pub(crate) async fn newest_decisions(&self, most: u32) -> Result<Vec<AuditRow>, LedgerError> {
        let since = Timestamp::UNIX_EPOCH;
        self.ask(&NewestRows { since, most: most.into(), decisions_only: true }).await
    }
}

impl Ledger {
    /// Adds a row about the claims of each walk of a tenant that wrote some since its last row, or was killed after it had.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn audit_walks(&self, tenant: &str) -> Result<(), LedgerError> {
        let (process, operator, tenant) = (self.process(), self.operator(), tenant.to_owned());
        self.write(AuditWalks { process, operator, tenant }).await
    }
}
