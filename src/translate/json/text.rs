//! Values as they were written.

use std::borrow::Cow;

/// One complete JSON value, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    pub(super) const fn new(written: &'a str) -> Self {
        Self(written)
    }

    /// The value's text, quotes and all.
    #[must_use]
    pub const fn as_written(self) -> &'a str {
        self.0
    }

    /// Whether the value is the literal `null`.
    #[must_use]
    pub(crate) fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// Whether the value is an object.
    #[must_use]
    pub(crate) fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    /// Whether the value is an object with at least one member.
    #[must_use]
    pub(crate) fn has_members(self) -> bool {
        self.0
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .is_some_and(|inside| !inside.trim().is_empty())
    }

    /// The value as a string, if it is one.
    #[must_use]
    pub fn as_text(self) -> Option<Text<'a>> {
        self.0.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map(Text)
    }
}

/// The content of a JSON string as written, with its escapes. Two are equal when they decode to the same text.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(&'a str);

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        // The same text as written is the common case and needs no unescaping.
        self.0 == other.0
            || (self.has_escapes() || other.has_escapes())
                && self.value().is_some_and(|value| other.says(&value))
    }
}

impl Eq for Text<'_> {}

impl<'a> Text<'a> {
    pub(super) const fn new(written: &'a str) -> Self {
        Self(written)
    }

    /// The text between the quotes, escapes untouched.
    #[must_use]
    pub const fn as_written(self) -> &'a str {
        self.0
    }

    /// Whether the string is `""`.
    #[must_use]
    pub(crate) const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    fn has_escapes(self) -> bool {
        self.0.as_bytes().contains(&b'\\')
    }

    /// The decoded text; `None` when it holds an unpaired surrogate.
    #[must_use]
    pub fn value(self) -> Option<Cow<'a, str>> {
        if !self.has_escapes() {
            return Some(Cow::Borrowed(self.0));
        }
        serde_json::from_str::<String>(&format!("\"{}\"", self.0)).ok().map(Cow::Owned)
    }

    /// What `read` makes of the decoded text, where it makes nothing of a text with a backslash.
    pub(crate) fn read<T>(self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        // Escapes are rare, and to look for them takes longer than to try.
        read(self.0).or_else(|| read(&self.value()?))
    }

    /// Whether the decoded text equals `other`.
    #[must_use]
    pub(crate) fn says(self, other: &str) -> bool {
        self.value().is_some_and(|value| value == other)
    }
}
