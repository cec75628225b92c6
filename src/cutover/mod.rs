//! The rules of the cutover: one flow a route, for the modes in which the proxy does more than pass through.
//!
//! A flow asks `translate` what to send, sends it through `upstream`, and asks `translate` what the answer means. It owns
//! all that it works with, so that it can outlive the client's connection.

pub mod cancel;
pub mod create;
pub mod get;
pub mod list;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use tokio::time::{Instant, timeout_at};

use crate::body::{self, CollectError, Payload};
use crate::config::Config;
use crate::failure::{Effect, Failure};
use crate::headers;
use crate::side::Side;
use crate::translate::json::Text;
use crate::translate::problem::{self, Problem};
use crate::translate::record::Mapped;
use crate::upstream::{self, Client, SendError};

/// What one request's flow works with.
#[derive(Debug)]
pub struct Flow {
    /// The snapshot that the request began with.
    pub config: Arc<Config>,
    /// The way to both sides.
    pub upstream: Client,
    /// The client's headers, as they travel on calls that the proxy makes in its stead.
    pub headers: HeaderMap,
    /// When the client's request has taken all the time that it may.
    pub deadline: Instant,
    /// What to tell of the request afterwards.
    pub trail: Trail,
}

/// What a flow did, for the access line.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    /// The side whose answer counted last.
    pub side: Option<Side>,
    /// That answer's status.
    pub upstream_status: Option<u16>,
    /// How many calls were made.
    pub upstream_calls: u32,
    /// How long they took together, in microseconds.
    pub upstream_us: u64,
}

/// An answer for the client, in the legacy shape.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The upstream's headers that still hold.
    pub headers: HeaderMap,
    /// JSON.
    pub body: Bytes,
}

/// A whole answer of an upstream.
#[derive(Debug)]
pub(crate) struct Reply {
    side: Side,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Flow {
    /// A call that only reads.
    async fn read(&mut self, side: Side, path: &str) -> Result<Reply, Failure> {
        self.send(side, Method::GET, path, Payload::empty()).await
    }

    /// A call that moves money. It is sent once, on every layer; nothing here or below may repeat it.
    async fn write(&mut self, side: Side, path: &str, json: String) -> Result<Reply, Failure> {
        self.send(side, Method::POST, path, Payload::whole(json)).await
    }

    async fn send(
        &mut self,
        side: Side,
        method: Method,
        path: &str,
        body: Payload,
    ) -> Result<Reply, Failure> {
        let effect = if method == Method::GET { Effect::None } else { Effect::Unknown };
        let mut request = Request::new(body);
        let uri = upstream::call(self.config.upstream.side(side), path).ok_or(Failure::Internal)?;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        if method == Method::POST {
            let json = http::HeaderValue::from_static("application/json");
            request.headers_mut().insert(http::header::CONTENT_TYPE, json);
        }
        *request.method_mut() = method;
        self.trail.side = Some(side);
        self.trail.upstream_status = None;
        self.trail.upstream_calls += 1;
        let start = Instant::now();
        let max = self.config.limits.response_body_max;
        let answered = timeout_at(self.deadline, exchange(&self.upstream, request, side, effect, max)).await;
        self.trail.upstream_us += u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let reply = answered.unwrap_or(Err(Failure::TimedOut { side, effect }))?;
        self.trail.upstream_status = Some(reply.status.as_u16());
        Ok(reply)
    }
}

async fn exchange(
    upstream: &Client,
    request: Request<Payload>,
    side: Side,
    effect: Effect,
    max: usize,
) -> Result<Reply, Failure> {
    let answer = upstream.send(request).await.map_err(|error| match error {
        SendError::NotSent(source) => Failure::Unreachable { side, source },
        SendError::NoAnswer(source) => Failure::Broken { side, effect, source },
    })?;
    let (parts, body) = answer.into_parts();
    let body = body::collect(body, max).await.map_err(|error| match error {
        CollectError::TooLong { max } => Failure::AnswerTooLong { side, max, effect },
        CollectError::Broken(source) => Failure::Broken { side, effect, source: source.into() },
    })?;
    Ok(Reply { side, status: parts.status, headers: parts.headers, body })
}

impl Reply {
    /// The answer with another body.
    fn with(self, status: StatusCode, body: impl Into<Bytes>) -> Answer {
        let mut headers = self.headers;
        headers::from_translated(&mut headers);
        Answer { status, headers, body: body.into() }
    }

    /// One conversion as the answer.
    fn conversion(&self, mapped: &Mapped<'_>) -> Vec<u8> {
        tell_unknown_status(mapped.unknown_status.map(Text::as_written));
        let mut json = Vec::with_capacity(self.body.len());
        mapped.conversion.write(&mut json);
        json
    }

    /// The new side's refusal in the old API's words.
    fn refusal(self) -> Answer {
        let status = self.status;
        let problem = problem::from_orchestrations(status.as_u16(), &self.body);
        self.with(status, problem.to_json())
    }

    /// What to make of an answer that is neither the one hoped for nor an error: a redirect, a 204.
    fn unexpected(&self, effect: Effect) -> Failure {
        let source = format!("status {} is not an answer to this call", self.status.as_u16()).into();
        Failure::Broken { side: self.side, effect, source }
    }
}

impl Answer {
    /// A problem of the proxy's own as the answer.
    #[must_use]
    pub fn problem(problem: &Problem) -> Self {
        let mut headers = HeaderMap::new();
        headers::from_translated(&mut headers);
        Self {
            status: StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers,
            body: problem.to_json().into(),
        }
    }
}

/// A status that this build does not know is shown as `CREATED`; the operator hears of it.
fn tell_unknown_status(status: Option<&str>) {
    if let Some(status) = status {
        tracing::warn!(target: "translate", status, "unknown status shown as CREATED");
    }
}
