//! Judges the rows of a slice: reads their claims, looks again at whatever does not fit, repairs what may be repaired, and reports.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::elsewhere::Elsewhere;
use super::finding::FindingKind;
use super::judge::{RowMeaning, judge};
use super::planned::Action;
use super::progress::hash_of;
use super::row_finding::{double, of_row};
use super::run::{ASSUMED_MAX, Walker, second};
use super::source::{RecordSource, WalkError};
use super::walk::Slice;
use crate::ledger::{Claim, Expected, Repair};
use crate::translate::evidence::{RecordProgress, WalkedRecord};
use crate::translate::facts::Mirror;
use crate::translate::side::Side;

/// Rounds until the claims of a slice's rows do not change while they are judged.
const ROUNDS: usize = 5;

impl<S: RecordSource> Walker<'_, S> {
    pub(super) async fn judge_rows(&mut self, slice: &Slice, side: Side) -> Result<(), WalkError> {
        let position = second(self.progress.position);
        for row in slice.of(side) {
            self.seen.add(row);
        }
        // Rows before the position were judged by the walk that stopped there; only their ids are needed.
        let mut left: Vec<_> = slice.of(side).iter().filter(|row| row.created_at >= position).collect();
        let probes = self.probe_refs(&left).await?;
        left.retain(|row| row.ref_id.as_ref().is_none_or(|ref_id| !probes.contains(ref_id)));
        left.iter().for_each(|row| self.progress.count(row));
        // Claims are made beside the walk: a row whose claim changed is judged again, a bounded number of times.
        for _ in 0..ROUNDS {
            if left.is_empty() {
                return Ok(());
            }
            left = self.judge_round(slice, side, left).await?;
        }
        Err(WalkError::Inconsistent { side, reason: "claims change faster than they can be read" })
    }

    /// Returns the rows whose claims changed meanwhile.
    async fn judge_round<'r>(
        &mut self,
        slice: &Slice,
        side: Side,
        rows: Vec<&'r WalkedRecord>,
    ) -> Result<Vec<&'r WalkedRecord>, WalkError> {
        let claims = self.claims_of(&rows).await?;
        let claim_of = |row: &WalkedRecord| claims.get(row.ref_id.as_deref()?);
        let native = self.native_of(side, &rows, &claims).await?;
        let may_have_no_claim = side == Side::New && self.is_reconcile();
        let is_known_native = |ref_id: &str| may_have_no_claim && native.contains(ref_id);
        let (mut unclaimed, mut again, mut taken) = (Vec::new(), Vec::new(), HashSet::new());
        for row in rows {
            // What is done about the first row of a reference changes what the second one means.
            if row.ref_id.as_deref().is_some_and(|ref_id| !taken.insert(ref_id)) {
                again.push(row);
                continue;
            }
            let meaning = judge(row, claim_of(row));
            let is_conversion = meaning != RowMeaning::NotAConversion;
            let mut is_mirror = false;
            match (meaning, row.ref_id.as_deref()) {
                (RowMeaning::Unclaimed, Some(ref_id)) if is_known_native(ref_id) => {}
                (RowMeaning::Unclaimed, _) => unclaimed.push(row),
                (meaning, ref_id) => {
                    let is_native = ref_id.is_some_and(|ref_id| native.contains(ref_id));
                    is_mirror = self.act_on(slice, row, (meaning, is_native)).await?;
                }
            }
            if is_conversion && !is_mirror {
                self.remember_known(row);
                self.check_final(row).await?;
                self.check_report(row).await?;
            }
        }
        again.extend(self.claim_rows(slice, side, (unclaimed, &native)).await?);
        self.repair_planned().await?;
        Ok(again)
    }

    /// References of the program's own conversions, which are no client's.
    async fn probe_refs(&self, rows: &[&WalkedRecord]) -> Result<HashSet<String>, WalkError> {
        let refs = rows.iter().filter_map(|row| row.ref_id.as_deref()).collect();
        Ok(self.context.reader.probe_refs_among(self.context.tenant, refs).await?.into_iter().collect())
    }

    async fn claims_of(&self, rows: &[&WalkedRecord]) -> Result<HashMap<String, Claim>, WalkError> {
        let refs = rows.iter().filter_map(|row| row.ref_id.as_deref()).collect();
        let claims = self.context.reader.claims_by_refs(self.context.tenant, refs).await?;
        Ok(claims.into_iter().map(|found| (found.ref_id, found.claim)).collect())
    }

    /// References that were created on the new API's own path through this proxy, which records them beside the claims.
    async fn native_of(
        &self,
        side: Side,
        rows: &[&WalkedRecord],
        claims: &HashMap<String, Claim>,
    ) -> Result<HashSet<String>, WalkError> {
        let no_record = |ref_id: &&str| claims.get(*ref_id).is_none_or(|claim| claim.record_id.is_none());
        let refs: Vec<_> = rows.iter().filter_map(|row| row.ref_id.as_deref()).filter(no_record).collect();
        let is_apart = side == Side::Legacy && self.context.facts.mirror_back == Mirror::No;
        if is_apart || refs.is_empty() {
            return Ok(HashSet::new());
        }
        Ok(self.context.reader.native_by_refs(self.context.tenant, refs).await?.into_iter().collect())
    }

    /// Returns whether the row is the other side's record once more.
    async fn act_on(
        &mut self,
        slice: &Slice,
        row: &WalkedRecord,
        (meaning, is_native): (RowMeaning, bool),
    ) -> Result<bool, WalkError> {
        match meaning {
            RowMeaning::Known | RowMeaning::Unclaimed => {}
            RowMeaning::NotAConversion => self.progress.not_conversions += 1,
            RowMeaning::WithoutReference => {
                self.progress.without_reference += 1;
                self.join_by_id(slice, row).await?;
            }
            RowMeaning::FoundNow(claim) => {
                // A legacy claim that knows a record may be sent again, so it must not know what legacy never made.
                if row.side == Side::Legacy && self.may_be_mirror(row, is_native) {
                    match self.elsewhere(slice, row, Some(&claim)).await? {
                        Elsewhere::Mirrored(_) => return Ok(true),
                        Elsewhere::Double(_) => return Ok(false),
                        Elsewhere::Nowhere => {}
                    }
                }
                self.resolve(row, &claim).await?;
            }
            RowMeaning::OtherRecord(claim) => self.compare_with_known(row, &claim).await?,
            RowMeaning::Refused(claim) => {
                let elsewhere = self.elsewhere(slice, row, Some(&claim)).await?;
                let is_mirrored = matches!(&elsewhere, Elsewhere::Mirrored(_));
                let record = self.claimed_record(row, elsewhere, is_native);
                self.adopt_refused(&record, &claim);
                return Ok(is_mirrored && record.side != row.side);
            }
            RowMeaning::OtherSide(claim) => match self.elsewhere(slice, row, Some(&claim)).await? {
                Elsewhere::Mirrored(there) if self.only_mirrors(claim.side) => {
                    // Both may have come from one page.
                    self.confirm_listed(row).await?;
                    self.confirm_listed(&there).await?;
                    let detail =
                        format!("the claim names the {} side, which only mirrors the record", claim.side);
                    self.report(&of_row(FindingKind::WrongSide, row, detail));
                }
                Elsewhere::Mirrored(_) => return Ok(true),
                Elsewhere::Double(_) => {}
                Elsewhere::Nowhere => self.wrong_side(row, &claim),
            },
        }
        Ok(false)
    }

    /// A claim of this side did not know its record.
    async fn resolve(&mut self, row: &WalkedRecord, claim: &Claim) -> Result<(), WalkError> {
        if self.context.ledger.is_none() {
            // The claim stays as it is, so that a second record with its reference would mean the same.
            let known = row.ref_id.as_deref().and_then(|ref_id| self.assumed.get(&hash_of(ref_id)).cloned());
            if let Some((_, id)) = known.filter(|(side, id)| *side == row.side && *id != row.id)
                && self.is_twice_here(row, &id).await?
            {
                return Ok(());
            }
            self.assume(row)?;
        }
        let finding = of_row(FindingKind::Unresolved, row, "the claim did not know its record");
        let (generation, side) = (claim.generation, claim.side);
        self.plan(finding, row, Action::Remember { generation, side });
        Ok(())
    }

    /// A claim of this side knows another record.
    async fn compare_with_known(&mut self, row: &WalkedRecord, claim: &Claim) -> Result<(), WalkError> {
        let known_id = claim.record_id.as_deref().unwrap_or_default();
        self.confirm_listed(row).await?;
        let known = self.context.source.by_id(row.side, known_id).await?;
        let finding = match known.filter(|known| known.ref_id == row.ref_id) {
            Some(known) => {
                let detail = format!("two conversions on the {} side: also {known_id}", row.side);
                double(row, &known, &detail)
            }
            None => of_row(FindingKind::Mismatch, row, format!("the claim names the record {known_id}")),
        };
        self.report(&finding);
        Ok(())
    }

    /// A client got the answer that nothing was made. Until this, the next create with the reference could choose either side.
    fn adopt_refused(&mut self, row: &WalkedRecord, claim: &Claim) {
        let finding = of_row(FindingKind::Unclaimed, row, "the claim was refused, and the record exists");
        let repair = Repair::AdoptRefused { side: row.side, generation: claim.generation };
        self.plan(finding, row, Action::Repair(repair));
    }

    /// The record is only here, and the claim names the other side. A reconcile moves the claim if nothing can still arrive there.
    pub(super) fn wrong_side(&mut self, row: &WalkedRecord, claim: &Claim) {
        let open = claim.begun - claim.closed;
        let detail = format!("the claim names the {} side and has {open} open attempts", claim.side);
        let finding = of_row(FindingKind::WrongSide, row, detail);
        // An open attempt may still be sent to, or arrive at, the side that the claim names: it keeps its side (docs/money-safety.md).
        if open == 0 && self.is_reconcile() {
            let Claim { generation, side, state, .. } = *claim;
            let expected = Expected { generation, side, state };
            self.plan(finding, row, Action::Repair(Repair::MoveClosed { expected }));
        } else {
            self.report(&finding);
        }
    }

    pub(super) fn assume(&mut self, row: &WalkedRecord) -> Result<(), WalkError> {
        if let Some(ref_id) = &row.ref_id {
            self.assumed.entry(hash_of(ref_id)).or_insert_with(|| (row.side, row.id.clone()));
        }
        let is_full = self.assumed.len() > ASSUMED_MAX;
        if is_full { Err(WalkError::TooManyUnclaimed { max: ASSUMED_MAX }) } else { Ok(()) }
    }

    /// Keeps the reference of a record for the next control.
    fn remember_known(&mut self, row: &WalkedRecord) {
        let known = &mut self.known_ref[row.side as usize];
        if row.other_kind.is_none()
            && let Some(ref_id) = &row.ref_id
        {
            known.clone_from(&Some(ref_id.clone()));
        }
    }

    /// Reports a record that has not become final for too long.
    async fn check_final(&mut self, row: &WalkedRecord) -> Result<(), WalkError> {
        let is_old = |row: &WalkedRecord| {
            let limit = row.created_at.saturating_add(self.options.stuck_after).unwrap_or(Timestamp::MAX);
            row.progress == RecordProgress::Open && limit < self.options.end.max(Timestamp::now())
        };
        if !self.is_reconcile() || !is_old(row) {
            return Ok(());
        }
        // It may have become final since the page was read.
        let now = self.context.source.by_id(row.side, &row.id).await?;
        if now.is_some_and(|now| is_old(&now)) {
            self.report(&of_row(FindingKind::Stuck, row, "not final for too long"));
        }
        Ok(())
    }
}
