//! What a walk puts on record beside its findings: the trip, and a row of the audit for the claims that it wrote.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::finding::{FindingKind, WalkFinding};
use super::run::{WalkAuthor, Walker};
use super::source::{RecordSource, WalkError};
use super::walk::Sides;
use crate::ledger::{ConfirmedDouble, EvidenceKind, GateEvidence, StoredFinding, WalkState};

impl<S: RecordSource> Walker<'_, S> {
    /// What walks wrote for single records is one row of the audit for each, also what one wrote that was killed; each repair of a claim has
    /// its own.
    pub(super) async fn audit_claims(&self) -> Result<(), WalkError> {
        let Some(ledger) = self.context.ledger else { return Ok(()) };
        Ok(ledger.audit_walks(self.context.tenant).await?)
    }

    /// A digest of what decides how rows are judged, beside the program and the ledger.
    pub(super) fn judged(&self) -> String {
        let mut digest = Sha256::new();
        for (name, value) in self.context.facts.all() {
            digest.update(format!("{name}={value}\n"));
        }
        digest.update(&self.options.judged_by);
        const_hex::encode(digest.finalize())
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
