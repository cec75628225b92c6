//! Adds up lines, and makes the report of them. Every part is bounded, so a log of any length takes the same memory.

use std::io::{self, BufRead};

use jiff::{SignedDuration, Timestamp};

use super::bounded::Bounded;
use super::coverage::CoverageTally;
use super::document::{
    BothLatencies, ConfigSeen, Decision, Input, Report, RouteReport, SCHEMA, SeverityCount, Signatures,
    VerdictCount, Window,
};
use super::figures::{moment, share};
use super::judge::RouteStats;
use super::lines::{self, Found};
use super::notes;
use super::route::RouteTally;
use super::rules::RuleTally;
use super::running::RunningTally;
use super::signatures::SignatureTally;
use crate::config::Go;
use crate::shadow::heartbeat_record::{HeartbeatRecord, Suppressed};
use crate::shadow::record::Record;
use crate::shadow::types::{COMPARED, Severity, Verdict};
use crate::translate::route::Route;

/// How far clocks may be apart before a record counts as being from the future.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(5);

/// Most configs that are told apart.
const CONFIGS_MAX: usize = 200;

/// What the report is about.
#[derive(Clone, Debug)]
pub struct Scope {
    /// When it is made.
    pub now: Timestamp,
    /// Lines before this are left out.
    pub since: Option<Timestamp>,
    /// Which routes; in the order of the report.
    pub routes: Vec<Route>,
    /// Most signatures that are shown.
    pub top: usize,
}

/// The lines so far.
pub struct Tally {
    scope: Scope,
    input: Input,
    ends: Option<(Timestamp, Timestamp)>,
    configs: Bounded<Config>,
    running: RunningTally,
    /// Comparisons that the lines account for, of all routes.
    found: u64,
    routes: [RouteTally; COMPARED.len()],
    signatures: SignatureTally,
    coverage: CoverageTally,
    rules: RuleTally,
}

struct Config {
    hash: String,
    stage: String,
    records: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Tally {
    /// Nothing read yet.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            input: Input::default(),
            ends: None,
            configs: Bounded::new(CONFIGS_MAX),
            running: RunningTally::new(),
            found: 0,
            routes: COMPARED.map(|_| RouteTally::new()),
            signatures: SignatureTally::new(),
            coverage: CoverageTally::new(),
            rules: RuleTally::new(),
        }
    }

    /// Adds one file's lines. Files may come in any order.
    ///
    /// # Errors
    /// What reading says.
    pub fn read(&mut self, input: impl BufRead) -> io::Result<()> {
        self.input.files += 1;
        lines::each(input, |found| self.add(found))
    }

    fn add(&mut self, found: Found) {
        self.input.lines += 1;
        let read = match found {
            Found::Comparison(record) => self.comparison(&record),
            Found::Heartbeat(heartbeat) => self.heartbeat(&heartbeat),
            Found::Other => {
                self.input.other += 1;
                Some(())
            }
            Found::Newer(schema) => {
                self.input.newer += 1;
                self.input.newest_schema = self.input.newest_schema.max(Some(schema));
                Some(())
            }
            Found::Broken => None,
        };
        self.input.broken += u64::from(read.is_none());
    }

    /// `None` when its time cannot be read.
    fn comparison(&mut self, record: &Record) -> Option<()> {
        let time = record.time.parse().ok()?;
        self.input.comparisons += 1;
        if !self.is_early(time) {
            self.found = self.found.saturating_add(record.suppressed).saturating_add(1);
        }
        if !self.scope.routes.contains(&record.route) {
            self.input.of_other_routes += 1;
        } else if self.is_early(time) {
            self.input.before_since += 1;
        } else if time > self.scope.now.saturating_add(CLOCKS_APART).unwrap_or(Timestamp::MAX) {
            // It must not make an old log look fresh. What it found counts all the same.
            self.input.from_the_future += 1;
            self.take(
                record,
                self.ends.map_or(self.scope.since.unwrap_or(Timestamp::UNIX_EPOCH), |ends| ends.0),
            );
        } else {
            self.ends =
                Some(self.ends.map_or((time, time), |(first, last)| (first.min(time), last.max(time))));
            self.take(record, time);
        }
        Some(())
    }

    fn take(&mut self, record: &Record, time: Timestamp) {
        let weight = record.suppressed.saturating_add(1);
        self.config(&record.config_hash, &record.stage, time, weight);
        self.routes[record.route as usize].add(record, time, weight);
        self.signatures.add(record, time, weight);
        self.coverage.add(record);
    }

    /// `None` when its time cannot be read.
    fn heartbeat(&mut self, heartbeat: &HeartbeatRecord) -> Option<()> {
        let time = heartbeat.time.parse().ok()?;
        self.input.heartbeats += 1;
        if self.is_early(time) {
            self.input.before_since += 1;
            return Some(());
        }
        self.config(&heartbeat.config_hash, &heartbeat.stage, time, 0);
        self.running.add(heartbeat);
        heartbeat.rules.iter().for_each(|rule| self.rules.add(rule, time));
        let told = heartbeat.suppressed.iter().map(|suppressed| suppressed.count);
        self.found = told.fold(self.found, u64::saturating_add);
        let asked: Vec<_> = heartbeat.suppressed.iter().filter(|it| self.is_asked(it)).collect();
        for suppressed in asked {
            let Suppressed { route, verdict, severity, both_held, count, .. } = *suppressed;
            self.routes[route as usize].count(verdict, severity, both_held, count);
            self.signatures.add_suppressed(suppressed, time);
        }
        Some(())
    }

    fn is_asked(&self, suppressed: &Suppressed) -> bool {
        self.scope.routes.contains(&suppressed.route)
    }

    fn is_early(&self, time: Timestamp) -> bool {
        self.scope.since.is_some_and(|since| time < since)
    }

    fn config(&mut self, hash: &str, stage: &str, time: Timestamp, weight: u64) {
        let new = || Config {
            hash: super::bounded::harmless(hash, 64).into_owned(),
            stage: super::bounded::harmless(stage, 64).into_owned(),
            records: 0,
            first: time,
            last: time,
        };
        if let Some(config) = self.configs.entry(hash, weight, new) {
            config.records = config.records.saturating_add(weight);
            config.first = config.first.min(time);
            config.last = config.last.max(time);
        }
    }

    /// The report of all that was read.
    #[must_use]
    pub fn report(&self, go: &Go) -> Report {
        let routes: Vec<_> = self.scope.routes.iter().map(|route| self.route(*route, go)).collect();
        let stopped = routes.iter().any(|route| route.verdict == Decision::NoGo);
        let gone = routes.iter().any(|route| route.verdict == Decision::Go);
        let mut report = Report {
            schema: SCHEMA,
            made_at: moment(self.scope.now),
            verdict: if gone && !stopped { Decision::Go } else { Decision::NoGo },
            notes: Vec::new(),
            input: self.input.clone(),
            window: self.window(),
            configs: self.configs(),
            running: self.running.told(self.found),
            routes,
            signatures: self.signatures(),
            coverage: self.coverage.told(),
            rules: self.rules.told(self.scope.now),
        };
        report.notes = notes::of(&report);
        report
    }

    fn window(&self) -> Window {
        let seconds = |from: Timestamp, to: Timestamp| to.as_second().saturating_sub(from.as_second());
        Window {
            since: self.scope.since.map(moment),
            first: self.ends.map(|(first, _)| moment(first)),
            last: self.ends.map(|(_, last)| moment(last)),
            seconds: self.ends.map_or(0, |(first, last)| seconds(first, last)),
            age_seconds: self.ends.map(|(_, last)| seconds(last, self.scope.now).max(0)),
        }
    }

    /// In the order in which they came into force.
    fn configs(&self) -> Vec<ConfigSeen> {
        let mut configs: Vec<_> = self.configs.iter().map(|(_, config)| config).collect();
        configs.sort_by(|a, b| (a.first, &a.hash).cmp(&(b.first, &b.hash)));
        let seen = |config: &Config| ConfigSeen {
            hash: config.hash.clone(),
            stage: config.stage.clone(),
            records: config.records,
            first: moment(config.first),
            last: moment(config.last),
        };
        configs.into_iter().map(seen).collect()
    }

    fn signatures(&self) -> Signatures {
        let share = |route: Route, count| share(count, self.routes[route as usize].records());
        Signatures {
            total: self.signatures.total(),
            top: self.signatures.top(self.scope.top, share),
            left_out: self.signatures.left_out(),
        }
    }

    fn route(&self, route: Route, go: &Go) -> RouteReport {
        let tally = &self.routes[route as usize];
        let evidence = RouteStats {
            route,
            tally,
            running: &self.running,
            missing: self.running.missing(self.found),
            newer_lines: self.input.newer,
            now: self.scope.now,
        };
        let (verdict, checks) = evidence.judge(go);
        let (column_seconds, over_time) = tally.timeline.told();
        RouteReport {
            route,
            verdict,
            checks,
            records: tally.records(),
            written: tally.written,
            judged: tally.judged(),
            paired: tally.paired,
            last: tally.last.map(moment),
            verdicts: verdicts(tally),
            severities: severities(tally),
            latency: BothLatencies { served: tally.served.told(), other: tally.other.told() },
            statuses: tally.statuses(),
            statuses_left_out: tally.statuses_left_out,
            column_seconds,
            over_time,
        }
    }
}

fn verdicts(tally: &RouteTally) -> Vec<VerdictCount> {
    let all = tally.records();
    let counted = |verdict| {
        let count = tally.of(verdict);
        VerdictCount { verdict, count, share: share(count, all) }
    };
    Verdict::ALL.into_iter().map(counted).collect()
}

fn severities(tally: &RouteTally) -> Vec<SeverityCount> {
    let counted = |severity| SeverityCount {
        severity,
        mismatch: tally.of_severity(Verdict::Mismatch, severity),
        error_disagreement: tally.of_severity(Verdict::ErrorDisagreement, severity),
    };
    Severity::ALL.into_iter().map(counted).collect()
}
