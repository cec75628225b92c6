//! What is wrong with a request, by the field's legacy name.

use std::borrow::Cow;
use std::fmt;

/// Every problem of one request; becomes the detail of a 400.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalid(Vec<(&'static str, Cow<'static, str>)>);

impl Invalid {
    /// One problem.
    pub fn new(field: &'static str, what: impl Into<Cow<'static, str>>) -> Self {
        Self(vec![(field, what.into())])
    }

    /// One more problem. `what` continues the sentence that the field's name begins and holds no value of the request.
    pub fn add(&mut self, field: &'static str, what: impl Into<Cow<'static, str>>) {
        self.0.push((field, what.into()));
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `field` is already among the problems.
    #[must_use]
    pub fn names(&self, field: &str) -> bool {
        self.0.iter().any(|(name, _)| *name == field)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (field, what)) in self.0.iter().enumerate() {
            write!(out, "{}{field} {what}", if at == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}
