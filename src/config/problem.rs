//! What is wrong with a config: one value per problem, so that all can be told at once.

use std::fmt;

/// One thing that is wrong with a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, with dots; empty when the problem is a whole file's.
    pub key: String,
    /// What is wrong and what would be right. Never holds a secret.
    pub message: String,
    /// Where the value came from: `default`, `file /path`, `environment SHIM_LISTEN`, `flag --listen`.
    pub source: String,
}

impl Problem {
    /// Puts a problem together.
    pub fn new(key: impl Into<String>, message: impl Into<String>, source: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), source: source.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(out, "{}: ", self.key)?;
        }
        write!(out, "{} ({})", self.message, self.source)
    }
}
