//! The heartbeat: a line at intervals that says whether shadow runs, what it dropped and which records it suppressed. Without it
//! a log that holds no mismatch would look like agreement.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::clock::{now, seconds};
use super::handle::{Shadow, shadowed};
use super::heartbeat_record::{DriftSeen, HeartbeatRecord, IdleSeconds, RouteShare};
use super::record::{SCHEMA, TARGET};
use super::worker::Worker;
use crate::config::Config;
use crate::telemetry::drift::DriftLog;
use crate::translate::drift::Drift;

/// What heartbeats add up since the start of the process.
pub(super) struct Heartbeat {
    last: Instant,
    /// Within which time the last one announced the next.
    announced: Option<Duration>,
    covered: Duration,
    idle: BTreeMap<String, Duration>,
    due: u64,
    done: u64,
}

impl Heartbeat {
    pub(super) fn new() -> Self {
        let (covered, idle) = (Duration::ZERO, BTreeMap::new());
        Self { last: Instant::now(), announced: None, covered, idle, due: 0, done: 0 }
    }

    /// When the next heartbeat is due. A reload that makes the interval longer does not break what the last one announced.
    pub(super) fn next(&self, config: &Config) -> Instant {
        let interval = config.shadow.heartbeat;
        self.last + self.announced.map_or(interval, |announced| announced.min(interval))
    }

    /// Writes a heartbeat if a route is in mode `shadow`, if the last one announced it, or if anything changed since. `follows` is whether
    /// another one may follow.
    pub(super) fn emit(
        &mut self,
        worker: &Worker,
        config: &Config,
        idle_reason: Option<&str>,
        follows: bool,
    ) {
        let shadow = &worker.shadow;
        // Also when nothing is written: the next heartbeat does not cover time in which shadow was not configured.
        let since = std::mem::replace(&mut self.last, Instant::now());
        if let Some(reason) = idle_reason {
            tracing::warn!(target: "shadow", reason, "shadow is configured and does not run");
        }
        // Before the return below, which is reached only if nothing was suppressed: no count is lost.
        let suppressed = worker.writer.borrow_mut().take_suppressed();
        let stats = shadow.stats();
        let (due, done) = (stats.all_due(), stats.all_done());
        let routes: Vec<_> = shadowed(config).map(|(route, share)| RouteShare { route, share }).collect();
        let is_active = !routes.is_empty() || idle_reason.is_some();
        // The last heartbeat promised another one. Without it the report would take the silence for a process that died.
        let is_expected = is_active || self.announced.is_some();
        if !is_expected && suppressed.is_empty() && (due, done) == (self.due, self.done) {
            return;
        }
        (self.due, self.done) = (due, done);
        self.announced = Some(config.shadow.heartbeat).filter(|_| is_active && follows);
        let idle_reason = self.cover(shadow, idle_reason, since);
        let heartbeat = HeartbeatRecord {
            schema: SCHEMA,
            target: TARGET.into(),
            time: now(),
            // The writer fills in process and number.
            process: String::new(),
            sequence: 0,
            next_seconds: self.announced.map(seconds),
            config_hash: config.hash.clone(),
            hosts: Some(config.upstream.hosts()),
            stage: config.stage.to_string(),
            routes,
            seconds: seconds(self.covered),
            idle_seconds: seconds(self.idle.values().sum()),
            idle: self.idle_seconds(),
            idle_reason,
            due,
            done,
            dropped: stats.all_dropped(),
            waiting: shadow.jobs_waiting().try_into().unwrap_or(u64::MAX),
            suppressed,
            rules: shadow.rules(config),
            drift: drift(worker.client.drift()),
        };
        worker.writer.borrow_mut().heartbeat(heartbeat);
    }

    /// Adds the time since the last heartbeat. Returns why nothing was compared in it.
    fn cover(&mut self, shadow: &Shadow, idle_reason: Option<&str>, since: Instant) -> Option<String> {
        let covered = self.last.duration_since(since);
        self.covered += covered;
        let (idle, reason) = idle(shadow, idle_reason, since, covered);
        let reason = reason?.to_owned();
        *self.idle.entry(reason.clone()).or_default() += idle;
        Some(reason)
    }

    fn idle_seconds(&self) -> Vec<IdleSeconds> {
        let idle = self.idle.iter().filter(|(_, idle)| !idle.is_zero());
        idle.map(|(reason, idle)| IdleSeconds { reason: reason.clone(), seconds: seconds(*idle) }).collect()
    }
}

fn drift(log: &DriftLog) -> Vec<DriftSeen> {
    let seen = |(drift, at): (Drift, Timestamp)| DriftSeen {
        path: drift.path,
        r#type: drift.value_type.to_owned(),
        money: drift.is_money,
        first_seen: at.to_string(),
    };
    log.seen().into_iter().map(seen).collect()
}

/// How much of the time since `since` nothing was compared, and why; a back-off that has ended counts too.
fn idle<'a>(
    shadow: &Shadow,
    reason: Option<&'a str>,
    since: Instant,
    covered: Duration,
) -> (Duration, Option<&'a str>) {
    // A back-off that began before the window covers no more than the window.
    let cooldown = shadow.cooldown().elapsed_in_window(since).min(covered);
    match reason {
        Some("cooldown") => (cooldown, reason),
        Some(_) => (covered, reason),
        None => (cooldown, Some("cooldown").filter(|_| !cooldown.is_zero())),
    }
}
