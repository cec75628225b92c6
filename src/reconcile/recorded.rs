//! What a walk puts on record beside its findings: the trip, and a row of the audit for the claims that it wrote.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::finding::{FindingKind, WalkFinding};
use super::progress::WalkProgress;
use super::run::{WalkAuthor, Walker};
use super::source::{RecordSource, WalkError};
use super::walk::Sides;
use crate::ledger::{ConfirmedDouble, EvidenceKind, GateEvidence, StoredFinding, WalkState};

impl<S: RecordSource> Walker<'_, S> {
    /// What was written for single records is one row of the audit; each repair of a claim has its own.
    pub(super) async fn audit_claims(&self) -> Result<(), WalkError> {
        let (Some(ledger), WalkProgress { adopted, resolved, .. }) = (self.context.ledger, &self.progress)
        else {
            return Ok(());
        };
        if adopted + resolved == 0 {
            return Ok(());
        }
        let kind = self.options.kind.as_str();
        let why = format!(
            "{kind}: claims written or repaired: {adopted}; claims that got the id of their record: {resolved}"
        );
        Ok(ledger.audit_walk(&self.walk, why).await?)
    }

    /// A clean reconcile of both sides is what later steps rest on. A walk that cannot record it did not finish.
    pub(super) async fn record_evidence(&self) -> Result<(), WalkError> {
        let (Some(ledger), true, Sides::Both) =
            (self.context.ledger, self.is_reconcile(), self.options.sides)
        else {
            return Ok(());
        };
        let WalkAuthor { config, operator } = self.context.author;
        let evidence = GateEvidence {
            kind: EvidenceKind::Reconcile,
            verdict: WalkState::Clean.as_str().to_owned(),
            window: Some((self.begin, self.end)),
            numbers: self.numbers(),
            input_sha256: const_hex::encode(Sha256::digest(self.progress.hashes.join(""))),
            output_sha256: const_hex::encode(Sha256::digest(&self.snapshot)),
            config: config.to_owned(),
            operator: operator.map_or_else(|| format!("config {config}"), str::to_owned),
        };
        Ok(ledger.record_evidence(self.context.tenant, evidence).await?)
    }

    /// The counts, and when the walk was begun: by a walk that was resumed, what was looked at first is as old.
    fn numbers(&self) -> String {
        let mut numbers: Value = serde_json::from_str(&self.snapshot).unwrap_or_default();
        numbers["started_at"] = self.started_at.to_string().into();
        numbers.to_string()
    }

    /// Before they are saved: a walk that is resumed does not report them again.
    pub(super) async fn trip_on_doubles(&self) -> Result<(), WalkError> {
        let Some(ledger) = self.context.ledger else { return Ok(()) };
        let kind = FindingKind::Double.as_str();
        let doubles: Vec<_> =
            self.pending.iter().filter(|stored| stored.kind == kind).filter_map(confirmed_double).collect();
        if doubles.is_empty() {
            return Ok(());
        }
        Ok(ledger.trip_on_doubles(self.context.tenant, (self.options.kind, &self.walk), doubles).await?)
    }
}

fn confirmed_double(stored: &StoredFinding) -> Option<ConfirmedDouble> {
    let finding: WalkFinding = serde_json::from_str(&stored.finding).ok()?;
    Some(ConfirmedDouble { subject: stored.subject.clone(), at: finding.at.parse().ok()? })
}
