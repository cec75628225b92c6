//! Repairs of claims. They are planned while a slice is judged, and made once its findings are saved.

use super::finding::{FindingSeverity, WalkFinding};
use super::planned::{Action, PlannedRepair};
use super::run::Walker;
use super::source::{RecordSource, WalkError};
use crate::ledger::{Key, Repair};
use crate::translate::evidence::WalkedRecord;

impl<S: RecordSource> Walker<'_, S> {
    /// Reports a finding, and plans the repair of its claim, whose reference the record carries. A backfill reports only what is about
    /// money.
    pub(super) fn plan(&mut self, finding: WalkFinding, record: &WalkedRecord, action: Action) {
        if self.is_reported(&finding) {
            self.report(&finding);
        }
        let Some(ref_id) = record.ref_id.clone() else { return };
        let (side, record_id) = (record.side, record.id.clone());
        self.planned.push(PlannedRepair { finding, ref_id, record_id, side, action });
    }

    fn is_reported(&self, finding: &WalkFinding) -> bool {
        self.is_reconcile() || finding.kind.severity() == FindingSeverity::Money
    }

    /// Makes the planned repairs, after everything found so far was saved.
    pub(super) async fn repair_planned(&mut self) -> Result<(), WalkError> {
        if self.planned.is_empty() {
            return Ok(());
        }
        // Findings first: a process killed after a repair has already reported what it changed.
        self.save_findings().await?;
        for planned in std::mem::take(&mut self.planned) {
            self.repair(planned).await?;
        }
        Ok(())
    }

    async fn repair(&mut self, planned: PlannedRepair) -> Result<(), WalkError> {
        let PlannedRepair { finding, ref_id, record_id, side, action } = planned;
        let Some(ledger) = self.context.ledger else { return Ok(()) };
        let Ok(key) = Key::new(self.context.tenant, &ref_id) else { return Ok(()) };
        // Another process may walk by now, and its repairs rest on newer reads.
        self.check_lease()?;
        let repaired = match action {
            Action::Remember { generation, side } => {
                let remembered = ledger.remember_id(key, generation, side, &record_id).await?.is_some();
                if remembered {
                    self.progress.resolved += 1;
                    ledger.count_resolved(&self.walk).await?;
                }
                remembered
            }
            Action::Repair(repair) => {
                let is_refused = matches!(&repair, Repair::AdoptRefused { .. });
                let may_claim = self.may_claim(side);
                let repaired =
                    may_claim && ledger.repair(key, repair, (&self.walk, &record_id)).await?.is_some();
                self.progress.adopted += u64::from(repaired);
                if is_refused && !repaired {
                    // A refused claim lets the next create choose its side, as none would; a row of either side may have shown the reference.
                    self.progress.left_unclaimed.iter_mut().for_each(|left| *left += 1);
                }
                repaired
            }
        };
        if repaired && self.is_reported(&finding) {
            self.report_repaired(&finding);
        }
        Ok(())
    }
}
