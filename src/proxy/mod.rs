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
use http::{HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;
use tracing::Instrument as _;

use self::dispatch::RequestContext;
use self::unauthorized::UnauthorizedCreates;
use crate::config::Config;
use crate::deprecation::usage::UsageTable;
use crate::http::peer::Peer;
use crate::http::received::Received;
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
    pub services: Arc<Services>,
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

/// Sizes in bytes of the futures that a request's way consists of, for the benchmark: what is moved by value costs time.
#[cfg(feature = "testing")]
#[must_use]
pub fn future_sizes() -> Vec<(&'static str, usize)> {
    use crate::routes::size_of_future;
    type Context = &'static mut RequestContext;
    let handle = |(app, peer, request)| handle(app, peer, request);
    let dispatch = |(context, request): (Context, _)| context.dispatch(request);
    let routed = |(context, route, id, request): (Context, _, _, _)| context.routed(route, id, request);
    let pass_through = |(context, request): (Context, _)| context.pass_through(None, request);
    let mut sizes = vec![
        ("handle", size_of_future(&handle)),
        ("dispatch", size_of_future(&dispatch)),
        ("routed", size_of_future(&routed)),
        ("pass_through", size_of_future(&pass_through)),
    ];
    sizes.extend(crate::routes::future_sizes());
    sizes
}

/// The answer to one request.
pub(crate) struct ClientResponse {
    pub(crate) response: Response<AccessLogBody>,
    /// To be kept until the answer's last byte.
    pub(crate) in_flight: Option<Arc<InFlightGuard>>,
}

/// Answers one request. Every request gets one answer and one line in the access log.
pub(crate) async fn handle(app: Arc<App>, peer: Peer, request: Request<Incoming>) -> ClientResponse {
    let request = Received::of_client(request);
    let unread = request.body().unread();
    let mut context = RequestContext::new(app, peer, &request);
    let is_head = *request.method() == Method::HEAD;
    let span = context.access.span();
    let answered = context.dispatch(request).instrument(span).await;
    let mut answer = context.respond(answered, is_head);
    if unread.is_set() {
        // hyper closes the connection all the same; a client that is not told sends its next request on it.
        answer.response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}
