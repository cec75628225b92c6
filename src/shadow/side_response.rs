//! One side's response in the shape and the terms of the legacy API, ready to be compared.

use super::json::Json;

/// One side's response, in the terms of the legacy API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SideResponse {
    /// A JSON document: a record, a list or a problem.
    Document {
        /// The HTTP status.
        status: u16,
        /// The body, in the legacy shape.
        document: Json,
    },
    /// A response that cannot be compared.
    NotComparable {
        /// The HTTP status, if there was one.
        status: Option<u16>,
        /// `too_big`, `not_json`, `encoding`, `no_ref_id`, …
        reason: &'static str,
    },
    /// The side answered and does not hold the record.
    NoCounterpart,
    /// The call failed: `timeout`, `no_answer`, `429`, …
    Failed(&'static str),
}

impl SideResponse {
    /// A response with this status and body, in the legacy shape. A body that is not JSON is not comparable.
    #[must_use]
    pub fn read(status: u16, body: &[u8]) -> Self {
        match Json::read(body) {
            Ok(document) => Self::Document { status, document },
            Err(_not_json) => Self::NotComparable { status: Some(status), reason: "not_json" },
        }
    }

    /// A response that is not comparable, without a status.
    pub(super) const fn skipped(reason: &'static str) -> Self {
        Self::NotComparable { status: None, reason }
    }

    /// The HTTP status in the terms of the legacy API: 404 for a record that is not there.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Document { status, .. } => Some(*status),
            Self::NotComparable { status, .. } => *status,
            Self::NoCounterpart => Some(404),
            Self::Failed(_) => None,
        }
    }

    /// The body, if there is one to compare.
    #[must_use]
    pub const fn document(&self) -> Option<&Json> {
        match self {
            Self::Document { document, .. } => Some(document),
            Self::NotComparable { .. } | Self::NoCounterpart | Self::Failed(_) => None,
        }
    }

    /// The body, unless the side refused the request.
    pub(super) fn accepted(&self) -> Option<&Json> {
        self.document().filter(|_| !self.is_refusal())
    }

    /// Why there is nothing to compare.
    #[must_use]
    pub(crate) const fn skip_reason(&self) -> Option<&'static str> {
        match self {
            Self::NotComparable { reason, .. } | Self::Failed(reason) => Some(reason),
            Self::Document { .. } | Self::NoCounterpart => None,
        }
    }

    /// Whether the status is 400 or above. `false` when no status is known.
    #[must_use]
    pub(crate) fn is_refusal(&self) -> bool {
        self.status().is_some_and(|status| status >= 400)
    }
}
