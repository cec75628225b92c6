//! One difference, and the members of two objects side by side.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::shadow::json::Json;
use crate::shadow::types::{DiffKind, Severity};

/// One difference with its values. Must be redacted before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `amount`, `items[3].status`; [`STATUS_CODE`] for the HTTP status, [`BODY`] for a whole body. The characters `.`, `[`, `]`
    /// and `%` in a key are percent-encoded, so that two values never have the same path. Row numbers are those of the
    /// served list; of an `extra` row, those of the other.
    pub path: String,
    /// How the two values differ.
    pub kind: DiffKind,
    /// Value in the answer that the client got; `None` if it lacks the path.
    pub served: Option<Json>,
    /// Value in the other answer; `None` if it lacks the path.
    pub other: Option<Json>,
    /// What the difference may do to a client.
    pub severity: Severity,
}

/// The path of the HTTP status.
pub(crate) const STATUS_CODE: &str = "status_code";
/// The path of a whole body that does not have the expected JSON type.
pub(crate) const BODY: &str = "body";

impl Difference {
    pub(super) fn new(
        path: impl Into<String>,
        (kind, severity): (DiffKind, Severity),
        served: Option<&Json>,
        other: Option<&Json>,
    ) -> Self {
        Self { path: path.into(), kind, served: served.cloned(), other: other.cloned(), severity }
    }
}

/// A key as part of a path.
pub(super) fn escaped(key: &str) -> impl std::fmt::Display {
    const RESERVED: &AsciiSet = &CONTROLS.add(b'.').add(b'[').add(b']').add(b'%');
    utf8_percent_encode(key, RESERVED)
}

/// A key and its values in both objects.
pub(super) type Member<'a> = (&'a str, Option<&'a Json>, Option<&'a Json>);

/// The members of two objects: those of `served` by key, then those that only `other` has. `None` unless both are objects.
pub(super) fn members<'a>(served: &'a Json, other: &'a Json) -> Option<impl Iterator<Item = Member<'a>>> {
    let (Json::Object(served), Json::Object(other)) = (served, other) else { return None };
    let here = served.iter().map(|(key, value)| (key.as_str(), Some(value), other.get(key)));
    let only_there = other.iter().filter(|(key, _)| !served.contains_key(*key));
    Some(here.chain(only_there.map(|(key, value)| (key.as_str(), None, Some(value)))))
}
