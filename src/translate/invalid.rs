//! Validation errors of a request, by legacy field name.

use std::borrow::Cow;
use std::fmt;

/// All validation errors of one request, which become the detail of a 400.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalid(Vec<(&'static str, Cow<'static, str>)>);

impl Invalid {
    /// A single error; see [`add`](Self::add).
    pub(crate) fn new(field: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self(vec![(field, message.into())])
    }

    /// Adds an error. `message` continues the sentence that the field name begins, and holds no value of the request.
    pub(crate) fn add(&mut self, field: &'static str, message: impl Into<Cow<'static, str>>) {
        self.0.push((field, message.into()));
    }

    /// Ends with the words that a client needs whose earlier request may have been sent.
    pub(crate) fn nothing_was_sent_now(&mut self) {
        if let Some((_, last)) = self.0.last_mut() {
            last.to_mut().push_str("; nothing was sent now");
        }
    }

    /// Whether there is no error.
    #[must_use]
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is an error for `field`.
    #[must_use]
    pub(crate) fn names(&self, field: &str) -> bool {
        self.0.iter().any(|(name, _)| *name == field)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (field, message)) in self.0.iter().enumerate() {
            write!(out, "{}{field} {message}", if at == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}
