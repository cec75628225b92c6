//! Every metric of the process: name, labels, help and unit. Names are without the prefix `conversion_shim_` and without the suffix of the
//! type and unit. `docs/metrics.md` explains each of them; a test compares it with what the binary exports.

use std::time::Duration;

use dashmap::DashMap;
use http::StatusCode;

use super::exposition::{Metric, MetricFamily};
use super::family::{Counters, DURATIONS, Histograms, SMALL_COUNTS};
use super::labels::{
    CreateOutcome, DropReason, DuplicateCheckResult, FoundBy, PageResult, Resolution, RouteLabel,
    StatusClass, UpstreamOutcome,
};
use crate::config::Mode;
use crate::failure::{Failure, ResponsibleParty};
use crate::translate::side::Side;

// Requests of clients.
const REQUESTS: Metric = Metric::counter(
    "requests",
    &["route", "mode", "side", "status_class"],
    "Completed requests by the response that the client got.",
)
.only_nonzero();
const REQUEST: Metric =
    Metric::histogram("request", &["route"], "Time from the request head to the last byte of the response.")
        .seconds();
const FAILURES: Metric = Metric::counter(
    "failures",
    &["error", "fault"],
    "Requests that the proxy answered with a problem document of its own.",
);
pub(crate) const REQUESTS_IN_FLIGHT: Metric =
    Metric::gauge("requests_in_flight", &["route"], "Requests being processed.");
pub(crate) const CLIENTS_IN_FLIGHT: Metric =
    Metric::gauge("clients_in_flight", &[], "Clients with at least one request in flight.");
pub(crate) const WRITES_IN_FLIGHT: Metric = Metric::gauge(
    "writes_in_flight",
    &[],
    "Writes being processed, including those whose client has disconnected.",
);
pub(crate) const REQUESTS_SHED: Metric =
    Metric::counter("requests_shed", &["route"], "Requests refused by an in-flight limit.").only_nonzero();

// Calls to upstreams.
const UPSTREAM_CALLS: Metric =
    Metric::counter("upstream_calls", &["side", "outcome"], "Calls to an upstream by outcome.")
        .only_nonzero();
const UPSTREAM_CALL: Metric =
    Metric::histogram("upstream_call", &["side"], "Duration of calls to an upstream.").seconds();
const UPSTREAM_THROTTLED: Metric =
    Metric::counter("upstream_throttled", &["side"], "Calls that an upstream answered with 429.");
pub(crate) const UPSTREAM_REACHABLE: Metric = Metric::gauge(
    "upstream_reachable",
    &["side", "lane"],
    "1 while calls of this lane are answered, 0 after five in a row had no connection or no answer in time.",
);
pub(crate) const TOKEN_FETCHES: Metric = Metric::counter(
    "token_fetches",
    &["credential_set", "result"],
    "Requests for an access token of the proxy's own.",
);

// Rate limits.
pub(crate) const BUDGET_CALLS_PER_SECOND: Metric = Metric::gauge(
    "budget_calls_per_second",
    &[],
    "Configured limit of calls per second to one vendor endpoint, for all replicas together.",
);
pub(crate) const BUDGET_ALLOWED_CALLS_PER_SECOND: Metric = Metric::gauge(
    "budget_allowed_calls_per_second",
    &["side", "endpoint"],
    "Calls per second that this process may sustain now.",
);
pub(crate) const BUDGET_CALLS: Metric =
    Metric::counter("budget_calls", &["side", "endpoint", "class"], "Calls admitted by the rate limiter.");
pub(crate) const BUDGET_REFUSED: Metric = Metric::counter(
    "budget_refused",
    &["side", "endpoint", "class"],
    "Calls refused by the rate limiter and not sent.",
);
pub(crate) const BUDGET_WAITING: Metric =
    Metric::gauge("budget_waiting", &["side", "endpoint", "class"], "Calls queued by the rate limiter.");
pub(crate) const BUDGET_LAST_429_TIMESTAMP: Metric = Metric::gauge(
    "budget_last_429_timestamp",
    &["side", "endpoint"],
    "Unix time of the last 429 from the endpoint.",
)
.seconds();
pub(crate) const BUDGET_COOLDOWN_LEFT: Metric =
    Metric::gauge("budget_cooldown_left", &[], "Remaining back-off time after a 429, 0 if none.").seconds();

// Creates.
const CREATES: Metric = Metric::counter("creates", &["side", "outcome"], "Creates sent, by first outcome.");
const CREATES_WITHOUT_REF_ID: Metric =
    Metric::counter("creates_without_ref_id", &["side"], "Creates without a ref_id.");
const DUPLICATE_CHECKS: Metric = Metric::counter(
    "duplicate_checks",
    &["side", "result"],
    "Lookups of a ref_id on the other side before a create, by the side that was asked.",
);
const DUPLICATE_CHECK: Metric =
    Metric::histogram("duplicate_check", &["side"], "Duration of duplicate checks.").seconds();
const UNKNOWN_OUTCOMES: Metric =
    Metric::counter("unknown_outcomes", &["side"], "Creates sent without a conclusive response.");
const UNKNOWN_OUTCOME_RESOLUTIONS: Metric = Metric::counter(
    "unknown_outcome_resolutions",
    &["side", "resolution"],
    "Creates without a conclusive response, by what the lookup found.",
);

// Lists and records.
const LIST_PAGES: Metric =
    Metric::counter("list_pages", &["result"], "List pages assembled by the proxy, by result.");
const LIST_PAGE_UPSTREAM_CALLS: Metric =
    Metric::histogram("list_page_upstream_calls", &[], "Upstream calls for one list page.");
const LIST_ROWS_DROPPED: Metric = Metric::counter(
    "list_rows_dropped",
    &["reason"],
    "Rows from upstreams that were left out of list pages.",
);
const UNKNOWN_STATUSES: Metric = Metric::counter(
    "unknown_statuses",
    &[],
    "Records with a status that this version does not know, returned as CREATED.",
);
pub(crate) const DRIFT: Metric = Metric::counter(
    "drift",
    &["kind"],
    "Names in the vendor's answers that this version does not know, each counted at its first sight.",
);
const DOUBLE_SUSPECTED: Metric = Metric::counter(
    "double_suspected",
    &["found_by"],
    "References found on both sides as two records, by what found them; each pair counts once for each of them, in each process.",
);
const NATIVE_CREATES_UNRECORDED: Metric = Metric::counter(
    "native_creates_unrecorded",
    &[],
    "Creates on the new API's own path that the ledger could not record; they were forwarded.",
);

// Shadow comparisons.
pub(crate) const SHADOW_ACTIVE: Metric =
    Metric::gauge("shadow_active", &[], "1 while shadow comparisons run, 0 while they are suspended.");
pub(crate) const SHADOW_DUE: Metric =
    Metric::counter("shadow_due", &[], "Shadow comparisons selected by sampling.");
pub(crate) const SHADOW_COMPARISONS: Metric = Metric::counter(
    "shadow_comparisons",
    &["route", "verdict", "severity"],
    "Completed shadow comparisons by verdict.",
);
pub(crate) const SHADOW_DROPPED: Metric =
    Metric::counter("shadow_dropped", &["route", "reason"], "Shadow comparisons dropped, by reason.");
pub(crate) const SHADOW_WAITING: Metric = Metric::gauge("shadow_waiting", &[], "Queued shadow comparisons.");
pub(crate) const SHADOW_HELD: Metric =
    Metric::gauge("shadow_held", &[], "Memory held by captured bodies of shadow comparisons.").bytes();

// Config.
pub(crate) const CONFIG: Metric = Metric::info("config", &["hash", "stage"], "The active config.");
pub(crate) const ROUTE_MODE: Metric =
    Metric::info("route_mode", &["route", "mode"], "The mode of each route.");
pub(crate) const CANARY_PERCENT: Metric = Metric::gauge(
    "canary_percent",
    &[],
    "Percentage of the profiles without an entry of their own whose creates go to the new API.",
);
pub(crate) const RELOADS: Metric = Metric::counter("reloads", &["result"], "Config reloads by result.");
pub(crate) const CONFIG_LAST_RELOAD_SUCCESSFUL: Metric = Metric::gauge(
    "config_last_reload_successful",
    &[],
    "1 while the configuration on disk is active, 0 while a reload of it is refused.",
);

pub(crate) const FACTS_FOUND_TIMESTAMP: Metric = Metric::gauge(
    "facts_found_timestamp",
    &[],
    "Unix time at which the facts about the vendor were found out. Facts that are older than 30 days block each step forward. Absent while the \
     time is not set.",
)
.seconds();

// Ledger.
pub(crate) const LEDGER_UP: Metric =
    Metric::gauge("ledger_up", &[], "1 while ledger operations succeed, 0 while they fail.");
pub(crate) const LEDGER_OPERATION: Metric = Metric::histogram(
    "ledger_operation",
    &["operation", "outcome"],
    "Duration of ledger operations, queueing included.",
)
.seconds();
pub(crate) const LEDGER_COMMITS: Metric =
    Metric::counter("ledger_commits", &[], "Ledger transactions committed by this process.");
pub(crate) const LEDGER_CREATED_TIMESTAMP: Metric =
    Metric::gauge("ledger_created_timestamp", &[], "Unix time at which the ledger's tables were created.")
        .seconds();
pub(crate) const LEDGER_COMPLETE: Metric = Metric::gauge(
    "ledger_complete",
    &["side"],
    "1 while the ledger knows every reference of a side, so that creates need no lookup there, else 0.",
);
pub(crate) const ADVISORY_ACTIVE: Metric =
    Metric::gauge("advisory_active", &["advisory"], "1 while this warning is active.");

// Reconcile.
pub(crate) const RECONCILE_FINDINGS: Metric = Metric::gauge(
    "reconcile_findings",
    &["kind"],
    "Findings of the last finished walk over both sides' lists.",
);
pub(crate) const TRIPPED: Metric = Metric::gauge(
    "tripped",
    &[],
    "1 while the trip holds creates on every replica, 0 while it does not. While the ledger does not answer, a trip that this process has read stays 1; otherwise absent.",
);
pub(crate) const RECONCILE_FAILING: Metric = Metric::gauge(
    "reconcile_failing",
    &[],
    "1 while the last walk of this process could not finish, 0 if it did.",
);
pub(crate) const RECONCILE_LAST_CLEAN_TIMESTAMP: Metric = Metric::gauge(
    "reconcile_last_clean_timestamp",
    &[],
    "Unix time at which a walk last finished without findings.",
)
.seconds();
pub(crate) const RECONCILE_WINDOW_BEGIN_TIMESTAMP: Metric = Metric::gauge(
    "reconcile_window_begin_timestamp",
    &[],
    "Unix time at which the window of the last finished walk begins.",
)
.seconds();
pub(crate) const RECONCILE_WINDOW_END_TIMESTAMP: Metric = Metric::gauge(
    "reconcile_window_end_timestamp",
    &[],
    "Unix time at which the window of the last finished walk ends.",
)
.seconds();

// The process.
pub(crate) const LOG_UP: Metric = Metric::gauge(
    "log_up",
    &["log"],
    "1 while the log can be written, 0 since a write failed and no later one succeeded.",
);
pub(crate) const LOG_FAILED: Metric = Metric::gauge(
    "log_failed",
    &["log"],
    "Time during which the log could not be written, since the start of the process.",
)
.seconds();
pub(crate) const LOG_LINES_LOST: Metric = Metric::counter(
    "log_lines_lost",
    &["log"],
    "Lines that the log lacks: a write failed, or the queue was full.",
);
pub(crate) const SPANS_ENDED: Metric = Metric::counter(
    "spans_ended",
    &[],
    "Ended spans, queued for export or dropped because the queue was full.",
);
pub(crate) const SPANS: Metric =
    Metric::counter("spans", &["result"], "Spans sent to the collector, by result.");
pub(crate) const BUILD: Metric = Metric::info("build", &["version"], "The version of the binary.");
pub(crate) const PROCESS_START_TIME: Metric =
    Metric::gauge("process_start_time", &[], "Unix time at which the process started.").seconds().process();
pub(crate) const PROCESS_RESIDENT_MEMORY: Metric =
    Metric::gauge("process_resident_memory", &[], "Resident memory size.").bytes().process();
pub(crate) const PROCESS_OPEN_FDS: Metric =
    Metric::gauge("process_open_fds", &[], "Open file descriptors.").process();
pub(crate) const PROCESS_MAX_FDS: Metric =
    Metric::gauge("process_max_fds", &[], "Maximum number of open file descriptors.").process();

/// Handles of the metrics that requests record. One for a process.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) requests: Counters<(RouteLabel, Option<Mode>, Option<Side>, StatusClass)>,
    pub(crate) request_seconds: Histograms<(RouteLabel,)>,
    /// A map, since failures are rare and their names are not enumerable.
    failures: DashMap<(&'static str, &'static str), u64>,
    pub(crate) upstream_calls: Counters<(Side, UpstreamOutcome)>,
    pub(crate) upstream_seconds: Histograms<(Side,)>,
    pub(crate) upstream_throttled: Counters<(Side,)>,
    pub(crate) creates: Counters<(Side, CreateOutcome)>,
    pub(crate) creates_without_ref_id: Counters<(Side,)>,
    pub(crate) duplicate_checks: Counters<(Side, DuplicateCheckResult)>,
    pub(crate) duplicate_check_seconds: Histograms<(Side,)>,
    pub(crate) unknown_outcomes: Counters<(Side,)>,
    pub(crate) unknown_outcome_resolutions: Counters<(Side, Resolution)>,
    pub(crate) list_pages: Counters<(PageResult,)>,
    pub(crate) list_page_upstream_calls: Histograms<()>,
    pub(crate) list_rows_dropped: Counters<(DropReason,)>,
    pub(crate) unknown_statuses: Counters<()>,
    pub(crate) double_suspected: Counters<(FoundBy,)>,
    pub(crate) native_creates_unrecorded: Counters<()>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Counters::default(),
            request_seconds: Histograms::new(&DURATIONS),
            failures: DashMap::new(),
            upstream_calls: Counters::default(),
            upstream_seconds: Histograms::new(&DURATIONS),
            upstream_throttled: Counters::default(),
            creates: Counters::default(),
            creates_without_ref_id: Counters::default(),
            duplicate_checks: Counters::default(),
            duplicate_check_seconds: Histograms::new(&DURATIONS),
            unknown_outcomes: Counters::default(),
            unknown_outcome_resolutions: Counters::default(),
            list_pages: Counters::default(),
            list_page_upstream_calls: Histograms::new(&SMALL_COUNTS),
            list_rows_dropped: Counters::default(),
            unknown_statuses: Counters::default(),
            double_suspected: Counters::default(),
            native_creates_unrecorded: Counters::default(),
        }
    }
}

impl Metrics {
    /// Records a call to an upstream. `duration` ends with the response head on pass-through, else with the response body.
    pub(crate) fn upstream_call(&self, side: Side, outcome: UpstreamOutcome, duration: Duration) {
        self.upstream_calls.add((side, outcome));
        self.upstream_seconds.observe_duration((side,), duration);
    }

    /// Records a call to an upstream that was answered with `status`.
    pub(crate) fn upstream_response(&self, side: Side, status: StatusCode, duration: Duration) {
        self.upstream_call(side, UpstreamOutcome::of_status(status), duration);
        // Counted apart although it is a 4xx: it is the one that slows every client down.
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.upstream_throttled.add((side,));
        }
    }

    /// Records a request that the proxy answered with a problem document of its own.
    pub(crate) fn failed(&self, failure: &Failure) {
        *self.failures.entry((failure.name(), failure.fault().as_str())).or_default() += 1;
    }

    /// Failed requests whose fault is not the caller's.
    pub(crate) fn failures_not_by_caller(&self) -> u64 {
        let failures =
            self.failures.iter().filter(|entry| entry.key().1 != ResponsibleParty::Caller.as_str());
        failures.map(|entry| *entry.value()).sum()
    }

    pub(crate) fn families(&self) -> Vec<MetricFamily> {
        let failures = self.failures.iter().map(|entry| {
            let (name, fault) = *entry.key();
            (vec![("error", name.into()), ("fault", fault.into())], *entry.value())
        });
        vec![
            REQUESTS.counters(&self.requests),
            REQUEST.histograms(&self.request_seconds),
            FAILURES.counts(failures.collect()),
            UPSTREAM_CALLS.counters(&self.upstream_calls),
            UPSTREAM_CALL.histograms(&self.upstream_seconds),
            UPSTREAM_THROTTLED.counters(&self.upstream_throttled),
            CREATES.counters(&self.creates),
            CREATES_WITHOUT_REF_ID.counters(&self.creates_without_ref_id),
            DUPLICATE_CHECKS.counters(&self.duplicate_checks),
            DUPLICATE_CHECK.histograms(&self.duplicate_check_seconds),
            UNKNOWN_OUTCOMES.counters(&self.unknown_outcomes),
            UNKNOWN_OUTCOME_RESOLUTIONS.counters(&self.unknown_outcome_resolutions),
            LIST_PAGES.counters(&self.list_pages),
            LIST_PAGE_UPSTREAM_CALLS.histograms(&self.list_page_upstream_calls),
            LIST_ROWS_DROPPED.counters(&self.list_rows_dropped),
            UNKNOWN_STATUSES.counters(&self.unknown_statuses),
            DOUBLE_SUSPECTED.counters(&self.double_suspected),
            NATIVE_CREATES_UNRECORDED.counters(&self.native_creates_unrecorded),
        ]
    }
}
