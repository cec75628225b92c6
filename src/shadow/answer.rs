//! What one side said, in the shape and the terms of the old API, ready to be compared.

use super::json::Json;

/// One side's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It answered with a JSON document: a record, a list or a problem.
    Document {
        /// The HTTP status.
        status: u16,
        /// The body, in the legacy shape.
        document: Json,
    },
    /// There is nothing that could be compared.
    NotComparable {
        /// The HTTP status, where there was one.
        status: Option<u16>,
        /// `too_big`, `not_json`, `encoding`, `no_ref_id`, …
        reason: &'static str,
    },
    /// The side was asked and does not hold the record.
    NoCounterpart,
    /// The side could not be asked: `timeout`, `connect`, …
    Failed(&'static str),
}

impl Answer {
    /// The answer with this status and body, in the legacy shape. What is not JSON is not comparable.
    #[must_use]
    pub fn read(status: u16, body: &[u8]) -> Self {
        match Json::read(body) {
            Ok(document) => Self::Document { status, document },
            Err(_) => Self::NotComparable { status: Some(status), reason: "not_json" },
        }
    }

    /// The HTTP status, in the terms of the old API: a record that is not there is a 404.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Document { status, .. } => Some(*status),
            Self::NotComparable { status, .. } => *status,
            Self::NoCounterpart => Some(404),
            Self::Failed(_) => None,
        }
    }

    /// The body, where there is one to compare.
    #[must_use]
    pub const fn document(&self) -> Option<&Json> {
        match self {
            Self::Document { document, .. } => Some(document),
            Self::NotComparable { .. } | Self::NoCounterpart | Self::Failed(_) => None,
        }
    }

    /// Why there is nothing to compare.
    #[must_use]
    pub const fn skip_reason(&self) -> Option<&'static str> {
        match self {
            Self::NotComparable { reason, .. } | Self::Failed(reason) => Some(reason),
            Self::Document { .. } | Self::NoCounterpart => None,
        }
    }

    /// Whether the side refused, as far as is known.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.status().is_some_and(|status| status >= 400)
    }
}
