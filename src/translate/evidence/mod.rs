//! What an answer of the vendor proves about a `ref_id`: presence, absence, acceptance, refusal, or nothing.
//!
//! Bytes in, evidence out. What follows from it is decided by the create protocol and by the get and cancel routes. An answer is
//! believed only as far as it was checked here: "could not look" is never "absent".

mod accepted;
mod lookup;
mod not_found;
mod problem_document;

pub use self::accepted::{Sent, judge};
pub use self::lookup::{Finding, Record, lookup_path, read, record};
pub use self::not_found::is_not_found;
pub use self::problem_document::is_problem_document;

/// What is known about the vendor beyond its documents. Absent facts take the reading that sends nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `{}` and `{"items":null}` are empty lists.
    pub empty_list: bool,
    /// How the vendor compares references.
    pub ref_match: RefMatch,
}

/// How the vendor compares two references.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefMatch {
    /// Not known: a reference that differs in case or in spaces around it proves nothing.
    #[default]
    Unknown,
    /// Byte by byte.
    Exact,
    /// Without regard to case.
    Case,
    /// Without regard to spaces around it.
    Trimmed,
}

impl RefMatch {
    /// Whether the vendor takes both for the same reference. `None`: nobody knows.
    fn same(self, one: &str, other: &str) -> Option<bool> {
        if one == other {
            return Some(true);
        }
        let alike = one.trim().to_lowercase() == other.trim().to_lowercase();
        match self {
            Self::Unknown => (!alike).then_some(false),
            Self::Exact => Some(false),
            Self::Case => Some(one.to_lowercase() == other.to_lowercase()),
            Self::Trimmed => Some(one.trim() == other.trim()),
        }
    }
}

/// One answer, as far as evidence needs it. The body is decoded.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The `Content-Type`, if there is one that is text.
    pub content_type: Option<&'a str>,
    /// The whole body.
    pub body: &'a [u8],
}

impl Reply<'_> {
    /// Whether the answer says that it is JSON; generated clients look for the same word.
    fn is_json(&self) -> bool {
        self.content_type.is_some_and(|kind| kind.to_ascii_lowercase().contains("json"))
    }
}
