//! Evidence: what a report or a walk showed, so that a step can rest on it and an auditor can check it. Rows are only added.

#![allow(missing_docs, reason = "the docs of a type say what its fields are")]

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::audit::{AuditEntry, AuditKind, record};
use super::connection::{Bind, Connection, Guarded, LedgerRequest, guarded};
use super::error::LedgerError;
use super::queries::time;
use super::{Ledger, Reader};

/// The command or walk that produced the evidence.
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
pub struct GateEvidence {
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceRow {
    pub at: Timestamp,
    /// The version of the program that recorded it.
    pub version: String,
    pub evidence: GateEvidence,
}

struct RecordEvidence {
    process: String,
    tenant: String,
    evidence: GateEvidence,
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
        let GateEvidence { kind, verdict, window, numbers, input_sha256, output_sha256, config, operator } =
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
        let rests_on = rests_on(numbers);
        let after = format!("{verdict}{rests_on}; input {input_sha256}, output {output_sha256}");
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

/// What a verdict rests on, for the audit: a report's thresholds, or the vendor's report that a walk was given.
fn rests_on(numbers: &str) -> String {
    let numbers: Value = serde_json::from_str(numbers).unwrap_or_default();
    if let Some(sha256) = numbers["report"]["sha256"].as_str() {
        return format!("; report file {sha256}");
    }
    let Some(thresholds) = numbers["thresholds"].as_object() else { return String::new() };
    let named: Vec<_> = thresholds.iter().map(|(name, value)| format!("{name} {value}")).collect();
    format!("; thresholds {}", named.join(", "))
}

/// The newest evidence of a kind.
struct NewestEvidence<'a> {
    tenant: &'a str,
    kind: EvidenceKind,
}

const NEWEST_EVIDENCE: &str = "SELECT at_us, verdict, begin_us, end_us, numbers, input_sha256, output_sha256, config, version, operator \
     FROM ledger_evidence WHERE tenant = $1 AND kind = $2 ORDER BY at_us DESC LIMIT 1";

/// The newest evidence of clean walks whose windows begin no later than a time.
struct CleanFrom<'a> {
    tenant: &'a str,
    begin: Timestamp,
}

const CLEAN_FROM: &str = "SELECT at_us, verdict, begin_us, end_us, numbers, input_sha256, output_sha256, config, version, operator \
     FROM ledger_evidence WHERE tenant = $1 AND kind = $2 AND begin_us <= $3 ORDER BY at_us DESC LIMIT 100";

impl LedgerRequest for CleanFrom<'_> {
    type Output = Vec<EvidenceRow>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let kind = EvidenceKind::Reconcile;
        let begin = Bind::Number(self.begin.as_microsecond());
        let binds = [Bind::Text(self.tenant), Bind::Text(kind.as_str()), begin];
        let rows: Vec<StoredEvidence> = connection.rows(CLEAN_FROM, &binds).await?;
        rows.into_iter().map(|row| read(kind, row)).collect()
    }
}

/// The newest evidence of clean walks, whatever their windows.
struct NewestClean<'a>(&'a str);

const NEWEST_CLEAN: &str = "SELECT at_us, verdict, begin_us, end_us, numbers, input_sha256, output_sha256, config, version, operator \
     FROM ledger_evidence WHERE tenant = $1 AND kind = $2 ORDER BY at_us DESC LIMIT 1000";

impl LedgerRequest for NewestClean<'_> {
    type Output = Vec<EvidenceRow>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let kind = EvidenceKind::Reconcile;
        let binds = [Bind::Text(self.0), Bind::Text(kind.as_str())];
        let rows: Vec<StoredEvidence> = connection.rows(NEWEST_CLEAN, &binds).await?;
        rows.into_iter().map(|row| read(kind, row)).collect()
    }
}

/// Claims that were made before a time and whose record is not known.
struct Unresolved<'a> {
    tenant: &'a str,
    before: Timestamp,
}

const UNRESOLVED: &str = "SELECT CAST(COUNT(*) AS BIGINT) FROM ref_claims WHERE tenant = $1 AND record_id IS NULL \
     AND state <> 'refused' AND created_at_us < $2";

impl LedgerRequest for Unresolved<'_> {
    type Output = u64;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<u64, LedgerError> {
        let binds = [Bind::Text(self.tenant), Bind::Number(self.before.as_microsecond())];
        let rows: Vec<(i64,)> = connection.rows(UNRESOLVED, &binds).await?;
        Ok(rows.first().map_or(0, |(count,)| count.unsigned_abs()))
    }
}

type StoredEvidence = (i64, String, Option<i64>, Option<i64>, String, String, String, String, String, String);

impl LedgerRequest for NewestEvidence<'_> {
    type Output = Option<EvidenceRow>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let binds = [Bind::Text(self.tenant), Bind::Text(self.kind.as_str())];
        let rows: Vec<StoredEvidence> = connection.rows(NEWEST_EVIDENCE, &binds).await?;
        rows.into_iter().next().map(|row| read(self.kind, row)).transpose()
    }
}

fn read(kind: EvidenceKind, row: StoredEvidence) -> Result<EvidenceRow, LedgerError> {
    let (at, verdict, begin, end, numbers, input_sha256, output_sha256, config, version, operator) = row;
    let window = match begin.zip(end) {
        Some((begin, end)) => Some((time(begin)?, time(end)?)),
        None => None,
    };
    let evidence =
        GateEvidence { kind, verdict, window, numbers, input_sha256, output_sha256, config, operator };
    Ok(EvidenceRow { at: time(at)?, version, evidence })
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

    /// The evidence of clean walks whose windows begin no later than that, newest first; at most 100.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn clean_from(
        &self,
        tenant: &str,
        begin: Timestamp,
    ) -> Result<Vec<EvidenceRow>, LedgerError> {
        self.ask(&CleanFrom { tenant, begin }).await
    }

    /// The newest evidence of clean walks, newest first; at most 1000.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn newest_clean(&self, tenant: &str) -> Result<Vec<EvidenceRow>, LedgerError> {
        self.ask(&NewestClean(tenant)).await
    }

    /// How many claims were made before that time and do not know their record. Refused ones have none.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn unresolved(&self, tenant: &str, before: Timestamp) -> Result<u64, LedgerError> {
        self.ask(&Unresolved { tenant, before }).await
    }
}

impl Ledger {
    /// Puts evidence on record. Audited.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn record_evidence(&self, tenant: &str, evidence: GateEvidence) -> Result<(), LedgerError> {
        self.write(RecordEvidence { process: self.process(), tenant: tenant.to_owned(), evidence }).await
    }
}
