//! The points where the vendor's documentation is open, has changed, or is not followed: one field each, the default being what it
//! documents today. `docs/sandbox.md` lists them.
//!
//! A new variant is a field of [`Variants`] with a default. [`Options`](super::Options) sets variants at start and `PATCH
//! /sandbox/variants` changes them later, both under the serde names here. What changes only an answer's form is applied in
//! `presentation`.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::translate::side::Side;

/// How this vendor differs from the documented one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Variants {
    /// When two references are the same, in creates and in list filters of both APIs.
    pub ref_match: RefMatch,
    /// Both APIs share one space of references: each refuses one that the other holds.
    pub shared_refs: bool,
    /// A `+` in a query is a plus sign, not a space.
    pub plus_is_literal: bool,
    /// A record that does not exist is an HTML page with status 404, as from a gateway.
    pub html_not_found: bool,
    /// How a list without rows looks.
    pub empty_list: EmptyList,
    /// The API whose lists have no rows, whatever it holds.
    pub lists_nothing: ListsNothing,
    /// Whether the new API shows conversions that are made on the old one from now on.
    pub mirror: Mirror,
    /// Whether the old API shows conversions that are made on the new one from now on.
    pub mirror_back: Mirror,
    /// A mirrored conversion has a `created_at` of its own, later than the original's.
    pub mirror_own_created_at: bool,
    /// What the new API answers to a create whose reference it holds.
    pub repeated_ref: RepeatedRef,
    /// Member names of the new API's answers are `camelCase`.
    pub camel_case: bool,
    /// The name of the array in a list of orchestrations.
    pub list_shape: ListShape,
    /// What `profile_id` filters by in a list of orchestrations.
    pub profile_filter: ProfileFilter,
    /// Completed orchestrations have `completed_at` and `destination_amount`, which the schema lacks.
    pub completed_at: bool,
    /// How lists order records of one instant that are inserted from now on.
    pub tie_order: TieOrder,
    /// How lists are ordered.
    pub list_order: ListOrder,
    /// Whether the bounds `created_at.begin`, `created_at.end`, `created_at.gte` and `created_at.lte` include their instant.
    pub time_bounds: TimeBounds,
    /// List cursors made under another number are stale.
    pub cursor_epoch: u32,
    /// List cursors older than this many milliseconds are stale; 0 is never.
    pub cursor_life_ms: u64,
    /// What a stale list cursor does.
    pub stale_cursor: StaleCursor,
    /// What a token is granted, and whether its answer says so.
    pub granted_scopes: GrantedScopes,
    /// Further members of an answer of the token endpoint.
    pub token_members: Map<String, Value>,
    /// Merged (RFC 7396) into every orchestration that is created from now on.
    pub record_members: Map<String, Value>,
}

/// When two references are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefMatch {
    /// Byte by byte.
    #[default]
    Exact,
    /// Without regard to case.
    Case,
    /// Without regard to spaces around it.
    Trim,
}

impl RefMatch {
    fn normal(self, reference: &str) -> Cow<'_, str> {
        match self {
            Self::Exact => reference.into(),
            Self::Case => reference.to_lowercase().into(),
            Self::Trim => reference.trim().into(),
        }
    }

    /// Whether both are the same reference.
    #[must_use]
    pub fn same(self, one: &str, other: &str) -> bool {
        self.normal(one) == self.normal(other)
    }
}

/// How a list without rows looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyList {
    /// `{"items":[]}`.
    #[default]
    Items,
    /// `{"items":null}`.
    Null,
    /// `{}`, as JSON generated from protocol buffers.
    None,
    /// `{}` with the content type `text/html`.
    Html,
}

/// Which API's lists have no rows. Gets and creates are as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListsNothing {
    /// Both show what they hold.
    #[default]
    Neither,
    /// Lists of the old API are empty.
    Legacy,
    /// Lists of the new API are empty.
    New,
}

impl ListsNothing {
    pub(super) fn applies_to(self, side: Side) -> bool {
        match self {
            Self::Neither => false,
            Self::Legacy => side == Side::Legacy,
            Self::New => side == Side::New,
        }
    }
}

/// Whether one API shows conversions of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mirror {
    /// Neither side lists the other's records.
    #[default]
    Off,
    /// Under the same id.
    SameId,
    /// Under an id of its own.
    OtherId,
}

/// What the new API answers to a create whose reference it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepeatedRef {
    /// 409 with the existing record in `meta.existing`.
    #[default]
    Conflict,
    /// 409 without `meta`.
    WithoutExisting,
    /// 409 without a problem document.
    WithoutProblem,
    /// 200 with the existing record, whatever was asked for.
    Success,
}

/// The name of the array in a list of orchestrations; the vendor changed it during 2026.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListShape {
    /// `items`.
    #[default]
    Items,
    /// The older `orchestrations`.
    Orchestrations,
    /// Both, with the same rows.
    Both,
    /// `data`, beside an empty `items`.
    Data,
}

/// What `profile_id` filters by in a list of orchestrations; the vendor's wording leaves it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileFilter {
    /// The source profile.
    #[default]
    Source,
    /// The target profile.
    Target,
    /// Either of the two.
    Either,
}

/// How lists order records of one instant. The order of a list reverses it with the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TieOrder {
    /// By id.
    #[default]
    Id,
    /// As they were inserted.
    Inserted,
    /// By a hash of the id.
    Hashed,
}

impl TieOrder {
    /// What precedes the id in a record's position.
    pub(super) fn key(self, id: &str, sequence: usize) -> u64 {
        match self {
            Self::Id => 0,
            Self::Inserted => sequence as u64,
            Self::Hashed => id.bytes().fold(7, |hash: u64, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
            }),
        }
    }
}

/// How lists are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListOrder {
    /// Newest first, or as `order` says.
    #[default]
    Newest,
    /// Oldest first, or as `order` says.
    Oldest,
    /// Newest first, whatever `order` says.
    Fixed,
    /// The rows of a page come by id.
    Unsorted,
}

/// Whether time bounds include their instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeBounds {
    /// Both include their instant.
    #[default]
    Inclusive,
    /// Neither includes its instant.
    Exclusive,
    /// Only the lower one includes its instant.
    HalfOpen,
    /// Both do, and whole milliseconds are compared.
    Milliseconds,
}

impl TimeBounds {
    pub(super) fn is_from(self, at: Timestamp, bound: Timestamp) -> bool {
        match self {
            Self::Inclusive | Self::HalfOpen => at >= bound,
            Self::Exclusive => at > bound,
            Self::Milliseconds => at.as_millisecond() >= bound.as_millisecond(),
        }
    }

    pub(super) fn is_until(self, at: Timestamp, bound: Timestamp) -> bool {
        match self {
            Self::Inclusive => at <= bound,
            Self::Exclusive | Self::HalfOpen => at < bound,
            Self::Milliseconds => at.as_millisecond() <= bound.as_millisecond(),
        }
    }
}

/// What a list cursor does that is too old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StaleCursor {
    /// It is answered 400.
    #[default]
    Refused,
    /// Nothing: the list begins again.
    Ignored,
    /// It is answered an empty list.
    Empty,
}

/// What a token is granted, and whether its answer says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantedScopes {
    /// What was asked for; the answer names it.
    #[default]
    Named,
    /// What was asked for; the answer does not name it.
    Unnamed,
    /// Those of what was asked for that read; the answer names them.
    Reading,
}

impl Variants {
    /// These variants with the named ones replaced.
    pub(super) fn with(&self, changes: Map<String, Value>) -> serde_json::Result<Self> {
        let mut fields = serde_json::to_value(self)?;
        changes.into_iter().for_each(|(name, value)| fields[name] = value);
        serde_json::from_value(fields)
    }
}
