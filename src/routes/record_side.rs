//! Which side holds a record id; the id itself does not show it. A record never moves, so a cached side where it was made is always right.
//! Where it was seen says less: a side may list the other side's records under their own ids.

use moka::sync::Cache;

use crate::translate::identifier::canonical;
use crate::translate::side::Side;

/// Maximum number of cached ids: about 15 MiB of UUIDs.
const IDS_MAX: u64 = 100_000;
/// Maximum length of a cached id, in bytes. The vendor's are 36 long.
const ID_BYTES_MAX: usize = 128;

/// What is cached of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordSide {
    /// The record was made on that side.
    MadeOn(Side),
    /// That side showed the record.
    SeenOn(Side),
}

/// A cache from record id to side. All spellings of one UUID are one id. Clones share it.
#[derive(Clone)]
pub(crate) struct RecordSideCache(Cache<String, RecordSide>);

impl Default for RecordSideCache {
    fn default() -> Self {
        Self(Cache::new(IDS_MAX))
    }
}

impl RecordSideCache {
    #[must_use]
    pub(crate) fn of(&self, id: &str) -> Option<RecordSide> {
        self.0.get(&*canonical(id))
    }

    /// Notes what was learned of an id. Where a record was made is not forgotten for where it was seen.
    pub(crate) fn remember(&self, id: &str, learned: RecordSide) {
        let id = canonical(id);
        let known = self.0.get(&*id);
        let is_less = match (known, learned) {
            (Some(RecordSide::MadeOn(_)), RecordSide::SeenOn(_)) => true,
            (Some(RecordSide::SeenOn(_)) | None, RecordSide::SeenOn(_)) | (_, RecordSide::MadeOn(_)) => false,
        };
        if id.len() <= ID_BYTES_MAX && known != Some(learned) && !is_less {
            self.0.insert(id.into_owned(), learned);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlong_id_is_not_cached() {
        let record_sides = RecordSideCache::default();
        let seen = RecordSide::SeenOn(Side::New);
        for (length, kept) in [(ID_BYTES_MAX, Some(seen)), (ID_BYTES_MAX + 1, None)] {
            let id = "x".repeat(length);
            record_sides.remember(&id, seen);
            assert_eq!(record_sides.of(&id), kept, "{length}");
        }
    }

    #[test]
    fn where_a_record_was_made_outweighs_where_it_was_seen() {
        let record_sides = RecordSideCache::default();
        let (made, seen) = (RecordSide::MadeOn(Side::Legacy), RecordSide::SeenOn(Side::New));
        for learned in [seen, made, seen] {
            record_sides.remember("id", learned);
        }
        assert_eq!(record_sides.of("id"), Some(made));
    }
}
