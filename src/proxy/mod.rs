//! From a request to its answer: one config snapshot, admission, the caller, the route; then straight through to the legacy side, or through the
//! route's handler. `dispatch` is the way in; each other file is one way out.

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
use crate::deprecation::usage::Usage;
use crate::http::peer::Peer;
use crate::ledger::Ledger;
use crate::routes::Services;
use crate::shadow::Shadow;
use crate::telemetry::access::AccessLogBody;
use crate::upstream::Client;

pub use self::in_flight::{Admission, InFlightGuard};
pub(crate) use self::response::refuse;

/// What all requests share.
pub struct App {
    /// The config in force; a reload swaps it.
    pub config: Arc<ArcSwap<Config>>,
    /// What pass-through and the route handlers use.
    pub services: Services,
    /// The requests in flight.
    pub admission: Admission,
    /// The comparison in the background; `None`: there is none.
    pub shadow: Option<Shadow>,
    /// The clients that still call the old API.
    pub usage: Usage,
    unauthorized_creates: UnauthorizedCreates,
}

impl App {
    /// An app without requests.
    #[must_use]
    pub fn new(config: Arc<ArcSwap<Config>>, upstream: Client, ledger: Option<Ledger>) -> Self {
        upstream.budget().adopt(&config.load());
        Self {
            config,
            services: Services::new(upstream, ledger),
            admission: Admission::default(),
            shadow: None,
            usage: Usage::default(),
            unauthorized_creates: UnauthorizedCreates::default(),
        }
    }

    /// The same, with comparisons.
    #[must_use]
    pub fn with_shadow(self, shadow: Shadow) -> Self {
        Self { shadow: Some(shadow), ..self }
    }

    /// An upstream answered 429.
    fn throttled(&self, config: &Config) {
        if let Some(shadow) = &self.shadow {
            shadow.throttled(config);
        }
    }
}

/// Answers one request. Whatever happens, there is one answer and one access line.
pub(crate) async fn handle(app: Arc<App>, peer: Peer, request: Request<Incoming>) -> Response<AccessLogBody> {
    let mut context = RequestContext::new(app, peer, &request);
    let is_head = *request.method() == Method::HEAD;
    let span = context.access.span();
    let answered = context.dispatch(request).instrument(span).await;
    context.respond(answered, is_head)
}
