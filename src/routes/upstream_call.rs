//! One call to one side: one that the proxy makes, or the client's forwarded unchanged. It is never repeated here.

use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::{RecordSide, RouteContext, RouteResponse, Services};
use crate::config::auth::CredentialSet;
use crate::failure::call_error::{CallPhase, TimedOut};
use crate::failure::{BoxError, Failure, SideEffect};
use crate::http::body::{self, CollectError, Payload};
use crate::http::decode::{self, Decoded, decode};
use crate::http::{headers, hop_by_hop};
use crate::telemetry::drift::ReadAnswer;
use crate::translate::evidence::{self, UnknownDigests};
use crate::translate::json::Text;
use crate::translate::list::ListQuery;
use crate::translate::list::rows::Rows;
use crate::translate::mapping::Mapped;
use crate::translate::orchestration::Unreadable;
use crate::translate::problem;
use crate::translate::route::Id;
use crate::translate::side::Side;
use crate::translate::unknown::Unknown;
use crate::upstream::rate_limit::{Cost, Permit};
use crate::upstream::{self, AnswerInProgress, AnswerWait, Lane, Outgoing, call_error};

/// Fewer bytes than a list with a record has: its id, amount and times alone take more.
const ROW_BYTES_MIN: usize = 128;

/// A call that is ready to be made.
pub(super) struct UpstreamCall {
    side: Side,
    request: Request<Payload>,
    effect: SideEffect,
    lane: Lane,
    credentials: Option<CredentialSet>,
    cost: Cost,
    /// Its turn under the rate limit, if taken before; else [`RouteContext::call`] waits for one.
    permit: Option<Permit>,
    until: Instant,
}

/// A complete answer of an upstream.
#[derive(Debug)]
pub(super) struct UpstreamResponse {
    pub(super) side: Side,
    /// Since the call began.
    elapsed: Duration,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// As received, content coding included.
    pub(super) body: Bytes,
    /// The body without its content coding.
    decoded: Decoded,
    /// Whether it came on an HTTP/1.1 connection that had carried an answer before: then it may belong to another request (RFC 9112,
    /// section 9.3.2).
    pub(super) reused: bool,
    extensions: Extensions,
    /// What the readers of the body did not know.
    unknown_digests: UnknownDigests,
}

impl UpstreamCall {
    /// The client's own request, forwarded unchanged to legacy.
    pub(super) fn forward(
        context: &RouteContext,
        body: Bytes,
        lane: Lane,
        cost: Cost,
        until: Instant,
    ) -> Self {
        let (head, config) = (&context.head, &context.config);
        let empty = body.is_empty();
        let mut request = Request::new(Payload::whole(body));
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = upstream::target(&config.upstream.legacy, &config.base_path, &head.uri);
        *request.headers_mut() = head.headers.clone();
        headers::fit_to_body(request.headers_mut(), empty);
        *request.extensions_mut() = head.extensions.clone();
        let effect = if head.method.is_safe() { SideEffect::None } else { SideEffect::Unknown };
        let (side, credentials) = (Side::Legacy, config.auth.credential_set(Side::Legacy));
        Self { side, request, effect, lane, credentials, cost, permit: None, until }
    }

    /// A read that the proxy makes.
    pub(super) fn get(
        context: &RouteContext,
        side: Side,
        path: &str,
        cost: Cost,
        until: Instant,
    ) -> Result<Self, Failure> {
        let request = own_request(context, side, Method::GET, path, Payload::empty())?;
        let credentials = context.credentials.or(context.config.auth.credential_set(side));
        let (effect, lane) = (SideEffect::None, Lane::Read);
        Ok(Self { side, request, effect, lane, credentials, cost, permit: None, until })
    }

    /// A create. It may move money, so no layer below repeats it.
    pub(super) fn post(
        context: &RouteContext,
        side: Side,
        json: String,
        cost: Cost,
        until: Instant,
    ) -> Result<Self, Failure> {
        let path = crate::translate::paths::collection(side);
        let mut request = own_request(context, side, Method::POST, path, Payload::whole(json))?;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let credentials = context.config.auth.credential_set(side);
        let (effect, lane) = (SideEffect::Unknown, Lane::Create);
        Ok(Self { side, request, effect, lane, credentials, cost, permit: None, until })
    }

    pub(super) fn on(self, lane: Lane) -> Self {
        Self { lane, ..self }
    }

    /// Sends a create without credentials on a connection of its own. Its refusal is then certain to belong to it, so that an
    /// unauthenticated client cannot leave an attempt open in the claim of another client's reference.
    pub(super) fn apart_if_anonymous(self) -> Self {
        let is_anonymous =
            self.credentials.is_none() && !self.request.headers().contains_key(header::AUTHORIZATION);
        if is_anonymous { self.on(Lane::Fresh) } else { self }
    }

    pub(super) fn paid(self, permit: Permit) -> Self {
        Self { permit: Some(permit), ..self }
    }

    /// Asks caches on the way to pass the read on to the side.
    pub(super) fn uncached(mut self) -> Self {
        self.request.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        self
    }

    /// Replaces the caller's credentials by the proxy's lookup credentials, and drops every header that may identify the caller.
    pub(super) fn with_lookup_credentials(mut self) -> Self {
        let kept = [headers::REQUEST_ID, header::ACCEPT, header::ACCEPT_ENCODING, header::CACHE_CONTROL];
        let is_kept = |name: &HeaderName| kept.contains(name);
        let all = std::mem::take(self.request.headers_mut()).into_iter();
        self.request.headers_mut().extend(all.filter(|(name, _)| name.as_ref().is_some_and(is_kept)));
        Self { credentials: Some(CredentialSet::Lookup), ..self }
    }
}

fn own_request(
    context: &RouteContext,
    side: Side,
    method: Method,
    path: &str,
    body: Payload,
) -> Result<Request<Payload>, Failure> {
    let uri = upstream::call(context.config.upstream.side(side), path);
    let mut request = Request::new(body);
    *request.uri_mut() = uri.ok_or(Failure::Internal { effect: SideEffect::None })?;
    *request.headers_mut() = headers::to_translated(&context.head.headers);
    *request.method_mut() = method;
    Ok(request)
}

impl RouteContext {
    /// Waits for a turn under the rate limit.
    pub(super) async fn pay(&self, cost: Cost, until: Instant) -> Result<Permit, Failure> {
        Ok(self.services.upstream.budget().take(cost, until).await?)
    }

    /// Makes a read. If its answer came on a reused HTTP/1.1 connection and `may_be_anothers` says that it may be the answer to another
    /// request, makes it once more on a connection of its own.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(super) async fn read(
        &self,
        lane: Lane,
        call: impl Fn(Lane) -> Result<UpstreamCall, Failure>,
        may_be_anothers: impl Fn(&UpstreamResponse) -> bool,
    ) -> Result<UpstreamResponse, Failure> {
        let reply = self.call(call(lane)?).await?;
        if reply.reused && may_be_anothers(&reply) { self.call(call(Lane::Fresh)?).await } else { Ok(reply) }
    }

    /// Sends the call and reads its answer.
    ///
    /// # Errors
    /// When there is no complete answer in time; [`Failure::outcome`] says whether the call may have taken effect.
    pub(super) async fn call(&self, call: UpstreamCall) -> Result<UpstreamResponse, Failure> {
        let UpstreamCall { side, request, effect, lane, credentials, cost, permit, until } = call;
        let permit = match permit {
            Some(permit) => permit,
            None => self.pay(cost, until).await?,
        };
        let start = Instant::now();
        let outgoing = Outgoing {
            request,
            lane,
            credentials,
            permit: Some(permit),
            until,
            answer: AnswerWait::Until(until),
        };
        let sending = self.services.upstream.send_as(outgoing, &self.config);
        let max = self.config.limits.response_body_max;
        let answered = match sending.await {
            Ok(answer) => collect(AnswerLimits { side, effect, max, start, until }, answer).await,
            Err(error) => Err(error.into_failure(side, effect)),
        };
        let elapsed = start.elapsed();
        self.services.called(side, lane, answered.as_ref().map(|reply| reply.status), elapsed);
        let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        stats.side = Some(side);
        stats.upstream_status = answered.as_ref().ok().map(|reply| reply.status.as_u16());
        stats.throttled |= stats.upstream_status == Some(429);
        stats.upstream_calls += 1;
        stats.upstream_us += u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        answered
    }
}

/// What the answer to a call may be, and when it began.
struct AnswerLimits {
    side: Side,
    effect: SideEffect,
    max: usize,
    start: Instant,
    until: Instant,
}

impl AnswerLimits {
    fn failure(&self, error: CollectError, extensions: &Extensions) -> Failure {
        let Self { side, effect, max, start, .. } = *self;
        let source = |source| call_error(CallPhase::Read, extensions, start.elapsed(), source);
        match error {
            CollectError::TooLong { .. } => {
                Failure::AnswerTooLong { side, max, effect, source: source(error.into()) }
            }
            CollectError::Broken(error) => Failure::Broken { side, effect, source: source(error.into()) },
        }
    }
}

async fn collect(expected: AnswerLimits, answer: Response<Incoming>) -> Result<UpstreamResponse, Failure> {
    let AnswerLimits { side, effect, max, start, until } = expected;
    let (mut parts, body) = answer.into_parts();
    let collected = timeout_at(until, body::collect(body, max)).await.map_err(|_| {
        let source = call_error(CallPhase::Read, &parts.extensions, start.elapsed(), TimedOut.into());
        Failure::TimedOut { side, effect, source }
    })?;
    let body = collected.map_err(|error| expected.failure(error, &parts.extensions))?;
    if parts.status.is_informational() {
        let why = format!("status {}: no request asks for another protocol", parts.status.as_u16());
        let source = call_error(CallPhase::Decode, &parts.extensions, start.elapsed(), why.into());
        return Err(Failure::Broken { side, effect, source });
    }
    let reused = AnswerInProgress::is_reused(&parts.extensions);
    AnswerInProgress::finish(&mut parts.extensions);
    let decoded = decode(&parts.headers, &body, max);
    Ok(UpstreamResponse {
        side,
        elapsed: start.elapsed(),
        status: parts.status,
        headers: parts.headers,
        body,
        decoded,
        reused,
        extensions: parts.extensions,
        unknown_digests: UnknownDigests::default(),
    })
}

impl Services {
    /// Takes note of what was read in an answer and is not known to this version. Call it when the answer has been read.
    pub(super) fn notice(&self, reply: &UpstreamResponse) {
        let content_type = reply.content_type();
        let (side, status, body) = (reply.side, reply.status.as_u16(), reply.content());
        let answer = ReadAnswer { side, status, content_type, body };
        self.upstream.drift().notice(reply.unknown_digests.digest(content_type), answer);
    }

    /// As [`Self::notice`], for a refusal that was not read before.
    pub(super) fn notice_refusal(&self, reply: &UpstreamResponse) {
        let _ = evidence::is_problem_document(&reply.evidence());
        self.notice(reply);
    }

    /// Caches where the record in an answer to a create was made, so that a get of the id that the client received is never a 404.
    pub(super) fn remember_made(&self, side: Side, reply: &UpstreamResponse) {
        // On a reused connection the record may be another request's, even one of the other side.
        let learned = if reply.reused { RecordSide::SeenOn(side) } else { RecordSide::MadeOn(side) };
        if let Some(record) = evidence::found_conversion(side, reply.content()) {
            self.record_sides.remember(&record.id, learned);
        }
    }
}

impl UpstreamResponse {
    pub(super) fn is_refusal(&self) -> bool {
        self.status.is_client_error() || self.status.is_server_error()
    }

    /// The body without its content coding, where the proxy reads that coding.
    pub(super) fn content(&self) -> &[u8] {
        match &self.decoded {
            Decoded::Bytes(decoded) => decoded,
            Decoded::Plain | Decoded::Unreadable | Decoded::Unsupported => &self.body,
        }
    }

    fn content_type(&self) -> Option<&str> {
        evidence::content_type(&self.headers)
    }

    /// What was read in the body by other readers than those of [`Self::evidence`] and is not known.
    pub(super) fn add_unknown(&self, unknown: Unknown) {
        self.unknown_digests.add(unknown);
    }

    pub(super) fn evidence(&self) -> evidence::Reply<'_> {
        evidence::Reply {
            status: self.status.as_u16(),
            headers: &self.headers,
            body: self.content(),
            unknown_digests: Some(&self.unknown_digests),
        }
    }

    /// Whether only the client can decode the body: it asked for the coding by name, and the proxy does not support it. What is not in
    /// its coding, or comes in one that nobody asked for, is no answer of the vendor to this request.
    pub(super) fn is_opaque(&self, client: &Parts) -> bool {
        match self.decoded {
            Decoded::Unsupported => decode::is_asked_for(&client.headers, &self.headers),
            Decoded::Plain | Decoded::Bytes(_) | Decoded::Unreadable => false,
        }
    }

    /// Whether the answer to a get of that id may belong to another request: it says that there is no record, or shows something else.
    pub(super) fn may_be_of_another_get(&self, id: &Id) -> bool {
        let named = || evidence::found_conversion(self.side, self.content());
        evidence::is_not_found(&self.evidence())
            || self.status == StatusCode::OK && named().is_none_or(|record| !id.is_shown_as(&record.id))
    }

    /// Whether it is a list without a row.
    pub(super) fn is_empty_list(&self) -> bool {
        let has_no_row = |body| {
            Rows::of(self.side, body, &ListQuery::default()).is_ok_and(|mut rows| rows.pop().is_none())
        };
        // No list with a row is so short.
        self.status == StatusCode::OK && self.content().len() < ROW_BYTES_MIN && has_no_row(self.content())
    }

    pub(super) fn verbatim(self) -> RouteResponse {
        let mut headers = self.headers;
        hop_by_hop::remove(&mut headers);
        RouteResponse { status: self.status, headers, extensions: self.extensions, body: self.body }
    }

    /// One conversion, in the legacy shape.
    pub(super) fn conversion(&self, mapped: &Mapped<'_>, services: &Services) -> Vec<u8> {
        services.report_unknown_status(mapped.unknown_status.map(Text::as_written));
        let mut json = Vec::with_capacity(self.body.len());
        mapped.conversion.write(&mut json);
        json
    }

    /// The side's refusal in the legacy format.
    pub(super) fn refusal(self) -> RouteResponse {
        match self.side {
            Side::Legacy => self.verbatim(),
            Side::New => {
                let problem = problem::from_orchestrations(self.status.as_u16(), self.content());
                RouteResponse::json(self.status, self.headers, problem.to_json())
            }
        }
    }

    /// The failure for an answer that is neither a usable success nor a refusal of the vendor.
    pub(super) fn unexpected(&self, effect: SideEffect, why: &str) -> Failure {
        let source = self.error(format!("status {}: {why}", self.status.as_u16()).into());
        Failure::Broken { side: self.side, effect, source }
    }

    /// The failure for a success that does not parse.
    pub(super) fn unreadable(&self, effect: SideEffect) -> impl Fn(Unreadable) -> Failure + '_ {
        let side = self.side;
        move |source| Failure::Unreadable { side, effect, source: self.error(source.into()) }
    }

    fn error(&self, source: BoxError) -> BoxError {
        call_error(CallPhase::Decode, &self.extensions, self.elapsed, source)
    }
}
