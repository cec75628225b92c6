//! The running tally: what shadow has come to since the start of the process. The data path adds to plain counters and takes no
//! lock; the maps belong to the shadow thread and to whoever reads it.

use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use serde::{Deserialize, Serialize};

use super::heartbeat_record::Dropped;
use super::types::{COMPARED, Severity, Verdict};
use crate::translate::route::Route;

/// Why a job was not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowDropReason {
    /// Too many jobs wait.
    Jobs,
    /// The bodies of the jobs take all the memory that they may.
    Bytes,
    /// The share of the rate budget is spent.
    Budget,
    /// An upstream said 429 not long ago.
    Cooldown,
    /// The comparison itself broke.
    Panic,
    /// The process ended.
    Shutdown,
}

impl ShadowDropReason {
    /// All of them, in this order.
    pub const ALL: [Self; 6] =
        [Self::Jobs, Self::Bytes, Self::Budget, Self::Cooldown, Self::Panic, Self::Shutdown];

    /// The name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Bytes => "bytes",
            Self::Budget => "budget",
            Self::Cooldown => "cooldown",
            Self::Panic => "panic",
            Self::Shutdown => "shutdown",
        }
    }
}

/// The most signatures that are counted one by one; what comes later is in the other counts only.
const SIGNATURES_MAX: usize = 1000;

/// Counts, from the start of the process.
#[derive(Debug, Default)]
pub struct Tally {
    due: [AtomicU64; COMPARED.len()],
    done: [AtomicU64; COMPARED.len()],
    dropped: [[AtomicU64; ShadowDropReason::ALL.len()]; COMPARED.len()],
    verdicts: DashMap<(Route, Verdict, Option<Severity>), u64>,
    signatures: DashMap<String, Signature>,
    rules: DashMap<String, u64>,
}

/// One kind of result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Sixteen hex digits.
    #[serde(default)]
    pub signature: String,
    /// The route.
    pub route: Route,
    /// The verdict.
    pub verdict: Verdict,
    /// Its severity.
    pub severity: Option<Severity>,
    /// How many.
    pub count: u64,
    /// When last; RFC 3339.
    pub last_seen: String,
}

/// One verdict's count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The route.
    pub route: Route,
    /// The verdict.
    pub verdict: Verdict,
    /// Its severity.
    pub severity: Option<Severity>,
    /// How many.
    pub count: u64,
}

impl Tally {
    /// A request was chosen.
    pub(super) fn due(&self, route: Route) {
        self.due[route as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// It was not compared after all.
    pub(super) fn dropped(&self, route: Route, why: ShadowDropReason) {
        self.dropped[route as usize][why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// It was compared.
    pub(super) fn done(&self, result: Signature) {
        self.done[result.route as usize].fetch_add(1, Ordering::Relaxed);
        *self.verdicts.entry((result.route, result.verdict, result.severity)).or_default() += 1;
        if let Some(mut known) = self.signatures.get_mut(&result.signature) {
            known.count += 1;
            known.last_seen = result.last_seen;
        } else if self.signatures.len() < SIGNATURES_MAX {
            self.signatures.insert(result.signature.clone(), result);
        }
    }

    /// A rule accepted a difference.
    pub(super) fn hit(&self, pattern: &str) {
        match self.rules.get_mut(pattern) {
            Some(mut hits) => *hits += 1,
            None => drop(self.rules.insert(pattern.to_owned(), 1)),
        }
    }

    /// How often a rule was hit.
    pub(super) fn hits(&self, pattern: &str) -> u64 {
        self.rules.get(pattern).map_or(0, |hits| *hits)
    }

    /// Jobs that were due, of all routes.
    #[must_use]
    pub fn all_due(&self) -> u64 {
        sum(&self.due)
    }

    /// Jobs that were compared, of all routes.
    #[must_use]
    pub fn all_done(&self) -> u64 {
        sum(&self.done)
    }

    /// Jobs that were dropped, by route and reason; only where there were some.
    #[must_use]
    pub fn all_dropped(&self) -> Vec<Dropped> {
        let count = |route: Route, why: ShadowDropReason| Dropped {
            route,
            reason: why.as_str().into(),
            count: self.dropped[route as usize][why as usize].load(Ordering::Relaxed),
        };
        let each = COMPARED.into_iter().flat_map(|route| ShadowDropReason::ALL.map(|why| count(route, why)));
        each.filter(|dropped| dropped.count > 0).collect()
    }

    /// Every verdict's count, in a fixed order.
    #[must_use]
    pub fn verdicts(&self) -> Vec<Counted> {
        let counted = self.verdicts.iter().map(|entry| {
            let (route, verdict, severity) = *entry.key();
            Counted { route, verdict, severity, count: *entry.value() }
        });
        let mut counted: Vec<_> = counted.collect();
        counted.sort_by_key(|counted| (counted.route, counted.verdict, counted.severity));
        counted
    }

    /// The signatures that show differences, the gravest and then the most frequent first; at most `most`.
    #[must_use]
    pub fn top(&self, most: usize) -> Vec<Signature> {
        let differing = self.signatures.iter().filter(|entry| entry.severity.is_some());
        let mut all: Vec<_> = differing.map(|entry| entry.value().clone()).collect();
        all.sort_by(|one, other| {
            (other.severity, other.count, &one.signature).cmp(&(one.severity, one.count, &other.signature))
        });
        all.truncate(most);
        all
    }
}

fn sum(counters: &[AtomicU64]) -> u64 {
    counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum()
}
