//! Going on with a walk that was stopped.

use jiff::Timestamp;

use super::finding::{FindingKind, WalkFinding};
use super::progress::{DistinctFindings, FORMAT, WalkProgress, hash_of};
use super::run::Walker;
use super::source::{RecordSource, WalkError};
use crate::ledger::WalkRow;
use crate::translate::side::Side;

impl<S: RecordSource> Walker<'_, S> {
    /// Goes on with a walk from the same begin that did not finish, to the end of this one, if there is one that can be joined.
    pub(super) async fn resume(&mut self) -> Result<bool, WalkError> {
        let (Some(ledger), true) = (self.context.ledger, self.options.resume) else { return Ok(false) };
        let (tenant, sides) = (self.context.tenant, self.options.sides.as_str());
        let found = self.context.reader.unfinished_walk(tenant, self.options.kind, sides, self.begin);
        let Some(row) = found.await? else { return Ok(false) };
        if row.judged.as_ref() != Some(&self.judged()) {
            tracing::warn!(
                target: "reconcile", walk = row.walk, kind = self.options.kind.as_str(),
                "begins anew: the facts, hosts or credentials are not those by which the walk that stopped had judged"
            );
            return Ok(false);
        }
        // What of a report was compared before is not on record.
        let fits = row.format == FORMAT && self.context.report.is_none();
        let progress = serde_json::from_str::<WalkProgress>(&row.progress).ok();
        let progress = progress.filter(|progress| fits && self.ends_after(progress));
        let Some(progress) = progress else { return Ok(false) };
        self.take_findings(&row).await?;
        let unclaimed = progress.found(FindingKind::Unclaimed);
        let all_known = unclaimed <= self.findings.count(FindingKind::Unclaimed) as u64;
        // Else it is not on record which references have no claim, and one of them on the other side would be missed.
        let can_join = (all_known || self.may_adopt_all()) && self.holds_all_findings(&row);
        if !can_join || (row.end != self.end && !ledger.move_end(&row.walk, self.end).await?) {
            self.findings = DistinctFindings::default();
            self.assumed.clear();
            return Ok(false);
        }
        self.take_over(row, progress);
        Ok(true)
    }

    /// Whether nothing was judged that this window leaves out.
    fn ends_after(&self, progress: &WalkProgress) -> bool {
        progress.position.max(progress.claims_position) <= self.end.as_second()
    }

    /// Whether nothing was found that this window leaves out: findings are saved before the progress of their slice.
    fn holds_all_findings(&self, row: &WalkRow) -> bool {
        let holds = |finding: &WalkFinding| finding.at.parse::<Timestamp>().is_ok_and(|at| at < self.end);
        self.end >= row.end || self.findings.kept.iter().all(holds)
    }

    async fn take_findings(&mut self, row: &WalkRow) -> Result<(), WalkError> {
        let mut after = None;
        loop {
            let stored = self.context.reader.findings_after(&row.walk, after.as_ref()).await?;
            let Some(last) = stored.last().cloned() else { return Ok(()) };
            for finding in
                stored.iter().filter_map(|stored| serde_json::from_str::<WalkFinding>(&stored.finding).ok())
            {
                self.findings.add(&finding);
                if finding.kind == FindingKind::Unclaimed && !finding.repaired {
                    self.assume_finding(&finding);
                }
            }
            after = Some(last);
        }
    }

    fn take_over(&mut self, row: WalkRow, mut progress: WalkProgress) {
        for kind in FindingKind::ALL {
            let stored = self.findings.count(kind) as u64;
            if stored > progress.found(kind) {
                progress.found.insert(kind, stored);
            }
        }
        tracing::info!(
            target: "reconcile", walk = row.walk, kind = self.options.kind.as_str(), begun = %row.started_at,
            position = progress.position, end = %self.end, "resumed"
        );
        (self.walk, self.started_at) = (row.walk, row.started_at);
        (self.snapshot, self.progress, self.resumed) = (row.progress, progress, true);
    }

    fn may_adopt_all(&self) -> bool {
        self.may_claim(Side::Legacy) && self.may_claim(Side::New)
    }

    fn assume_finding(&mut self, finding: &WalkFinding) {
        let ids = [(Side::Legacy, &finding.legacy_id), (Side::New, &finding.new_id)];
        let found = ids.into_iter().find_map(|(side, id)| Some((side, id.clone()?)));
        if let (Some(ref_id), Some(record)) = (&finding.ref_id, found) {
            self.assumed.insert(hash_of(ref_id), record);
        }
    }
}
