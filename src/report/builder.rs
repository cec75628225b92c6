//! Adds up the lines of the input and builds the report. Every part is bounded: memory does not grow with the log.

use std::io::{self, BufRead};

use jiff::{SignedDuration, Timestamp};

use super::bounded::Bounded;
use super::compared_hosts::ComparedHosts;
use super::coverage::CoverageTotals;
use super::document::{
    BothLatencies, ConfigSeen, Decision, InputCounts, Report, RouteReport, SCHEMA, SeverityCount, Signatures,
    VerdictCount, Window,
};
use super::drift::DriftTotals;
use super::judge::RouteStats;
use super::lines::{self, LogLine};
use super::notes;
use super::pair_logs::PairLogs;
use super::route::RouteTotals;
use super::rules::RuleTotals;
use super::running::{HeartbeatTotals, ShadowCoverage};
use super::signatures::SignatureTotals;
use crate::config::Go;
use crate::shadow::heartbeat_record::{HeartbeatRecord, Suppressed};
use crate::shadow::record::{ComparisonRecord, EndRecord};
use crate::shadow::types::{COMPARED, ComparisonKind, Severity, Verdict};
use crate::telemetry::format::{moment, share};
use crate::telemetry::sanitize::clip;
use crate::translate::route::Route;

/// How far a record's time may be after `now` before it counts as being from the future: clocks of replicas differ.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(5);

/// Most configs that are counted apart.
const CONFIGS_MAX: usize = 200;

/// Which lines the report counts, and how much of them it lists.
#[derive(Clone, Debug)]
pub struct ReportScope {
    /// The time of the report.
    pub now: Timestamp,
    /// Lines before this time are left out.
    pub since: Option<Timestamp>,
    /// The routes, in the order of the report.
    pub routes: Vec<Route>,
    /// Most signatures that are listed.
    pub top: usize,
}

/// Adds up lines, then builds the report.
pub struct ReportBuilder {
    scope: ReportScope,
    input: InputCounts,
    ends: Option<(Timestamp, Timestamp)>,
    configs: Bounded<ConfigTotals>,
    running: HeartbeatTotals,
    /// Comparisons that the lines account for, over all routes.
    found: u64,
    routes: [RouteTotals; COMPARED.len()],
    signatures: SignatureTotals,
    coverage: CoverageTotals,
    rules: RuleTotals,
    drift: DriftTotals,
    hosts: ComparedHosts,
    pair_logs: PairLogs,
    /// Processes of the config.
    replicas: u32,
}

struct ConfigTotals {
    hash: String,
    stage: String,
    records: u64,
    first: Timestamp,
    last: Timestamp,
}

impl ReportBuilder {
    /// A builder that has read nothing.
    #[must_use]
    pub fn new(scope: ReportScope) -> Self {
        let scope_since = scope.since;
        Self {
            scope,
            input: InputCounts::default(),
            ends: None,
            configs: Bounded::new(CONFIGS_MAX),
            running: HeartbeatTotals::new(scope_since),
            found: 0,
            routes: COMPARED.map(|_| RouteTotals::new()),
            signatures: SignatureTotals::new(),
            coverage: CoverageTotals::new(),
            rules: RuleTotals::new(scope_since),
            drift: DriftTotals::new(),
            hosts: ComparedHosts::new(None),
            pair_logs: PairLogs::new(),
            replicas: 1,
        }
    }

    /// Requires that everything was compared on these hosts, `legacy=HOST:PORT new=HOST:PORT`.
    #[must_use]
    pub fn on_hosts(self, hosts: String) -> Self {
        Self { hosts: ComparedHosts::new(Some(hosts)), ..self }
    }

    /// Requires heartbeats of so many processes.
    #[must_use]
    pub fn of_replicas(self, replicas: u32) -> Self {
        Self { replicas, ..self }
    }

    /// Adds one file's lines. Files may come in any order.
    ///
    /// # Errors
    /// When reading fails.
    pub fn read(&mut self, input: impl BufRead) -> io::Result<()> {
        self.input.files += 1;
        lines::each(input, |found| self.add(found))
    }

    fn add(&mut self, found: LogLine) {
        self.input.lines += 1;
        let read = match found {
            LogLine::Comparison(record) => self.comparison(&record),
            LogLine::Heartbeat(heartbeat) => self.heartbeat(&heartbeat),
            LogLine::Other => {
                self.input.other += 1;
                Some(())
            }
            LogLine::Newer(schema) => {
                self.input.newer += 1;
                self.input.newest_schema = self.input.newest_schema.max(Some(schema));
                Some(())
            }
            LogLine::End(end) => self.end(&end),
            LogLine::Broken => None,
        };
        self.input.broken += u64::from(read.is_none());
    }

    /// Whether the line was read before: it counts once, however often it is in the input.
    fn is_repeat(&mut self, process: &str, sequence: u64, time: Timestamp) -> bool {
        if sequence == 0 {
            self.input.unnumbered += 1;
            return false;
        }
        let is_repeat = !self.running.line(process, sequence, time);
        self.input.repeated += u64::from(is_repeat);
        is_repeat
    }

    /// `None` when its time cannot be read.
    fn comparison(&mut self, record: &ComparisonRecord) -> Option<()> {
        let time = record.time.parse().ok()?;
        if self.is_repeat(&record.process, record.sequence, time) {
            return Some(());
        }
        self.input.comparisons += 1;
        if record.kind == ComparisonKind::Pair && !self.is_early(time) {
            self.pair_logs.compared(&record.process);
        }
        if !self.is_early(time) {
            // A heartbeat counts what a process compared; pairs are made by a command.
            if record.kind != ComparisonKind::Pair {
                self.found = self.found.saturating_add(record.suppressed).saturating_add(1);
            }
        }
        if !self.scope.routes.contains(&record.route) {
            self.input.of_other_routes += 1;
        } else if self.is_early(time) {
            self.input.before_since += 1;
        } else if time > self.scope.now.saturating_add(CLOCKS_APART).unwrap_or(Timestamp::MAX) {
            // A wrong clock must not make an old log look fresh. The comparison itself counts.
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

    /// `None` when its time cannot be read.
    fn end(&mut self, end: &EndRecord) -> Option<()> {
        let time = end.time.parse().ok()?;
        self.is_repeat(&end.process, end.sequence, time);
        self.pair_logs.ended(&end.process);
        Some(())
    }

    fn take(&mut self, record: &ComparisonRecord, time: Timestamp) {
        let weight = record.suppressed.saturating_add(1);
        self.config(&record.config_hash, &record.stage, time, weight);
        self.hosts.add(record.hosts.as_deref(), weight);
        self.routes[record.route as usize].add(record, time, weight);
        self.signatures.add(record, time, weight);
        self.coverage.add(record);
    }

    /// `None` when its time cannot be read.
    fn heartbeat(&mut self, heartbeat: &HeartbeatRecord) -> Option<()> {
        let time = heartbeat.time.parse().ok()?;
        if self.is_repeat(&heartbeat.process, heartbeat.sequence, time) {
            return Some(());
        }
        self.input.heartbeats += 1;
        self.running.add(heartbeat, time);
        heartbeat.drift.iter().for_each(|seen| self.drift.add(seen));
        heartbeat.rules.iter().for_each(|rule| self.rules.add(heartbeat, rule, time));
        if self.is_early(time) {
            self.input.before_since += 1;
            return Some(());
        }
        self.config(&heartbeat.config_hash, &heartbeat.stage, time, 0);
        let suppressed = heartbeat.suppressed.iter().map(|suppressed| suppressed.count);
        self.found = suppressed.fold(self.found, u64::saturating_add);
        let reported: Vec<_> = heartbeat.suppressed.iter().filter(|it| self.is_reported(it)).collect();
        for suppressed in reported {
            let Suppressed { route, verdict, severity, both_held, count, .. } = *suppressed;
            self.routes[route as usize].count(verdict, severity, both_held, count);
            self.hosts.add(heartbeat.hosts.as_deref(), count);
            self.signatures.add_suppressed(suppressed, time);
        }
        Some(())
    }

    fn is_reported(&self, suppressed: &Suppressed) -> bool {
        self.scope.routes.contains(&suppressed.route)
    }

    fn is_early(&self, time: Timestamp) -> bool {
        self.scope.since.is_some_and(|since| time < since)
    }

    fn config(&mut self, hash: &str, stage: &str, time: Timestamp, weight: u64) {
        let new = || ConfigTotals {
            hash: clip(hash, 64).into_owned(),
            stage: clip(stage, 64).into_owned(),
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

    /// The report on all lines read.
    #[must_use]
    pub fn report(&self, go: &Go) -> Report {
        let running = self.running.sum(self.scope.now);
        let routes: Vec<_> = self.scope.routes.iter().map(|route| self.route(*route, &running, go)).collect();
        let verdict = overall(&routes);
        let mut report = Report {
            schema: SCHEMA,
            made_at: moment(self.scope.now),
            verdict,
            notes: Vec::new(),
            input: self.input.clone(),
            window: self.window(),
            configs: self.configs(),
            running: running.document(self.found),
            routes,
            signatures: self.signatures(),
            coverage: self.coverage.document(),
            rules: self.rules.document(self.scope.now),
            drift: self.drift.document(),
        };
        report.notes = notes::of(&report);
        report.notes.extend(self.hosts.note());
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

    /// By the time of their first line.
    fn configs(&self) -> Vec<ConfigSeen> {
        let mut configs: Vec<_> = self.configs.iter().map(|(_, config)| config).collect();
        configs.sort_by(|a, b| (a.first, &a.hash).cmp(&(b.first, &b.hash)));
        let seen = |config: &ConfigTotals| ConfigSeen {
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

    fn route(&self, route: Route, running: &ShadowCoverage, go: &Go) -> RouteReport {
        let totals = &self.routes[route as usize];
        let stats = RouteStats {
            route,
            totals,
            running,
            missing: running.missing(self.found),
            newer_lines: self.input.newer,
            pair_logs: &self.pair_logs,
            replicas: self.replicas,
            now: self.scope.now,
            uncovered: &self.coverage.uncovered(route),
            hosts: self.hosts.check(),
        };
        let (verdict, checks) = stats.judge(go);
        let (column_seconds, over_time) = totals.timeline.columns();
        RouteReport {
            route,
            verdict,
            checks,
            records: totals.records(),
            written: totals.written,
            judged: totals.judged(),
            paired: totals.paired,
            own: totals.own,
            pairs: totals.pairs,
            probe_rows: totals.probe_rows,
            last: totals.last.map(moment),
            verdicts: verdicts(totals),
            severities: severities(totals),
            latency: BothLatencies { served: totals.served.quantiles(), other: totals.other.quantiles() },
            statuses: totals.statuses(),
            statuses_left_out: totals.statuses_left_out,
            column_seconds,
            over_time,
        }
    }
}

/// NO-GO wins over NOT PROVEN. Without a route that is judged nothing says GO.
fn overall(routes: &[RouteReport]) -> Decision {
    let any = |decision| routes.iter().any(|route| route.verdict == decision);
    let decided =
        [Decision::NoGo, Decision::NotProven, Decision::Go].into_iter().find(|decision| any(*decision));
    decided.unwrap_or(Decision::NoGo)
}

fn verdicts(totals: &RouteTotals) -> Vec<VerdictCount> {
    let all = totals.records();
    let counted = |verdict| {
        let count = totals.of(verdict);
        VerdictCount { verdict, count, share: share(count, all) }
    };
    Verdict::ALL.into_iter().map(counted).collect()
}

fn severities(totals: &RouteTotals) -> Vec<SeverityCount> {
    let counted = |severity| SeverityCount {
        severity,
        mismatch: totals.of_severity(Verdict::Mismatch, severity),
        error_disagreement: totals.of_severity(Verdict::ErrorDisagreement, severity),
    };
    Severity::ALL.into_iter().map(counted).collect()
}
