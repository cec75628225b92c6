//! One handler a route, for the modes in which the proxy does more than pass through.
//!
//! A handler asks `translate` what to send, sends it through `upstream`, asks `translate` what the answer means, and returns an answer in the
//! legacy shape or a `Failure`. It owns all that it works with, so that it can outlive the client's connection.

pub mod cancel;
pub mod create;
pub mod get;
pub mod list;
pub(crate) mod native;
pub(crate) mod only_door;
pub mod record_side;
pub(crate) mod release;
pub mod token;

mod lookup;
mod own_records;
mod positive_control;
mod presence;
mod upstream_call;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, Uri, header};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

pub use self::create::SingleFlight;
pub use self::positive_control::PositiveControls;
pub use self::record_side::RecordSideCache;
use crate::config::auth::CredentialSet;
use crate::config::{Config, Mode};
use crate::failure::error_chain::error_chain;
use crate::failure::{Failure, SideEffect};
use crate::http::headers;
use crate::ledger::Ledger;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::labels::{CreateOutcome, FoundBy, RouteLabel, UpstreamOutcome};
use crate::translate::facts::Facts;
use crate::translate::list::ListQuery;
use crate::translate::list::page::SuspectedDouble;
use crate::translate::problem::Problem;
use crate::translate::route::Route;
use crate::translate::side::Side;
use crate::upstream::Client;
pub use crate::upstream::health::UpstreamHealth;

/// What all flows share.
#[derive(Clone)]
pub struct Services {
    /// The way to both sides.
    pub upstream: Client,
    /// Which side each reference belongs to; `None` when no ledger is configured.
    pub ledger: Option<Ledger>,
    /// Which side each id lives on.
    pub record_sides: RecordSideCache,
    /// Writes under way; they run to their end though their client leaves.
    pub detached: TaskTracker,
    /// What is counted on the way.
    pub metrics: Arc<Metrics>,
    /// Whether the sides can be reached.
    pub reach: UpstreamHealth,
    /// The references that requests of this process work on.
    pub single_flight: SingleFlight,
    /// When lookups were last seen to find what a side holds.
    pub positive_controls: PositiveControls,
}

impl Services {
    /// Nothing in flight, nothing remembered.
    #[must_use]
    pub fn new(upstream: Client, ledger: Option<Ledger>) -> Self {
        Self {
            upstream,
            ledger,
            record_sides: RecordSideCache::default(),
            detached: TaskTracker::new(),
            metrics: Arc::default(),
            reach: UpstreamHealth::default(),
            single_flight: SingleFlight::default(),
            positive_controls: PositiveControls::default(),
        }
    }

    /// Whether a create that slips past the flow could meet one on the other side.
    #[must_use]
    pub fn guards_creates(&self, config: &Config) -> bool {
        self.ledger.is_some() || config.modes.create != Mode::Legacy
    }

    /// Whether a request that goes to the legacy side needs its flow all the same, because it touches the rules of the
    /// cutover: a create, once references are recorded; a list that goes on from a cursor of the proxy's own.
    #[must_use]
    pub fn keeps_rules_on_legacy(&self, route: Route, uri: &Uri) -> bool {
        match route {
            Route::Create => self.ledger.is_some(),
            Route::List => uri.query().is_some_and(ListQuery::has_own_cursor),
            Route::Get | Route::Cancel => false,
        }
    }

    /// Notes what came of one call to a side.
    fn called(&self, side: Side, answered: Result<StatusCode, &Failure>, elapsed: Duration) {
        let what = match answered {
            Ok(status) => {
                self.reach.answered(side);
                return self.metrics.upstream_response(side, status, elapsed);
            }
            Err(Failure::Unreachable { source, .. }) => {
                self.reach.failed(side, error_chain(source.as_ref()));
                UpstreamOutcome::NotSent
            }
            Err(Failure::TimedOut { .. }) => UpstreamOutcome::TimedOut,
            Err(Failure::AuthFailure(_)) => UpstreamOutcome::NoToken,
            // The client broke off, which says nothing about the side.
            Err(Failure::BodyBroken(_)) => return,
            Err(
                Failure::Broken { .. }
                | Failure::Unreadable { .. }
                | Failure::AnswerTooLong { .. }
                | Failure::Internal { .. }
                | Failure::Invalid(_)
                | Failure::BodyTooLong { .. }
                | Failure::BodyEncoded
                | Failure::BodySlow
                | Failure::NotFound { .. }
                | Failure::CannotBeCancelled { .. }
                | Failure::UnroutedWrite
                | Failure::TargetForm
                | Failure::Malformed
                | Failure::HeadTooLong
                | Failure::TargetTooLong
                | Failure::Overloaded { .. }
                | Failure::OverBudget { .. }
                | Failure::Held { .. }
                | Failure::TooManyDropped { .. }
                | Failure::Ledger(_)
                | Failure::DuplicateCheckFailed { .. }
                | Failure::RecordUnavailable { .. }
                | Failure::UnreadableReference
                | Failure::TooManyUnauthorized { .. }
                | Failure::ClaimedForLegacy { .. }
                | Failure::TooLate
                | Failure::OutcomeUnknown { .. },
            ) => UpstreamOutcome::Broken,
        };
        self.metrics.upstream_call(side, what, elapsed);
    }

    /// Notes what came of a request that went straight through to the legacy side.
    pub fn passed(&self, route: RouteLabel, answered: Result<StatusCode, &Failure>, elapsed: Duration) {
        self.called(Side::Legacy, answered, elapsed);
        if route == RouteLabel::Route(Route::Create) {
            self.created(Side::Legacy, answered);
        }
    }

    /// Notes what came of sending a create.
    fn created(&self, side: Side, answered: Result<StatusCode, &Failure>) {
        let outcome = match answered {
            Ok(status) => CreateOutcome::of_status(status),
            Err(failure) => match failure.outcome() {
                SideEffect::None => CreateOutcome::NotSent,
                SideEffect::Unknown => CreateOutcome::Unknown,
            },
        };
        self.metrics.creates.add((side, outcome));
    }

    /// Two records with one reference, one on each side: perhaps one conversion that both sides list, perhaps money moved twice.
    fn report_doubles(&self, by: FoundBy, doubles: &[SuspectedDouble]) {
        for SuspectedDouble { legacy_id, new_id } in doubles {
            self.metrics.double_suspected.add((by,));
            tracing::warn!(target: "cutover", legacy_id, new_id, "one ref_id on both sides: a suspected double");
        }
    }

    /// A status that this build does not know is shown as `CREATED`; the operator hears of it.
    fn report_unknown_status(&self, status: Option<&str>) {
        if let Some(status) = status {
            self.metrics.unknown_statuses.add(());
            tracing::warn!(target: "translate", status, "unknown status shown as CREATED");
        }
    }
}

/// What one request's handler works with.
pub struct RouteContext {
    /// The snapshot that the request began with.
    pub config: Arc<Config>,
    /// What all flows share.
    pub services: Services,
    /// The client's request without its body; only what may travel is left of its headers.
    pub head: http::request::Parts,
    /// The proxy's own credentials, for a call that no client asked for.
    pub credentials: Option<CredentialSet>,
    /// When the client's request has taken all the time that it may.
    pub deadline: Instant,
    /// What to tell of the request afterwards.
    pub stats: Mutex<UpstreamCallStats>,
}

impl RouteContext {
    /// The context of reads that no client asked for: at the start, or by a command. They use the lookup credentials if there are
    /// any, else `token`, a value of `Authorization`.
    pub(crate) fn own(
        config: Arc<Config>,
        services: Services,
        token: Option<HeaderValue>,
        deadline: Instant,
    ) -> Self {
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.headers.extend(token.map(|token| (header::AUTHORIZATION, token)));
        let lookup = config.auth.credentials(CredentialSet::Lookup).map(|_| CredentialSet::Lookup);
        let credentials = lookup.filter(|_| head.headers.is_empty());
        Self { config, services, head, credentials, deadline, stats: Mutex::default() }
    }

    /// Whose references these are in the ledger.
    fn tenant(&self) -> &str {
        self.config.ledger.as_ref().map_or("default", |ledger| ledger.tenant.as_str())
    }

    /// What is known about the vendor beyond its documents.
    fn facts(&self) -> Facts {
        self.config.facts
    }

    /// The time that is left for the client's request.
    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// A create came without a reference.
    fn note_no_reference(&self, side: Side) {
        self.services.metrics.creates_without_ref_id.add((side,));
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).without_reference = true;
    }
}

/// What a flow did, for the access line.
#[derive(Clone, Debug, Default)]
pub struct UpstreamCallStats {
    /// The side whose answer counted last.
    pub side: Option<Side>,
    /// That answer's status.
    pub upstream_status: Option<u16>,
    /// How many calls were made.
    pub upstream_calls: u32,
    /// How long they took together, in microseconds.
    pub upstream_us: u64,
    /// Whether it was a create without a reference.
    pub without_reference: bool,
    /// Whether a side said 429 to any of them.
    pub throttled: bool,
}

/// An answer for the client, in the legacy shape.
#[derive(Debug)]
pub struct RouteResponse {
    /// The HTTP status.
    pub status: StatusCode,
    /// The upstream's headers that still hold.
    pub headers: HeaderMap,
    /// What the HTTP library keeps beside the headers, such as their spelling.
    pub extensions: Extensions,
    /// JSON, or whatever the legacy side answered.
    pub body: Bytes,
}

impl RouteResponse {
    /// A document that the proxy wrote itself.
    #[must_use]
    pub fn json(status: StatusCode, mut headers: HeaderMap, body: impl Into<Bytes>) -> Self {
        headers::from_translated(&mut headers);
        Self { status, headers, extensions: Extensions::new(), body: body.into() }
    }

    /// A problem of the proxy's own.
    #[must_use]
    pub fn problem(problem: &Problem) -> Self {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::json(status, HeaderMap::new(), problem.to_json())
    }
}
