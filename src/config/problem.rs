//! A problem with a config. Loading collects all of them.

use std::fmt;

/// Why a config is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key, with dots; empty for a problem with a whole file.
    pub key: String,
    /// What is wrong and how to correct it. Never holds a secret.
    pub message: String,
    /// Where the value came from: `default`, `file /path`, `environment SHIM_LISTEN`, `flag --listen`.
    pub source: String,
}

impl ConfigProblem {
    /// A problem with one key.
    pub fn new(key: impl Into<String>, message: impl Into<String>, source: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), source: source.into() }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(out, "{}: ", self.key)?;
        }
        write!(out, "{} ({})", self.message, self.source)
    }
}
