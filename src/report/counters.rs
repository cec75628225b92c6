//! What the heartbeats of one process count. From schema 3 on the counts are totals since its start, so that a heartbeat that was lost
//! loses no count; before, each heartbeat held the increase since the one before.

use super::bounded::Bounded;
use crate::shadow::heartbeat_record::HeartbeatRecord;
use crate::shadow::types::COMPARED;
use crate::translate::route::Route;

/// Most reasons that are counted apart.
const NAMES_MAX: usize = 1000;

/// Counts of one or more processes.
#[derive(Debug)]
pub(super) struct HeartbeatCounters {
    pub(super) seconds: f64,
    pub(super) idle_seconds: f64,
    pub(super) idle: Bounded<f64>,
    pub(super) due: u64,
    pub(super) done: u64,
    dropped: [Bounded<u64>; COMPARED.len()],
}

impl HeartbeatCounters {
    pub(super) fn new() -> Self {
        Self {
            seconds: 0.0,
            idle_seconds: 0.0,
            idle: Bounded::new(NAMES_MAX),
            due: 0,
            done: 0,
            dropped: COMPARED.map(|_| Bounded::new(NAMES_MAX)),
        }
    }

    /// The counts of one heartbeat.
    pub(super) fn of(heartbeat: &HeartbeatRecord) -> Self {
        let mut counters = Self::new();
        counters.seconds = heartbeat.seconds.max(0.0);
        counters.idle_seconds = heartbeat.idle_seconds.max(0.0);
        (counters.due, counters.done) = (heartbeat.due, heartbeat.done);
        for idle in &heartbeat.idle {
            add_seconds(&mut counters.idle, &idle.reason, idle.seconds);
        }
        if heartbeat.idle.is_empty() && heartbeat.idle_seconds > 0.0 {
            let reason = heartbeat.idle_reason.as_deref().unwrap_or("ended");
            add_seconds(&mut counters.idle, reason, heartbeat.idle_seconds);
        }
        for dropped in &heartbeat.dropped {
            add_jobs(&mut counters.dropped[dropped.route as usize], &dropped.reason, dropped.count);
        }
        counters
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.seconds += more.seconds;
        self.idle_seconds += more.idle_seconds;
        self.due = self.due.saturating_add(more.due);
        self.done = self.done.saturating_add(more.done);
        more.idle.iter().for_each(|(reason, seconds)| add_seconds(&mut self.idle, reason, *seconds));
        for (sum, more) in self.dropped.iter_mut().zip(&more.dropped) {
            more.iter().for_each(|(reason, count)| add_jobs(sum, reason, *count));
        }
    }

    /// Totals of one process at a later time, or at an earlier one: `choose` picks the higher or the lower of each.
    fn merge(&mut self, other: &Self, choose: impl Fn(f64, f64) -> f64, count: impl Fn(u64, u64) -> u64) {
        self.seconds = choose(self.seconds, other.seconds);
        self.idle_seconds = choose(self.idle_seconds, other.idle_seconds);
        self.due = count(self.due, other.due);
        self.done = count(self.done, other.done);
        for (reason, seconds) in other.idle.iter() {
            if let Some(known) = self.idle.entry(reason, 1, || 0.0) {
                *known = choose(*known, *seconds);
            }
        }
        for (known, other) in self.dropped.iter_mut().zip(&other.dropped) {
            for (reason, jobs) in other.iter() {
                if let Some(known) = known.entry(reason, *jobs, || 0) {
                    *known = count(*known, *jobs);
                }
            }
        }
    }

    pub(super) fn raise_to(&mut self, later: &Self) {
        self.merge(later, f64::max, u64::max);
    }

    /// The increase since `base`, totals of the same process.
    pub(super) fn since(&self, base: &Self) -> Self {
        let mut rise = Self::new();
        rise.raise_to(self);
        rise.merge(base, |now, before| (now - before).max(0.0), u64::saturating_sub);
        rise
    }

    /// Jobs of that route that were dropped, by reason.
    pub(super) fn dropped(&self, route: Route) -> &Bounded<u64> {
        &self.dropped[route as usize]
    }
}

fn add_seconds(sums: &mut Bounded<f64>, reason: &str, more: f64) {
    if let Some(seconds) = sums.entry(reason, 1, || 0.0) {
        *seconds += more.max(0.0);
    }
}

fn add_jobs(sums: &mut Bounded<u64>, reason: &str, more: u64) {
    if let Some(jobs) = sums.entry(reason, more, || 0) {
        *jobs = jobs.saturating_add(more);
    }
}
