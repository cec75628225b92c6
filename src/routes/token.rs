//! A client's token request, forwarded to the vendor's token endpoint. Scopes are rewritten as `auth.scopes` says, and the answer
//! names the scopes that the client requested. A body that cannot be read is forwarded unchanged, in both directions.
//!
//! A token request moves no money, so it may be repeated: once, with the original scopes, when the vendor does not grant this client
//! the new API's. That is remembered for a while, so that not each of its requests costs two calls. The form holds the client's secret, so nothing of it is logged.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::Services;
use super::shared_tokens::RequestHash;
use crate::config::Config;
use crate::failure::call_error::TimedOut;
use crate::failure::error_chain::error_chain;
use crate::failure::{AuthFailure, Failure};
use crate::http::body::{self, ByteCount, Payload, Peeked};
use crate::http::decode::{Decoded, decode};
use crate::http::headers;
use crate::http::received::Received;
use crate::translate::token::{self, Form, Rewriting};
use crate::upstream::closed::is_dead_peer;
use crate::upstream::health::UpstreamLane;
use crate::upstream::rate_limit::Endpoint;
use crate::upstream::{self, AnswerWait, Lane, SendError};

/// The answer to a token request.
#[derive(Debug)]
pub(crate) struct Exchanged {
    pub(crate) response: Response<Payload>,
    /// Number of calls to the token endpoint, 1 or 2.
    pub(crate) calls: u32,
}

/// A request with other scopes, and how they were changed.
type Rewrite = (token::Rewritten, Rewriting);

struct TokenExchange<'a> {
    services: &'a Services,
    config: &'a Config,
    head: http::request::Parts,
    deadline: Instant,
    /// Whether the length of its body is not known before its end.
    is_chunked: bool,
}

/// Forwards a client's token request. `head` holds no hop-by-hop headers any more.
///
/// # Errors
/// When there is no whole answer. The vendor's refusal is an answer.
pub(crate) async fn run(
    services: &Services,
    config: &Config,
    mut head: http::request::Parts,
    incoming: Received,
    count: &ByteCount,
) -> Result<Exchanged, Failure> {
    head.uri = upstream::endpoint(&config.upstream.oauth, head.uri.query());
    head.version = Version::HTTP_11;
    let (deadline, is_chunked) =
        (Instant::now() + config.auth.timeout, incoming.size_hint().exact().is_none());
    let exchange = TokenExchange { services, config, head, deadline, is_chunked };
    let exchanged = exchange.run(incoming, count).await;
    exchange.report(&exchanged);
    exchanged
}
/// A body that goes on while the client still sends it.
struct Upload<'a> {
    /// Its declared length.
    length: Option<u64>,
    received: &'a ByteCount,
}

impl Upload<'_> {
    /// Blames the client for a call that failed for want of the rest of its body.
    fn blamed(&self, failure: Failure) -> Failure {
        let is_partial = self.length.is_some_and(|length| self.received.get() < length);
        match failure {
            Failure::AuthFailure(AuthFailure::TokenBroken(source)) if self.received.broke_off() => {
                Failure::BodyBroken(source)
            }
            Failure::AuthFailure(error @ AuthFailure::TokenTimedOut(_)) if is_partial => {
                Failure::BodyBroken(error.into())
            }
            other => other,
        }
    }
}

/// A whole token request, as it came and as it is sent.
struct ClientTokenRequest {
    /// `None` if two equal ones may be granted different tokens.
    hash: Option<RequestHash>,
    rewritten: Option<Rewrite>,
    original: Bytes,
}

/// The form type of a request's body; `None` for another type or a content coding.
fn form(headers: &HeaderMap) -> Option<Form> {
    let coding = headers.get(header::CONTENT_ENCODING);
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    match (coding, kinds.next(), kinds.next()) {
        (None, Some(kind), None) => Form::of(kind.to_str().ok()?),
        (Some(_), ..) | (None, None, _) | (None, Some(_), Some(_)) => None,
    }
}

impl TokenExchange<'_> {
    async fn run(&self, incoming: Received, count: &ByteCount) -> Result<Exchanged, Failure> {
        let (how, shares) = (self.config.auth.rewriting(&self.config.modes), self.config.auth.share_tokens);
        if !shares {
            self.services.shared_tokens.clear();
        }
        let upload = Upload { length: incoming.size_hint().exact(), received: count };
        let Some(form) = form(&self.head.headers).filter(|_| how.is_some() || shares) else {
            return self.upload(upload, Payload::Streamed(incoming, count.clone())).await;
        };
        let peeking = body::peek(
            incoming,
            self.config.limits.request_body_max,
            self.config.timeouts.pass_through_idle,
            count,
        );
        let peeked = timeout_at(self.deadline, peeking).await;
        let (body, trailed) = match peeked.map_err(|_| Failure::BodySlow)?? {
            Peeked::Whole(body) => (body, None),
            Peeked::Trailed(body, read, rest) => (body, Some(Payload::Prefixed(read, rest, count.clone()))),
            Peeked::Partial(read, rest) => {
                return self.upload(upload, Payload::Prefixed(read, rest, count.clone())).await;
            }
        };
        let rewritten = how.and_then(|how| Some((token::request(&form, &body, how)?, how)));
        if let (None, Some(trailed)) = (&rewritten, trailed) {
            return self.untouched(trailed).await;
        }
        let shared = shares && token::may_be_shared(&form, &body);
        let request = self.prepared(rewritten, body);
        if shared { self.shared(request).await } else { self.once(request).await }
    }

    /// Records whether the token endpoint answers clients.
    fn report(&self, exchanged: &Result<Exchanged, Failure>) {
        let (health, lane) = (&self.services.health, UpstreamLane::ClientTokens);
        let failure = match exchanged {
            Ok(Exchanged { calls, .. }) => {
                // Else it is the answer of an equal request.
                if *calls > 0 {
                    health.answered(lane);
                }
                return;
            }
            Err(failure) => failure.auth_failure(),
        };
        let source = match failure {
            Some(AuthFailure::TokenUnreachable(source)) => source,
            // It may have waited for the rest of a body whose length is not known.
            Some(AuthFailure::TokenTimedOut(source)) if !self.is_chunked => source,
            Some(AuthFailure::TokenBroken(source)) if is_dead_peer(source.as_ref()) => source,
            Some(_) | None => return,
        };
        health.failed(lane, error_chain(source.as_ref()));
    }

    fn prepared(&self, rewritten: Option<Rewrite>, original: Bytes) -> ClientTokenRequest {
        let sent = rewritten.as_ref().map_or(&original[..], |(rewritten, _)| &rewritten.body);
        let hash = RequestHash::of(&self.head.uri.to_string(), &self.head.headers, [&original, sent]);
        ClientTokenRequest { hash, rewritten, original }
    }

    /// Answers with the token of an equal request, or else makes the request and shares its token.
    async fn shared(&self, request: ClientTokenRequest) -> Result<Exchanged, Failure> {
        let Some(hash) = request.hash else { return self.once(request).await };
        let until = self.deadline.min(Instant::now() + self.config.budget.wait_max_token);
        let turn = self.services.shared_tokens.turn(hash, until).await?;
        if let Some(response) = turn.answer() {
            return Ok(Exchanged { response, calls: 0 });
        }
        let Exchanged { response, calls } = self.once(request).await?;
        if response.status() != StatusCode::OK || response.headers().contains_key(header::CONTENT_ENCODING) {
            return Ok(Exchanged { response, calls });
        }
        let (head, payload) = response.into_parts();
        let collecting = Limited::new(payload, self.config.limits.response_body_max).collect();
        let collected = timeout_at(self.deadline, collecting).await;
        let collected = collected.map_err(|_| AuthFailure::TokenTimedOut(TimedOut.into()))?;
        let body = collected.map_err(AuthFailure::TokenBroken)?.to_bytes();
        self.services.upstream.drift().inspect_token(&body);
        // That of a second call as well: it answers the client's own request, and would answer an equal one.
        turn.share(head.status, &head.headers, &body);
        Ok(Exchanged { response: Response::from_parts(head, Payload::whole(body)), calls })
    }

    async fn once(&self, request: ClientTokenRequest) -> Result<Exchanged, Failure> {
        let ClientTokenRequest { hash, rewritten, original } = request;
        let is_refused = hash.is_some_and(|hash| self.services.refused_scopes.contains(&hash));
        match rewritten.filter(|_| !is_refused) {
            Some(rewrite) => self.rewritten(rewrite, hash, original).await,
            None => self.untouched(Payload::whole(original)).await,
        }
    }

    async fn upload(&self, upload: Upload<'_>, body: Payload) -> Result<Exchanged, Failure> {
        self.untouched(body).await.map_err(|failure| upload.blamed(failure))
    }

    async fn untouched(&self, body: Payload) -> Result<Exchanged, Failure> {
        let response = self.send(self.head.headers.clone(), body).await?;
        Ok(Exchanged { response: response.map(streamed), calls: 1 })
    }

    async fn rewritten(
        &self,
        (rewritten, how): Rewrite,
        hash: Option<RequestHash>,
        original: Bytes,
    ) -> Result<Exchanged, Failure> {
        let mut headers = self.head.headers.clone();
        headers::to_edited(&mut headers);
        let response = self.send(headers, Payload::whole(rewritten.body)).await?;
        let status = response.status();
        if !status.is_success() && status != StatusCode::BAD_REQUEST {
            return Ok(Exchanged { response: response.map(streamed), calls: 1 });
        }
        let (mut head, incoming) = response.into_parts();
        let max = self.config.limits.response_body_max;
        let (idle, count) = (self.config.timeouts.pass_through_idle, ByteCount::default());
        let peeked = timeout_at(self.deadline, body::peek(incoming.into(), max, idle, &count)).await;
        let peeked = peeked.map_err(|_| AuthFailure::TokenTimedOut(TimedOut.into()))?;
        let (body, payload) = match peeked.map_err(|error| AuthFailure::TokenBroken(error.into()))? {
            Peeked::Whole(body) => (body.clone(), Payload::whole(body)),
            Peeked::Trailed(body, read, rest) => (body, Payload::Prefixed(read, rest, count)),
            Peeked::Partial(read, rest) => {
                let body = Payload::Prefixed(read, rest, count);
                return Ok(Exchanged { response: Response::from_parts(head, body), calls: 1 });
            }
        };
        let decoded = decode(&head.headers, &body, max);
        let readable = match &decoded {
            Decoded::Plain => &body,
            Decoded::Bytes(decoded) => decoded,
            Decoded::Unreadable | Decoded::Unsupported => &Bytes::new(),
        };
        if how == Rewriting::Add && token::is_invalid_scope(status.as_u16(), readable) {
            tracing::warn!(
                target: "auth",
                "the vendor does not grant a client the new API's scopes; its own token request is sent once more without them"
            );
            let again = self.untouched(Payload::whole(original)).await?;
            // Otherwise it is not the added scopes that are refused.
            if let Some(hash) = hash.filter(|_| again.response.status().is_success()) {
                self.services.refused_scopes.remember(hash);
            }
            return Ok(Exchanged { calls: 2, ..again });
        }
        if status.is_success() {
            self.services.upstream.drift().inspect_token(readable);
        }
        let edited = status.is_success().then(|| token::answer(readable, &rewritten.requested)).flatten();
        if let Some(edited) = &edited {
            describe_edited(&mut head.headers, edited.len());
        }
        let body = edited.map_or(payload, Payload::whole);
        Ok(Exchanged { response: Response::from_parts(head, body), calls: 1 })
    }

    async fn send(&self, headers: HeaderMap, body: Payload) -> Result<Response<Incoming>, Failure> {
        let paid = self.services.upstream.budget().take(Endpoint::Token.client(), self.deadline).await?;
        let mut request = Request::new(body);
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = self.head.uri.clone();
        *request.headers_mut() = headers;
        *request.extensions_mut() = self.head.extensions.clone();
        let wait = AnswerWait::Until(self.deadline);
        let sending = self.services.upstream.send(request, Lane::PassThrough, Some(paid), &wait);
        let answered = timeout_at(self.deadline, sending).await;
        let denied = |error| match error {
            SendError::NotSent(source) => AuthFailure::TokenUnreachable(source),
            SendError::NoToken(error) => AuthFailure::TokenUnreachable(error.into()),
            SendError::NoAnswer(source) => AuthFailure::TokenBroken(source),
            SendError::TimedOut(source) => AuthFailure::TokenTimedOut(source),
            SendError::TokenRefused => AuthFailure::TokenBroken(error.into()),
        };
        let answered = answered.unwrap_or_else(|_| Err(SendError::TimedOut(TimedOut.into())));
        let response = answered.map_err(denied)?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(AuthFailure::TokenBroken("an upgrade that was not requested".into()).into());
        }
        Ok(response)
    }
}

/// Lets the headers of an answer describe the bytes that the proxy wrote in their place.
fn describe_edited(headers: &mut HeaderMap, length: usize) {
    headers::from_edited(headers);
    headers.remove(header::CONTENT_ENCODING);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
}

fn streamed(incoming: Incoming) -> Payload {
    Payload::Streamed(incoming.into(), ByteCount::NONE)
}
