//! How far a listing has come on one side.

use jiff::Timestamp;

use crate::translate::hash::text_hash;

/// Longest id of which a [`Run`] keeps the text.
const ID_BYTES_MAX: usize = 64;
/// That many ids in order are no chance.
const ORDERED_ROWS_MIN: u32 = 16;
/// A run keeps up to so many landmarks, and at least half of them once it is long enough.
pub(super) const LANDMARKS_MAX: usize = 16;

/// A hash of a record id, the same in every process. Sums of hashes tell sets apart.
#[must_use]
pub(crate) fn id_hash(id: &str) -> u64 {
    text_hash(id)
}

/// One side's part of a cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SidePosition {
    /// The side's rows of the cursor's instant that are on earlier pages.
    pub(crate) run: Run,
    /// The number of rows that a call without the hint would receive again.
    pub(crate) behind: u32,
    pub(crate) hint: Option<Hint>,
}

/// The first rows that a side lists of one instant, in its own order. It takes as many bytes for ten thousand rows as for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) count: u32,
    /// The sum of the rows' [`id_hash`]es: equal sets have equal sums in any order.
    pub(crate) digest: u64,
    pub(crate) last_hash: u64,
    /// The last row's id; empty when it is too long.
    pub(crate) last: String,
    /// Whether each id is greater than the one before.
    pub(crate) rises: bool,
    /// Whether each id is less than the one before.
    pub(crate) falls: bool,
    /// The hash of every `stride`th row, from the first on.
    pub(crate) landmarks: Vec<u64>,
    pub(crate) stride: u32,
}

impl Run {
    pub(crate) fn push(&mut self, id: &str) {
        let is_first = self.count == 0;
        let has_last = !self.last.is_empty();
        self.rises = is_first || self.rises && has_last && *id > *self.last;
        self.falls = is_first || self.falls && has_last && *id < *self.last;
        self.last_hash = id_hash(id);
        self.stride = self.stride.max(1);
        if self.count.is_multiple_of(self.stride) {
            self.landmarks.push(self.last_hash);
        }
        // Every second one stays and the distance doubles: the cursor has a bounded length however long the run is.
        if self.landmarks.len() > LANDMARKS_MAX {
            let mut is_kept = false;
            self.landmarks.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            self.stride = self.stride.saturating_mul(2);
        }
        self.count = self.count.saturating_add(1);
        // A sum does not depend on the order: a side may list rows of one instant in another order next time.
        self.digest = self.digest.wrapping_add(self.last_hash);
        self.last.clear();
        if id.len() <= ID_BYTES_MAX {
            self.last.push_str(id);
        }
    }

    /// Whether the id is one of the run's, if the side lists by id: then a row that was added meanwhile changes nothing.
    pub(crate) fn has_by_order(&self, id: &str) -> Option<bool> {
        if self.count < ORDERED_ROWS_MIN || self.last.is_empty() {
            return None;
        }
        match (self.rises, self.falls) {
            (true, false) => Some(*id <= *self.last),
            (false, true) => Some(*id >= *self.last),
            (true, true) | (false, false) => None,
        }
    }

    /// Whether `listed`, which ends with the same row, is this run; or this run and rows that were added to it, where `passed` of
    /// the landmarks came, in order. A side that lists one instant in another order each time does not pass.
    pub(crate) fn is_within(&self, listed: &Self, passed: usize) -> bool {
        let is_same_set = self.count == listed.count && self.digest == listed.digest;
        is_same_set || self.count < listed.count && passed == self.landmarks.len()
    }
}

/// A side's own cursor near the position. It saves calls and proves nothing: what it brings is compared with the position, and
/// without it the side is read from the position's second on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) cursor: String,
    /// The instant whose second bounded the calls that led to the cursor; `None`: the client's own bounds.
    pub(crate) since: Option<Timestamp>,
    /// The number of rows after the cursor that are on earlier pages.
    pub(crate) skip: u32,
    /// The hash of the last row on an earlier page.
    pub(crate) last: u64,
    /// The hash of the first row that those calls brought: it comes again where a side ignores an old cursor.
    pub(crate) first: u64,
}

#[cfg(test)]
mod tests {
    use super::Run;

    fn run<'a>(ids: impl IntoIterator<Item = &'a str>) -> Run {
        let mut run = Run::default();
        ids.into_iter().for_each(|id| run.push(id));
        run
    }

    #[test]
    fn a_run_knows_its_rows_by_order_only_where_there_is_one() {
        let ids: Vec<_> = (10..40).map(|number| number.to_string()).collect();
        let rising = run(ids.iter().map(String::as_str));
        assert_eq!((rising.has_by_order("15x"), rising.has_by_order("40")), (Some(true), Some(false)));
        let falling = run(ids.iter().rev().map(String::as_str));
        assert_eq!((falling.has_by_order("15x"), falling.has_by_order("0")), (Some(true), Some(false)));
        assert!(rising.is_within(&falling, 0), "the same set");
        assert_eq!(run(["a", "b", "c"]).has_by_order("a"), None, "three may be in order by chance");
        let long = "x".repeat(65);
        let mixed = run(ids.iter().map(String::as_str).chain([long.as_str(), "y"]));
        assert_eq!(mixed.has_by_order("15"), None);
    }
}
