//! The audit table of the ledger. Rows are only added; no statement changes or removes one.

use jiff::Timestamp;

use super::connection::{Bind, Connection, Guarded, guarded};
use super::error::LedgerError;

/// A row of the audit.
pub(super) struct AuditEntry<'a> {
    pub(super) process: &'a str,
    /// The user who ran the command; empty for a decision of a process.
    pub(super) operator: &'a str,
    pub(super) kind: &'a str,
    /// The `ref_id` concerned, if any.
    pub(super) subject: &'a str,
    pub(super) reason: &'a str,
    pub(super) before: Option<&'a str>,
    pub(super) after: Option<&'a str>,
}

const RECORD: Guarded = guarded!(
    [
        "INSERT INTO ledger_audit (at_us, process, operator, kind, subject, reason, value_before, value_after) \
         SELECT $2, $3, $4, $5, $6, $7, $8, $9 WHERE "
    ],
    [" RETURNING at_us"],
);

pub(super) async fn record<C: Connection>(
    connection: &mut C,
    entry: &AuditEntry<'_>,
) -> Result<(), LedgerError> {
    use Bind::{Number, Optional, Text};
    let binds = [
        Number(Timestamp::now().as_microsecond()),
        Text(entry.process),
        Text(entry.operator),
        Text(entry.kind),
        Text(entry.subject),
        Text(entry.reason),
        Optional(entry.before),
        Optional(entry.after),
    ];
    let rows: Vec<(i64,)> = connection.guarded(&RECORD, &binds).await?;
    if rows.is_empty() { Err(connection.foreign()) } else { Ok(()) }
}
