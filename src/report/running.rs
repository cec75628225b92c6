//! Whether shadow really ran, from its heartbeats.

use std::collections::BTreeMap;

use super::bounded::Bounded;
use super::document::{self, DroppedBy, IdleTime, SampledRoute};
use crate::shadow::heartbeat_record::{HeartbeatRecord, RouteShare};
use crate::shadow::types::COMPARED;
use crate::telemetry::format::share;
use crate::translate::route::Route;

/// Most processes, and most reasons, that are counted apart.
const NAMES_MAX: usize = 1000;

/// What the heartbeats add up to.
pub(super) struct HeartbeatTotals {
    heartbeats: u64,
    processes: Bounded<()>,
    seconds: f64,
    idle_seconds: f64,
    idle: Bounded<f64>,
    due: u64,
    done: u64,
    dropped: [Bounded<u64>; COMPARED.len()],
    sampled: BTreeMap<Route, SampledRoute>,
}

impl HeartbeatTotals {
    pub(super) fn new() -> Self {
        Self {
            heartbeats: 0,
            processes: Bounded::new(NAMES_MAX),
            seconds: 0.0,
            idle_seconds: 0.0,
            idle: Bounded::new(NAMES_MAX),
            due: 0,
            done: 0,
            dropped: COMPARED.map(|_| Bounded::new(NAMES_MAX)),
            sampled: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, heartbeat: &HeartbeatRecord) {
        self.heartbeats += 1;
        self.processes.entry(&heartbeat.process, 1, || ());
        self.seconds += heartbeat.seconds.max(0.0);
        if heartbeat.idle_seconds > 0.0 {
            self.idle_seconds += heartbeat.idle_seconds;
            let reason = heartbeat.idle_reason.as_deref().unwrap_or("ended");
            if let Some(seconds) = self.idle.entry(reason, 1, || 0.0) {
                *seconds += heartbeat.idle_seconds;
            }
        }
        self.due = self.due.saturating_add(heartbeat.due);
        self.done = self.done.saturating_add(heartbeat.done);
        for dropped in &heartbeat.dropped {
            let reasons = &mut self.dropped[dropped.route as usize];
            if let Some(count) = reasons.entry(&dropped.reason, dropped.count, || 0) {
                *count = count.saturating_add(dropped.count);
            }
        }
        heartbeat.routes.iter().for_each(|sampled| self.sample(sampled));
    }

    fn sample(&mut self, sampled: &RouteShare) {
        let RouteShare { route, share } = *sampled;
        let seen = self.sampled.entry(route);
        let seen = seen.or_insert(SampledRoute { route, lowest: share, highest: share });
        seen.lowest = seen.lowest.min(share);
        seen.highest = seen.highest.max(share);
    }

    /// Whether that route was ever in mode `shadow`, if only with a share of 0.
    pub(super) fn was_in_shadow(&self, route: Route) -> bool {
        self.sampled.contains_key(&route)
    }

    pub(super) const fn heartbeats(&self) -> u64 {
        self.heartbeats
    }

    /// `None` when no heartbeat covers any time.
    pub(super) fn idle_share(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.idle_seconds / self.seconds)
    }

    /// Comparisons of that route that were dropped.
    pub(super) fn dropped(&self, route: Route) -> u64 {
        let reasons = &self.dropped[route as usize];
        reasons.iter().fold(reasons.left_out(), |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Comparisons that the processes made beyond those that were `found`.
    pub(super) const fn missing(&self, found: u64) -> (u64, u64) {
        (self.done.saturating_sub(found), self.done)
    }

    pub(super) fn document(&self, found: u64) -> document::Running {
        let dropped = COMPARED.into_iter().fold(0_u64, |sum, route| sum.saturating_add(self.dropped(route)));
        document::Running {
            heartbeats: self.heartbeats,
            processes: self.processes.len() as u64 + self.processes.left_out(),
            seconds: self.seconds,
            idle_seconds: self.idle_seconds,
            idle_share: self.idle_share(),
            idle: self.idle(),
            due: self.due,
            done: self.done,
            missing: self.missing(found).0,
            dropped,
            dropped_share: (self.heartbeats > 0).then(|| share(dropped, self.due.max(dropped))),
            dropped_by: self.dropped_by(),
            sampled: self.sampled.values().cloned().collect(),
        }
    }

    fn idle(&self) -> Vec<IdleTime> {
        let idle =
            self.idle.iter().map(|(reason, seconds)| IdleTime { reason: reason.into(), seconds: *seconds });
        let mut idle: Vec<_> = idle.collect();
        idle.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then_with(|| a.reason.cmp(&b.reason)));
        idle
    }

    fn dropped_by(&self) -> Vec<DroppedBy> {
        let mut all: Vec<_> = COMPARED
            .into_iter()
            .zip(&self.dropped)
            .flat_map(|(route, reasons)| {
                let one = move |(reason, count): (&str, &u64)| DroppedBy {
                    route,
                    reason: reason.into(),
                    count: *count,
                };
                reasons.iter().map(one)
            })
            .collect();
        all.sort_by(|a, b| (b.count, a.route, &a.reason).cmp(&(a.count, b.route, &b.reason)));
        all
    }
}
