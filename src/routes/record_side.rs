//! Which side an id lives on. It never changes, so a bounded memory of it is always right; ids themselves carry no side.

use moka::sync::Cache;

use crate::translate::side::Side;

/// Ids that are remembered at once: about 15 MiB of UUIDs.
const REMEMBERED: u64 = 100_000;
/// Longer ones are not the vendor's, and are not worth the memory.
const LONGEST_ID: usize = 128;

/// The memory of homes. Clones share it.
#[derive(Clone)]
pub struct RecordSideCache(Cache<String, Side>);

impl Default for RecordSideCache {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl RecordSideCache {
    /// Where the record with this id was last seen.
    #[must_use]
    pub fn of(&self, id: &str) -> Option<Side> {
        self.0.get(id)
    }

    /// Notes where a record was seen.
    pub fn remember(&self, id: &str, side: Side) {
        if id.len() <= LONGEST_ID && self.0.get(id) != Some(side) {
            self.0.insert(id.to_owned(), side);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_not_worth_the_memory_is_not_kept() {
        let record_sides = RecordSideCache::default();
        for (length, kept) in [(LONGEST_ID, Some(Side::New)), (LONGEST_ID + 1, None)] {
            let id = "x".repeat(length);
            record_sides.remember(&id, Side::New);
            assert_eq!(record_sides.of(&id), kept, "{length}");
        }
    }
}
