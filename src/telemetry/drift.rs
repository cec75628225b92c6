//! What the vendor's answers held that this build does not know, since the start of the process. Bounded, and free of locks while nothing
//! new is seen: a digest that was looked at before is one load.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::metrics::family::Counters;
use crate::translate::drift::{Drift, DriftKind, scan, scan_token};
use crate::translate::side::Side;

/// Names that are kept; further ones are not listed.
pub(crate) const DRIFT_MAX: usize = 200;
/// Digests that are remembered. One that lost its slot costs another scan.
const SLOTS: usize = 1024;

/// An answer that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadAnswer<'a> {
    pub(crate) side: Side,
    pub(crate) status: u16,
    pub(crate) content_type: Option<&'a str>,
    /// Decoded.
    pub(crate) body: &'a [u8],
}

/// Names that this build does not know. One for a process.
pub(crate) struct DriftLog {
    slots: Box<[AtomicU64]>,
    is_full: AtomicBool,
    seen: Mutex<BTreeMap<Drift, Timestamp>>,
    /// Acknowledged names that made room for others in a full list.
    known: Mutex<BTreeSet<String>>,
    counts: Counters<(DriftKind,)>,
}

impl fmt::Debug for DriftLog {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("DriftLog").field("is_full", &self.is_full).finish_non_exhaustive()
    }
}

impl Default for DriftLog {
    fn default() -> Self {
        Self {
            slots: std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect(),
            is_full: AtomicBool::new(false),
            seen: Mutex::default(),
            known: Mutex::default(),
            counts: Counters::default(),
        }
    }
}

impl DriftLog {
    /// Takes the digest of what the readers of an answer did not know; 0: nothing. Logs each name at its first sight.
    pub(crate) fn notice(&self, digest: u64, answer: ReadAnswer<'_>) {
        if digest == 0 || self.is_full.load(Ordering::Relaxed) {
            return;
        }
        // The same names on the other side, or in a refusal, are other names.
        let digest = digest.rotate_left(answer.side as u32).wrapping_add(u64::from(answer.status >= 400));
        let slot = &self.slots[digest as usize % SLOTS];
        if slot.load(Ordering::Relaxed) != digest {
            self.inspect(answer);
            // After the scan: another thread with the same digest may scan meanwhile, which costs time and counts nothing twice.
            slot.store(digest, Ordering::Relaxed);
        }
    }

    /// Inspects an answer without a digest of it.
    pub(crate) fn inspect(&self, answer: ReadAnswer<'_>) {
        let ReadAnswer { side, status, content_type, body } = answer;
        for drift in scan(side, status, content_type, body) {
            self.add(drift);
        }
    }

    /// Inspects an answer of the token endpoint.
    pub(crate) fn inspect_token(&self, body: &[u8]) {
        for drift in scan_token(body) {
            self.add(drift);
        }
    }

    /// In a full list, names that are acknowledged make room for others. What was left out is then looked at again.
    pub(crate) fn make_room(&self, acknowledged: &[String]) {
        if !self.is_full() {
            return;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).extend(acknowledged.iter().cloned());
        seen.retain(|drift, _| !acknowledged.contains(&drift.path));
        if seen.len() < DRIFT_MAX {
            self.is_full.store(false, Ordering::Relaxed);
            self.slots.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
        }
    }

    fn is_known(&self, path: &str) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }

    fn add(&self, drift: Drift) {
        if self.is_known(&drift.path) {
            return;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, is_full) = (seen.len(), seen.len() >= DRIFT_MAX);
        // A known name is no news, also when the list is full.
        let Entry::Vacant(entry) = seen.entry(drift) else { return };
        if is_full {
            if !self.is_full.swap(true, Ordering::Relaxed) {
                tracing::warn!(target: "drift", count, "the list of unknown names is full; further ones are not listed");
            }
            return;
        }
        let Drift { path, value_type, is_money, .. } = entry.key();
        tracing::warn!(
            target: "drift", path, r#type = value_type, money = is_money,
            "the vendor's answer holds what this version does not know"
        );
        self.counts.add((entry.key().kind,));
        entry.insert(Timestamp::now());
    }

    /// Every name, with its first sight.
    pub(crate) fn seen(&self) -> Vec<(Drift, Timestamp)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().map(|(drift, at)| (drift.clone(), *at)).collect()
    }

    /// Whether names may be missing from [`Self::seen`].
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    pub(crate) const fn counts(&self) -> &Counters<(DriftKind,)> {
        &self.counts
    }
}
