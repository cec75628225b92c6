//! The audit of claims that walks write: counted in the transaction that writes them, so that a walk that is killed leaves its count.

use super::audit::{AuditEntry, AuditKind, record};
use super::connection::{Bind, Connection, Guarded, LedgerRequest, guarded};
use super::error::LedgerError;

const COUNT_WRITTEN: Guarded = guarded!(
    ["UPDATE ledger_walks SET unaudited_written = unaudited_written + $3 WHERE walk = $2 AND "],
    [" RETURNING walk"],
);
const COUNT_RESOLVED: Guarded = guarded!(
    ["UPDATE ledger_walks SET unaudited_resolved = unaudited_resolved + 1 WHERE walk = $2 AND "],
    [" RETURNING walk"],
);

/// Counts claims that a walk wrote or repaired. Runs in the transaction that does.
pub(super) async fn count_written<C: Connection>(
    connection: &mut C,
    walk: &str,
    claims: usize,
) -> Result<(), LedgerError> {
    if claims == 0 {
        return Ok(());
    }
    let claims = Bind::Number(i64::try_from(claims).unwrap_or(i64::MAX));
    let rows: Vec<(String,)> = connection.guarded(&COUNT_WRITTEN, &[Bind::Text(walk), claims]).await?;
    // A claim that nobody counted must not stand: the error ends the transaction that both are in.
    if rows.is_empty() { Err(connection.foreign()) } else { Ok(()) }
}

/// Counts a claim to which a walk gave the id of its record.
pub(super) struct CountResolved(pub(super) String);

impl LedgerRequest for CountResolved {
    type Output = ();

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        let _: Vec<(String,)> = connection.guarded(&COUNT_RESOLVED, &[Bind::Text(&self.0)]).await?;
        Ok(())
    }
}

/// Adds a row to the audit for each walk of a tenant of which something is not in it: those that ended, and those that were killed.
pub(super) struct AuditWalks {
    pub(super) process: String,
    pub(super) operator: String,
    pub(super) tenant: String,
}

const UNAUDITED: &str = "SELECT walk, kind, unaudited_written, unaudited_resolved FROM ledger_walks \
     WHERE tenant = $1 AND (unaudited_written > 0 OR unaudited_resolved > 0)";

const AUDITED: Guarded = guarded!(
    ["UPDATE ledger_walks SET unaudited_written = 0, unaudited_resolved = 0 \
      WHERE walk = $2 AND unaudited_written = $3 AND unaudited_resolved = $4 AND "],
    [" RETURNING walk"],
);

impl LedgerRequest for AuditWalks {
    type Output = ();

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        let rows: Vec<(String, String, i64, i64)> =
            connection.rows(UNAUDITED, &[Bind::Text(&self.tenant)]).await?;
        for (walk, kind, written, resolved) in rows {
            let binds = [Bind::Text(&walk), Bind::Number(written), Bind::Number(resolved)];
            let taken: Vec<(String,)> = connection.guarded(&AUDITED, &binds).await?;
            if taken.is_empty() {
                // It goes on, or another process audits it.
                continue;
            }
            let reason = format!(
                "{kind}: claims written or repaired: {written}; claims that got the id of their record: {resolved}"
            );
            let entry = AuditEntry {
                process: &self.process,
                operator: &self.operator,
                kind: AuditKind::Claims,
                subject: &walk,
                reason: &reason,
                before: None,
                after: None,
            };
            record(connection, &entry).await?;
        }
        Ok(())
    }
}
