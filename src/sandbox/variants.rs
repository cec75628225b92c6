//! The points where the vendor's documentation is open or has changed: one field each, the default being what it documents today.
//!
//! A new variant is a field of [`Variants`] with a default. [`Options`](super::Options) sets variants at start and `PATCH
//! /sandbox/variants` changes them later, both under the serde names here.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How this vendor differs from the documented one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Variants {
    /// The name of the array in a list of orchestrations.
    pub list_shape: ListShape,
    /// What `profile_id` filters by in a list of orchestrations.
    pub profile_filter: ProfileFilter,
    /// Completed orchestrations have `completed_at` and `destination_amount`, which the schema lacks.
    pub completed_at: bool,
    /// An ad-hoc orchestration has an empty `orchestration_rule_id` instead of none.
    pub empty_rule_id: bool,
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
}

/// What `profile_id` filters by in a list of orchestrations; the vendor's wording leaves it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileFilter {
    /// The source profile.
    #[default]
    Source,
    /// The destination profile.
    Destination,
    /// Either of the two.
    Either,
}

impl Variants {
    /// These variants with the named ones replaced.
    pub(super) fn with(&self, changes: Map<String, Value>) -> serde_json::Result<Self> {
        let mut fields = serde_json::to_value(self)?;
        changes.into_iter().for_each(|(name, value)| fields[name] = value);
        serde_json::from_value(fields)
    }
}
