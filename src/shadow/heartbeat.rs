//! The heartbeat: once in a while, whether shadow runs, what it dropped and what it left unwritten. Silence would look like
//! agreement.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::heartbeat_record::{Dropped, HeartbeatRecord, RuleHits, Sampled};
use super::record::{SCHEMA, TARGET};
use super::record_writer::{now, seconds};
use super::runner::Worker;
use super::stats::Tally;
use super::{Shadow, shadowed};
use crate::config::Config;

/// What was told last, so that a beat tells what came since.
pub(super) struct Heartbeat {
    process: String,
    last: Instant,
    due: u64,
    done: u64,
    dropped: Vec<Dropped>,
    hits: HashMap<String, u64>,
}

impl Heartbeat {
    pub(super) fn new() -> Self {
        let process = Uuid::new_v4().simple().to_string()[..12].to_owned();
        Self { process, last: Instant::now(), due: 0, done: 0, dropped: Vec::new(), hits: HashMap::new() }
    }

    pub(super) const fn last(&self) -> Instant {
        self.last
    }

    /// Tells how things stand, if a route is in mode `shadow` or something is left to tell.
    pub(super) fn emit(&mut self, worker: &Worker, config: &Config, idle_reason: Option<&str>) {
        let shadow = &worker.shadow;
        let since = std::mem::replace(&mut self.last, Instant::now());
        if let Some(reason) = idle_reason {
            tracing::warn!(target: "shadow", reason, "shadow is configured and does not run");
        }
        let suppressed = worker.journal.borrow_mut().left_out();
        let tally = shadow.tally();
        let (due, done) = (tally.all_due(), tally.all_done());
        let routes: Vec<_> = shadowed(config).collect();
        if routes.is_empty()
            && idle_reason.is_none()
            && suppressed.is_empty()
            && due == self.due
            && done == self.done
        {
            return;
        }
        let covered = self.last.duration_since(since);
        let (idle, idle_reason) = idled(shadow, idle_reason, since, covered);
        let heartbeat = HeartbeatRecord {
            schema: SCHEMA,
            target: TARGET.into(),
            time: now(),
            process: self.process.clone(),
            config_hash: config.hash.clone(),
            stage: config.stage.to_string(),
            routes: routes.into_iter().map(|(route, share)| Sampled { route, share }).collect(),
            seconds: seconds(covered),
            idle_seconds: seconds(idle),
            idle_reason: idle_reason.map(str::to_owned),
            due: due - std::mem::replace(&mut self.due, due),
            done: done - std::mem::replace(&mut self.done, done),
            dropped: self.newly_dropped(tally),
            waiting: waiting(shadow),
            suppressed,
            rules: self.new_hits(rules(tally, config)),
        };
        worker.journal.borrow_mut().heartbeat(heartbeat);
    }

    fn new_hits(&mut self, mut rules: Vec<RuleHits>) -> Vec<RuleHits> {
        for rule in &mut rules {
            let told = self.hits.insert(rule.path.clone(), rule.hits).unwrap_or_default();
            rule.hits -= told;
        }
        rules
    }

    fn newly_dropped(&mut self, tally: &Tally) -> Vec<Dropped> {
        let before = std::mem::replace(&mut self.dropped, tally.all_dropped());
        let mut since = self.dropped.clone();
        for dropped in &mut since {
            let known =
                before.iter().find(|told| (told.route, &told.reason) == (dropped.route, &dropped.reason));
            dropped.count -= known.map_or(0, |told| told.count);
        }
        since.retain(|dropped| dropped.count > 0);
        since
    }
}

/// How much of the time since `since` nothing was compared, and why; also when it is over by now.
fn idled<'a>(
    shadow: &Shadow,
    now: Option<&'a str>,
    since: Instant,
    covered: Duration,
) -> (Duration, Option<&'a str>) {
    let rested = shadow.0.cooldown.rested(since).min(covered);
    match now {
        Some("cooldown") => (rested, now),
        Some(_) => (covered, now),
        None => (rested, Some("cooldown").filter(|_| !rested.is_zero())),
    }
}

fn waiting(shadow: &Shadow) -> u64 {
    shadow.jobs_waiting().try_into().unwrap_or(u64::MAX)
}

/// Hits since the start of the process.
pub(super) fn rules(tally: &Tally, config: &Config) -> Vec<RuleHits> {
    let today = today();
    let told = config.shadow.ignore.iter().map(|rule| RuleHits {
        path: rule.path.as_str().into(),
        reason: rule.reason.clone(),
        owner: rule.owner.clone(),
        expires: rule.expires.to_string(),
        expired: rule.expires < today,
        hits: tally.hits(rule.path.as_str()),
    });
    told.collect()
}

/// The day in UTC, by which rules expire.
pub(super) fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}
