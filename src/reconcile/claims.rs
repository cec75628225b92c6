//! The other direction of the join: whether the vendor holds the record of every claim.

use jiff::{SignedDuration, Timestamp};

use super::finding::{FindingKind, WalkFinding};
use super::planned::Action;
use super::row_finding::{double, of_row, pair};
use super::run::{MARGIN, Walker, second};
use super::side_walk::{SideWalk, whole_second};
use super::source::{RecordSource, WalkError, WalkLookup};
use super::walk::Sides;
use crate::ledger::{ClaimSet, RefClaim};
use crate::translate::evidence::WalkedRecord;
use crate::translate::list::same_record::is_same_record;
use crate::translate::mapping::Origin;
use crate::translate::side::Side;

/// Claims are read in steps of at least this, so that short slices do not ask the ledger again and again.
const STEP: SignedDuration = SignedDuration::from_mins(1);
const SECOND: SignedDuration = SignedDuration::from_secs(1);

impl<S: RecordSource> Walker<'_, S> {
    /// Looks for the records of all claims that were made before `to`.
    pub(super) async fn lookup_claims(&mut self, to: Timestamp) -> Result<(), WalkError> {
        let from = second(self.progress.claims_position);
        let is_end = to >= self.end;
        // In steps, so that one read of the ledger serves many slices.
        if to <= from || (to.duration_since(from) < STEP && !is_end) {
            return Ok(());
        }
        let to = if is_end { to } else { second(to.as_second()) };
        // A backfill asks only whether the list shows what is known.
        let sides = if self.is_reconcile() { Sides::Both } else { self.options.sides };
        let unresolved = self.is_reconcile().then_some(ClaimSet::Unresolved);
        for set in sides.all().into_iter().map(ClaimSet::Known).chain(unresolved) {
            self.lookup_set(set, from, to).await?;
        }
        self.progress.claims_position = to.as_second();
        // A record is made within minutes of its claim, so no claim from here on needs an older one.
        self.seen.forget_before(to - MARGIN);
        Ok(())
    }

    async fn lookup_set(&mut self, set: ClaimSet, from: Timestamp, to: Timestamp) -> Result<(), WalkError> {
        let mut from = (from, String::new());
        loop {
            let (claims, next) =
                self.context.reader.claims_between(self.context.tenant, set, &from, to).await?;
            for claim in claims {
                self.progress.claims += 1;
                match (set, claim.claim.record_id.clone()) {
                    // Listed a moment ago: nearly every claim ends here, without a call.
                    (ClaimSet::Known(side), Some(id)) if self.seen.contains(side, &id) => {}
                    (ClaimSet::Known(_), Some(id)) => self.lookup_record(&claim, &id).await?,
                    (ClaimSet::Known(_) | ClaimSet::Unresolved, _) => self.lookup_reference(&claim).await?,
                }
            }
            self.repair_planned().await?;
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    /// The walk did not show the record of this claim lately.
    async fn lookup_record(&mut self, claim: &RefClaim, id: &str) -> Result<(), WalkError> {
        let (side, ref_id) = (claim.claim.side, claim.ref_id.as_str());
        if let Some(record) = self.context.source.by_id(side, id).await? {
            if record.ref_id.as_deref().is_some_and(|found| found != ref_id) {
                let detail = format!("the record {id} of the claim carries another reference");
                self.report(&self.of_claim(FindingKind::Mismatch, claim, detail));
            } else if !self.is_listed(&record).await? {
                // What else it omits cannot be known.
                return Err(WalkError::Inconsistent {
                    side,
                    reason: "its list omits a record that it holds",
                });
            }
            return Ok(());
        }
        self.progress.unlisted[side as usize] += 1;
        match self.look_up(side, ref_id).await? {
            WalkLookup::Found(record) => {
                self.report(&of_row(
                    FindingKind::Mismatch,
                    &record,
                    format!("the claim names the record {id}"),
                ));
                return Ok(());
            }
            WalkLookup::OtherKind => {
                let detail = format!("the reference is on the {side} side, and its record is no conversion");
                self.report(&self.of_claim(FindingKind::Mismatch, claim, detail));
                return Ok(());
            }
            WalkLookup::Absent => {}
        }
        let other = side.other();
        let elsewhere = match self.look_up(other, ref_id).await? {
            WalkLookup::Found(record) => Some(record),
            // By id too: a mirror under the same id may carry no reference.
            WalkLookup::Absent | WalkLookup::OtherKind => self.context.source.by_id(other, id).await?,
        };
        match elsewhere {
            Some(record) => self.wrong_side_of(claim, &record),
            None => {
                let detail = format!("a client was given {id}, and neither side holds it");
                self.report(&self.of_claim(FindingKind::Lost, claim, detail));
            }
        }
        Ok(())
    }

    /// Whether its side's list shows a record that the walk did not show lately.
    async fn is_listed(&self, record: &WalkedRecord) -> Result<bool, WalkError> {
        let made = record.created_at;
        if made >= self.end {
            // Left for the next walk.
            return Ok(true);
        }
        // The walk went over that moment and did not list it; asking the list again would change nothing.
        if self.options.sides.all().contains(&record.side) && self.seen.should_contain(made) {
            return Ok(false);
        }
        let mut walk = SideWalk::new(record.side, made, whole_second(made) + SECOND, self.options.limit);
        while !walk.is_done {
            if walk.next(self.context.source).await?.iter().any(|row| row.id == record.id) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The record of this claim is not known.
    async fn lookup_reference(&mut self, claim: &RefClaim) -> Result<(), WalkError> {
        let (side, ref_id) = (claim.claim.side, claim.ref_id.as_str());
        let here = self.look_up(side, ref_id).await?;
        let there = self.look_up(side.other(), ref_id).await?;
        match (here, there) {
            (WalkLookup::Found(here), WalkLookup::Found(there)) => self.both(&here, &there),
            (WalkLookup::Found(record), WalkLookup::Absent | WalkLookup::OtherKind) => {
                self.keep_id(claim, &record);
            }
            (WalkLookup::Absent | WalkLookup::OtherKind, WalkLookup::Found(record)) => {
                self.wrong_side_of(claim, &record);
            }
            (WalkLookup::OtherKind, WalkLookup::Absent | WalkLookup::OtherKind) => {
                let detail = format!("the reference is on the {side} side, and its record is no conversion");
                self.report(&self.of_claim(FindingKind::Unresolved, claim, detail));
            }
            (WalkLookup::Absent, WalkLookup::Absent | WalkLookup::OtherKind) => {
                let open = claim.claim.begun - claim.claim.closed;
                let detail = format!("{open} open attempts, and neither side holds the reference");
                self.report(&self.of_claim(FindingKind::Unresolved, claim, detail));
            }
        }
        Ok(())
    }

    fn both(&mut self, here: &WalkedRecord, there: &WalkedRecord) {
        let is_mirror = is_same_record(self.context.facts, &here.json, &there.json);
        let detail = "a conversion on both sides";
        let finding = if is_mirror {
            pair(FindingKind::Mirrored, here, Some(there), detail)
        } else {
            double(here, there, detail)
        };
        self.report(&finding);
    }

    /// Whether a record that was looked up is the one that the claim is about: an id may be another reference's on the other side, and a
    /// lookup may find another spelling.
    fn is_about(&mut self, claim: &RefClaim, record: &WalkedRecord) -> bool {
        let is_same = record.ref_id.as_deref() == Some(claim.ref_id.as_str());
        if is_same && record.is_conversion(Origin::OwnReference) {
            return true;
        }
        let what = if is_same { "is no conversion" } else { "carries another reference" };
        let detail = format!("the {} side's record {} {what}", record.side, record.id);
        self.report(&self.of_claim(FindingKind::Mismatch, claim, detail));
        false
    }

    fn wrong_side_of(&mut self, claim: &RefClaim, record: &WalkedRecord) {
        if self.is_about(claim, record) {
            self.wrong_side(record, &claim.claim);
        }
    }

    fn keep_id(&mut self, claim: &RefClaim, record: &WalkedRecord) {
        if !self.is_about(claim, record) {
            return;
        }
        let finding = of_row(FindingKind::Unresolved, record, "the claim did not know its record");
        let (generation, side) = (claim.claim.generation, claim.claim.side);
        self.plan(finding, record, Action::Remember { generation, side });
    }

    fn of_claim(&self, kind: FindingKind, claim: &RefClaim, detail: String) -> WalkFinding {
        let finding = WalkFinding::new(kind, Some(&claim.ref_id), claim.claim.created_at, detail);
        let id = claim.claim.record_id.clone();
        match claim.claim.side {
            Side::Legacy => WalkFinding { legacy_id: id, ..finding },
            Side::New => WalkFinding { new_id: id, ..finding },
        }
    }
}
