//! From valid inputs to nearly valid ones.

use std::fmt;
use std::ops::Deref;

use proptest::prelude::*;
use proptest::sample::Index;

/// Bytes that are shown as text when a case fails.
#[derive(Clone)]
pub(crate) struct Stained(Vec<u8>);

impl fmt::Debug for Stained {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{}\"", self.0.escape_ascii())
    }
}

impl Deref for Stained {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[derive(Clone, Debug)]
enum Edit {
    Replace(Index, u8),
    Insert(Index, u8),
    Word(Index, Index),
    /// A word where something begins: a member, an element, a field, a segment, a line.
    Seam(Index, Index),
    Remove(Index, usize),
    Double(Index, usize),
    Cut(Index),
    /// From here on another of the inputs, from there on.
    Splice(Index, Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    prop_oneof![
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        3 => (at(), at()).prop_map(|(at, word)| Edit::Word(at, word)),
        6 => (at(), at()).prop_map(|(at, word)| Edit::Seam(at, word)),
        2 => (at(), 1..12_usize).prop_map(|(at, many)| Edit::Remove(at, many)),
        3 => (at(), 1..60_usize).prop_map(|(at, many)| Edit::Double(at, many)),
        1 => at().prop_map(Edit::Cut),
        1 => (at(), at(), at()).prop_map(|(at, seed, from)| Edit::Splice(at, seed, from)),
    ]
}

/// One of the inputs with a few edits, which use these words; now and then bytes that are nothing at all.
pub(crate) fn mutated(
    inputs: impl IntoIterator<Item = impl Into<Vec<u8>>>,
    words: &'static [&'static str],
) -> impl Strategy<Value = Stained> {
    let inputs: Vec<Vec<u8>> = inputs.into_iter().map(Into::into).collect();
    let edited = (any::<Index>(), prop::collection::vec(edit(), 0..5)).prop_map(move |(which, edits)| {
        let mut bytes = which.get(&inputs).clone();
        for edit in edits {
            apply(&mut bytes, &edit, &inputs, words);
        }
        bytes
    });
    prop_oneof![12 => edited, 1 => prop::collection::vec(any::<u8>(), 0..120)].prop_map(Stained)
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit, inputs: &[Vec<u8>], words: &[&str]) {
    let place = |at: &Index, bytes: &[u8]| at.index(bytes.len() + 1);
    match edit {
        Edit::Replace(at, byte) => {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
        }
        Edit::Insert(at, byte) => bytes.insert(place(at, bytes), *byte),
        Edit::Word(at, word) => {
            let (at, word) = (place(at, bytes), word.get(words).bytes());
            drop(bytes.splice(at..at, word));
        }
        Edit::Seam(at, word) => {
            let begins = |(at, byte): (usize, &u8)| b"{[,:=&;/\n ".contains(byte).then_some(at + 1);
            let seams: Vec<usize> = bytes.iter().enumerate().filter_map(begins).collect();
            let at = if seams.is_empty() { 0 } else { *at.get(&seams) };
            drop(bytes.splice(at..at, word.get(words).bytes()));
        }
        Edit::Remove(at, many) => {
            let at = place(at, bytes);
            drop(bytes.drain(at..(at + many).min(bytes.len())));
        }
        Edit::Double(at, many) => {
            let at = place(at, bytes);
            let twice = bytes[at..(at + many).min(bytes.len())].to_vec();
            drop(bytes.splice(at..at, twice));
        }
        Edit::Cut(at) => bytes.truncate(place(at, bytes)),
        Edit::Splice(at, which, from) => {
            bytes.truncate(place(at, bytes));
            let other = which.get(inputs);
            bytes.extend_from_slice(&other[place(from, other)..]);
        }
    }
}
