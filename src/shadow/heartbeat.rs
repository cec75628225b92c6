//! The heartbeat: a line at intervals that says whether shadow runs, what it dropped and which records it suppressed. Without it
//! a log that holds no mismatch would look like agreement.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::clock::{now, seconds};
use super::handle::{Shadow, shadowed};
use super::heartbeat_record::{DroppedJobs, HeartbeatRecord, RouteShare, RuleHits};
use super::record::{SCHEMA, TARGET};
use super::stats::ShadowStats;
use super::worker::Worker;
use crate::config::Config;

/// The totals at the last heartbeat. A heartbeat holds the increase since then.
pub(super) struct Heartbeat {
    process: String,
    last: Instant,
    due: u64,
    done: u64,
    dropped: Vec<DroppedJobs>,
    hits: HashMap<String, u64>,
}

impl Heartbeat {
    pub(super) fn new() -> Self {
        let process = Uuid::new_v4().simple().to_string()[..12].to_owned();
        Self { process, last: Instant::now(), due: 0, done: 0, dropped: Vec::new(), hits: HashMap::new() }
    }

    /// When the last heartbeat was due.
    pub(super) const fn last(&self) -> Instant {
        self.last
    }

    /// Writes a heartbeat if a route is in mode `shadow`, or if anything changed since the last one.
    pub(super) fn emit(&mut self, worker: &Worker, config: &Config, idle_reason: Option<&str>) {
        let shadow = &worker.shadow;
        let since = std::mem::replace(&mut self.last, Instant::now());
        if let Some(reason) = idle_reason {
            tracing::warn!(target: "shadow", reason, "shadow is configured and does not run");
        }
        let suppressed = worker.writer.borrow_mut().take_suppressed();
        let stats = shadow.stats();
        let (due, done) = (stats.all_due(), stats.all_done());
        let routes: Vec<_> = shadowed(config).map(|(route, share)| RouteShare { route, share }).collect();
        let is_active = !routes.is_empty() || idle_reason.is_some();
        if !is_active && suppressed.is_empty() && (due, done) == (self.due, self.done) {
            return;
        }
        let covered = self.last.duration_since(since);
        let (idle, idle_reason) = idle(shadow, idle_reason, since, covered);
        let heartbeat = HeartbeatRecord {
            schema: SCHEMA,
            target: TARGET.into(),
            time: now(),
            process: self.process.clone(),
            config_hash: config.hash.clone(),
            stage: config.stage.to_string(),
            routes,
            seconds: seconds(covered),
            idle_seconds: seconds(idle),
            idle_reason: idle_reason.map(str::to_owned),
            due: due - std::mem::replace(&mut self.due, due),
            done: done - std::mem::replace(&mut self.done, done),
            dropped: self.newly_dropped(stats),
            waiting: shadow.jobs_waiting().try_into().unwrap_or(u64::MAX),
            suppressed,
            rules: self.new_hits(shadow.rules(config)),
        };
        worker.writer.borrow_mut().heartbeat(heartbeat);
    }

    fn new_hits(&mut self, mut rules: Vec<RuleHits>) -> Vec<RuleHits> {
        for rule in &mut rules {
            let before = self.hits.insert(rule.path.clone(), rule.hits).unwrap_or_default();
            rule.hits -= before;
        }
        rules
    }

    fn newly_dropped(&mut self, stats: &ShadowStats) -> Vec<DroppedJobs> {
        let before = std::mem::replace(&mut self.dropped, stats.all_dropped());
        let mut since = self.dropped.clone();
        for dropped in &mut since {
            let key = (dropped.route, &dropped.reason);
            let known = before.iter().find(|known| (known.route, &known.reason) == key);
            dropped.count -= known.map_or(0, |known| known.count);
        }
        since.retain(|dropped| dropped.count > 0);
        since
    }
}

/// How much of the time since `since` nothing was compared, and why; a back-off that has ended counts too.
fn idle<'a>(
    shadow: &Shadow,
    reason: Option<&'a str>,
    since: Instant,
    covered: Duration,
) -> (Duration, Option<&'a str>) {
    let cooldown = shadow.cooldown().elapsed_in_window(since).min(covered);
    match reason {
        Some("cooldown") => (cooldown, reason),
        Some(_) => (covered, reason),
        None => (cooldown, Some("cooldown").filter(|_| !cooldown.is_zero())),
    }
}
