//! Rows without a reference are joined by their id: one id on both sides is one conversion, and both must say the same of it.

use super::finding::FindingKind;
use super::row_finding::pair;
use super::run::Walker;
use super::source::{RecordSource, WalkError};
use super::walk::Slice;
use crate::translate::evidence::WalkedRecord;
use crate::translate::list::same_record::is_same_money;

impl<S: RecordSource> Walker<'_, S> {
    /// Looks for the id among the rows of the other side: those of the slice, and those that were seen lately.
    pub(super) async fn join_by_id(&mut self, slice: &Slice, row: &WalkedRecord) -> Result<(), WalkError> {
        let other = row.side.other();
        if !self.is_reconcile() {
            return Ok(());
        }
        let beside = slice.of(other).iter().find(|beside| beside.id == row.id).cloned();
        let beside = match beside {
            None if self.seen.contains(other, &row.id) => self.context.source.by_id(other, &row.id).await?,
            beside => beside,
        };
        let Some(beside) = beside else { return Ok(()) };
        if is_same_money(&row.json, &beside.json) {
            self.report(&pair(FindingKind::Mirrored, row, Some(&beside), ""));
            return Ok(());
        }
        let here = self.context.source.by_id(row.side, &row.id).await?;
        let there = self.context.source.by_id(other, &row.id).await?;
        let (Some(here), Some(there)) = (here, there) else {
            let reason = "a record that its list shows is not there";
            return Err(WalkError::Inconsistent { side: row.side, reason });
        };
        if !is_same_money(&here.json, &there.json) {
            let detail = "both sides show this id, and not the same conversion";
            self.report(&pair(FindingKind::Mismatch, row, Some(&there), detail));
        }
        Ok(())
    }
}
