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
    /// What is lacking, where the message also says how that stands now, such as its age.
    pub(super) condition: Option<String>,
}

impl ConfigProblem {
    /// A problem with one key.
    pub fn new(key: impl Into<String>, message: impl Into<String>, source: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), source: source.into(), condition: None }
    }

    /// The same problem, whose message says how a condition stands now: it stays the same while the message changes.
    pub(crate) fn of_condition(self, condition: impl Into<String>) -> Self {
        Self { condition: Some(condition.into()), ..self }
    }

    fn is_same(&self, other: &Self) -> bool {
        // A message may hold a time or a count that changes at every check; the condition does not.
        let what = |problem: &'_ Self| problem.condition.clone().unwrap_or_else(|| problem.message.clone());
        (&self.key, &self.source, what(self)) == (&other.key, &other.source, what(other))
    }
}

/// Whether a config is refused for the same reasons, whatever became of the numbers in their messages.
pub(super) fn are_same(one: &[ConfigProblem], other: &[ConfigProblem]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is_same(other))
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(out, "{}: ", self.key)?;
        }
        write!(out, "{} ({})", self.message, self.source)
    }
}
