//! Makes text from clients, vendors and log files safe to print: on one line, and without characters that act on a terminal or
//! change how the text around them reads.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with such characters escaped, as in `\u{1b}`.
#[must_use]
pub(crate) fn one_line(text: &str) -> String {
    clip(text, usize::MAX).into_owned()
}

/// As [`one_line`], cut to at most `max` characters and an ellipsis.
pub(crate) fn clip(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for (at, char) in text.chars().enumerate() {
        if at == max {
            shown.push('…');
            break;
        }
        // Control characters act on a terminal; invisible ones can reverse or hide the text around them.
        if char.is_control() || is_invisible(char) {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    Cow::Owned(shown)
}

/// A JSON document with such characters as JSON escapes: a parser reads the same document.
#[must_use]
pub(crate) fn json(document: &str) -> String {
    document.chars().fold(String::with_capacity(document.len()), |mut json, char| {
        // The other control characters are escaped in a string already, or are white space between tokens.
        if ('\u{7f}'..='\u{9f}').contains(&char) || is_invisible(char) {
            for unit in char.encode_utf16(&mut [0; 2]) {
                let _ = write!(json, "\\u{unit:04x}");
            }
        } else {
            json.push(char);
        }
        json
    })
}

/// Characters without a glyph that change how the text around them is shown: bidirectional controls (Unicode TR 36, section 2.8), line
/// separators, zero-width characters, tags.
const fn is_invisible(char: char) -> bool {
    matches!(char, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_act_on_a_terminal_are_escaped() {
        let shown = clip("a\u{1b}[31m\u{9b}\u{202e}é\n", 64);
        assert_eq!(shown, "a\\u{1b}[31m\\u{9b}\\u{202e}é\\n");
        assert_eq!(clip(&"é".repeat(70), 64), format!("{}…", "é".repeat(64)));
        assert_eq!(clip("plain", 64), "plain");
        assert_eq!(one_line("a\u{1b}[31m\u{202e}b\u{9b}é"), "a\\u{1b}[31m\\u{202e}b\\u{9b}é");
    }

    #[test]
    fn an_escaped_document_parses_to_the_same_value() {
        let document =
            serde_json::json!({"a\u{202e}": "\u{1b}\u{9b}31m\u{7f}\u{2028}\u{feff}\u{e0041}é\u{1f600}\n"});
        let shown = json(&document.to_string());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), document);
        assert!(!shown.contains(|char: char| char.is_control() || is_invisible(char)), "{shown}");
    }
}
