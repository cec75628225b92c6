//! The story of a request: snapshot, route, mode; then straight through to an upstream, or through the route's flow.

mod callers;
pub mod forwarding;
mod in_flight;
mod response;

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use self::in_flight::TrafficClass;
use self::response::respond;
use crate::config::auth::AuthMode;
use crate::config::{Config, Mode};
use crate::deprecation;
use crate::deprecation::usage::Usage;
use crate::failure::{AuthFailure, Failure, SideEffect};
use crate::http::body::{self, ByteCount, CollectError, Payload};
use crate::http::detach::DetachOnDrop;
use crate::http::headers;
use crate::ledger::Ledger;
use crate::routes::token::{self as token_route, Exchanged};
use crate::routes::{self, RouteContext, Services};
use crate::shadow::Shadow;
use crate::shadow::capture::ShadowCapture;
use crate::telemetry::access::{Access, AccessLogBody};
use crate::telemetry::metrics::labels::RouteLabel;
use crate::translate::route::{self, Id, Matched, Route};
use crate::translate::side::Side;
use crate::upstream::rate_limit::Endpoint;
use crate::upstream::{self, Client, Lane, Outgoing};

pub use self::forwarding::{ClientCertificate, Peer};
pub use self::in_flight::{Admission, InFlightGuard};
pub(crate) use self::response::refuse;

/// What every request shares.
pub struct App {
    /// The config in force; a reload swaps it.
    pub config: Arc<ArcSwap<Config>>,
    /// What the flows share, and pass-through with them.
    pub shared: Services,
    /// What is in flight.
    pub admission: Admission,
    /// Who compares what is answered; `None` = nobody.
    pub shadow: Option<Shadow>,
    /// Who still calls.
    pub usage: Usage,
}

impl App {
    /// Everything at its beginning.
    #[must_use]
    pub fn new(config: Arc<ArcSwap<Config>>, upstream: Client, ledger: Option<Ledger>) -> Self {
        upstream.budget().adopt(&config.load());
        let shared = Services::new(upstream, ledger);
        Self { config, shared, admission: Admission::default(), shadow: None, usage: Usage::default() }
    }

    /// The same, with somebody who compares.
    #[must_use]
    pub fn with_shadow(self, shadow: Shadow) -> Self {
        Self { shadow: Some(shadow), ..self }
    }

    /// An upstream said 429.
    fn throttled(&self, config: &Config) {
        if let Some(shadow) = &self.shadow {
            shadow.throttled(config);
        }
    }
}

/// What goes with a request to the end of its answer.
#[derive(Default)]
struct RequestContext {
    /// Its place among those in flight.
    place: Option<Arc<InFlightGuard>>,
    /// Whoever compares it.
    watch: Option<ShadowCapture>,
    /// What it tells of its client, on one of the four routes.
    noted: Option<deprecation::ClientUsage>,
    /// Whether it is a create without a reference.
    without_reference: bool,
}

/// Answers one request. Whatever happens, there is an answer, and one access line.
pub async fn handle(app: Arc<App>, peer: Peer, request: Request<Incoming>) -> Response<AccessLogBody> {
    let mut access = Access::begin(app.shared.metrics.clone(), &request, &app.config.load().traces);
    let head = request.method() == Method::HEAD;
    access.client_certificate = peer.certificate.as_deref().map(ClientCertificate::fingerprint);
    let mut context = RequestContext::default();
    let span = access.span();
    let answered = serve(&app, peer, request, &mut access, &mut context).instrument(span).await;
    let response = answered.unwrap_or_else(|failure| {
        access.failed(&failure);
        if matches!(failure, Failure::OverBudget { .. })
            && let Some(watch) = context.watch.take()
        {
            watch.over_budget();
        }
        let refusal = refuse(&failure);
        // Over HTTP/2 nothing below would hold the body back, and a client must not see one.
        if head { refusal.map(|_| Payload::empty()) } else { refusal }
    });
    access.status = Some(response.status().as_u16());
    // What went wrong is compared too.
    let mut response = match context.watch {
        Some(watch) => watch.tee_response(response),
        None => response,
    };
    if let Some(noted) = &context.noted {
        noted.answered(&app.usage, &access, context.without_reference);
        deprecation::tell(&app.config.load().deprecation, response.headers_mut());
    }
    // For the server, which holds it to the answer's last byte.
    response.extensions_mut().insert(context.place);
    response.map(|payload| AccessLogBody::new(payload, access))
}

async fn serve(
    app: &Arc<App>,
    peer: Peer,
    mut request: Request<Incoming>,
    access: &mut Access,
    context: &mut RequestContext,
) -> Result<Response<Payload>, Failure> {
    let config = app.config.load_full();
    app.shared.upstream.budget().adopt(&config);
    check_head(&config, &request)?;
    let matched = route::route(request.method(), request.uri().path(), &config.base_path);
    let client = peer.client(&config.forwarding, request.headers());
    context.place =
        Some(app.admission.admit(TrafficClass::of(&matched), client, &config.limits.in_flight)?);
    // Work that outlives its client keeps the place as well.
    request.extensions_mut().insert(context.place.clone());
    if is_token_request(&config, &request) {
        return token(app, &config, &peer, request, access).await;
    }
    let shown = peer.certificate.as_deref().map(|certificate| &certificate.sha256);
    if let Some(caller) = callers::identify(&config.auth, request.headers(), shown)? {
        access.caller = Some(caller.name.clone());
        callers::permit(caller, request.method(), request.headers())?;
    }
    let (route, id) = match matched {
        Matched::Route(route, id) if !is_dressed_write(&request) => (route, id),
        Matched::Route(..) | Matched::UnroutedWrite | Matched::PassThrough => {
            if app.shared.guards_creates(&config) && is_unrouted_write(&config, &request) {
                return Err(Failure::UnroutedWrite);
            }
            return pass(app, &config, peer, None, request, access, context).await;
        }
    };
    let mode = config.modes.of(route);
    access.route = route.into();
    access.mode = Some(mode);
    let caller = access.caller.as_deref();
    context.noted = Some(deprecation::note(&config, &peer, route, &request, caller));
    if let (Mode::Shadow, Some(shadow)) = (mode, &app.shadow) {
        context.watch = shadow.capture(&config, route, &request, &access.request_id);
    }
    match mode {
        Mode::Hold => Err(Failure::Held { retry_after: config.hold.retry_after }),
        Mode::Legacy | Mode::Shadow if !app.shared.keeps_rules_on_legacy(route, request.uri()) => {
            let endpoint = Endpoint::of_legacy(route);
            pass(app, &config, peer, Some(endpoint), request, access, context).await
        }
        Mode::Legacy | Mode::Shadow | Mode::Canary | Mode::Both | Mode::New => {
            translated(app, config, peer, (route, id), request, access, context).await
        }
    }
}

/// What no server of this kind serves, whatever the route: an absolute target or `CONNECT` speaks to a forward proxy, `*` and
/// more than one host to nobody in particular. Heads that
/// cannot be read, or leave open where their request ends, never come as far as this.
fn check_head(config: &Config, request: &Request<Incoming>) -> Result<(), Failure> {
    let (uri, headers) = (request.uri(), request.headers());
    // HTTP/2 takes its targets apart, and hyper puts them together again.
    let is_absolute = request.version() < Version::HTTP_2 && uri.authority().is_some();
    if request.method() == Method::CONNECT || is_absolute || !uri.path().starts_with('/') {
        return Err(Failure::TargetForm);
    }
    // Over HTTP/1 hyper has counted; over HTTP/2 nobody has. One is the request id that the edge may have made.
    if headers.len() > config.limits.headers_max + 1 {
        return Err(Failure::HeadTooLong);
    }
    if headers.get_all(header::HOST).iter().count() > 1 {
        return Err(Failure::Malformed);
    }
    Ok(())
}

/// Whether a client asks for a token. Its path has as many spellings as any.
fn is_token_request(config: &Config, request: &Request<Incoming>) -> bool {
    let path = config.auth.token_path.as_deref();
    request.method() == Method::POST && path.is_some_and(|path| route::is_path(request.uri().path(), path))
}

/// A client's request for a token, to the vendor's token endpoint.
async fn token(
    app: &Arc<App>,
    config: &Config,
    peer: &Peer,
    request: Request<Incoming>,
    access: &mut Access,
) -> Result<Response<Payload>, Failure> {
    access.route = RouteLabel::Token;
    if config.auth.mode == AuthMode::ClientCredentials {
        return Err(AuthFailure::NoTokenRoute.into());
    }
    let (mut head, incoming) = request.into_parts();
    let version = head.version;
    let host = forwarding::host(&head.uri, &head.headers);
    headers::to_upstream(&mut head.headers);
    forwarding::tell(config, peer, version, host.as_ref(), &mut head.headers);
    let start = Instant::now();
    let asked = token_route::run(&app.shared.upstream, config, head, incoming, &access.request_bytes).await;
    access.upstream_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    let Exchanged { response, calls } = asked?;
    access.upstream_calls = calls;
    access.upstream_status = Some(response.status().as_u16());
    Ok(back(config, response, version))
}

/// Whether a request only seems to be safe: some servers would take it for another.
fn is_dressed_write(request: &Request<Incoming>) -> bool {
    request.method().is_safe() && headers::override_method(request.headers())
}

/// Whether a request that is to go straight through might be a create on the way or at its end. It is judged as the client
/// wrote it and as the legacy side will see it.
fn is_unrouted_write(config: &Config, request: &Request<Incoming>) -> bool {
    let legacy = &config.upstream.legacy;
    let target = upstream::target(legacy, &config.base_path, request.uri());
    let method = if is_dressed_write(request) { &Method::POST } else { request.method() };
    route::is_unrouted_write(method, request.uri().path(), &config.base_path)
        || route::is_unrouted_write(method, target.path(), &legacy.path_prefix)
}

/// Straight through to the legacy side: bytes, headers and status as they come, both ways. No `endpoint` = nobody counts it.
async fn pass(
    app: &Arc<App>,
    config: &Arc<Config>,
    peer: Peer,
    endpoint: Option<Endpoint>,
    request: Request<Incoming>,
    access: &mut Access,
    context: &mut RequestContext,
) -> Result<Response<Payload>, Failure> {
    let paid = match endpoint {
        Some(endpoint) => {
            let until = Instant::now() + config.budget.wait_max;
            Some(app.shared.upstream.budget().take(endpoint.primary(), until).await?)
        }
        None => None,
    };
    let side = Side::Legacy;
    access.side = Some(side);
    access.upstream_calls = 1;
    let version = request.version();
    let safe = request.method().is_safe();
    let request = onward(config, peer, request, &access.request_bytes);
    let request = match &mut context.watch {
        Some(watch) => watch.tee_request(request),
        None => request,
    };
    let start = Instant::now();
    let holder = config.auth.credential_set(side);
    let until = start + config.auth.timeout;
    let outgoing = Outgoing { request, lane: Lane::PassThrough, credentials: holder, permit: paid, until };
    let answer = if safe {
        app.shared.upstream.send_as(outgoing, config).await
    } else {
        // The client may leave; what was sent is not called back. Nobody waits for an answer for ever, though.
        let (upstream, kept) = (app.shared.upstream.clone(), config.clone());
        let place = outgoing.request.extensions().get::<Option<Arc<InFlightGuard>>>().cloned();
        let sending = async move {
            let _place = place;
            upstream.send_as(outgoing, &kept).await
        };
        DetachOnDrop::new(sending, &app.shared.detached, config.timeouts.create).await
    };
    let elapsed = start.elapsed();
    access.upstream_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    let effect = if safe { SideEffect::None } else { SideEffect::Unknown };
    let answered = answer.map_err(|error| match access.request_bytes.broke_off() {
        true => Failure::BodyBroken(error.into()),
        false => error.into_failure(side, effect),
    });
    app.shared.passed(access.route, answered.as_ref().map(Response::status), elapsed);
    let response = answered?;
    access.upstream_status = Some(response.status().as_u16());
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        app.throttled(config);
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Failure::Broken { side, effect, source: "an upgrade that nobody asked for".into() });
    }
    Ok(back(config, response.map(|incoming| Payload::Streamed(incoming, ByteCount::default())), version))
}

/// An upstream's answer as it goes back to the client.
fn back(config: &Config, mut response: Response<Payload>, version: Version) -> Response<Payload> {
    headers::remove_hop_by_hop(response.headers_mut());
    if config.forwarding.via {
        let answered_in = response.version();
        headers::add_via(response.headers_mut(), answered_in);
    }
    *response.version_mut() = version;
    response
}

/// The request as it goes on to the legacy side.
fn onward(config: &Config, peer: Peer, request: Request<Incoming>, count: &ByteCount) -> Request<Payload> {
    let mut request = request.map(|incoming| Payload::Streamed(incoming, count.clone()));
    let uri = upstream::target(&config.upstream.legacy, &config.base_path, request.uri());
    let version = std::mem::replace(request.version_mut(), Version::HTTP_11);
    let host = forwarding::host(request.uri(), request.headers());
    headers::to_upstream(request.headers_mut());
    let size = http_body::Body::size_hint(request.body()).exact();
    if size.is_none() && request.method().is_safe() && version < Version::HTTP_2 {
        // hyper takes a GET without a length for one without a body.
        request.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    forwarding::tell(config, &peer, version, host.as_ref(), request.headers_mut());
    *request.uri_mut() = uri;
    request
}

/// Through the route's flow, within the route's time.
async fn translated(
    app: &Arc<App>,
    config: Arc<Config>,
    peer: Peer,
    (route, id): (Route, Id),
    request: Request<Incoming>,
    access: &mut Access,
    context: &mut RequestContext,
) -> Result<Response<Payload>, Failure> {
    let time = config.timeouts.of(route);
    let deadline = Instant::now() + time;
    let (mut head, incoming) = request.into_parts();
    let host = forwarding::host(&head.uri, &head.headers);
    headers::to_upstream(&mut head.headers);
    forwarding::tell(&config, &peer, head.version, host.as_ref(), &mut head.headers);
    let services = app.shared.clone();
    let flow = RouteContext { config, services, head, deadline, stats: Mutex::default() };
    let (answered, flow) = match route {
        Route::Create => {
            let body = whole_body(incoming, &flow, &access.request_bytes).await?;
            if let Some(watch) = &mut context.watch {
                watch.set_request_body(&body);
            }
            // A client that leaves aborts nothing that was sent.
            let run = async move { (routes::create::run(&flow, body).await, flow) };
            DetachOnDrop::new(run, &app.shared.detached, time).await
        }
        Route::Cancel => {
            let run = async move { (routes::cancel::run(&flow, &id).await, flow) };
            DetachOnDrop::new(run, &app.shared.detached, time).await
        }
        Route::Get => (routes::get::run(&flow, &id).await, flow),
        Route::List => (routes::list::run(&flow).await, flow),
    };
    let trail = flow.stats.into_inner().unwrap_or_default();
    access.side = trail.side;
    access.upstream_status = trail.upstream_status;
    access.upstream_calls = trail.upstream_calls;
    access.upstream_us = trail.upstream_us;
    context.without_reference = trail.without_reference;
    if trail.throttled {
        app.throttled(&app.config.load());
    }
    answered.map(respond)
}

async fn whole_body(
    incoming: Incoming,
    flow: &RouteContext,
    count: &ByteCount,
) -> Result<bytes::Bytes, Failure> {
    let max = flow.config.limits.request_body_max;
    let collected = timeout_at(flow.deadline, body::collect(incoming, max)).await;
    let body = collected.map_err(|_| Failure::BodySlow)?.map_err(|error| match error {
        CollectError::TooLong { max } => Failure::BodyTooLong { max },
        CollectError::Broken(source) => Failure::BodyBroken(source.into()),
    })?;
    count.add(body.len());
    Ok(body)
}
