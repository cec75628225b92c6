//! What differs between two answers in the legacy shape. Finds and weighs; what it comes to is `verdict`'s.
//!
//! Only what the old API documents is looked into: a record, its metadata, a list and its rows, a problem. A value below a key
//! that it never had is compared as a whole.

mod list;
mod problem;
mod record;
mod severity;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::json::Json;
use super::types::{DiffKind, Severity};

pub use self::list::{Listed, list};
pub use self::problem::{problem, status_code};
pub use self::record::record;
pub use self::severity::{MONEY, is_unset};

/// One difference, with its values: never to be logged as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `amount`, `items[3].status`; [`STATUS_CODE`] for the HTTP status, [`BODY`] for a whole body. In a key, what means something
    /// in a path (`.`, `[`, `]`, `%`) is percent-encoded, so that no two places have one path. Rows are counted as in the
    /// served list; a row that is `extra`, as in the other.
    pub path: String,
    /// What kind.
    pub kind: DiffKind,
    /// What was served.
    pub served: Option<Json>,
    /// What the other answer has there.
    pub other: Option<Json>,
    /// How grave.
    pub severity: Severity,
}

/// The path of the HTTP status.
pub const STATUS_CODE: &str = "status_code";
/// The path of a whole body that is not of the kind it should be.
pub const BODY: &str = "body";

impl Difference {
    fn new(
        path: impl Into<String>,
        (kind, severity): (DiffKind, Severity),
        served: Option<&Json>,
        other: Option<&Json>,
    ) -> Self {
        Self { path: path.into(), kind, served: served.cloned(), other: other.cloned(), severity }
    }
}

/// A key as part of a path.
fn escaped(key: &str) -> impl std::fmt::Display {
    const MEANINGFUL: &AsciiSet = &CONTROLS.add(b'.').add(b'[').add(b']').add(b'%');
    utf8_percent_encode(key, MEANINGFUL)
}

/// Both values of every key that either object has, sorted by key within served, then within other.
type Pair<'a> = (&'a str, Option<&'a Json>, Option<&'a Json>);

/// The members of two objects; `None` when one of them is none.
fn members<'a>(served: &'a Json, other: &'a Json) -> Option<impl Iterator<Item = Pair<'a>>> {
    let (Json::Object(served), Json::Object(other)) = (served, other) else { return None };
    let here = served.iter().map(|(key, value)| (key.as_str(), Some(value), other.get(key)));
    let only_there = other.iter().filter(|(key, _)| !served.contains_key(*key));
    Some(here.chain(only_there.map(|(key, value)| (key.as_str(), None, Some(value)))))
}
