//! Finds the values of a member in text that is JSON to a lenient reader at most: comments, single quotes, names and values without quotes,
//! commas at the end, raw control characters, and text that breaks off.
//!
//! The scan looks for a key at every byte and skips nothing, because readers may disagree on where a string or a comment ends. It may find more
//! than any reader would, and says so where readers would differ.

use std::collections::BTreeSet;

/// Readers differ in what a key or value says, in ways that are not listed here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Uncertain;

/// Longer text is no key that is looked for, in any spelling.
const KEY_BYTES_MAX: usize = 128;
/// More blanks and comments in one place are read by nobody. A bound keeps the scan linear, whatever a client sends.
const SPACE_BYTES_MAX: usize = 1024;
/// More digits may lose some of them in a reader that takes numbers for floating-point ones.
const DIGITS_MAX: usize = 15;
const NO_BREAK_SPACE: &[u8] = "\u{A0}".as_bytes();
const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();

/// Adds every value that follows a key for which `is_key` holds, except null and empty text.
pub(super) fn values(
    text: &[u8],
    is_key: impl Fn(&str) -> bool,
    found: &mut BTreeSet<String>,
) -> Result<(), Uncertain> {
    for at in 0..text.len() {
        let Some((key, end)) = key(text, at) else { continue };
        let is_quoted = is_quote(text[at]);
        // Broken UTF-8 becomes U+FFFD. Readers take more for a blank around a name without quotes than this scan does.
        let key = key.map(|key| {
            let key = String::from_utf8_lossy(&key);
            is_key(if is_quoted { &key } else { key.trim_matches(is_blank) })
        });
        if key == Ok(false) {
            continue;
        }
        // Without an end within the bound it could hide a value.
        let after = space(text, end)?;
        match text.get(after) {
            Some(b':') => {}
            // Some readers take it for a colon.
            Some(b'=') => return Err(Uncertain),
            // A value.
            Some(b',' | b']' | b'}') | None => continue,
            // A word of another text.
            _ if !is_quoted || key.is_err() => continue,
            _ => return Err(Uncertain),
        }
        key?;
        found.extend(value(text, after + 1)?);
    }
    Ok(())
}

fn is_blank(letter: char) -> bool {
    letter.is_whitespace() || letter == '\u{FEFF}'
}

const fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'')
}

/// Whether a name without quotes may have this byte.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$' | b'\\') || !byte.is_ascii()
}

/// What may be a key at that position: what it says, and where it ends.
fn key(text: &[u8], at: usize) -> Option<(Result<Vec<u8>, Uncertain>, usize)> {
    let near = &text[..text.len().min(at + KEY_BYTES_MAX)];
    if is_quote(near[at]) {
        let end = literal_end(near, at)?;
        return Some((unescaped(&near[at + 1..end - 1]), end));
    }
    let is_start = is_word(near[at]) && (at == 0 || !is_word(near[at - 1]));
    let length = || near[at..].iter().take_while(|byte| is_word(**byte)).count();
    is_start.then(length).map(|length| (unescaped(&near[at..at + length]), at + length))
}

/// The end of the string literal at that position, quotes included.
fn literal_end(text: &[u8], at: usize) -> Option<usize> {
    let mut escaped = false;
    let end = text[at + 1..].iter().position(|byte| {
        let ends = !escaped && *byte == text[at];
        escaped = !escaped && *byte == b'\\';
        ends
    });
    end.map(|length| at + length + 2)
}

/// The first position from `at` on that is neither blank nor in a comment.
fn space(text: &[u8], mut at: usize) -> Result<usize, Uncertain> {
    let bound = at + SPACE_BYTES_MAX;
    let text = &text[..text.len().min(bound)];
    loop {
        if at >= bound {
            return Err(Uncertain);
        }
        let rest = &text[at..];
        at += match rest {
            [b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C, ..] => 1,
            [b'#', ..] | [b'/', b'/', ..] => {
                rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len())
            }
            [b'/', b'*', inside @ ..] => memchr::memmem::find(inside, b"*/").ok_or(Uncertain)? + 4,
            _ if rest.starts_with(BYTE_ORDER_MARK) => BYTE_ORDER_MARK.len(),
            _ if rest.starts_with(NO_BREAK_SPACE) => NO_BREAK_SPACE.len(),
            _ => return Ok(at),
        };
    }
}

/// The value from that position on, as text.
fn value(text: &[u8], at: usize) -> Result<Option<String>, Uncertain> {
    let at = space(text, at)?;
    let (value, end) = match text.get(at) {
        Some(quote) if is_quote(*quote) => {
            let end = literal_end(text, at).ok_or(Uncertain)?;
            (unescaped(&text[at + 1..end - 1])?, end)
        }
        _ => {
            let is_end = |byte: &u8| byte.is_ascii_whitespace() || b",;:}]{[(/#\"'".contains(byte);
            let length = text[at..].iter().position(is_end).unwrap_or(text.len() - at);
            (unquoted(&text[at..at + length])?.to_vec(), at + length)
        }
    };
    // Anything else may continue the value.
    if !matches!(text.get(space(text, end)?), None | Some(b',' | b';' | b'}' | b']')) {
        return Err(Uncertain);
    }
    let value = String::from_utf8(value).map_err(|_| Uncertain)?;
    Ok(Some(value).filter(|value| !value.is_empty()))
}

/// A value without quotes: a plain word or integer is read as it is written.
fn unquoted(word: &[u8]) -> Result<&[u8], Uncertain> {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    match digits {
        [] if word.is_empty() => Ok(word),
        b"null" => Ok(&[]),
        b"0" if word == b"0" => Ok(word),
        [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) && rest.len() < DIGITS_MAX => {
            Ok(word)
        }
        [b'a'..=b'z' | b'A'..=b'Z' | b'_', ..]
            if word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte)) =>
        {
            Ok(word)
        }
        _ => Err(Uncertain),
    }
}

/// What the inside of a string literal says. Half of a surrogate pair becomes U+FFFD, as in servers that do not refuse it.
fn unescaped(mut literal: &[u8]) -> Result<Vec<u8>, Uncertain> {
    let mut said = Vec::with_capacity(literal.len());
    while let Some(at) = memchr::memchr(b'\\', literal) {
        said.extend_from_slice(&literal[..at]);
        let (letter, length) = match literal.get(at + 1).ok_or(Uncertain)? {
            letter @ (b'"' | b'\'' | b'\\' | b'/') => (char::from(*letter), 2),
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{C}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => surrogates(&literal[at..])?,
            // Kept, dropped, or of one of the languages that have more of them.
            _ => return Err(Uncertain),
        };
        said.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        literal = &literal[at + length..];
    }
    said.extend_from_slice(literal);
    Ok(said)
}

/// The letter that an escape names, with the one after it if they are a pair, and how long they are.
fn surrogates(escape: &[u8]) -> Result<(char, usize), Uncertain> {
    let first = unit(escape).ok_or(Uncertain)?;
    let second = unit(&escape[6..]).unwrap_or_default();
    if let Some(Ok(letter)) = char::decode_utf16([first, second]).next() {
        return Ok((letter, 6 * letter.len_utf16()));
    }
    Ok((char::REPLACEMENT_CHARACTER, 6))
}

/// The code unit of a `\u` escape.
fn unit(escape: &[u8]) -> Option<u16> {
    let digits = escape.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<String>, Uncertain> {
        let mut found = BTreeSet::new();
        values(text, |key| key == "k", &mut found).map(|()| found.into_iter().collect())
    }

    #[test]
    fn whatever_a_lenient_reader_takes_is_read() {
        for (text, expected) in [
            (&b"{\"k\":\"a\tb\\/c\"}"[..], "a\tb/c"),
            (b"{\"k\":\"a\\ud800b\\/c\"}", "a\u{FFFD}b/c"),
            (b"{\"k\":\"\\ud800\\ud83d\\ude00\\udc00\"}", "\u{FFFD}\u{1F600}\u{FFFD}"),
            (b"{\"\\u006b\":\"a\"}", "a"),
            (b"{\"k\"/*c*/ : /*\"x\":*/ // x\n # y\n\"a\",}", "a"),
            (b"{'k':'it\\'s \"a\"'}", "it's \"a\""),
            (b"{k:'a'}", "a"),
            ("{\u{A0}k:'a'}".as_bytes(), "a"),
            ("{k\u{2003}:'a'}".as_bytes(), "a"),
            (b"{\\u006b:a}", "a"),
            (b"{\"k\":a_1-b.c}", "a_1-b.c"),
            (b"{\"k\":NaN}", "NaN"),
            (b"{\"k\":true}", "true"),
            (b"{\"k\":5}", "5"),
            (b"{\"k\":-50 }", "-50"),
            (b"{\"x\":\"un\"quoted\",\"k\":\"a\"", "a"),
            (b"\"k\":\"a\"", "a"),
            (b"{\"memo\":\"not \\q certain \xE4\",\"k\":\"a\"}", "a"),
            (b"{\"\xE4\":1,\"k\":\"a\"}", "a"),
            (b"{\"x\":[\"k\"],\"k\":\"a\"}", "a"),
        ] {
            assert_eq!(read(text), Ok(vec![expected.to_owned()]), "{:?}", String::from_utf8_lossy(text));
        }
        for nothing in
            [&b"{\"k\":null}"[..], b"{\"k\":\"\"}", b"{\"k\":}", b"{\"k\":", b"", b"k", b"{\"x\":\"k\"}"]
        {
            assert_eq!(read(nothing), Ok(Vec::new()), "{:?}", String::from_utf8_lossy(nothing));
        }
    }

    /// Without the bound each of these takes minutes: the rest of the text is read again for every key.
    #[test]
    fn a_body_of_nothing_but_keys_is_read_in_one_pass() {
        for key in ["k#", "k/*", "k:#", "k:/*", "k ", "k//", "'k'", "k:'", "k\u{FEFF}"] {
            let text = key.repeat((1 << 20) / key.len());
            let _ = read(text.as_bytes());
        }
        let far = format!("{{\"k\"{}:\"a\"}}", " ".repeat(SPACE_BYTES_MAX));
        assert_eq!(read(far.as_bytes()), Err(Uncertain));
    }

    #[test]
    fn what_readers_take_in_more_ways_than_one_is_uncertain() {
        for text in [
            &b"{\"k\":\"a\xE4\xB8z\"}"[..],
            b"{\"k\":\"a\\x41\"}",
            b"{\"k\":\"a\\q\"}",
            b"{\"k\":\"a\\\nb\"}",
            b"{\"k\":\"a\\u12\"}",
            b"{\"\\x6b\":\"a\"}",
            b"{\"k\":\"a",
            b"{\"k\":/*",
            b"{\"k\"/*",
            b"{k/*",
            b"{\"k\":[\"a\"]}",
            b"{\"k\":{\"v\":\"a\"}}",
            b"{\"k\":`a`}",
            b"{\"k\":0x10}",
            b"{\"k\":1.50}",
            b"{\"k\":1e3}",
            b"{\"k\":007}",
            b"{\"k\":+5}",
            b"{\"k\":-0}",
            b"{\"k\":1234567890123456}",
            b"{\"k\":\"a\" \"b\"}",
            b"{\"k\":\"a\"+\"b\"}",
            b"{\"k\":a b}",
            b"{\"k\" \xE2\x80\x83:\"a\"}",
            b"{k='a'}",
            b"{\"k\"=>\"a\"}",
        ] {
            assert_eq!(read(text), Err(Uncertain), "{:?}", String::from_utf8_lossy(text));
        }
    }
}
