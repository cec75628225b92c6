//! The keys that the next object of an array is expected to have: those of the one before. Elements of a list are nearly always alike, and
//! comparing a key with what it should be costs a third of finding where it ends.

/// Objects that are nested more deeply have no shape.
const DEPTHS: usize = 6;

/// The keys of the last object of each depth, each as `"key":`. Empty until an array begins.
#[derive(Debug, Default)]
pub(super) struct Shapes<'a>(Vec<Vec<&'a str>>);

impl<'a> Shapes<'a> {
    /// An array begins.
    pub(super) fn begin(&mut self) {
        if self.0.is_empty() {
            self.0.resize_with(DEPTHS, Vec::new);
        }
    }

    /// The key at this position of an object at this depth, with its quotes and colon, if `rest` begins with it.
    pub(super) fn expected(&self, depth: usize, position: usize, rest: &[u8]) -> Option<&'a str> {
        let key = *self.0.get(depth)?.get(position)?;
        rest.starts_with(key.as_bytes()).then_some(key)
    }

    /// Expects `key`, which is without escapes and without space around it, at this position of the next object.
    pub(super) fn expect(&mut self, depth: usize, position: usize, key: &'a str) {
        let Some(keys) = self.0.get_mut(depth) else { return };
        match keys.get_mut(position) {
            Some(expected) => *expected = key,
            None if keys.len() == position => keys.push(key),
            None => {}
        }
    }
}
