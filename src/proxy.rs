//! The story of a request: snapshot, route, mode; then straight through to an upstream, or through the route's flow.

mod admission;
mod answer;
mod client;
mod retire;

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use self::admission::Lane;
use self::answer::respond;
use crate::auth::callers;
use crate::auth::token_route::{self, Exchanged};
use crate::body::{self, ByteCount, CollectError, Payload};
use crate::config::auth::AuthMode;
use crate::config::{Config, Mode};
use crate::cutover::{self, Flow, Homes, Reach, Shared};
use crate::failure::{Denied, Effect, Failure};
use crate::headers;
use crate::ledger::Ledger;
use crate::outlive::Outlive;
use crate::shadow::Shadow;
use crate::shadow::watch::Watch;
use crate::side::Side;
use crate::telemetry::access::{Access, Told};
use crate::telemetry::metrics::labels::RouteLabel;
use crate::telemetry::usage::Usage;
use crate::translate::route::{self, Matched, Route};
use crate::upstream::budget::Endpoint;
use crate::upstream::{self, Client};

pub use self::admission::{Admission, Place};
pub(crate) use self::answer::refuse;
pub use self::client::{ClientCertificate, Peer};

/// What every request shares.
pub struct App {
    /// The config in force; a reload swaps it.
    pub config: Arc<ArcSwap<Config>>,
    /// What the flows share, and pass-through with them.
    pub shared: Shared,
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
        let (homes, detached) = (Homes::default(), TaskTracker::new());
        let (metrics, reach) = (Arc::default(), Reach::default());
        let shared = Shared { upstream, ledger, homes, detached, metrics, reach };
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
struct Escort {
    /// Its place among those in flight.
    place: Option<Arc<Place>>,
    /// Whoever compares it.
    watch: Option<Watch>,
    /// What it tells of its client, on one of the four routes.
    noted: Option<retire::Noted>,
    /// Whether it is a create without a reference.
    without_reference: bool,
}

/// Answers one request. Whatever happens, there is an answer, and one access line.
pub async fn handle(app: Arc<App>, peer: Peer, request: Request<Incoming>) -> Response<Told> {
    let mut access = Access::begin(app.shared.metrics.clone(), &request, &app.config.load().traces);
    let head = request.method() == Method::HEAD;
    access.client_certificate = peer.certificate.as_deref().map(ClientCertificate::fingerprint);
    let mut escort = Escort::default();
    let span = access.span();
    let answered = serve(&app, peer, request, &mut access, &mut escort).instrument(span).await;
    let response = answered.unwrap_or_else(|failure| {
        access.failed(&failure);
        if matches!(failure, Failure::OverBudget { .. })
            && let Some(watch) = escort.watch.take()
        {
            watch.over_budget();
        }
        let refusal = refuse(&failure);
        // Over HTTP/2 nothing below would hold the body back, and a client must not see one.
        if head { refusal.map(|_| Payload::empty()) } else { refusal }
    });
    access.status = Some(response.status().as_u16());
    // What went wrong is compared too.
    let mut response = match escort.watch {
        Some(watch) => watch.answer(response),
        None => response,
    };
    if let Some(noted) = &escort.noted {
        noted.answered(&app.usage, &access, escort.without_reference);
        retire::tell(&app.config.load().retirement, response.headers_mut());
    }
    // For the server, which holds it to the answer's last byte.
    response.extensions_mut().insert(escort.place);
    response.map(|payload| Told::new(payload, access))
}

async fn serve(
    app: &Arc<App>,
    peer: Peer,
    mut request: Request<Incoming>,
    access: &mut Access,
    escort: &mut Escort,
) -> Result<Response<Payload>, Failure> {
    let config = app.config.load_full();
    app.shared.upstream.budget().adopt(&config);
    check_head(&config, &request)?;
    let matched = route::route(request.method(), request.uri().path(), &config.base_path);
    let client = peer.client(&config.forwarding, request.headers());
    escort.place = Some(app.admission.admit(Lane::of(&matched), client, &config.limits.in_flight)?);
    // Work that outlives its client keeps the place as well.
    request.extensions_mut().insert(escort.place.clone());
    if is_token_request(&config, &request) {
        return token(app, &config, &peer, request, access).await;
    }
    let shown = peer.certificate.as_deref().map(|certificate| &certificate.sha256);
    if let Some(caller) = callers::identify(&config.auth, request.headers(), shown)? {
        access.caller = Some(caller.name.clone());
        callers::permit(caller, request.method(), request.headers())?;
    }
    let route = match matched {
        Matched::Route(route) if !is_dressed_write(&request) => route,
        Matched::Route(_) | Matched::Lookalike | Matched::PassThrough => {
            if app.shared.guards_creates(&config) && is_lookalike(&config, &request) {
                return Err(Failure::Lookalike);
            }
            return pass(app, &config, peer, None, request, access, escort).await;
        }
    };
    let mode = config.modes.of(route.name());
    access.route = route.name().into();
    access.mode = Some(mode);
    let caller = access.caller.as_deref();
    escort.noted = Some(retire::note(&config, &peer, route.name(), &request, caller));
    if let (Mode::Shadow, Some(shadow)) = (mode, &app.shadow) {
        escort.watch = shadow.watch(&config, route.name(), &request, &access.request_id);
    }
    match mode {
        Mode::Hold => Err(Failure::Held { retry_after: config.hold.retry_after }),
        Mode::Legacy | Mode::Shadow if !app.shared.keeps_rules_on_legacy(&route, request.uri()) => {
            let endpoint = Endpoint::of_legacy(route.name());
            pass(app, &config, peer, Some(endpoint), request, access, escort).await
        }
        Mode::Legacy | Mode::Shadow | Mode::Canary | Mode::Both | Mode::New => {
            translated(app, config, peer, route, request, access, escort).await
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
        return Err(Denied::NoTokenRoute.into());
    }
    let (mut head, incoming) = request.into_parts();
    let version = head.version;
    let host = client::host(&head.uri, &head.headers);
    headers::to_upstream(&mut head.headers);
    client::tell(config, peer, version, host.as_ref(), &mut head.headers);
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
fn is_lookalike(config: &Config, request: &Request<Incoming>) -> bool {
    let legacy = &config.upstream.legacy;
    let target = upstream::target(legacy, &config.base_path, request.uri());
    let method = if is_dressed_write(request) { &Method::POST } else { request.method() };
    route::is_lookalike(method, request.uri().path(), &config.base_path)
        || route::is_lookalike(method, target.path(), &legacy.path_prefix)
}

/// Straight through to the legacy side: bytes, headers and status as they come, both ways. No `endpoint` = nobody counts it.
async fn pass(
    app: &Arc<App>,
    config: &Arc<Config>,
    peer: Peer,
    endpoint: Option<Endpoint>,
    request: Request<Incoming>,
    access: &mut Access,
    escort: &mut Escort,
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
    let request = match &mut escort.watch {
        Some(watch) => watch.request(request),
        None => request,
    };
    let start = Instant::now();
    let holder = config.auth.holder(side);
    let until = start + config.auth.timeout;
    let answer = if safe {
        app.shared.upstream.send_as(holder, request, config, until, paid).await
    } else {
        // The client may leave; what was sent is not called back. Nobody waits for an answer for ever, though.
        let (upstream, kept) = (app.shared.upstream.clone(), config.clone());
        let place = request.extensions().get::<Option<Arc<Place>>>().cloned();
        let sending = async move {
            let _place = place;
            upstream.send_as(holder, request, &kept, until, paid).await
        };
        Outlive::new(sending, &app.shared.detached, config.timeouts.create).await
    };
    let took = start.elapsed();
    access.upstream_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let effect = if safe { Effect::None } else { Effect::Unknown };
    let answered = answer.map_err(|error| match access.request_bytes.broke_off() {
        true => Failure::BodyBroken(error.into()),
        false => error.into_failure(side, effect),
    });
    app.shared.passed(access.route, answered.as_ref().map(Response::status), took);
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
    let host = client::host(request.uri(), request.headers());
    headers::to_upstream(request.headers_mut());
    let size = http_body::Body::size_hint(request.body()).exact();
    if size.is_none() && request.method().is_safe() && version < Version::HTTP_2 {
        // hyper takes a GET without a length for one without a body.
        request.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    client::tell(config, &peer, version, host.as_ref(), request.headers_mut());
    *request.uri_mut() = uri;
    request
}

/// Through the route's flow, within the route's time.
async fn translated(
    app: &Arc<App>,
    config: Arc<Config>,
    peer: Peer,
    route: Route,
    request: Request<Incoming>,
    access: &mut Access,
    escort: &mut Escort,
) -> Result<Response<Payload>, Failure> {
    let time = config.timeouts.of(route.name());
    let deadline = Instant::now() + time;
    let (mut head, incoming) = request.into_parts();
    let host = client::host(&head.uri, &head.headers);
    headers::to_upstream(&mut head.headers);
    client::tell(&config, &peer, head.version, host.as_ref(), &mut head.headers);
    let flow = Flow { config, shared: app.shared.clone(), head, deadline, trail: Mutex::default() };
    let (answered, flow) = match route {
        Route::Create => {
            let body = whole_body(incoming, &flow, &access.request_bytes).await?;
            if let Some(watch) = &mut escort.watch {
                watch.request_body(&body);
            }
            // A client that leaves aborts nothing that was sent.
            let run = async move { (cutover::create::run(&flow, body).await, flow) };
            Outlive::new(run, &app.shared.detached, time).await
        }
        Route::Cancel(id) => {
            let run = async move { (cutover::cancel::run(&flow, &id).await, flow) };
            Outlive::new(run, &app.shared.detached, time).await
        }
        Route::Get(id) => (cutover::get::run(&flow, &id).await, flow),
        Route::List => (cutover::list::run(&flow).await, flow),
    };
    let trail = flow.trail.into_inner().unwrap_or_default();
    access.side = trail.side;
    access.upstream_status = trail.upstream_status;
    access.upstream_calls = trail.upstream_calls;
    access.upstream_us = trail.upstream_us;
    escort.without_reference = trail.without_reference;
    if trail.throttled {
        app.throttled(&app.config.load());
    }
    answered.map(respond)
}

async fn whole_body(incoming: Incoming, flow: &Flow, count: &ByteCount) -> Result<bytes::Bytes, Failure> {
    let max = flow.config.limits.request_body_max;
    let collected = timeout_at(flow.deadline, body::collect(incoming, max)).await;
    let body = collected.map_err(|_| Failure::BodySlow)?.map_err(|error| match error {
        CollectError::TooLong { max } => Failure::BodyTooLong { max },
        CollectError::Broken(source) => Failure::BodyBroken(source.into()),
    })?;
    count.add(body.len());
    Ok(body)
}
