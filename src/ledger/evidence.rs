//! Evidence: what a report or a walk showed, so that a step can rest on it and an auditor can check it. Rows are only added.

#![allow(missing_docs, reason = "the docs of a type say what its fields are")]

use jiff::Timestamp;
use uuid::Uuid;

use super::audit::{AuditEntry, AuditKind, record};
use super::connection::{Bind, Connection, Guarded, LedgerRequest, guarded};
use super::error::LedgerError;
use super::queries::time;
use super::{Ledger, Reader};

/// What showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceKind {
    Report,
    Reconcile,
}

impl EvidenceKind {
    /// The name in the table and in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Reconcile => "reconcile",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub kind: EvidenceKind,
    /// `go`, `no_go`, `not_proven` of a report; `clean` of a walk.
    pub verdict: String,
    /// The window that was looked at; `None` if it had no record.
    pub window: Option<(Timestamp, Timestamp)>,
    /// JSON.
    pub numbers: String,
    /// Of what was read, as hexadecimal digits.
    pub input_sha256: String,
    /// Of what was printed or saved.
    pub output_sha256: String,
    /// The hash of the config whose thresholds or window it was.
    pub config: String,
    /// The user who ran the command, or `config HASH` for a walk of a replica.
    pub operator: String,
}

/// Evidence on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceRow {
    pub at: Timestamp,
    /// The version of the program that recorded it.
    pub version: String,
    pub evidence: Evidence,
}

struct RecordEvidence {
    process: String,
    tenant: String,
    evidence: Evidence,
}

const RECORD_EVIDENCE: Guarded = guarded!(
    [
        "INSERT INTO ledger_evidence (evidence, at_us, tenant, kind, verdict, begin_us, end_us, numbers, input_sha256, output_sha256, \
         config, version, operator) SELECT $2, $3, $4, $5, $6, CASE WHEN $7 < 0 THEN NULL ELSE $7 END, \
         CASE WHEN $8 < 0 THEN NULL ELSE $8 END, $9, $10, $11, $12, $13, $14 WHERE "
    ],
    [" RETURNING evidence"],
);

impl LedgerRequest for RecordEvidence {
    type Output = ();

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        use Bind::{Number, Text};
        let Evidence { kind, verdict, window, numbers, input_sha256, output_sha256, config, operator } =
            &self.evidence;
        let id = Uuid::new_v4().to_string();
        let (begin, end) =
            window.map_or((-1, -1), |(begin, end)| (begin.as_microsecond(), end.as_microsecond()));
        let binds = [
            Text(&id),
            Number(Timestamp::now().as_microsecond()),
            Text(&self.tenant),
            Text(kind.as_str()),
            Text(verdict),
            Number(begin),
            Number(end),
            Text(numbers),
            Text(input_sha256),
            Text(output_sha256),
            Text(config),
            Text(env!("CARGO_PKG_VERSION")),
            Text(operator),
        ];
        let rows: Vec<(String,)> = connection.guarded(&RECORD_EVIDENCE, &binds).await?;
        if rows.is_empty() {
            return Err(connection.foreign());
        }
        let after = format!("{verdict}; input {input_sha256}, output {output_sha256}");
        let entry = AuditEntry {
            process: &self.process,
            operator,
            kind: AuditKind::Evidence,
            subject: &id,
            reason: kind.as_str(),
            before: None,
            after: Some(&after),
        };
        record(connection, &entry).await
    }
}

/// The newest evidence of a kind.
struct NewestEvidence<'a> {
    tenant: &'a str,
    kind: EvidenceKind,
}

const NEWEST_EVIDENCE: &str = "SELECT at_us, verdict, begin_us, end_us, numbers, input_sha256, output_sha256, config, version, operator \
     FROM ledger_evidence WHERE tenant = $1 AND kind = $2 ORDER BY at_us DESC LIMIT 1";

type StoredEvidence = (i64, String, Option<i64>, Option<i64>, String, String, String, String, String, String);

impl LedgerRequest for NewestEvidence<'_> {
    type Output = Option<EvidenceRow>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let binds = [Bind::Text(self.tenant), Bind::Text(self.kind.as_str())];
        let rows: Vec<StoredEvidence> = connection.rows(NEWEST_EVIDENCE, &binds).await?;
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        let (at, verdict, begin, end, numbers, input_sha256, output_sha256, config, version, operator) = row;
        let window = match begin.zip(end) {
            Some((begin, end)) => Some((time(begin)?, time(end)?)),
            None => None,
        };
        let kind = self.kind;
        let evidence =
            Evidence { kind, verdict, window, numbers, input_sha256, output_sha256, config, operator };
        Ok(Some(EvidenceRow { at: time(at)?, version, evidence }))
    }
}

impl Reader {
    /// The newest evidence of a kind, whatever its verdict.
    ///
    /// # Errors
    /// [`LedgerError`]; "could not look" is never "there is none".
    #[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "tests read it"))]
    pub async fn newest_evidence(
        &self,
        tenant: &str,
        kind: EvidenceKind,
    ) -> Result<Option<EvidenceRow>, LedgerError> {
        self.ask(&NewestEvidence { tenant, kind }).await
    }
}

impl Ledger {
    /// Puts evidence on record. Audited.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn record_evidence(&self, tenant: &str, evidence: Evidence) -> Result<(), LedgerError> {
        self.write(RecordEvidence { process: self.process(), tenant: tenant.to_owned(), evidence }).await
    }
}
