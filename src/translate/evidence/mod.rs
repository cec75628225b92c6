//! What an answer of the vendor proves about a `ref_id`: presence, absence, acceptance, refusal, or nothing.
//!
//! Bytes in, evidence out. What follows from it is decided by the create protocol and by the get and cancel routes. An answer is
//! believed only as far as it was checked here: "could not look" is never "absent".

mod accepted;
mod lookup;
mod not_found;
mod problem_document;
#[allow(missing_docs, reason = "the docs of a type say what its fields are")]
mod walk_page;

pub(crate) use self::accepted::{Sent, judge};
pub(crate) use self::lookup::has_content;
pub use self::lookup::{Finding, FoundConversion, found_conversion, lookup_path, read};
pub(crate) use self::not_found::is_not_found;
pub(crate) use self::problem_document::is_problem_document;
pub use self::walk_page::{DoubtfulPage, RecordProgress, WalkPage, WalkedRecord, read_walk_page};
pub use super::unknown::Noticed;
use super::unknown::Unknown;

/// One answer, as far as evidence needs it. The body is decoded.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The `Content-Type`, if there is one that is text.
    pub content_type: Option<&'a str>,
    /// The whole body.
    pub body: &'a [u8],
    /// Collects what the readers of the body do not know.
    pub noticed: Option<&'a Noticed>,
}

impl Reply<'_> {
    fn notice(&self, unknown: Unknown) {
        if let Some(noticed) = self.noticed {
            noticed.add(unknown);
        }
    }

    /// Whether the answer says that it is JSON; generated clients look for the same word.
    pub(crate) fn is_json(&self) -> bool {
        self.content_type.is_some_and(|kind| kind.to_ascii_lowercase().contains("json"))
    }
}
