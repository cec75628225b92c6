//! The digest of what an answer holds that this build does not know. A reader that skips an unknown name adds it here, which costs a hash of
//! the name; [`drift`](super::drift) says what a digest stands for.

use std::sync::atomic::{AtomicU64, Ordering};

use super::hash::text_hash;

const PROBLEM_TYPES: &str = "https://developer.paxos.com/docs/v2/problems/";
/// The types of problem documents that the vendor documents, without what they begin with.
const KNOWN_PROBLEMS: [&str; 6] =
    ["already-exists", "insufficient-funds", "expired", "rejected", "unsupported-address", "about:blank"];
const KNOWN_CONTENT: [&str; 2] = ["application/json", "application/problem+json"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameLocation {
    Record,
    Source,
    SourceProfile,
    Destination,
    DestinationProfile,
    List,
    Problem,
    Status,
    ProblemType,
    ContentType,
}

impl NameLocation {
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Source => "record.source",
            Self::SourceProfile => "record.source.profile",
            Self::Destination => "record.destination",
            Self::DestinationProfile => "record.destination.profile",
            Self::List => "list",
            Self::Problem => "problem",
            Self::Status => "status",
            Self::ProblemType => "problem_type",
            Self::ContentType => "content_type",
        }
    }
}

/// A digest of the unknown names of an answer, whatever their order; 0: there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unknown(u64);

impl Unknown {
    pub(crate) fn add(&mut self, place: NameLocation, name: &str) {
        // A sum, so that the order of members does not make another digest.
        self.0 = self.0.wrapping_add(text_hash(name) ^ text_hash(place.path()).rotate_left(17));
    }

    pub(crate) const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// The digests of the records of a list, each once.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnknownRows(Vec<Unknown>);

impl UnknownRows {
    /// Rows that differ in what is unknown; further ones count as one.
    const DISTINCT_MAX: usize = 16;

    pub(crate) fn add(&mut self, row: Unknown) {
        // Each distinct row once: a page of 100 equal rows has the digest of one.
        if !row.is_none() && !self.0.contains(&row) && self.0.len() < Self::DISTINCT_MAX {
            self.0.push(row);
        }
    }

    /// With what is unknown beside the rows.
    pub(crate) fn with(&self, beside: Unknown) -> Unknown {
        Unknown(self.0.iter().fold(beside.0, |sum, row| sum.wrapping_add(row.0)))
    }
}

/// Collects what readers of one answer did not know.
#[derive(Debug, Default)]
pub struct UnknownDigests(AtomicU64);

impl UnknownDigests {
    pub(crate) fn add(&self, unknown: Unknown) {
        if !unknown.is_none() {
            self.0.fetch_add(unknown.0, Ordering::Relaxed);
        }
    }

    /// With the content type of the answer. 0: nothing is unknown.
    pub(crate) fn digest(&self, content_type: Option<&str>) -> u64 {
        let mut unknown = Unknown(self.0.load(Ordering::Relaxed));
        if let Some(essence) = content_type.and_then(unknown_content) {
            unknown.add(NameLocation::ContentType, essence);
        }
        unknown.0
    }
}

/// The type and subtype, unless they are those of JSON.
pub(super) fn unknown_content(content_type: &str) -> Option<&str> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is_known = KNOWN_CONTENT.iter().any(|known| known.eq_ignore_ascii_case(essence));
    (!is_known && !essence.is_empty()).then_some(essence)
}

/// The end of a problem's type if the vendor documents none such.
pub(super) fn unknown_problem(kind: &str) -> Option<&str> {
    let name = kind.strip_prefix(PROBLEM_TYPES).unwrap_or(kind);
    (!KNOWN_PROBLEMS.contains(&name) && !name.is_empty()).then_some(name)
}
