//! Whether the other side holds a row's reference as well, and which of the two made the record. A claim must name the side that made it:
//! the other one never held the reference, and would convert a create that is sent there.

use super::finding::FindingKind;
use super::progress::hash_of;
use super::row_finding::{double, pair};
use super::run::Walker;
use super::source::{RecordSource, WalkError, WalkLookup};
use super::walk::Slice;
use crate::ledger::Claim;
use crate::translate::evidence::WalkedRecord;
use crate::translate::facts::Mirror;
use crate::translate::list::same_record::is_same_record;
use crate::translate::side::Side;

/// A row may be shown on the other side as well.
pub(super) enum Elsewhere {
    /// As the same record, which is this one there.
    Mirrored(WalkedRecord),
    /// As another record, this one, which has been reported.
    Double(WalkedRecord),
    Nowhere,
}

/// A reference that is listed more than once.
pub(super) struct Twice {
    /// What its claim must name.
    pub(super) record: WalkedRecord,
    /// Whether it is more than one conversion, which has been reported.
    pub(super) is_double: bool,
}

impl<S: RecordSource> Walker<'_, S> {
    /// Whether the other side may have made the row. Without a fact, new may list what legacy made; that legacy lists what new made is
    /// asked only where something was created on new past the claims.
    pub(super) fn may_be_mirror(&self, row: &WalkedRecord, is_native: bool) -> bool {
        let facts = self.context.facts;
        match row.side {
            Side::Legacy => facts.mirror_back != Mirror::No && (is_native || facts.mirror_back.shows()),
            Side::New => facts.mirror != Mirror::No,
        }
    }

    /// The side that made a record which both sides list; new where that is not clear, because a claim on new that knows its record is
    /// never sent again.
    pub(super) fn mirrored_side(&self, is_native: bool) -> Side {
        let facts = self.context.facts;
        let may_be_new = facts.mirror_back.shows() || (is_native && facts.mirror_back != Mirror::No);
        if may_be_new { Side::New } else { facts.mirrored_side() }
    }

    /// Whether a record that both sides list was certainly not made there.
    pub(super) fn only_mirrors(&self, side: Side) -> bool {
        let facts = self.context.facts;
        match side {
            Side::Legacy => facts.mirror_back.shows() && facts.mirror == Mirror::No,
            Side::New => facts.mirror.shows() && facts.mirror_back == Mirror::No,
        }
    }

    /// Looks for the row's reference on the other side, and reports a double.
    pub(super) async fn elsewhere(
        &mut self,
        slice: &Slice,
        row: &WalkedRecord,
        claim: Option<&Claim>,
    ) -> Result<Elsewhere, WalkError> {
        let (Some(ref_id), other) = (row.ref_id.as_deref(), row.side.other()) else {
            return Ok(Elsewhere::Nowhere);
        };
        let mut beside = slice.of(other).iter().filter(|beside| beside.ref_id == row.ref_id);
        if let Some(beside) =
            beside.find(|beside| is_same_record(self.context.facts, &beside.json, &row.json))
        {
            self.report(&pair(FindingKind::Mirrored, row, None, ""));
            return Ok(Elsewhere::Mirrored(beside.clone()));
        }
        self.confirm_listed(row).await?;
        let mut found = self.look_up(other, ref_id).await?;
        if let (WalkLookup::Absent, Some(id)) = (&found, claim.and_then(|claim| claim.record_id.as_deref()))
            && claim.is_some_and(|claim| claim.side == other)
            && let Some(record) = self.context.source.by_id(other, id).await?
        {
            found = WalkLookup::Found(record);
        }
        let WalkLookup::Found(record) = found else { return Ok(Elsewhere::Nowhere) };
        if is_same_record(self.context.facts, &record.json, &row.json) {
            self.report(&pair(FindingKind::Mirrored, row, Some(&record), ""));
            return Ok(Elsewhere::Mirrored(record));
        }
        self.report(&double(row, &record, "a conversion on both sides"));
        Ok(Elsewhere::Double(record))
    }

    /// The record that a claim of the row's reference must name. Of a double it is the one on new: a claim on new that knows its record is
    /// never sent again, and one on legacy might be.
    pub(super) fn claimed_record(
        &self,
        row: &WalkedRecord,
        elsewhere: Elsewhere,
        is_native: bool,
    ) -> WalkedRecord {
        match elsewhere {
            Elsewhere::Mirrored(other) if other.side == self.mirrored_side(is_native) => other,
            Elsewhere::Double(other) if other.side == Side::New => other,
            Elsewhere::Mirrored(_) | Elsewhere::Double(_) | Elsewhere::Nowhere => row.clone(),
        }
    }

    /// What a claim of a reference that has none must name; `None`: the row, which is the only one with the reference.
    pub(super) async fn listed_twice(
        &mut self,
        slice: &Slice,
        row: &WalkedRecord,
        is_native: bool,
    ) -> Result<Option<Twice>, WalkError> {
        let assumed = row.ref_id.as_deref().and_then(|ref_id| self.assumed.get(&hash_of(ref_id)).cloned());
        if let Some((side, id)) = assumed.filter(|(_, id)| *id != row.id)
            && side == row.side
        {
            let twice = Twice { record: row.clone(), is_double: true };
            return Ok(self.is_twice_here(row, &id).await?.then_some(twice));
        }
        let is_assumed =
            row.ref_id.as_deref().is_some_and(|ref_id| self.assumed.contains_key(&hash_of(ref_id)));
        if !self.may_be_mirror(row, is_native) && !is_assumed {
            return Ok(None);
        }
        let elsewhere = self.elsewhere(slice, row, None).await?;
        let is_double = match elsewhere {
            Elsewhere::Nowhere => return Ok(None),
            Elsewhere::Mirrored(_) => false,
            Elsewhere::Double(_) => true,
        };
        Ok(Some(Twice { record: self.claimed_record(row, elsewhere, is_native), is_double }))
    }

    pub(super) async fn is_twice_here(
        &mut self,
        row: &WalkedRecord,
        other_id: &str,
    ) -> Result<bool, WalkError> {
        let other = self.context.source.by_id(row.side, other_id).await?;
        // Not equal: two references with one hash.
        let Some(other) = other.filter(|other| other.ref_id == row.ref_id) else { return Ok(false) };
        self.confirm_listed(row).await?;
        let detail = format!("two conversions on the {} side: also {other_id}", row.side);
        self.report(&double(row, &other, &detail));
        Ok(true)
    }
}
