//! Which side holds a record id. A record never moves, so a cached side is always right; the id itself does not tell the side.

use moka::sync::Cache;

use crate::translate::side::Side;

/// Maximum number of cached ids: about 15 MiB of UUIDs.
const IDS_MAX: u64 = 100_000;
/// Maximum length of a cached id, in bytes. The vendor's are 36 long.
const ID_BYTES_MAX: usize = 128;

/// A cache from record id to side. Clones share it.
#[derive(Clone)]
pub(crate) struct RecordSideCache(Cache<String, Side>);

impl Default for RecordSideCache {
    fn default() -> Self {
        Self(Cache::new(IDS_MAX))
    }
}

impl RecordSideCache {
    #[must_use]
    pub(crate) fn of(&self, id: &str) -> Option<Side> {
        self.0.get(id)
    }

    pub(crate) fn remember(&self, id: &str, side: Side) {
        if id.len() <= ID_BYTES_MAX && self.0.get(id) != Some(side) {
            self.0.insert(id.to_owned(), side);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlong_id_is_not_cached() {
        let record_sides = RecordSideCache::default();
        for (length, kept) in [(ID_BYTES_MAX, Some(Side::New)), (ID_BYTES_MAX + 1, None)] {
            let id = "x".repeat(length);
            record_sides.remember(&id, Side::New);
            assert_eq!(record_sides.of(&id), kept, "{length}");
        }
    }
}
