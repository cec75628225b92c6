//! Texts that others wrote, as they may be shown: on one line, and reading as what they are.

use std::fmt::Write as _;

/// The text without anything that moves a cursor, ends a line or turns the direction of writing; such characters are written out.
#[must_use]
pub(crate) fn one_line(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, char| {
        if char.is_control() || turns(char) {
            line.extend(char.escape_default())
        } else {
            line.push(char)
        }
        line
    })
}

/// A JSON document without such characters: they are escaped, so that whoever parses it reads the same.
#[must_use]
pub(crate) fn json(document: &str) -> String {
    document.chars().fold(String::with_capacity(document.len()), |mut json, char| {
        // Everything else that JSON lets stand as it is, blanks between tokens apart, is printable. These have four digits.
        if ('\u{7f}'..='\u{9f}').contains(&char) || turns(char) || char == '\u{feff}' {
            let _ = write!(json, "\\u{:04x}", u32::from(char));
        } else {
            json.push(char);
        }
        json
    })
}

/// Marks that turn the direction of writing, with which a line could be made to read as another, and the line ends of Unicode.
const fn turns(char: char) -> bool {
    matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_a_cursor_or_turns_a_line() {
        let document = serde_json::json!({"a\u{202e}": "\u{1b}\u{9b}31m\u{7f}\u{2028}\u{feff}é\u{1f600}\n"});
        let shown = json(&document.to_string());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), document);
        assert!(
            !shown.contains(|char: char| char.is_control() || turns(char) || char == '\u{feff}'),
            "{shown}"
        );
        assert_eq!(one_line("a\u{1b}[31m\u{202e}b\u{9b}é"), "a\\u{1b}[31m\\u{202e}b\\u{9b}é");
    }
}
