//! References that a list shows and that no claim knows. No walk passes one of them: it gets a claim, or its side does not count as walked.

use std::collections::HashSet;

use jiff::Timestamp;

use super::finding::FindingKind;
use super::row_finding::of_row;
use super::run::Walker;
use super::source::{RecordSource, WalkError};
use super::walk::Slice;
use crate::ledger::{Key, VendorRecord};
use crate::translate::evidence::WalkedRecord;
use crate::translate::side::Side;

/// Claims of one transaction: a batch must not make a create wait.
const ADOPTED_AT_ONCE: usize = 100;

/// A row whose reference is to get a claim.
struct Adoptable<'r> {
    row: &'r WalkedRecord,
    /// What the claim names: the row, or the record of the other side where both list the reference.
    record: VendorRecord,
    side: Side,
    is_reported: bool,
}

impl<S: RecordSource> Walker<'_, S> {
    /// Writes claims for rows that have none, where that is allowed. Returns those that got one from another process meanwhile.
    pub(super) async fn claim_rows<'r>(
        &mut self,
        slice: &Slice,
        side: Side,
        (rows, native): (Vec<&'r WalkedRecord>, &HashSet<String>),
    ) -> Result<Vec<&'r WalkedRecord>, WalkError> {
        let (mut adoptable, mut made) = (Vec::new(), [Vec::new(), Vec::new()]);
        for row in rows {
            let is_native = row.ref_id.as_deref().is_some_and(|ref_id| native.contains(ref_id));
            let twice = self.listed_twice(slice, row, is_native).await?;
            // What was created on the new API's own path is on record beside the claims, and shows no other client.
            if !(is_native && twice.is_some()) {
                made[side as usize].push(row.created_at);
                if twice.is_some() {
                    made[side.other() as usize].push(row.created_at);
                }
            }
            let (is_twice, is_double) =
                (twice.is_some(), twice.as_ref().is_some_and(|twice| twice.is_double));
            let record = twice.map_or_else(|| row.clone(), |twice| twice.record);
            let may_claim = self.may_claim(record.side) && self.fits(&record);
            let is_reported = self.is_reconcile() && (!is_twice || (may_claim && !is_double && !is_native));
            if is_reported {
                self.report(&of_row(FindingKind::Unclaimed, row, "no claim has the reference"));
            }
            if may_claim && let Some(vendor_record) = vendor_record(&record) {
                adoptable.push(Adoptable { row, record: vendor_record, side: record.side, is_reported });
            } else {
                self.leave(row);
                if !is_twice {
                    self.assume(row)?;
                }
            }
        }
        self.found_unclaimed(&made).await?;
        self.save_findings().await?;
        let mut again = Vec::new();
        for side in [Side::Legacy, Side::New] {
            let rows: Vec<_> = adoptable.iter().filter(|adoptable| adoptable.side == side).collect();
            for rows in rows.chunks(ADOPTED_AT_ONCE) {
                again.extend(self.adopt(side, rows).await?);
            }
        }
        Ok(again)
    }

    fn fits(&self, record: &WalkedRecord) -> bool {
        vendor_record(record).is_some_and(|record| record.fits(self.context.tenant))
    }

    /// The row's reference stays without a claim, so its side does not count as walked.
    fn leave(&mut self, row: &WalkedRecord) {
        let ref_id = row.ref_id.as_deref().unwrap_or_default();
        // No create can be made with a reference that no claim can hold.
        if Key::new(self.context.tenant, ref_id).is_ok() {
            self.progress.left_unclaimed[row.side as usize] += 1;
        }
    }

    /// Before anything else is done about it: a create must not rely on the ledger meanwhile.
    async fn found_unclaimed(&self, made: &[Vec<Timestamp>; 2]) -> Result<(), WalkError> {
        let Some(ledger) = self.context.ledger else { return Ok(()) };
        let (tenant, longest) = (self.context.tenant, self.options.longest_create);
        for side in [Side::Legacy, Side::New] {
            let made = &made[side as usize];
            if let (Some(oldest), Some(newest)) = (made.iter().min(), made.iter().max()) {
                ledger.found_unclaimed(tenant, side, [*oldest, *newest], longest).await?;
            }
        }
        Ok(())
    }

    async fn adopt<'r>(
        &mut self,
        side: Side,
        rows: &[&Adoptable<'r>],
    ) -> Result<Vec<&'r WalkedRecord>, WalkError> {
        let Some(ledger) = self.context.ledger else { return Ok(Vec::new()) };
        self.check_lease()?;
        let records = rows.iter().map(|adoptable| adoptable.record.clone()).collect();
        let adopted = ledger.adopt_in_walk(&self.walk, self.context.tenant, side, records).await?;
        let adopted: HashSet<_> = adopted.iter().map(String::as_str).collect();
        self.progress.adopted += adopted.len() as u64;
        let mut others = Vec::new();
        for Adoptable { row, record, is_reported, .. } in rows {
            let is_mine = adopted.contains(record.ref_id.as_str());
            if !is_mine {
                others.push(*row);
            }
            if *is_reported {
                let detail =
                    if is_mine { "no claim has the reference" } else { "a claim was made meanwhile" };
                self.report_repaired(&of_row(FindingKind::Unclaimed, row, detail));
            }
        }
        Ok(others)
    }
}

fn vendor_record(row: &WalkedRecord) -> Option<VendorRecord> {
    let ref_id = row.ref_id.clone()?;
    Some(VendorRecord { ref_id, record_id: row.id.clone(), created_at: row.created_at })
}
