//! A client's own request for a token: to the vendor's token endpoint, with the scopes rewritten as the config says, and the
//! answer's scopes in the client's words. What cannot be read goes through as it came, both ways.
//!
//! Asking for a token converts nothing, so it may be asked for again; once is all that happens here, when the vendor does not give
//! this client the new API's scopes. The form holds the client's secret: nothing of it is logged.

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::config::Config;
use crate::failure::{AuthFailure, Failure};
use crate::http::body::{self, ByteCount, Payload, Peeked};
use crate::http::headers;
use crate::translate::token::{self, Form, Rewriting};
use crate::upstream::rate_limit::Endpoint;
use crate::upstream::{self, Client, Lane, SendError};

/// What came of a token request.
#[derive(Debug)]
pub struct Exchanged {
    /// The answer, with the headers as they came.
    pub response: Response<Payload>,
    /// How many calls it took.
    pub calls: u32,
}

/// One token request.
struct Call<'a> {
    upstream: &'a Client,
    config: &'a Config,
    head: http::request::Parts,
    deadline: Instant,
}

/// Sends a client's token request on. Only what may travel is left of the headers in `head`.
///
/// # Errors
/// Every [`Failure`] that it can end in; a refusal of the vendor's is none.
pub async fn run(
    upstream: &Client,
    config: &Config,
    mut head: http::request::Parts,
    incoming: Incoming,
    count: &ByteCount,
) -> Result<Exchanged, Failure> {
    head.uri = upstream::endpoint(&config.upstream.oauth, head.uri.query());
    head.version = Version::HTTP_11;
    let call = Call { upstream, config, head, deadline: Instant::now() + config.auth.timeout };
    let how = config.auth.rewriting(&config.modes);
    let (Some(how), Some(form)) = (how, form(&call.head.headers)) else {
        return call.untouched(Payload::Streamed(incoming, count.clone())).await;
    };
    let peeked = timeout_at(call.deadline, body::peek(incoming, config.limits.request_body_max, count)).await;
    let peeked = peeked.map_err(|_| Failure::BodySlow)?.map_err(|error| Failure::BodyBroken(error.into()))?;
    let body = match peeked {
        Peeked::Whole(body) => body,
        Peeked::Partial(read, rest) => {
            return call.untouched(Payload::Prefixed(read, rest, count.clone())).await;
        }
    };
    match token::request(&form, &body, how) {
        Some(rewritten) => call.rewritten(rewritten, how, body).await,
        None => call.untouched(Payload::whole(body)).await,
    }
}

/// The form that a request announces, if its bytes are the form's own.
fn form(headers: &HeaderMap) -> Option<Form> {
    let coding = headers.get(header::CONTENT_ENCODING);
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    match (coding, kinds.next(), kinds.next()) {
        (None, Some(kind), None) => Form::of(kind.to_str().ok()?),
        _ => None,
    }
}

impl Call<'_> {
    async fn untouched(&self, body: Payload) -> Result<Exchanged, Failure> {
        let response = self.send(self.head.headers.clone(), body).await?;
        Ok(Exchanged { response: response.map(streamed), calls: 1 })
    }

    async fn rewritten(
        &self,
        rewritten: token::Rewritten,
        how: Rewriting,
        original: bytes::Bytes,
    ) -> Result<Exchanged, Failure> {
        let mut headers = self.head.headers.clone();
        headers::to_edited(&mut headers);
        let response = self.send(headers, Payload::whole(rewritten.body)).await?;
        let status = response.status();
        let to_read = matches!(status, StatusCode::OK | StatusCode::BAD_REQUEST);
        if !to_read || response.headers().contains_key(header::CONTENT_ENCODING) {
            return Ok(Exchanged { response: response.map(streamed), calls: 1 });
        }
        let (mut head, incoming) = response.into_parts();
        let max = self.config.limits.response_body_max;
        let peeked = timeout_at(self.deadline, body::peek(incoming, max, &ByteCount::default())).await;
        let peeked = peeked.map_err(|_| AuthFailure::TokenTimedOut)?;
        let body = match peeked.map_err(|error| AuthFailure::TokenBroken(error.into()))? {
            Peeked::Whole(body) => body,
            Peeked::Partial(read, rest) => {
                let body = Payload::Prefixed(read, rest, ByteCount::default());
                return Ok(Exchanged { response: Response::from_parts(head, body), calls: 1 });
            }
        };
        if how == Rewriting::Add && token::is_invalid_scope(status.as_u16(), &body) {
            tracing::warn!(
                target: "auth",
                "a client does not get the new API's scopes; its token request goes once more, as it came"
            );
            let again = self.untouched(Payload::whole(original)).await?;
            return Ok(Exchanged { calls: 2, ..again });
        }
        let shown = (status == StatusCode::OK).then(|| token::answer(&body, &rewritten.requested)).flatten();
        let body = match shown {
            Some(shown) => {
                headers::from_edited(&mut head.headers);
                head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(shown.len()));
                Payload::whole(shown)
            }
            None => Payload::whole(body),
        };
        Ok(Exchanged { response: Response::from_parts(head, body), calls: 1 })
    }

    async fn send(&self, headers: HeaderMap, body: Payload) -> Result<Response<Incoming>, Failure> {
        let paid = self.upstream.budget().take(Endpoint::Token.client(), self.deadline).await?;
        let mut request = Request::new(body);
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = self.head.uri.clone();
        *request.headers_mut() = headers;
        *request.extensions_mut() = self.head.extensions.clone();
        let answered =
            timeout_at(self.deadline, self.upstream.send(request, Lane::PassThrough, Some(paid))).await;
        let denied = |error| match error {
            SendError::NotSent(source) | SendError::NoToken(source) => AuthFailure::TokenUnreachable(source),
            SendError::NoAnswer(source) => AuthFailure::TokenBroken(source),
            SendError::TokenRefused => AuthFailure::TokenBroken(error.into()),
        };
        let response = answered.map_err(|_| AuthFailure::TokenTimedOut)?.map_err(denied)?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(AuthFailure::TokenBroken("an upgrade that nobody asked for".into()).into());
        }
        Ok(response)
    }
}

fn streamed(incoming: Incoming) -> Payload {
    Payload::Streamed(incoming, ByteCount::default())
}
