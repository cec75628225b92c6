//! Pass-through to legacy: bytes, headers and status are forwarded unchanged in both directions.

use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use tokio::time::{Instant, timeout};

use super::dispatch::RequestContext;
use super::forwarding;
use crate::config::Config;
use crate::failure::{Failure, SideEffect};
use crate::http::body::{self, ByteCount, Payload, Peeked};
use crate::http::detach::DetachOnDrop;
use crate::http::{forwarded, headers, hop_by_hop};
use crate::translate::side::Side;
use crate::upstream::rate_limit::Endpoint;
use crate::upstream::{self, AnswerWait, Lane, Outgoing, SendError};

impl RequestContext {
    /// Forwards the request and streams the answer. `endpoint` is `None` for a path that is no route.
    pub(super) async fn pass_through(
        &mut self,
        endpoint: Option<Endpoint>,
        request: Request<Payload>,
    ) -> Result<Response<Payload>, Failure> {
        let (version, is_safe) = (request.version(), request.method().is_safe());
        let request = if is_safe { self.with_known_end(request).await? } else { request };
        let request = self.upstream_request(request);
        let of_path = || Endpoint::of_path(&self.config.budget, request.uri().path());
        let permit = match endpoint.or_else(of_path) {
            Some(endpoint) => {
                let until = Instant::now() + self.config.budget.wait_max;
                Some(self.app.services.upstream.budget().take(endpoint.client(), until).await?)
            }
            None => None,
        };
        let side = Side::Legacy;
        self.access.side = Some(side);
        self.access.upstream_calls = 1;
        let request = match &mut self.capture {
            Some(capture) => capture.tee_request(request),
            None => request,
        };
        let start = Instant::now();
        let credentials = self.config.auth.credential_set(side);
        let until = start + self.config.auth.timeout;
        let (at_most, sent) = (self.config.timeouts.pass_through_idle, self.access.request_bytes.clone());
        let answer = AnswerWait::Quiet { at_most, sent };
        let outgoing = Outgoing { request, lane: Lane::PassThrough, credentials, permit, until, answer };
        let answered = self.send_on(outgoing, is_safe).await;
        let elapsed = start.elapsed();
        self.access.upstream_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let effect = if is_safe { SideEffect::None } else { SideEffect::Unknown };
        // The upstream call fails as well when the client's body breaks off, which is the client's fault.
        let answered = answered.map_err(|error| match self.access.request_bytes.broke_off() {
            true => Failure::BodyBroken(error.into()),
            false => error.into_failure(side, effect),
        });
        self.app.services.passed(self.access.route, answered.as_ref().map(Response::status), elapsed);
        // After `passed`: a call that failed is counted too.
        let response = answered?;
        self.access.upstream_status = Some(response.status().as_u16());
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            self.app.throttled(&self.config);
        }
        // `Upgrade` was not forwarded, so a 101 is an upstream's error, and the connection cannot be used after it.
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::Broken { side, effect, source: "an upgrade that was not requested".into() });
        }
        Ok(downstream_response(&self.config, response, version))
    }

    async fn send_on(&self, outgoing: Outgoing, is_safe: bool) -> Result<Response<Payload>, SendError> {
        let services = &self.app.services;
        let sent = if is_safe {
            services.upstream.send_as(outgoing, &self.config).await
        } else {
            // A write goes on when its client disconnects, because it may already have taken effect; at most for `timeouts.create`.
            let (upstream, config) = (services.upstream.clone(), self.config.clone());
            let in_flight = self.in_flight.clone();
            let sending = async move {
                let _in_flight = in_flight;
                upstream.send_as(outgoing, &config).await
            };
            DetachOnDrop::new(sending, &services.detached, self.config.timeouts.create).await
        };
        let idle = self.config.timeouts.pass_through_idle;
        Ok(sent?.map(|incoming| Payload::Streamed(incoming.into(), ByteCount::NONE).idle_at_most(idle)))
    }

    /// Reads on to the first byte of the body of a safe request, or to its end: over HTTP/2 an empty frame may say that there is none.
    async fn with_known_end(&self, request: Request<Payload>) -> Result<Request<Payload>, Failure> {
        if request.version() < Version::HTTP_2 || http_body::Body::size_hint(request.body()).exact().is_some()
        {
            return Ok(request);
        }
        let (head, body) = request.into_parts();
        let Payload::Streamed(incoming, count) = body else { return Ok(Request::from_parts(head, body)) };
        let idle = self.config.timeouts.pass_through_idle;
        let peeked = timeout(idle, body::peek(incoming, 0, idle, &count)).await;
        let body = match peeked.map_err(|_| Failure::BodySlow)?? {
            Peeked::Whole(bytes) => Payload::whole(bytes),
            Peeked::Trailed(_, read, rest) | Peeked::Partial(read, rest) => {
                Payload::Prefixed(read, rest, count)
            }
        };
        Ok(Request::from_parts(head, body))
    }

    fn upstream_request(&self, mut request: Request<Payload>) -> Request<Payload> {
        let config = &*self.config;
        let uri = upstream::target(&config.upstream.legacy, &config.base_path, request.uri());
        let version = std::mem::replace(request.version_mut(), Version::HTTP_11);
        let host = forwarding::host(request.uri(), request.headers());
        headers::to_upstream(request.headers_mut());
        let size = http_body::Body::size_hint(request.body()).exact();
        if size.is_none() && request.method().is_safe() {
            // hyper sends no body with a GET of unknown length unless it is declared chunked.
            request.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        forwarding::describe_client(config, &self.peer, version, host.as_ref(), request.headers_mut());
        *request.uri_mut() = uri;
        request.map(|body| body.idle_at_most(config.timeouts.pass_through_idle))
    }
}

pub(super) fn downstream_response(
    config: &Config,
    mut response: Response<Payload>,
    version: Version,
) -> Response<Payload> {
    hop_by_hop::remove(response.headers_mut());
    if config.forwarding.via {
        let answered_in = response.version();
        forwarded::add_via(response.headers_mut(), answered_in);
    }
    *response.version_mut() = version;
    response
}
