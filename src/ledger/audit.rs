//! The audit table of the ledger: every decision that an operator or a process took about the cutover. Rows are only added; no statement
//! changes or removes one, and the role of `deploy/postgres/audit.sql` may not either.

use jiff::Timestamp;

use super::connection::{Bind, Connection, Guarded, guarded};
use super::error::LedgerError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuditKind {
    Modes,
    Override,
    Init,
    OpenNew,
    Accept,
    Release,
    Hold,
    AcceptTimeline,
    Trip,
    TripReset,
    Evidence,
    Reconcile,
    Claims,
}

impl AuditKind {
    /// In the order of the documents.
    pub(crate) const ALL: [Self; 13] = [
        Self::Modes,
        Self::Override,
        Self::Init,
        Self::OpenNew,
        Self::Accept,
        Self::Release,
        Self::Hold,
        Self::AcceptTimeline,
        Self::Trip,
        Self::TripReset,
        Self::Evidence,
        Self::Reconcile,
        Self::Claims,
    ];

    /// The word in the table and in output. Rows are kept for ever, so a word is never changed.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Modes => "modes",
            Self::Override => "override",
            Self::Init => "init",
            Self::OpenNew => "open-new",
            Self::Accept => "accept",
            Self::Release => "release",
            Self::Hold => "hold",
            Self::AcceptTimeline => "accept-timeline",
            Self::Trip => "trip",
            Self::TripReset => "trip-reset",
            Self::Evidence => "evidence",
            Self::Reconcile => "reconcile",
            Self::Claims => "claims",
        }
    }

    /// When such a row is written, for the help.
    pub(crate) const fn written_when(self) -> &'static str {
        match self {
            Self::Modes => {
                "a start or reload put other modes in force than those on record; one replica writes it"
            }
            Self::Override => "modes changed under [gate.override]; the reason is who, until when and why",
            Self::Init => "`ledger init` gave the ledger its id",
            Self::OpenNew => "`ledger open-new` allowed creates on the new API",
            Self::Accept => "`ledger accept` accepted the database, its hosts or its tenant",
            Self::Release => "`ledger release` let a ref_id choose its side anew",
            Self::Hold => "a process held creates because the ledger may have lost claims",
            Self::AcceptTimeline => "a process found every claim after a fail-over, and lifted such a hold",
            Self::Trip => "an operator, or a confirmed double (the subject), held creates on every replica",
            Self::TripReset => "`trip reset` ended that; the value before is why it was set",
            Self::Evidence => {
                "a report or a clean walk went on record; the subject is its id, the value after its verdict"
            }
            Self::Reconcile => "a walk repaired the claim of a ref_id",
            Self::Claims => "a walk wrote claims, or ids into claims; one row for all of them",
        }
    }
}

pub(super) struct AuditEntry<'a> {
    pub(super) process: &'a str,
    /// The user who ran the command; `config HASH` for what a process took from its config; empty for what it found by itself.
    pub(super) operator: &'a str,
    pub(super) kind: AuditKind,
    /// The `ref_id` or walk concerned, if any.
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
        Text(entry.kind.as_str()),
        Text(entry.subject),
        Text(entry.reason),
        Optional(entry.before),
        Optional(entry.after),
    ];
    let rows: Vec<(i64,)> = connection.guarded(&RECORD, &binds).await?;
    // A decision without its row must not stand: the error ends the transaction that both are in.
    if rows.is_empty() { Err(connection.foreign()) } else { Ok(()) }
}
