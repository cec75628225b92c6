//! One call to one side: the proxy's own, or the client's as it came. Nothing here repeats anything.

use std::sync::PoisonError;

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::{RouteContext, RouteResponse, Services};
use crate::config::auth::CredentialSet;
use crate::failure::{Failure, SideEffect};
use crate::http::body::{self, CollectError, Payload};
use crate::http::headers;
use crate::translate::json::Text;
use crate::translate::mapping::Mapped;
use crate::translate::problem;
use crate::translate::side::Side;
use crate::upstream::rate_limit::{Cost, Permit};
use crate::upstream::{self, SendError};

/// A whole answer of an upstream.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) side: Side,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    extensions: Extensions,
}

impl RouteContext {
    /// Pays for one call out of the rate budget; waits for its turn. Nothing is sent without it.
    pub(super) async fn pay(&self, cost: Cost, until: Instant) -> Result<Permit, Failure> {
        Ok(self.shared.upstream.budget().take(cost, until).await?)
    }

    /// A call of the proxy's own that only reads.
    pub(super) async fn read(
        &self,
        side: Side,
        cost: Cost,
        path: &str,
        until: Instant,
    ) -> Result<Reply, Failure> {
        let request = self.own_request(side, Method::GET, path, Payload::empty())?;
        let paid = self.pay(cost, until).await?;
        self.send(paid, side, request, SideEffect::None, until).await
    }

    /// A look with the proxy's own lookup credentials; nothing of the caller's travels but the request id. `None` when there are
    /// no such credentials.
    pub(super) async fn look_up(
        &self,
        side: Side,
        cost: Cost,
        path: &str,
        until: Instant,
    ) -> Option<Result<Reply, Failure>> {
        self.config.auth.credentials(CredentialSet::Lookup)?;
        tracing::info!(target: "cutover", %side, "the caller's token may not read; looking with the proxy's own");
        let request = self.own_request(side, Method::GET, path, Payload::empty()).map(|mut request| {
            let told = |name: &HeaderName| [headers::REQUEST_ID, header::ACCEPT].contains(name);
            let kept = std::mem::take(request.headers_mut()).into_iter();
            request.headers_mut().extend(kept.filter(|(name, _)| name.as_ref().is_some_and(told)));
            request
        });
        let holder = Some(CredentialSet::Lookup);
        Some(match (request, self.pay(cost, until).await) {
            (Ok(request), Ok(paid)) => {
                self.send_as(paid, holder, side, request, SideEffect::None, until).await
            }
            (Err(failure), _) | (_, Err(failure)) => Err(failure),
        })
    }

    /// A call of the proxy's own that moves money. It is sent once, on every layer; nothing here or below may repeat it.
    pub(super) async fn write(
        &self,
        paid: Permit,
        side: Side,
        path: &str,
        json: String,
        until: Instant,
    ) -> Result<Reply, Failure> {
        let mut request = self.own_request(side, Method::POST, path, Payload::whole(json))?;
        let json = http::HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        self.send(paid, side, request, SideEffect::Unknown, until).await
    }

    /// The client's own request, as it came, to the legacy side. Sent once.
    pub(super) async fn forward(&self, paid: Permit, body: Bytes, until: Instant) -> Result<Reply, Failure> {
        let legacy = &self.config.upstream.legacy;
        let empty = body.is_empty();
        let mut request = Request::new(Payload::whole(body));
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = upstream::target(legacy, &self.config.base_path, &self.head.uri);
        *request.headers_mut() = self.head.headers.clone();
        headers::fit_to_body(request.headers_mut(), empty);
        *request.extensions_mut() = self.head.extensions.clone();
        let effect = if self.head.method.is_safe() { SideEffect::None } else { SideEffect::Unknown };
        self.send(paid, Side::Legacy, request, effect, until).await
    }

    fn own_request(
        &self,
        side: Side,
        method: Method,
        path: &str,
        body: Payload,
    ) -> Result<Request<Payload>, Failure> {
        let mut request = Request::new(body);
        *request.uri_mut() = upstream::call(self.config.upstream.side(side), path)
            .ok_or(Failure::Internal { effect: SideEffect::None })?;
        *request.headers_mut() = self.head.headers.clone();
        headers::to_translated(request.headers_mut());
        *request.method_mut() = method;
        Ok(request)
    }

    async fn send(
        &self,
        paid: Permit,
        side: Side,
        request: Request<Payload>,
        effect: SideEffect,
        until: Instant,
    ) -> Result<Reply, Failure> {
        self.send_as(paid, self.config.auth.holder(side), side, request, effect, until).await
    }

    async fn send_as(
        &self,
        paid: Permit,
        holder: Option<CredentialSet>,
        side: Side,
        request: Request<Payload>,
        effect: SideEffect,
        until: Instant,
    ) -> Result<Reply, Failure> {
        let start = Instant::now();
        let sending = self.shared.upstream.send_as(holder, request, &self.config, until, Some(paid));
        let max = self.config.limits.response_body_max;
        let answered = timeout_at(until, exchange(sending, side, effect, max)).await;
        let answered = answered.unwrap_or(Err(Failure::TimedOut { side, effect }));
        let elapsed = start.elapsed();
        self.shared.called(side, answered.as_ref().map(|reply| reply.status), elapsed);
        let mut trail = self.trail.lock().unwrap_or_else(PoisonError::into_inner);
        trail.side = Some(side);
        trail.upstream_status = answered.as_ref().ok().map(|reply| reply.status.as_u16());
        trail.throttled |= trail.upstream_status == Some(429);
        trail.upstream_calls += 1;
        trail.upstream_us += u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        answered
    }
}

/// The whole answer to a request that is being sent.
pub(super) async fn exchange(
    sending: impl Future<Output = Result<Response<Incoming>, SendError>>,
    side: Side,
    effect: SideEffect,
    max: usize,
) -> Result<Reply, Failure> {
    let answer = sending.await.map_err(|error| error.into_failure(side, effect))?;
    let (parts, body) = answer.into_parts();
    let body = body::collect(body, max).await.map_err(|error| match error {
        CollectError::TooLong { max } => Failure::AnswerTooLong { side, max, effect },
        CollectError::Broken(source) => Failure::Broken { side, effect, source: source.into() },
    })?;
    Ok(Reply { side, status: parts.status, headers: parts.headers, extensions: parts.extensions, body })
}

impl Reply {
    /// Whether the side said no.
    pub(super) fn is_refusal(&self) -> bool {
        self.status.is_client_error() || self.status.is_server_error()
    }

    /// The answer as it came.
    pub(super) fn verbatim(self) -> RouteResponse {
        let mut headers = self.headers;
        headers::remove_hop_by_hop(&mut headers);
        RouteResponse { status: self.status, headers, extensions: self.extensions, body: self.body }
    }

    /// One conversion, in the legacy shape.
    pub(super) fn conversion(&self, mapped: &Mapped<'_>, shared: &Services) -> Vec<u8> {
        shared.tell_unknown_status(mapped.unknown_status.map(Text::as_written));
        let mut json = Vec::with_capacity(self.body.len());
        mapped.conversion.write(&mut json);
        json
    }

    /// The side's refusal in the old API's words.
    pub(super) fn refusal(self) -> RouteResponse {
        match self.side {
            Side::Legacy => self.verbatim(),
            Side::New => {
                let problem = problem::from_orchestrations(self.status.as_u16(), &self.body);
                RouteResponse::json(self.status, self.headers, problem.to_json())
            }
        }
    }

    /// What to make of an answer that is neither the one hoped for nor an error: a redirect, a 204.
    pub(super) fn unexpected(&self, effect: SideEffect) -> Failure {
        let source = format!("status {} is not an answer to this call", self.status.as_u16()).into();
        Failure::Broken { side: self.side, effect, source }
    }
}
