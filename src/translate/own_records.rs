//! The records of the new API that the ledger knows as created here: no legacy client may miss one.

use std::collections::{HashMap, HashSet};

use super::json::Text;
use super::mapping::Origin;
use super::orchestration::Orchestration;

/// What identifies a record that a legacy client would not see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenRecord {
    pub(crate) id: String,
    /// The client's reference, if it has one.
    pub(crate) ref_id: Option<String>,
}

impl HiddenRecord {
    /// `None` for a record without an id, which no client could be shown.
    #[must_use]
    pub(crate) fn of(orchestration: &Orchestration<'_>) -> Option<Self> {
        let value =
            |text: Option<Text<'_>>| Some(text?.value()?.into_owned()).filter(|text| !text.is_empty());
        Some(Self { id: value(orchestration.id)?, ref_id: value(orchestration.ref_id) })
    }
}

/// Claims on the new API, as far as they concern some records.
#[derive(Clone, Debug, Default)]
pub struct OwnRecords {
    ids: HashSet<String>,
    references: HashMap<String, Origin>,
}

impl OwnRecords {
    /// Adds a claim on the new API that is not refused.
    pub(crate) fn add(&mut self, ref_id: String, record_id: Option<String>) {
        // The vendor takes a reference once: whatever carries that of a known record is that record.
        let origin = if record_id.is_some() { Origin::OwnRecord } else { Origin::OwnReference };
        self.references.insert(ref_id, origin);
        self.ids.extend(record_id);
    }

    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.references.is_empty()
    }

    /// What is known about the record.
    #[must_use]
    pub(crate) fn origin(&self, record: &Orchestration<'_>) -> Origin {
        if self.is_empty() {
            return Origin::Unknown;
        }
        let Some(HiddenRecord { id, ref_id }) = HiddenRecord::of(record) else { return Origin::Unknown };
        if self.ids.contains(&id) {
            return Origin::OwnRecord;
        }
        ref_id.and_then(|ref_id| self.references.get(&ref_id).copied()).unwrap_or_default()
    }
}
