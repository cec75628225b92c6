//! How far a walk has come: what is saved in the ledger and shown to people.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher as _, DefaultHasher, Hash as _, Hasher as _, RandomState};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::daily_report::ReportCounts;
use super::finding::{FindingKind, FindingSeverity, WalkFinding};
use crate::translate::evidence::WalkedRecord;
use crate::translate::side::Side;

/// The format of a saved [`WalkProgress`]. A program that finds another one begins the walk again.
pub(super) const FORMAT: i64 = 1;

/// Findings of one kind that are kept; more are counted.
pub const FINDINGS_KEPT: usize = 10_000;

/// How far a walk has come. Times are whole seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkProgress {
    /// Every record that was made before this was judged.
    pub position: i64,
    /// Every claim that was made before this was looked for.
    pub claims_position: i64,
    /// Records of legacy and of new.
    pub rows: [u64; 2],
    /// Pages of legacy and of new.
    pub pages: [u64; 2],
    /// Claims that were looked for.
    pub claims: u64,
    /// Claims whose record the list of legacy or of new does not show.
    #[serde(default)]
    pub unlisted: [u64; 2],
    /// Rows of legacy and of new whose reference has no claim, because none may be written for the side that it would have to name.
    #[serde(default)]
    pub left_unclaimed: [u64; 2],
    /// Claims that were written for records that had none.
    pub adopted: u64,
    /// Claims whose record was not known before.
    pub resolved: u64,
    /// Records without a reference, which no claim can name.
    pub without_reference: u64,
    /// Records that the legacy API could not have made.
    pub not_conversions: u64,
    /// Digests over time and id of the records of legacy and of new, in their order.
    pub hashes: [String; 2],
    pub found: BTreeMap<FindingKind, u64>,
    /// The age from which on a record that is not final was found, in seconds; the largest, if the walk was resumed with another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck_after_s: Option<u64>,
    /// What of the vendor's report was compared; `None` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportCounts>,
}

impl WalkProgress {
    pub(super) fn count(&mut self, row: &WalkedRecord) {
        let at = row.side as usize;
        self.rows[at] += 1;
        let mut digest = Sha256::new();
        // A chain over the rows in order, so that a resumed walk comes to the same digest.
        digest.update(self.hashes[at].as_bytes());
        digest.update(row.created_at.as_nanosecond().to_be_bytes());
        digest.update(row.id.as_bytes());
        self.hashes[at] = const_hex::encode(digest.finalize());
    }

    /// Whether nothing was found that is not as it should be.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.found.iter().all(|(kind, count)| *count == 0 || kind.severity() == FindingSeverity::None)
    }

    /// Whether something was found that is about money.
    #[must_use]
    pub fn is_about_money(&self) -> bool {
        self.found.iter().any(|(kind, count)| *count > 0 && kind.severity() == FindingSeverity::Money)
    }

    #[must_use]
    pub fn found(&self, kind: FindingKind) -> u64 {
        self.found.get(&kind).copied().unwrap_or_default()
    }
}

/// The findings of a walk, each once, with a bound on those that are kept.
#[derive(Debug, Default)]
pub(super) struct DistinctFindings {
    pub(super) kept: Vec<WalkFinding>,
    by_kind: HashMap<FindingKind, usize>,
    known: HashSet<u64>,
    hasher: RandomState,
}

impl DistinctFindings {
    /// Adds a finding; `false` if it was added before.
    pub(super) fn add(&mut self, finding: &WalkFinding) -> bool {
        // A resumed walk may judge rows again that were reported before it stopped.
        if self.keeps(finding) {
            return false;
        }
        let kept = self.by_kind.entry(finding.kind).or_default();
        if *kept < FINDINGS_KEPT {
            *kept += 1;
            self.known.insert(self.hasher.hash_one((finding.kind, finding.subject())));
            self.kept.push(finding.clone());
        }
        true
    }

    /// Whether this very finding is among those that are kept.
    pub(super) fn keeps(&self, finding: &WalkFinding) -> bool {
        self.known.contains(&self.hasher.hash_one((finding.kind, finding.subject())))
    }

    /// Marks a finding as repaired.
    pub(super) fn repaired(&mut self, finding: &WalkFinding) {
        let same = |kept: &&mut WalkFinding| kept.kind == finding.kind && kept.subject() == finding.subject();
        if let Some(kept) = self.kept.iter_mut().rev().find(same) {
            kept.repaired = true;
        }
    }

    pub(super) fn count(&self, kind: FindingKind) -> usize {
        self.by_kind.get(&kind).copied().unwrap_or_default()
    }
}

/// Ids of records that a walk saw a while ago at most. One that was dropped is looked up again.
#[derive(Debug, Default)]
pub(super) struct SeenIds {
    ids: HashSet<u64>,
    order: VecDeque<(Timestamp, u64)>,
    hasher: RandomState,
    /// What was walked: from the first time on, and before the second one.
    walked: Option<(Timestamp, Timestamp)>,
    /// When the newest record whose id was dropped was made.
    dropped: Option<Timestamp>,
}

/// Ids in memory: about 40 bytes each.
const SEEN_MAX: usize = 400_000;

impl SeenIds {
    pub(super) fn add(&mut self, row: &WalkedRecord) {
        let hash = self.hasher.hash_one((row.side, &row.id));
        if self.ids.insert(hash) {
            self.order.push_back((row.created_at, hash));
        }
        while self.order.len() > SEEN_MAX {
            self.drop_oldest();
        }
    }

    pub(super) fn contains(&self, side: Side, id: &str) -> bool {
        self.ids.contains(&self.hasher.hash_one((side, id)))
    }

    /// Everything that was made from `from` on and before `until` was walked.
    pub(super) fn walked(&mut self, from: Timestamp, until: Timestamp) {
        self.walked = Some((from, until));
    }

    /// Whether a record that was made then was seen if the lists are whole, and its id is still kept.
    pub(super) fn should_contain(&self, made: Timestamp) -> bool {
        self.walked.is_some_and(|(from, until)| from <= made && made < until)
            && self.dropped.is_none_or(|dropped| dropped < made)
    }

    /// Drops what was made before that time.
    pub(super) fn forget_before(&mut self, at: Timestamp) {
        while self.order.front().is_some_and(|(made, _)| *made < at) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((made, hash)) = self.order.pop_front() {
            self.ids.remove(&hash);
            // What was dropped for lack of room must not look like a record that the list omitted.
            self.dropped = self.dropped.max(Some(made));
        }
    }
}

/// A reference in eight bytes. Equal hashes are looked up before anything follows from them.
pub(super) fn hash_of(ref_id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    ref_id.hash(&mut hasher);
    hasher.finish()
}
