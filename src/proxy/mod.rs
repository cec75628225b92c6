//! From a request to its answer: one config snapshot, admission, the caller, the route; then pass-through to legacy, or the route's
//! handler. `dispatch` decides where a request goes; `pass_through`, `routed` and `token_requests` serve it.

mod callers;
mod dispatch;
pub(crate) mod forwarding;
mod in_flight;
mod pass_through;
mod response;
mod routed;
mod token_requests;
mod unauthorized;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use tracing::Instrument as _;

use self::dispatch::RequestContext;
use self::unauthorized::UnauthorizedCreates;
use crate::config::Config;
use crate::deprecation::usage::UsageTable;
use crate::http::peer::Peer;
use crate::ledger::Ledger;
use crate::routes::Services;
use crate::shadow::Shadow;
use crate::telemetry::access::AccessLogBody;
use crate::upstream::UpstreamClient;

pub(crate) use self::in_flight::{Admission, InFlightGuard};
pub(crate) use self::response::refuse;

/// The proxy: state that all requests share.
pub struct App {
    /// The config in force; a reload swaps it.
    pub(crate) config: Arc<ArcSwap<Config>>,
    /// Shared with the route handlers and the operators' listener.
    pub services: Services,
    pub(crate) admission: Admission,
    /// Background comparisons; `None` only in tests.
    pub(crate) shadow: Option<Shadow>,
    pub(crate) usage: UsageTable,
    unauthorized_creates: UnauthorizedCreates,
}

impl App {
    /// A proxy before its first request, without comparisons. `config` is swapped on reload.
    #[must_use]
    pub fn new(config: Arc<ArcSwap<Config>>, upstream: UpstreamClient, ledger: Option<Ledger>) -> Self {
        upstream.budget().adopt(&config.load());
        Self {
            config,
            services: Services::new(upstream, ledger),
            admission: Admission::default(),
            shadow: None,
            usage: UsageTable::default(),
            unauthorized_creates: UnauthorizedCreates::default(),
        }
    }

    /// Compares routes in mode `shadow`.
    #[must_use]
    pub fn with_shadow(self, shadow: Shadow) -> Self {
        Self { shadow: Some(shadow), ..self }
    }

    fn throttled(&self, config: &Config) {
        if let Some(shadow) = &self.shadow {
            shadow.throttled(config);
        }
    }
}

/// Answers one request. Every request gets one answer and one line in the access log.
pub(crate) async fn handle(app: Arc<App>, peer: Peer, request: Request<Incoming>) -> Response<AccessLogBody> {
    let mut context = RequestContext::new(app, peer, &request);
    let is_head = *request.method() == Method::HEAD;
    let span = context.access.span();
    let answered = context.dispatch(request).instrument(span).await;
    context.respond(answered, is_head)
}
