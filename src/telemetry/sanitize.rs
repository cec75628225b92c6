//! Escapes untrusted text for display on a terminal or in a page: it stays on one line and cannot be rendered as something else.

use std::fmt::Write as _;

/// Escapes control characters, line ends and bidirectional formatting characters.
#[must_use]
pub(crate) fn one_line(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, char| {
        if char.is_control() || is_format_control(char) {
            line.extend(char.escape_default())
        } else {
            line.push(char)
        }
        line
    })
}

/// Escapes the same characters in a JSON document with `\\u`, so that it parses to the same value.
#[must_use]
pub(crate) fn json(document: &str) -> String {
    document.chars().fold(String::with_capacity(document.len()), |mut json, char| {
        // JSON itself requires escapes for C0 controls inside strings. All characters escaped here have four hex digits.
        if ('\u{7f}'..='\u{9f}').contains(&char) || is_format_control(char) || char == '\u{feff}' {
            let _ = write!(json, "\\u{:04x}", u32::from(char));
        } else {
            json.push(char);
        }
        json
    })
}

/// Bidirectional formatting characters, which can make a line read as another one, and the line and paragraph separators of Unicode.
const fn is_format_control(char: char) -> bool {
    matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_bidirectional_characters_are_escaped() {
        let document = serde_json::json!({"a\u{202e}": "\u{1b}\u{9b}31m\u{7f}\u{2028}\u{feff}é\u{1f600}\n"});
        let shown = json(&document.to_string());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), document);
        assert!(
            !shown.contains(|char: char| char.is_control() || is_format_control(char) || char == '\u{feff}'),
            "{shown}"
        );
        assert_eq!(one_line("a\u{1b}[31m\u{202e}b\u{9b}é"), "a\\u{1b}[31m\\u{202e}b\\u{9b}é");
    }
}
