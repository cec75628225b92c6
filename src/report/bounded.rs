//! Maps of bounded size, keyed by text from logs.

use std::collections::HashMap;

use crate::telemetry::sanitize::clip;

/// A map of at most `room` names. Entries past that are counted and not kept.
#[derive(Debug)]
pub(super) struct Bounded<V> {
    kept: HashMap<String, V>,
    room: usize,
    left_out: u64,
}

/// Longest name, in characters; the rest is cut.
pub(super) const NAME_MAX: usize = 256;

impl<V> Bounded<V> {
    pub(super) fn new(room: usize) -> Self {
        Self { kept: HashMap::new(), room, left_out: 0 }
    }

    /// The entry of that name, inserted if it is new. `None` when the map is full: then `weight` is added to `left_out`.
    pub(super) fn entry(&mut self, name: &str, weight: u64, new: impl FnOnce() -> V) -> Option<&mut V> {
        let name = clip(name, NAME_MAX);
        if !self.kept.contains_key(&*name) {
            if self.kept.len() >= self.room {
                self.left_out = self.left_out.saturating_add(weight);
                return None;
            }
            self.kept.insert(name.clone().into_owned(), new());
        }
        self.kept.get_mut(&*name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.kept.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(super) const fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_map_counts_what_it_leaves_out() {
        let mut map = Bounded::new(2);
        for name in ["a", "b", "c", "a", "c"] {
            map.entry(name, 10, || 0).map(|count| *count += 1).unwrap_or_default();
        }
        assert_eq!((map.len(), map.left_out()), (2, 20));
        assert_eq!(map.iter().map(|(_, count)| count).sum::<i32>(), 3);
    }
}
