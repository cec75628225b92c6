//! Texts that others wrote, as they may be shown: on one line, and reading as what they are.

/// The text without anything that moves a cursor, ends a line or turns the direction of writing; such characters are written out.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, char| {
        if char.is_control() || turns(char) {
            line.extend(char.escape_default())
        } else {
            line.push(char)
        }
        line
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
        assert_eq!(one_line("a\u{1b}[31m\u{202e}b\u{9b}é"), "a\\u{1b}[31m\\u{202e}b\\u{9b}é");
    }
}
