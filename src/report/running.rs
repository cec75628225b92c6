//! Whether shadow really ran, from its heartbeats.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::bounded::Bounded;
use super::continuity::Gap;
use super::counters::HeartbeatCounters;
use super::document::{self, DroppedBy, IdleTime, SampledRoute};
use super::process::ProcessTotals;
use crate::shadow::heartbeat_record::{HeartbeatRecord, RouteShare};
use crate::shadow::record::TOTALS_SINCE;
use crate::shadow::types::COMPARED;
use crate::telemetry::format::{moment, share};
use crate::translate::route::Route;

/// Most processes that are counted apart.
const PROCESSES_MAX: usize = 1000;

/// What the heartbeats add up to, while the input is read.
pub(super) struct HeartbeatTotals {
    since: Option<Timestamp>,
    heartbeats: u64,
    processes: Bounded<ProcessTotals>,
    /// Processes with a heartbeat in the window.
    seen: Bounded<()>,
    /// Of heartbeats that hold increases.
    increases: HeartbeatCounters,
    sampled: BTreeMap<Route, SampledRoute>,
}

/// What they add up to in the end.
pub(super) struct ShadowCoverage {
    heartbeats: u64,
    processes: u64,
    /// The most processes at one time. One that is started anew has another name.
    at_once: u64,
    counted: HeartbeatCounters,
    sampled: BTreeMap<Route, SampledRoute>,
    lost: Gap,
    /// Lines of processes that there was no room for: which of them are missing or repeated is not known.
    not_followed: u64,
    /// The last heartbeat of each process that announced another one.
    cut_off: Vec<Timestamp>,
}

impl HeartbeatTotals {
    /// For a window that begins at `since`.
    pub(super) fn new(since: Option<Timestamp>) -> Self {
        Self {
            since,
            heartbeats: 0,
            processes: Bounded::new(PROCESSES_MAX),
            seen: Bounded::new(PROCESSES_MAX),
            increases: HeartbeatCounters::new(),
            sampled: BTreeMap::new(),
        }
    }

    /// Any numbered line of a process, within the window or before it. Returns whether it was not read before, as far as can be known.
    pub(super) fn line(&mut self, process: &str, number: u64, time: Timestamp) -> bool {
        let known = self.processes.entry(process, 1, ProcessTotals::default);
        // Without room for the process nothing shows whether a line is a repeat, and one that is left out may be the one with the difference.
        known.is_none_or(|known| known.line(number, time))
    }

    /// A heartbeat that was not read before, within the window or before it.
    pub(super) fn add(&mut self, heartbeat: &HeartbeatRecord, time: Timestamp) {
        let is_early = self.since.is_some_and(|since| time < since);
        if heartbeat.schema >= TOTALS_SINCE
            && let Some(known) = self.processes.entry(&heartbeat.process, 0, ProcessTotals::default)
        {
            known.heartbeat(heartbeat, time, is_early);
        } else if !is_early {
            self.increases.add(&HeartbeatCounters::of(heartbeat));
        }
        if !is_early {
            self.heartbeats += 1;
            self.seen.entry(&heartbeat.process, 1, || ());
            heartbeat.routes.iter().for_each(|sampled| self.sample(sampled));
        }
    }

    fn sample(&mut self, sampled: &RouteShare) {
        let RouteShare { route, share } = *sampled;
        let seen = self.sampled.entry(route);
        let seen = seen.or_insert(SampledRoute { route, lowest: share, highest: share });
        seen.lowest = seen.lowest.min(share);
        seen.highest = seen.highest.max(share);
    }

    /// The sums as of `now`, the time of the report.
    pub(super) fn sum(&self, now: Timestamp) -> ShadowCoverage {
        let processes = || self.processes.iter().map(|(_, process)| process);
        let mut counted = HeartbeatCounters::new();
        counted.add(&self.increases);
        processes().for_each(|process| counted.add(&process.counted(self.since)));
        let mut cut_off: Vec<_> =
            processes().filter_map(|process| process.overdue(self.since, now)).collect();
        cut_off.sort();
        ShadowCoverage {
            heartbeats: self.heartbeats,
            processes: self.seen.len() as u64 + self.seen.left_out(),
            at_once: most_at_once(processes().filter_map(ProcessTotals::lifetime)),
            counted,
            sampled: self.sampled.clone(),
            not_followed: self.processes.left_out(),
            lost: processes().map(|process| process.missing(self.since)).fold(Gap::default(), Gap::and),
            cut_off,
        }
    }
}

/// The largest number of lifetimes that share a moment.
fn most_at_once(lifetimes: impl Iterator<Item = (Timestamp, Timestamp)>) -> u64 {
    // At one moment the beginnings come first: a lifetime includes its end.
    let mut changes: Vec<_> = lifetimes.flat_map(|(first, last)| [(first, 0), (last, 1)]).collect();
    changes.sort_unstable();
    let (mut now, mut most) = (0_u64, 0);
    for (_, is_end) in changes {
        now = if is_end == 1 { now.saturating_sub(1) } else { now + 1 };
        most = most.max(now);
    }
    most
}

impl ShadowCoverage {
    /// Whether that route was ever in mode `shadow`, if only with a share of 0.
    pub(super) fn was_in_shadow(&self, route: Route) -> bool {
        self.sampled.contains_key(&route)
    }

    /// The most processes that ran at one time within the window.
    pub(super) const fn at_once(&self) -> u64 {
        self.at_once
    }

    pub(super) const fn heartbeats(&self) -> u64 {
        self.heartbeats
    }

    /// `None` when no heartbeat covers any time.
    pub(super) fn idle_share(&self) -> Option<f64> {
        let HeartbeatCounters { seconds, idle_seconds, .. } = &self.counted;
        (*seconds > 0.0).then(|| idle_seconds / seconds)
    }

    /// Comparisons of that route that were dropped.
    pub(super) fn dropped(&self, route: Route) -> u64 {
        let reasons = self.counted.dropped(route);
        reasons.iter().fold(reasons.left_out(), |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Comparisons that the processes made beyond those that were `found`.
    pub(super) const fn missing(&self, found: u64) -> (u64, u64) {
        (self.counted.done.saturating_sub(found), self.counted.done)
    }

    /// Lines that the processes wrote and the input lacks.
    pub(super) const fn lost(&self) -> Gap {
        self.lost
    }

    /// Lines of which it is not known whether others of their process are missing or repeated.
    pub(super) const fn not_followed(&self) -> u64 {
        self.not_followed
    }

    /// The last heartbeats of processes that announced another one, the earliest first.
    pub(super) fn cut_off(&self) -> &[Timestamp] {
        &self.cut_off
    }

    pub(super) fn document(&self, found: u64) -> document::RunningSummary {
        let dropped = COMPARED.into_iter().fold(0_u64, |sum, route| sum.saturating_add(self.dropped(route)));
        let HeartbeatCounters { seconds, idle_seconds, due, done, .. } = self.counted;
        document::RunningSummary {
            heartbeats: self.heartbeats,
            processes: self.processes,
            seconds,
            idle_seconds,
            idle_share: self.idle_share(),
            idle: self.idle(),
            due,
            done,
            missing: self.missing(found).0,
            lost_lines: self.lost.lines,
            lost_after: self.lost.after.map(moment),
            lost_before: self.lost.before.map(moment),
            lines_not_followed: self.not_followed,
            cut_off: self.cut_off.len() as u64,
            dropped,
            dropped_share: (self.heartbeats > 0).then(|| share(dropped, due.max(dropped))),
            dropped_by: self.dropped_by(),
            sampled: self.sampled.values().cloned().collect(),
        }
    }

    fn idle(&self) -> Vec<IdleTime> {
        let idle = self.counted.idle.iter().filter(|(_, seconds)| **seconds > 0.0);
        let mut idle: Vec<_> =
            idle.map(|(reason, seconds)| IdleTime { reason: reason.into(), seconds: *seconds }).collect();
        idle.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then_with(|| a.reason.cmp(&b.reason)));
        idle
    }

    fn dropped_by(&self) -> Vec<DroppedBy> {
        let mut all: Vec<_> = COMPARED
            .into_iter()
            .flat_map(|route| {
                let one = move |(reason, count): (&str, &u64)| DroppedBy {
                    route,
                    reason: reason.into(),
                    count: *count,
                };
                self.counted.dropped(route).iter().filter(|(_, count)| **count > 0).map(one)
            })
            .collect();
        all.sort_by(|a, b| (b.count, a.route, &a.reason).cmp(&(a.count, b.route, &b.reason)));
        all
    }
}
