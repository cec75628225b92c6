//! Counts since the start of the process. The data path adds to atomic counters and takes no lock; the maps are written by the shadow
//! thread alone and read by the admin listener.

use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use serde::{Deserialize, Serialize};

use super::heartbeat_record::DroppedJobs;
use super::types::{COMPARED, Severity, Verdict};
use crate::translate::route::Route;

/// Why a job was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShadowDropReason {
    Jobs,
    /// `shadow.bytes_max` is reached.
    Bytes,
    /// Shadow's share of the rate budget is spent.
    Budget,
    /// The back-off after a 429.
    Cooldown,
    Panic,
    Shutdown,
}

impl ShadowDropReason {
    /// All of them, in this order.
    pub(crate) const ALL: [Self; 6] =
        [Self::Jobs, Self::Bytes, Self::Budget, Self::Cooldown, Self::Panic, Self::Shutdown];

    /// The name in records and metrics.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
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

/// Most signatures that are counted apart. Later ones are in the totals by verdict only.
const SIGNATURES_MAX: usize = 1000;

/// Counts since the start of the process.
#[derive(Debug, Default)]
pub struct ShadowStats {
    due: [AtomicU64; COMPARED.len()],
    done: [AtomicU64; COMPARED.len()],
    dropped: [[AtomicU64; ShadowDropReason::ALL.len()]; COMPARED.len()],
    verdicts: DashMap<(Route, Verdict, Option<Severity>), u64>,
    signatures: DashMap<String, SignatureTotal>,
    rules: DashMap<String, u64>,
}

/// The comparisons of one signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SignatureTotal {
    #[serde(default)]
    pub(crate) signature: String,
    pub(crate) route: Route,
    pub(crate) verdict: Verdict,
    pub(crate) severity: Option<Severity>,
    pub(crate) count: u64,
    /// The end of the last one, RFC 3339 in UTC.
    pub(crate) last_seen: String,
}

/// The comparisons of one verdict and severity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictTotal {
    pub(crate) route: Route,
    /// The verdict.
    pub verdict: Verdict,
    pub(crate) severity: Option<Severity>,
    pub(crate) count: u64,
}

impl ShadowStats {
    /// Counts a request that was sampled.
    pub(super) fn due(&self, route: Route) {
        self.due[route as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a job that was dropped.
    pub(super) fn dropped(&self, route: Route, reason: ShadowDropReason) {
        self.dropped[route as usize][reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn done(&self, result: SignatureTotal) {
        self.done[result.route as usize].fetch_add(1, Ordering::Relaxed);
        *self.verdicts.entry((result.route, result.verdict, result.severity)).or_default() += 1;
        if let Some(mut known) = self.signatures.get_mut(&result.signature) {
            known.count += 1;
            known.last_seen = result.last_seen;
        // Bounded: paths hold keys that the vendor chooses, so there may be any number of signatures.
        } else if self.signatures.len() < SIGNATURES_MAX {
            self.signatures.insert(result.signature.clone(), result);
        }
    }

    /// Counts a difference that an ignore rule accepts.
    pub(super) fn hit(&self, pattern: &str) {
        // Looked up first: `entry` would allocate the key for every hit.
        match self.rules.get_mut(pattern) {
            Some(mut hits) => *hits += 1,
            None => drop(self.rules.insert(pattern.to_owned(), 1)),
        }
    }

    pub(super) fn hits(&self, pattern: &str) -> u64 {
        self.rules.get(pattern).map_or(0, |hits| *hits)
    }

    /// Requests that were sampled, over all routes.
    #[must_use]
    pub fn all_due(&self) -> u64 {
        sum(&self.due)
    }

    /// Comparisons since the process started, over all routes.
    #[must_use]
    pub fn all_done(&self) -> u64 {
        sum(&self.done)
    }

    /// Jobs that were dropped, by route and reason; without the zeros.
    #[must_use]
    pub fn all_dropped(&self) -> Vec<DroppedJobs> {
        let count = |route: Route, reason: ShadowDropReason| DroppedJobs {
            route,
            reason: reason.as_str().into(),
            count: self.dropped[route as usize][reason as usize].load(Ordering::Relaxed),
        };
        let each =
            COMPARED.into_iter().flat_map(|route| ShadowDropReason::ALL.map(|reason| count(route, reason)));
        each.filter(|dropped| dropped.count > 0).collect()
    }

    /// Comparisons by route, verdict and severity, in that order.
    #[must_use]
    pub fn verdicts(&self) -> Vec<VerdictTotal> {
        let counted = self.verdicts.iter().map(|entry| {
            let (route, verdict, severity) = *entry.key();
            VerdictTotal { route, verdict, severity, count: *entry.value() }
        });
        let mut counted: Vec<_> = counted.collect();
        counted.sort_by_key(|counted| (counted.route, counted.verdict, counted.severity));
        counted
    }

    /// The signatures with differences, by severity and then by count, the highest first; at most `max`.
    #[must_use]
    pub(crate) fn top(&self, max: usize) -> Vec<SignatureTotal> {
        let differing = self.signatures.iter().filter(|entry| entry.severity.is_some());
        let mut all: Vec<_> = differing.map(|entry| entry.value().clone()).collect();
        all.sort_by(|one, other| {
            (other.severity, other.count, &one.signature).cmp(&(one.severity, one.count, &other.signature))
        });
        all.truncate(max);
        all
    }
}

fn sum(counters: &[AtomicU64]) -> u64 {
    counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum()
}
