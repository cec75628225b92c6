//! What an answer of the vendor proves about a `ref_id`: presence, absence, acceptance, refusal, or nothing.
//!
//! Bytes in, evidence out. What follows from it is decided by the create protocol and by the get and cancel routes. An answer is
//! believed only as far as it was checked here: "could not look" is never "absent".

mod accepted;
mod beside;
mod lookup;
mod not_found;
mod problem_document;
#[allow(missing_docs, reason = "the docs of a type say what its fields are")]
mod walk_page;

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue, header};

pub(crate) use self::accepted::{Sent, judge};
pub(crate) use self::beside::BesideRows;
pub use self::lookup::{Finding, FoundConversion, found_conversion, lookup_path, read};
pub(crate) use self::not_found::is_not_found;
pub(crate) use self::problem_document::is_problem_document;
pub use self::walk_page::{DoubtfulPage, RecordProgress, WalkPage, WalkedRecord, read_walk_page};
use super::unknown::Unknown;
pub use super::unknown::UnknownDigests;

/// One answer, as far as evidence needs it. The body is decoded.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the docs of a type say what its fields are")]
pub struct Reply<'a> {
    pub status: u16,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
    /// Collects what the readers of the body do not know.
    pub unknown_digests: Option<&'a UnknownDigests>,
}

impl Reply<'_> {
    fn notice(&self, unknown: Unknown) {
        if let Some(unknown_digests) = self.unknown_digests {
            unknown_digests.add(unknown);
        }
    }

    /// Whether the answer says that it is JSON.
    pub(crate) fn is_json(&self) -> bool {
        content_type(self.headers).map(essence).is_some_and(|essence| {
            essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json")
        })
    }

    /// As [`Self::is_json`], and no problem document, which is no list whatever its members are.
    fn is_plain_json(&self) -> bool {
        self.is_json()
            && content_type(self.headers)
                .map(essence)
                .is_some_and(|essence| essence != "application/problem+json")
    }
}

/// The `Content-Type`, if there is one that is text. Of several a reader takes any.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::CONTENT_TYPE).iter();
    all.next().filter(|_| all.next().is_none())?.to_str().ok()
}

/// The type and subtype, in small letters.
fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The header fields of an answer that has none but its type.
pub(crate) fn of_type(content_types: impl IntoIterator<Item = &'static str>) -> HeaderMap {
    content_types.into_iter().map(|kind| (header::CONTENT_TYPE, HeaderValue::from_static(kind))).collect()
}

/// The header fields of plain JSON.
pub(crate) fn json() -> &'static HeaderMap {
    static JSON: LazyLock<HeaderMap> = LazyLock::new(|| of_type(["application/json"]));
    &JSON
}
