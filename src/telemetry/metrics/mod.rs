//! What the proxy counts of itself: recorded where it happens, with typed labels and a few atomic adds (`meters`); shown as
//! Prometheus text by [`expose`]. What other rooms count anyway (shadow's tally, the ledger, reloads) is not here: it is collected
//! when somebody asks, by `server::admin::figures`. `docs/metrics.md` lists everything.

pub mod exposition;
pub mod labels;
pub mod registry;

use std::time::Duration;

use dashmap::DashMap;
use http::StatusCode;

use self::exposition::Figure;
use self::labels::{
    CreateOutcome, DropReason, DuplicateCheckResult, PageEnd, Resolution, RouteLabel, StatusClass,
    UpstreamOutcome,
};
use crate::config::Mode;
use crate::failure::{Failure, Fault};
use crate::telemetry::metrics::registry::{Counters, FEW, Histograms, TIMES};
use crate::translate::side::Side;

/// The route, the mode, the side whose answer counted, and what the client was answered.
pub type Request = (RouteLabel, Option<Mode>, Option<Side>, StatusClass);

/// Everything that is recorded. One for a process; what is shared by all requests holds it.
#[derive(Debug)]
pub struct Metrics {
    /// Requests that ended.
    pub requests: Counters<Request>,
    /// How long they took, to the last byte of the answer.
    pub request_seconds: Histograms<(RouteLabel,)>,
    /// Requests that failed in the proxy's own judgement, by the failure's name and whose fault it was.
    failures: DashMap<(&'static str, &'static str), u64>,
    /// Calls to the sides, and what came of them.
    pub upstream_calls: Counters<(Side, UpstreamOutcome)>,
    /// How long they took; on pass-through to the answer's head, else to its end.
    pub upstream_seconds: Histograms<(Side,)>,
    /// Answers with 429.
    pub upstream_throttled: Counters<(Side,)>,
    /// Creates, by the side that they were meant for, and what came of sending them.
    pub creates: Counters<(Side, CreateOutcome)>,
    /// Creates that came without a reference.
    pub creates_without_ref_id: Counters<(Side,)>,
    /// Looks at the other side before a create; the side is the one looked at.
    pub fences: Counters<(Side, DuplicateCheckResult)>,
    /// How long they took.
    pub fence_seconds: Histograms<(Side,)>,
    /// Creates that were sent and had no certain outcome.
    pub unknown_outcomes: Counters<(Side,)>,
    /// What became of those.
    pub resolutions: Counters<(Side, Resolution)>,
    /// Pages of lists that the proxy put together.
    pub list_pages: Counters<(PageEnd,)>,
    /// Upstream calls for each of them.
    pub list_page_calls: Histograms<()>,
    /// Rows that were left out of them.
    pub rows_left_out: Counters<(DropReason,)>,
    /// Records with a status that this build does not know.
    pub unknown_statuses: Counters<()>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Counters::default(),
            request_seconds: Histograms::new(&TIMES),
            failures: DashMap::new(),
            upstream_calls: Counters::default(),
            upstream_seconds: Histograms::new(&TIMES),
            upstream_throttled: Counters::default(),
            creates: Counters::default(),
            creates_without_ref_id: Counters::default(),
            fences: Counters::default(),
            fence_seconds: Histograms::new(&TIMES),
            unknown_outcomes: Counters::default(),
            resolutions: Counters::default(),
            list_pages: Counters::default(),
            list_page_calls: Histograms::new(&FEW),
            rows_left_out: Counters::default(),
            unknown_statuses: Counters::default(),
        }
    }
}

impl Metrics {
    /// A call to a side came to this.
    pub fn called(&self, side: Side, what: UpstreamOutcome, time: Duration) {
        self.upstream_calls.add((side, what));
        self.upstream_seconds.elapsed((side,), time);
    }

    /// Requests that failed through no fault of their caller.
    #[must_use]
    pub fn failures_of_ours(&self) -> u64 {
        let blameless = self.failures.iter().filter(|entry| entry.key().1 != Fault::Caller.as_str());
        blameless.map(|entry| *entry.value()).sum()
    }

    /// A side answered.
    pub fn answered(&self, side: Side, status: StatusCode, time: Duration) {
        self.called(side, UpstreamOutcome::of_status(status), time);
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.upstream_throttled.add((side,));
        }
    }

    /// A request failed. Rare enough for a table.
    pub fn failed(&self, failure: &Failure) {
        *self.failures.entry((failure.name(), failure.fault().as_str())).or_default() += 1;
    }

    /// Everything that was recorded so far.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let failures = self.failures.iter().map(|entry| {
            let (name, fault) = *entry.key();
            (vec![("error", name.into()), ("fault", fault.into())], *entry.value())
        });
        let failures = failures.collect();
        vec![
            Figure::counters_seen("requests", "Requests that ended.", &self.requests),
            Figure::histograms("request", "Time to the last byte of the answer.", &self.request_seconds),
            Figure::counts(
                "failures",
                "Requests that the proxy answered with a problem of its own.",
                failures,
            ),
            Figure::counters_seen("upstream_calls", "Calls to the sides.", &self.upstream_calls),
            Figure::histograms("upstream_call", "Time of calls to the sides.", &self.upstream_seconds),
            Figure::counters("upstream_throttled", "Answers with 429.", &self.upstream_throttled),
            Figure::counters("creates", "Creates, and what came of sending them.", &self.creates),
            Figure::counters(
                "creates_without_ref_id",
                "Creates without a reference.",
                &self.creates_without_ref_id,
            ),
            Figure::counters("fences", "Looks at the other side before a create.", &self.fences),
            Figure::histograms("fence", "Time of those looks.", &self.fence_seconds),
            Figure::counters(
                "unknown_outcomes",
                "Creates sent without a certain outcome.",
                &self.unknown_outcomes,
            ),
            Figure::counters("unknown_outcome_resolutions", "What became of those.", &self.resolutions),
            Figure::counters("list_pages", "Pages of lists put together by the proxy.", &self.list_pages),
            Figure::histograms(
                "list_page_upstream_calls",
                "Upstream calls for one page.",
                &self.list_page_calls,
            ),
            Figure::counters(
                "list_rows_left_out",
                "Rows of the sides that a page did not show.",
                &self.rows_left_out,
            ),
            Figure::counters(
                "unknown_statuses",
                "Records with a status shown as CREATED.",
                &self.unknown_statuses,
            ),
        ]
    }
}
