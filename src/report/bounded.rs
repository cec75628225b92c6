//! Maps that a log cannot make grow without end, and texts from logs made harmless.

use std::borrow::Cow;
use std::collections::HashMap;

/// A map with room for so many names; what comes later is counted and not kept.
#[derive(Debug)]
pub(super) struct Bounded<V> {
    kept: HashMap<String, V>,
    room: usize,
    left_out: u64,
}

/// Longest name that is kept, in characters.
const NAME_MAX: usize = 256;

impl<V> Bounded<V> {
    pub(super) fn new(room: usize) -> Self {
        Self { kept: HashMap::new(), room, left_out: 0 }
    }

    /// The entry of that name, new if need be; `None` when there is no room, and `weight` more are left out.
    pub(super) fn entry(&mut self, name: &str, weight: u64, new: impl FnOnce() -> V) -> Option<&mut V> {
        let name = harmless(name, NAME_MAX);
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

/// The text with at most so many characters, and without any that would act on a terminal or turn the order of letters.
pub(super) fn harmless(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for (at, char) in text.chars().enumerate() {
        if at == most {
            shown.push('…');
            break;
        }
        if char.is_control() || is_invisible(char) {
            shown.extend(char.escape_unicode());
        } else {
            shown.push(char);
        }
    }
    Cow::Owned(shown)
}

/// Marks that change how the text around them is shown, and take no room themselves.
const fn is_invisible(char: char) -> bool {
    matches!(char, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_spelled_out() {
        let shown = harmless("a\u{1b}[31m\u{9b}\u{202e}é\n", 64);
        assert_eq!(shown, "a\\u{1b}[31m\\u{9b}\\u{202e}é\\u{a}");
        assert_eq!(harmless(&"é".repeat(70), 64), format!("{}…", "é".repeat(64)));
        assert_eq!(harmless("plain", 64), "plain");
    }

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
