//! Rows of both sides that are one record: paired by instant, and shown once, on the side that made the record.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::rows::RowState;
use super::same_record::is_same_record;
use super::source::SideRows;
use crate::translate::facts::Facts;
use crate::translate::side::Side;

#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// Whether rows of both sides may be one record.
    pub(super) is_possible: bool,
    pub(super) facts: Facts,
    /// The instant whose rows are paired.
    pub(super) paired_at: Option<Timestamp>,
    /// The instant of which further rows are needed.
    pub(super) awaited: Option<Timestamp>,
    /// The instant that has too many rows to pair them: a record shown twice is better than one not shown.
    pub(super) unpaired_at: Option<Timestamp>,
    /// Ids of rows to be shown, each with the id of the row that is left out for it.
    pub(super) left_out: Vec<(String, String)>,
    /// References whose claims name the new side.
    pub(super) made_on_new: HashSet<String>,
}

impl Pairs {
    /// Whether the rows of that instant were paired before. If not, they are now; or more rows are awaited.
    pub(super) fn are_paired(&mut self, at: Timestamp, sources: &mut [SideRows]) -> bool {
        if !self.is_possible || self.paired_at == Some(at) || self.unpaired_at == Some(at) {
            return true;
        }
        // Its counterpart may be on the next page of the side; no row of this instant moves before that is known.
        if sources.iter().any(|source| source.rows.ends_at(at)) {
            self.awaited = Some(at);
            return false;
        }
        self.paired_at = Some(at);
        self.pair(at, sources);
        false
    }

    /// Marks the rows of that instant that are the other side's record once more. Rows of earlier pages count.
    fn pair(&mut self, at: Timestamp, sources: &mut [SideRows]) {
        let [one, other] = sources else { return };
        let by_ref: HashMap<_, _> =
            one.rows.created_at(at).map(|(position, row)| (row.ref_id, (position, row))).collect();
        let pairs: Vec<_> = other
            .rows
            .created_at(at)
            .filter_map(|(position, row)| {
                let (first_position, first) = by_ref.get(row.ref_id)?;
                let is_same = is_same_record(self.facts, first.json, row.json);
                let is_first_shown = one.side == self.side_that_made(row.ref_id);
                let ids = (first.id.to_owned(), row.id.to_owned());
                is_same.then_some((is_first_shown, *first_position, position, ids))
            })
            .collect();
        for (is_first_shown, first, second, (first_id, second_id)) in pairs {
            // By side, not by what was listed before: the row left out may come before the one that is shown.
            let (source, position, ids) = if is_first_shown {
                (&mut *other, second, (first_id, second_id))
            } else {
                (&mut *one, first, (second_id, first_id))
            };
            self.left_out.push(ids);
            if source.rows.state(position) == Some(RowState::Fresh) {
                source.rows.set_state(position, RowState::Mirror);
                source.rows.dropped.mirrored += 1;
            }
        }
    }

    /// The side that the claim of a reference names; without one, the side whose records the other one is known to list.
    fn side_that_made(&self, ref_id: &str) -> Side {
        if self.made_on_new.contains(ref_id) { Side::New } else { self.facts.mirrored_side() }
    }
}
