//! The access line: one for every request, written when the last byte of its answer has gone or the client has.
//!
//! It holds no query values, no header values but the request id, and nothing of any body.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body::{Body, Frame, SizeHint};
use tracing::Span;

use super::metrics::Metrics;
use super::metrics::labels::{RouteLabel, StatusClass};
use crate::config::{Mode, Traces};
use crate::failure::Failure;
use crate::http::body::{ByteCount, Payload};
use crate::http::headers;
use crate::telemetry::metrics::label_set::LabelValue as _;
use crate::telemetry::spans::{self, Answered, TraceId};
use crate::translate::side::Side;

/// What is told of one request. Written, and counted, when it is dropped.
#[derive(Debug)]
pub struct Access {
    /// The HTTP method.
    pub method: http::Method,
    /// The path as the client wrote it, without the query.
    pub path: String,
    /// One of the four routes, `token`, or `pass_through`.
    pub route: RouteLabel,
    /// Who asks, where callers prove themselves to the proxy.
    pub caller: Option<String>,
    /// The route's mode.
    pub mode: Option<Mode>,
    /// The side whose answer counted.
    pub side: Option<Side>,
    /// What the client was answered; `None` when it left before.
    pub status: Option<u16>,
    /// What the upstream answered.
    pub upstream_status: Option<u16>,
    /// How many upstream calls were made.
    pub upstream_calls: u32,
    /// How long they took together, in microseconds.
    pub upstream_us: u64,
    /// The request's body so far.
    pub request_bytes: ByteCount,
    /// The request id.
    pub request_id: String,
    /// The SHA-256 fingerprint of the client's certificate, in hex.
    pub client_certificate: Option<String>,
    /// What went wrong.
    pub error: Option<&'static str>,
    /// Whose fault it was.
    pub fault: Option<&'static str>,
    metrics: Arc<Metrics>,
    span: Span,
    trace_id: Option<TraceId>,
    start: Instant,
    response_bytes: u64,
    whole: bool,
}

/// As much of a client's request id is logged, in bytes.
const LONGEST_REQUEST_ID: usize = 128;

impl Access {
    /// Starts the clock, and a trace of the request if it is one of those.
    #[must_use]
    pub fn begin<B>(metrics: Arc<Metrics>, request: &Request<B>, traces: &Traces) -> Self {
        let id = request.headers().get(headers::REQUEST_ID).map(HeaderValue::as_bytes).unwrap_or_default();
        let request_id = String::from_utf8_lossy(&id[..id.len().min(LONGEST_REQUEST_ID)]).into_owned();
        let span = spans::request(request, &request_id, traces.into());
        Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            route: RouteLabel::PassThrough,
            caller: None,
            mode: None,
            side: None,
            status: None,
            upstream_status: None,
            upstream_calls: 0,
            upstream_us: 0,
            request_bytes: ByteCount::default(),
            request_id,
            client_certificate: None,
            error: None,
            fault: None,
            metrics,
            trace_id: spans::trace_id(&span),
            span,
            start: Instant::now(),
            response_bytes: 0,
            whole: false,
        }
    }

    /// The request's span.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span.clone()
    }

    /// Notes a failure, and logs what lies behind it: the one place where a failure's source is told.
    pub fn failed(&mut self, failure: &Failure) {
        self.error = Some(failure.name());
        self.fault = Some(failure.fault().as_str());
        self.metrics.failed(failure);
        if let Some(source) = std::error::Error::source(failure) {
            let source = chain(source);
            tracing::warn!(target: "proxy", request_id = self.request_id, error = failure.name(), source, "{failure}");
        }
    }
}

/// An error and what lies behind it, in one line.
pub(crate) fn chain(mut error: &(dyn std::error::Error + 'static)) -> String {
    let mut told = error.to_string();
    while let Some(source) = error.source() {
        error = source;
        told.push_str(": ");
        told.push_str(&error.to_string());
    }
    told
}

impl Drop for Access {
    fn drop(&mut self) {
        let elapsed = self.start.elapsed();
        let key = (self.route, self.mode, self.side, StatusClass::of(self.status));
        self.metrics.requests.add(key);
        self.metrics.request_seconds.observe_duration((self.route,), elapsed);
        let (route, mode) = (self.route.as_str(), self.mode.map(Mode::as_str));
        let answered = Answered { route, mode, side: self.side, status: self.status, error: self.error };
        spans::answered(&self.span, &self.method, answered);
        tracing::info!(
            target: "access",
            method = self.method.as_str(),
            path = self.path,
            route,
            caller = self.caller,
            mode,
            side = self.side.map(Side::as_str),
            status = self.status,
            upstream_status = self.upstream_status,
            upstream_calls = self.upstream_calls,
            upstream_us = self.upstream_us,
            duration_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            request_bytes = self.request_bytes.get(),
            response_bytes = self.response_bytes,
            complete = self.whole,
            error = self.error,
            fault = self.fault,
            request_id = self.request_id,
            client_certificate = self.client_certificate,
            trace_id = self.trace_id.map(tracing::field::display),
            "request"
        );
    }
}

/// An answer's body that carries its access line to the last byte.
#[derive(Debug)]
pub struct AccessLogBody {
    payload: Payload,
    access: Access,
}

impl AccessLogBody {
    /// Joins the two.
    #[must_use]
    pub fn new(payload: Payload, mut access: Access) -> Self {
        access.whole = payload.is_end_stream();
        Self { payload, access }
    }
}

impl Body for AccessLogBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.payload).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.access.response_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.access.whole = self.payload.is_end_stream();
            }
            Poll::Ready(Some(Err(_))) => self.access.error = Some("broken"),
            Poll::Ready(None) => self.access.whole = true,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.payload.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.payload.size_hint()
    }
}
