//! The handlers of the four routes, for modes in which the proxy does more than pass through.
//!
//! A handler asks `translate` what to send, sends it through `upstream`, asks `translate` what the answer means, and returns an answer in the
//! legacy format or a `Failure`. It owns its state, so that a write can go on after its client has disconnected.

pub(crate) mod cancel;
pub mod create;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod native;
pub(crate) mod only_door;
pub(crate) mod presence;
pub(crate) mod record_side;
mod refused_lookups;
pub(crate) mod release;
pub(crate) mod token;

mod list_progress;
mod lookup;
mod own_records;
mod positive_control;
mod shared_tokens;
mod spelling;
mod suspected_doubles;
mod upstream_call;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, Uri, header};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

pub(crate) use self::create::SingleFlight;
pub(crate) use self::list_progress::ListProgress;
pub(crate) use self::positive_control::PositiveControls;
pub(crate) use self::record_side::{RecordSide, RecordSideCache};
use self::refused_lookups::RefusedLookups;
pub(crate) use self::shared_tokens::{RefusedScopes, SharedTokens};
use self::suspected_doubles::SuspectedDoubles;
use crate::config::auth::CredentialSet;
use crate::config::{Config, Mode};
use crate::failure::error_chain::error_chain;
use crate::failure::{BoxError, Failure, SideEffect};
use crate::http::body::PeekError;
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
use crate::upstream::closed::is_dead_peer;
pub(crate) use crate::upstream::health::{UpstreamHealth, UpstreamLane};
use crate::upstream::{Lane, UpstreamClient};

/// The size in bytes of the future that a function returns. The function is not called.
#[cfg(feature = "testing")]
pub(crate) const fn size_of_future<A, F>(_: &impl Fn(A) -> F) -> usize {
    size_of::<F>()
}

/// Sizes in bytes of the handlers' futures.
#[cfg(feature = "testing")]
pub(crate) fn future_sizes() -> [(&'static str, usize); 5] {
    use crate::translate::route::Id;
    type Context = &'static RouteContext;
    let create = |(context, body): (Context, Bytes)| create::run(context, body);
    let get = |(context, id): (Context, &'static Id)| get::run(context, id);
    let cancel = |(context, id): (Context, &'static Id)| cancel::run(context, id);
    let list = |context: Context| list::run(context);
    let call = |(context, call): (Context, upstream_call::UpstreamCall)| context.call(call);
    [
        ("create", size_of_future(&create)),
        ("get", size_of_future(&get)),
        ("cancel", size_of_future(&cancel)),
        ("list", size_of_future(&list)),
        ("call", size_of_future(&call)),
    ]
}

/// State that all requests share.
pub struct Services {
    /// The client of both sides, with the rate limit.
    pub upstream: UpstreamClient,
    /// The claims; `None` when no ledger is configured.
    pub(crate) ledger: Option<Ledger>,
    pub(crate) record_sides: RecordSideCache,
    /// Counts the writes that run, including those whose client has disconnected.
    pub detached: TaskTracker,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: UpstreamHealth,
    pub(crate) single_flight: SingleFlight,
    pub(crate) positive_controls: PositiveControls,
    suspected_doubles: SuspectedDoubles,
    pub(crate) shared_tokens: SharedTokens,
    pub(crate) refused_scopes: RefusedScopes,
    refused_lookups: RefusedLookups,
    pub(crate) list_progress: ListProgress,
}

impl Services {
    #[must_use]
    pub(crate) fn new(upstream: UpstreamClient, ledger: Option<Ledger>) -> Arc<Self> {
        let health = upstream.health().clone();
        Arc::new(Self {
            upstream,
            ledger,
            record_sides: RecordSideCache::default(),
            detached: TaskTracker::new(),
            metrics: Arc::default(),
            health,
            single_flight: SingleFlight::default(),
            positive_controls: PositiveControls::default(),
            suspected_doubles: SuspectedDoubles::default(),
            shared_tokens: SharedTokens::default(),
            refused_scopes: RefusedScopes::default(),
            refused_lookups: RefusedLookups::default(),
            list_progress: ListProgress::default(),
        })
    }

    /// Whether a write that bypasses the routes could convert a reference twice.
    #[must_use]
    pub(crate) fn guards_creates(&self, config: &Config) -> bool {
        self.ledger.is_some() || config.modes.create != Mode::Legacy
    }

    /// Whether the trip holds creates, those without a claim included.
    #[must_use]
    pub(crate) fn is_tripped(&self) -> bool {
        self.ledger.as_ref().is_some_and(Ledger::is_tripped)
    }

    /// Whether a request in mode `legacy` or `shadow` needs its handler: a create that must be claimed, or a list that continues from a
    /// cursor of the proxy.
    #[must_use]
    pub(crate) fn needs_handler_on_legacy(&self, route: Route, uri: &Uri) -> bool {
        match route {
            Route::Create => self.ledger.is_some(),
            Route::List => uri.query().is_some_and(ListQuery::has_own_cursor),
            Route::Get | Route::Cancel => false,
        }
    }

    /// Records the result of one call to a side.
    fn called(&self, side: Side, lane: Lane, answered: Result<StatusCode, &Failure>, elapsed: Duration) {
        let what = match answered {
            Ok(status) => {
                self.health.answered(UpstreamLane::Side(side, lane));
                return self.metrics.upstream_response(side, status, elapsed);
            }
            Err(Failure::Unreachable { source, .. }) => {
                self.failed((side, lane), source, UpstreamOutcome::NotSent)
            }
            Err(Failure::TimedOut { source, .. }) => {
                self.failed((side, lane), source, UpstreamOutcome::TimedOut)
            }
            Err(Failure::Broken { source, .. }) if is_dead_peer(source.as_ref()) => {
                self.failed((side, lane), source, UpstreamOutcome::Broken)
            }
            Err(Failure::AuthFailure(_)) => UpstreamOutcome::NoToken,
            // The client's fault, which says nothing about the side.
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
                | Failure::CursorOutOfReach { .. }
                | Failure::CursorRefused { .. }
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

    fn failed(
        &self,
        (side, lane): (Side, Lane),
        source: &BoxError,
        outcome: UpstreamOutcome,
    ) -> UpstreamOutcome {
        self.health.failed(UpstreamLane::Side(side, lane), error_chain(source.as_ref()));
        outcome
    }

    /// Records the result of a request that was passed through to legacy.
    pub(crate) fn passed(
        &self,
        route: RouteLabel,
        answered: Result<StatusCode, &Failure>,
        elapsed: Duration,
    ) {
        self.called(Side::Legacy, Lane::PassThrough, answered, elapsed);
        if route == RouteLabel::Route(Route::Create) {
            self.created(Side::Legacy, answered);
        }
    }

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
        for double in doubles.iter().filter(|double| self.suspected_doubles.is_first(by, double)) {
            let SuspectedDouble { legacy_id, new_id } = double;
            self.metrics.double_suspected.add((by,));
            tracing::warn!(target: "routes", legacy_id, new_id, "one ref_id on both sides: a suspected double");
        }
    }

    /// Logs and counts a status that this build does not know; clients see `CREATED`.
    fn report_unknown_status(&self, status: Option<&str>) {
        if let Some(status) = status {
            self.metrics.unknown_statuses.add(());
            tracing::warn!(target: "translate", status, "unknown status shown as CREATED");
        }
    }
}

/// The state of one request's handler.
pub(crate) struct RouteContext {
    pub(crate) config: Arc<Config>,
    pub(crate) services: Arc<Services>,
    /// The client's request without its body and without hop-by-hop headers.
    pub(crate) head: http::request::Parts,
    /// The proxy's own credentials, for a call that no client asked for.
    pub(crate) credentials: Option<CredentialSet>,
    /// When the route's timeout ends.
    pub(crate) deadline: Instant,
    pub(crate) stats: Mutex<UpstreamCallStats>,
}

impl RouteContext {
    /// A context for reads by the proxy itself, at start or by a command. They use the lookup credentials if configured, else `token`, a
    /// value of `Authorization`.
    pub(crate) fn own(
        config: Arc<Config>,
        services: Arc<Services>,
        token: Option<HeaderValue>,
        deadline: Instant,
    ) -> Self {
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.headers.extend(token.map(|token| (header::AUTHORIZATION, token)));
        let lookup = config.auth.credentials(CredentialSet::Lookup).map(|_| CredentialSet::Lookup);
        let credentials = lookup.filter(|_| head.headers.is_empty());
        Self { config, services, head, credentials, deadline, stats: Mutex::default() }
    }

    fn tenant(&self) -> &str {
        self.config.ledger.as_ref().map_or("default", |ledger| ledger.tenant.as_str())
    }

    fn is_only_door(&self) -> bool {
        self.config.ledger.as_ref().is_some_and(|ledger| ledger.only_door)
    }

    fn facts(&self) -> Facts {
        self.config.facts
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn record_missing_reference(&self, side: Side) {
        self.services.metrics.creates_without_ref_id.add((side,));
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).without_reference = true;
    }
}

/// The upstream calls of one request, for the access log.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpstreamCallStats {
    /// The side of the last call.
    pub(crate) side: Option<Side>,
    /// The status of the last answer; `None` if the last call got none.
    pub(crate) upstream_status: Option<u16>,
    pub(crate) upstream_calls: u32,
    /// Duration of all calls together, in microseconds.
    pub(crate) upstream_us: u64,
    pub(crate) without_reference: bool,
    /// Whether any call was answered 429.
    pub(crate) throttled: bool,
}

/// An answer for the client, in the legacy format.
#[derive(Debug)]
pub(crate) struct RouteResponse {
    pub(crate) status: StatusCode,
    /// The upstream's headers that still apply to this body.
    pub(crate) headers: HeaderMap,
    /// hyper's extensions of the answer, such as the spelling of its header names.
    pub(crate) extensions: Extensions,
    /// JSON, or legacy's answer unchanged.
    pub(crate) body: Bytes,
}

impl RouteResponse {
    /// A JSON document that the proxy wrote.
    #[must_use]
    pub(crate) fn json(status: StatusCode, mut headers: HeaderMap, body: impl Into<Bytes>) -> Self {
        headers::from_translated(&mut headers);
        Self { status, headers, extensions: Extensions::new(), body: body.into() }
    }

    #[must_use]
    pub(crate) fn problem(problem: &Problem) -> Self {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::json(status, HeaderMap::new(), problem.to_json())
    }
}

impl From<PeekError> for Failure {
    fn from(error: PeekError) -> Self {
        match error {
            PeekError::Broken(error) => Self::BodyBroken(error.into()),
            PeekError::Stalled(_) => Self::BodySlow,
        }
    }
}
