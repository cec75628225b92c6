//! A one-pass JSON reader that hands out values as they were written.
//!
//! The translation renames keys and leaves values alone, so nothing is unescaped, copied or built into a tree: a value is a
//! slice of the text it came in, checked against RFC 8259, and is written out again byte for byte. `docs/performance.md` has
//! the measurements that chose this over `serde_json`; `tests/contract/properties` holds the two to the same opinion of any text.

mod scan;
mod text;

use self::scan::{is_plain_string, plain_run, starts_with};
pub use self::text::{Raw, Text};

/// Deeper nesting than this is refused, so that no text can exhaust the stack (`serde_json` draws the line here too).
pub const DEPTH_MAX: usize = 127;

/// Why a text is not the expected JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct JsonError {
    /// The error, without any text of the document, so that a client may see it.
    pub(crate) what: &'static str,
    /// The position in bytes from the start.
    pub(crate) at: usize,
}

/// A cursor over one JSON text.
#[derive(Debug)]
pub struct JsonReader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

type Result<T> = std::result::Result<T, JsonError>;

impl<'a> JsonReader<'a> {
    /// Starts at the beginning of `bytes`.
    ///
    /// # Errors
    /// When the bytes are not UTF-8.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self::of(text)),
            Err(error) => Err(JsonError { what: "invalid UTF-8", at: error.valid_up_to() }),
        }
    }

    /// Starts at the beginning of `text`.
    pub(crate) const fn of(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// Reads an object and calls `field` with each key; `field` must read that key's value.
    ///
    /// # Errors
    /// When the text is not a JSON object, or `field` says so.
    pub fn object<E: From<JsonError>>(
        &mut self,
        mut field: impl FnMut(&str, &mut Self) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        self.open(b'{', "expected an object")?;
        if !self.take_after_space(b'}') {
            loop {
                match self.key()? {
                    // Most keys have no escapes and need no copy.
                    (key, false) => field(key.as_written(), self)?,
                    (key, true) => match key.value() {
                        Some(key) => field(&key, self)?,
                        None => return Err(self.error("half of a surrogate pair in a key").into()),
                    },
                }
                if !self.more(b'}', "expected `,` or `}`")? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads an array and calls `element` once for each; `element` must read exactly one value.
    ///
    /// # Errors
    /// When the text is not a JSON array, or `element` says so.
    pub fn array<E: From<JsonError>>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        self.open(b'[', "expected an array")?;
        if !self.take_after_space(b']') {
            loop {
                element(self)?;
                if !self.more(b']', "expected `,` or `]`")? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads one value of any kind, checking all of it, and returns it as written.
    ///
    /// # Errors
    /// When there is no well-formed value here.
    pub fn value(&mut self) -> Result<Raw<'a>> {
        self.skip_space();
        let start = self.at;
        match self.peek() {
            Some(b'"') => self.skip_string().map(|_| ())?,
            Some(b'{') => self.object(|_, value| value.value().map(|_| ()))?,
            Some(b'[') => self.array(|element| element.value().map(|_| ()))?,
            Some(b't') => self.skip_literal("true")?,
            Some(b'f') => self.skip_literal("false")?,
            Some(b'n') => self.skip_literal("null")?,
            Some(b'-' | b'0'..=b'9') => self.skip_number()?,
            Some(_) => return Err(self.error("expected a value")),
            None => return Err(self.error("the text ends too early")),
        }
        Ok(Raw::new(&self.text[start..self.at]))
    }

    /// Reads the next value if it is a string; anything else is left where it is.
    ///
    /// # Errors
    /// When the string is not well-formed.
    pub(crate) fn text(&mut self) -> Result<Option<Text<'a>>> {
        if self.peek_kind() != Some(b'"') {
            return Ok(None);
        }
        let start = self.at + 1;
        self.skip_string()?;
        Ok(Some(Text::new(&self.text[start..self.at - 1])))
    }

    /// Reads an object of which the caller knows what stands around its values. Without a result it is left where it is.
    pub(crate) fn known_object<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        // Restored on a miss, so that the caller can read the same record member by member.
        let (start, depth) = (self.at, self.depth);
        self.depth += 1;
        let result = read(self);
        self.depth = depth;
        if result.is_none() {
            self.at = start;
        }
        result
    }

    /// Reads `expected`, if that comes next.
    pub(crate) fn known(&mut self, expected: &str) -> Option<()> {
        starts_with(self.rest(), expected.as_bytes()).then(|| self.at += expected.len())
    }

    /// Reads on in a string whose opening quote was read, up to its closing quote. It is as long as `likely` if that is right.
    pub(crate) fn known_text(&mut self, likely: usize) -> Option<Text<'a>> {
        let (start, rest) = (self.at, self.rest());
        if is_plain_string(rest, likely) {
            self.at += likely;
        } else {
            // Back to the quote before the content, where the usual way begins.
            self.at = start - 1;
            self.skip_string().ok()?;
            self.at -= 1;
        }
        Some(Text::new(&self.text[start..self.at]))
    }

    /// The position in bytes from the start.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// What was read from a position on.
    pub(crate) fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    /// The value that was read from a position on.
    pub(crate) fn raw_since(&self, start: usize) -> Raw<'a> {
        Raw::new(self.since(start))
    }

    /// The first byte of the next value, without reading it.
    pub(crate) fn peek_kind(&mut self) -> Option<u8> {
        self.skip_space();
        self.peek()
    }

    /// Checks that only white space is left.
    ///
    /// # Errors
    /// When something follows the value.
    pub fn end(&mut self) -> Result<()> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.error("text after the value")) }
    }

    /// An error at the current position, for callers that expect another value.
    #[must_use]
    pub(crate) const fn error(&self, what: &'static str) -> JsonError {
        JsonError { what, at: self.at }
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes()[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn take_after_space(&mut self, byte: u8) -> bool {
        // Most documents are compact.
        if self.peek() == Some(byte) {
            self.at += 1;
            return true;
        }
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn open(&mut self, bracket: u8, otherwise: &'static str) -> Result<()> {
        if !self.take_after_space(bracket) {
            return Err(self.error(otherwise));
        }
        self.depth += 1;
        // The reader recurses; a deep document must not overflow the stack.
        if self.depth > DEPTH_MAX {
            return Err(self.error("nested too deeply"));
        }
        Ok(())
    }

    fn more(&mut self, close: u8, otherwise: &'static str) -> Result<bool> {
        if self.take_after_space(b',') {
            return Ok(true);
        }
        if self.take_after_space(close) { Ok(false) } else { Err(self.error(otherwise)) }
    }

    /// A key, and whether it holds escapes.
    fn key(&mut self) -> Result<(Text<'a>, bool)> {
        self.skip_space();
        if self.peek() != Some(b'"') {
            return Err(self.error("expected a key"));
        }
        let start = self.at + 1;
        let escaped = self.skip_string()?;
        let key = Text::new(&self.text[start..self.at - 1]);
        if self.take_after_space(b':') { Ok((key, escaped)) } else { Err(self.error("expected `:`")) }
    }

    /// Skips a string; returns whether it holds escapes.
    #[inline]
    fn skip_string(&mut self) -> Result<bool> {
        self.at += 1;
        self.at += plain_run(&self.bytes()[self.at..]);
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(false);
        }
        self.skip_rest_of_string()
    }

    /// Skips a string from its first escape on.
    #[cold]
    fn skip_rest_of_string(&mut self) -> Result<bool> {
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(true);
                }
                Some(b'\\') => self.skip_escape()?,
                Some(_) => return Err(self.error("a control character in a string")),
                None => return Err(self.error("the text ends inside a string")),
            }
            self.at += plain_run(&self.bytes()[self.at..]);
        }
    }

    fn skip_escape(&mut self) -> Result<()> {
        let rest = &self.bytes()[self.at + 1..];
        let length = match rest.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') if rest.len() > 4 && rest[1..5].iter().all(u8::is_ascii_hexdigit) => 6,
            _ => return Err(self.error("an unknown escape in a string")),
        };
        self.at += length;
        Ok(())
    }

    fn skip_literal(&mut self, literal: &'static str) -> Result<()> {
        if !self.text[self.at..].starts_with(literal) {
            return Err(self.error("expected a value"));
        }
        self.at += literal.len();
        Ok(())
    }

    fn skip_number(&mut self) -> Result<()> {
        self.at += usize::from(self.peek() == Some(b'-'));
        let whole = self.skip_digits()?;
        // RFC 8259, section 6. Some parsers read such a number as octal.
        if whole > 1 && self.bytes()[self.at - whole] == b'0' {
            return Err(self.error("a number with a leading zero"));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.skip_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.skip_digits()?;
        }
        Ok(())
    }

    fn skip_digits(&mut self) -> Result<usize> {
        let count = self.bytes()[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(self.error("expected a digit")) } else { Ok(count) }
    }
}
