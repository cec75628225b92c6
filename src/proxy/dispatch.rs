//! Dispatch of one request: check the head, admit, match the route, identify the caller, serve.

use std::net::IpAddr;
use std::sync::Arc;

use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};

use super::forwarding;
use super::in_flight::{InFlightGuard, TrafficClass};
use super::response::refuse;
use super::{App, ClientResponse, callers};
use crate::config::{Config, Mode};
use crate::deprecation::{self, ClientUsage};
use crate::failure::Failure;
use crate::http::body::Payload;
use crate::http::headers;
use crate::http::peer::{ClientCertificate, Peer};
use crate::http::received::Received;
use crate::routes::native;
use crate::shadow::capture::ShadowCapture;
use crate::telemetry::access::{Access, AccessLogBody};
use crate::translate::route::{self, Id, Matched, Route};
use crate::upstream;
use crate::upstream::rate_limit::Endpoint;

/// Per-request state. The access log entry and the in-flight guard move into the response body.
pub(super) struct RequestContext {
    pub(super) app: Arc<App>,
    pub(super) config: Arc<Config>,
    pub(super) peer: Peer,
    pub(super) access: Access,
    pub(super) capture: Option<ShadowCapture>,
    pub(super) without_reference: bool,
    /// The client's own credentials, while its token may be one that is shared.
    authorization: Option<HeaderValue>,
    /// A hash of the credentials of a create, once it is checked.
    pub(super) create_credential: Option<u64>,
    /// The client's address, behind a trusted load balancer too; known once the request is admitted.
    pub(super) client: Option<IpAddr>,
    pub(super) in_flight: Option<Arc<InFlightGuard>>,
    client_usage: Option<ClientUsage>,
}

impl RequestContext {
    pub(super) fn new(app: Arc<App>, peer: Peer, request: &Request<Received>) -> Self {
        // The one snapshot of this request: a reload in the middle must not mix two configs.
        let config = app.config.load_full();
        let mut access = Access::start(app.services.metrics.clone(), request, &config.traces);
        access.client_certificate = peer.certificate.as_deref().map(ClientCertificate::fingerprint);
        let shared = request.headers().get(header::AUTHORIZATION).filter(|_| config.auth.share_tokens);
        let authorization = shared.cloned();
        let (capture, client, in_flight, client_usage, without_reference) = (None, None, None, None, false);
        let create_credential = None;
        Self {
            app,
            config,
            peer,
            access,
            capture,
            without_reference,
            authorization,
            create_credential,
            client,
            in_flight,
            client_usage,
        }
    }

    /// # Errors
    /// Why the proxy answers with a problem document of its own.
    pub(super) async fn dispatch(
        &mut self,
        mut request: Request<Received>,
    ) -> Result<Response<Payload>, Failure> {
        // By the first request after a reload, not by the reload: the limit belongs to the snapshot that is used.
        self.app.services.upstream.budget().adopt(&self.config);
        check_head(&self.config, &request)?;
        normalize(&mut request);
        let matched = matched(&self.config, &request);
        // Before the caller is identified, so that guessing tokens is limited too.
        self.admit(&matched, &request)?;
        // A token request has no token yet, so it must not need an authenticated caller.
        if is_token_request(&self.config, &request) {
            return Box::pin(self.token_request(request)).await;
        }
        self.identify_caller(&request)?;
        match matched {
            Matched::Route(route, id) if !is_overridden(&request) => self.route(route, id, request).await,
            Matched::Route(..) | Matched::UnroutedWrite | Matched::PassThrough => {
                self.unrouted(request).await
            }
        }
    }

    /// Counts the request as in flight until the last byte of its answer is written and a write that it began has ended.
    fn admit(&mut self, matched: &Matched, request: &Request<Received>) -> Result<(), Failure> {
        let client = self.peer.client(&self.config.forwarding, request.headers());
        let caps = &self.config.limits.in_flight;
        self.client = Some(client);
        let (class, id) = (TrafficClass::of(matched), &self.access.request_id);
        self.in_flight = Some(self.app.admission.admit(class, client, caps, id)?);
        Ok(())
    }

    fn identify_caller(&mut self, request: &Request<Received>) -> Result<(), Failure> {
        let certificate = self.peer.certificate.as_deref().map(|certificate| &certificate.sha256);
        if let Some(caller) = callers::identify(&self.config.auth, request.headers(), certificate)? {
            self.access.caller = Some(caller.name.clone());
            callers::permit(caller, request.method(), request.headers())?;
        }
        Ok(())
    }

    async fn route(
        &mut self,
        route: Route,
        id: Id,
        request: Request<Received>,
    ) -> Result<Response<Payload>, Failure> {
        let mode = self.config.modes.of(route);
        self.access.route = route.into();
        self.access.mode = Some(mode);
        let caller = self.access.caller.as_deref();
        self.client_usage = Some(deprecation::identify(&self.config, &self.peer, route, &request, caller));
        // In every mode, legacy included: the trip holds creates whatever the config says (docs/money-safety.md).
        if route == Route::Create && self.app.services.is_tripped() {
            return Err(Failure::Held { retry_after: self.config.hold.retry_after });
        }
        if let (Mode::Shadow | Mode::Canary, Some(shadow)) = (mode, &self.app.shadow) {
            self.capture = shadow.capture(&self.config, route, &request, &self.access.request_id);
        }
        match mode {
            Mode::Hold => Err(Failure::Held { retry_after: self.config.hold.retry_after }),
            Mode::Legacy | Mode::Shadow
                if !self.app.services.needs_handler_on_legacy(route, request.uri()) =>
            {
                self.pass_through(Some(Endpoint::of_legacy(route)), streamed(self, request)).await
            }
            Mode::Legacy | Mode::Shadow | Mode::Canary | Mode::Both | Mode::New => {
                Box::pin(self.routed(route, id, request)).await
            }
        }
    }

    /// Passes a request through that matches no route, unless it could be a create without a duplicate check.
    async fn unrouted(&mut self, request: Request<Received>) -> Result<Response<Payload>, Failure> {
        // Passed through, it would reach the vendor as a create without a claim.
        if self.app.services.guards_creates(&self.config) && is_unrouted_write(&self.config, &request) {
            return Err(Failure::UnroutedWrite);
        }
        let (services, count) = (&self.app.services, &self.access.request_bytes);
        let request = native::record(services, &self.config, request, count).await?;
        self.pass_through(None, request).await
    }

    /// Turns a failure into an answer, and lets the shadow capture, the usage table and the access log see the answer.
    pub(super) fn respond(
        mut self,
        answered: Result<Response<Payload>, Failure>,
        is_head: bool,
    ) -> ClientResponse {
        let response = answered.unwrap_or_else(|failure| {
            self.access.failed(&failure);
            if let Failure::OverBudget { .. } = &failure
                && let Some(capture) = self.capture.take()
            {
                capture.over_budget();
            }
            let refusal = refuse(&failure);
            // An answer to HEAD has no body, and over HTTP/2 hyper would send one.
            if is_head { refusal.map(|_| Payload::empty()) } else { refusal }
        });
        self.access.status = Some(response.status().as_u16());
        self.count_unauthorized(response.status());
        if response.status() == StatusCode::UNAUTHORIZED
            && let Some(authorization) = &self.authorization
        {
            self.app.services.shared_tokens.refused(authorization.as_bytes());
        }
        // Refusals of the proxy are compared too.
        let mut response = match self.capture {
            Some(capture) => capture.tee_response(response, self.access.side),
            None => response,
        };
        if let Some(usage) = &self.client_usage {
            usage.record(&self.app.usage, &self.access, self.without_reference);
            deprecation::add_headers(&self.config.deprecation, response.headers_mut());
        }
        let response = response.map(|payload| AccessLogBody::new(payload, self.access));
        ClientResponse { response, in_flight: self.in_flight }
    }
}

pub(super) fn streamed(context: &RequestContext, request: Request<Received>) -> Request<Payload> {
    let count = context.access.request_bytes.clone();
    request.map(|incoming| Payload::Streamed(incoming, count))
}

/// Refuses targets that are no path at the vendor, and oversized heads. The framing guard has already refused malformed ones.
fn check_head(config: &Config, request: &Request<Received>) -> Result<(), Failure> {
    let (uri, headers) = (request.uri(), request.headers());
    let is_http = uri.scheme().is_none_or(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme));
    if request.method() == Method::CONNECT || !is_http || !uri.path().starts_with('/') {
        return Err(Failure::TargetForm);
    }
    // hyper counts headers over HTTP/1 only. One more is allowed for the request id that the middleware may have added.
    if headers.len() > config.limits.headers_max + 1 {
        return Err(Failure::HeadTooLong);
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        // RFC 9112, section 3.2. An absolute target takes its place, and HTTP/2 has `:authority`.
        (None, _) if request.version() == Version::HTTP_11 && uri.authority().is_none() => {
            Err(Failure::Malformed)
        }
        (Some(host), _) if !is_host(host.as_bytes()) => Err(Failure::Malformed),
        (_, Some(_)) => Err(Failure::Malformed),
        (_, None) => Ok(()),
    }
}

/// Whether no byte of the field ends a host and port for another reader.
fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_graphic() && !b"/\\?#@,\"<>^`{|}".contains(byte) || *byte >= 0x80)
}

/// HEAD passes through, but where reads use the new API: the old one would deny a record of the new one.
fn matched(config: &Config, request: &Request<Received>) -> Matched {
    let (method, path) = (request.method(), request.uri().path());
    let of = |method: &Method| route::route(method, path, &config.base_path);
    if *method == Method::HEAD
        && let Matched::Route(route, id) = of(&Method::GET)
        && matches!(config.modes.of(route), Mode::Both | Mode::New)
    {
        return Matched::Route(route, id);
    }
    of(method)
}

/// Gives a request the form in which an HTTP/1.1 origin server gets it.
fn normalize(request: &mut Request<Received>) {
    if request.version() < Version::HTTP_2 {
        replace_absolute_target(request);
    } else {
        join_cookies(request.headers_mut());
        state_empty_body(request);
    }
}

/// RFC 9112, section 3.2.2: every server takes an absolute target, and its authority in place of Host. It names the proxy, so nothing is
/// sent anywhere else.
fn replace_absolute_target(request: &mut Request<Received>) {
    if request.uri().authority().is_none() {
        return;
    }
    let host = forwarding::named(request.uri());
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    host.into_iter().for_each(|host| drop(request.headers_mut().insert(header::HOST, host)));
}

/// RFC 9113, section 8.2.3: an HTTP/2 client may split the field, and an HTTP/1.1 server takes one.
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, cookie);
    }
}

/// RFC 9110, section 8.6: where a method usually has a body, the length says that there is none. HTTP/2 frames say it without.
fn state_empty_body(request: &mut Request<Received>) {
    let usually_has_one = [Method::POST, Method::PUT, Method::PATCH].contains(request.method());
    if usually_has_one && http_body::Body::is_end_stream(request.body()) {
        request.headers_mut().entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
    }
}

/// Whether a request is a client's token request, in any spelling of the path.
fn is_token_request(config: &Config, request: &Request<Received>) -> bool {
    let path = config.auth.token_path.as_deref();
    request.method() == Method::POST && path.is_some_and(|path| route::is_path(request.uri().path(), path))
}

/// Whether a header overrides a safe method: some servers would treat the request as a write.
fn is_overridden(request: &Request<Received>) -> bool {
    request.method().is_safe() && headers::override_method(request.headers())
}

/// Whether a request that matches no route could be a create for the vendor. Both the client's path and the path at legacy are judged.
fn is_unrouted_write(config: &Config, request: &Request<Received>) -> bool {
    let legacy = &config.upstream.legacy;
    let method = if is_overridden(request) { &Method::POST } else { request.method() };
    // Also as legacy will see it: behind another prefix the same path may be a route there.
    let at_legacy = || {
        let target = upstream::target(legacy, &config.base_path, request.uri());
        route::is_unrouted_write(method, target.path(), &legacy.path_prefix)
    };
    route::is_unrouted_write(method, request.uri().path(), &config.base_path)
        || legacy.path_prefix != config.base_path && at_legacy()
}
