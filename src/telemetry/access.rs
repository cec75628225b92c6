//! The access log: one line for each request, written when the last byte of the response was sent or the client disconnected.
//!
//! A line contains no query values, no header values except the request id, and nothing of a body.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body::{Body, Frame, SizeHint};
use tracing::Span;

use super::access_line::{self, AccessLine};
use super::metrics::Metrics;
use super::metrics::labels::{RouteLabel, StatusClass};
use crate::config::{Mode, Traces};
use crate::failure::Failure;
use crate::failure::call_error::CallError;
use crate::failure::error_chain::error_chain;
use crate::http::body::{BodyError, ByteCount, Payload};
use crate::http::headers;
use crate::telemetry::metrics::label_set::LabelValue as _;
use crate::telemetry::spans::{self, RequestOutcome, TraceId};
use crate::translate::side::Side;

/// The access log entry of one request. Dropping it writes the line and records the metrics.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) method: http::Method,
    /// The path as received, without the query.
    pub(crate) path: String,
    pub(crate) route: RouteLabel,
    /// The authenticated caller, if `auth.callers` is configured.
    pub(crate) caller: Option<String>,
    /// The mode of the route.
    pub(crate) mode: Option<Mode>,
    /// The side whose response was used.
    pub(crate) side: Option<Side>,
    /// The status sent to the client; `None` if it disconnected before.
    pub(crate) status: Option<u16>,
    pub(crate) upstream_status: Option<u16>,
    pub(crate) upstream_calls: u32,
    /// The duration of all upstream calls together, in microseconds.
    pub(crate) upstream_us: u64,
    pub(crate) request_bytes: ByteCount,
    pub(crate) request_id: String,
    /// The SHA-256 fingerprint of the client certificate in hex.
    pub(crate) client_certificate: Option<String>,
    /// The name of the failure.
    pub(crate) error: Option<&'static str>,
    pub(crate) fault: Option<&'static str>,
    metrics: Arc<Metrics>,
    span: Span,
    trace_id: Option<TraceId>,
    start: Instant,
    response_bytes: u64,
    complete: bool,
}

/// Longer request ids are truncated, in bytes.
const REQUEST_ID_MAX: usize = 128;

impl Access {
    /// Starts the timer, and a trace if the request is sampled.
    pub(crate) fn start<B>(metrics: Arc<Metrics>, request: &Request<B>, traces: &Traces) -> Self {
        let id = request.headers().get(headers::REQUEST_ID).map(HeaderValue::as_bytes).unwrap_or_default();
        // Cut: the id may be the client's own, of any length.
        let request_id = String::from_utf8_lossy(&id[..id.len().min(REQUEST_ID_MAX)]).into_owned();
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
            complete: false,
        }
    }

    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Records a failure. This is the only place that logs the source of a failure.
    pub(crate) fn failed(&mut self, failure: &Failure) {
        self.error = Some(failure.name());
        self.fault = Some(failure.fault().as_str());
        self.metrics.failed(failure);
        if let Some(source) = std::error::Error::source(failure) {
            let call = CallError::find(source);
            tracing::warn!(
                target: "proxy",
                request_id = self.request_id,
                error = failure.name(),
                fault = self.fault,
                phase = call.map(|call| call.phase.as_str()),
                address = call.map(|call| call.peer.as_str()),
                elapsed_ms = call.map(|call| u64::try_from(call.elapsed.as_millis()).unwrap_or(u64::MAX)),
                source = error_chain(source),
                "{failure}"
            );
        }
    }
}

impl Access {
    fn line(&self, duration_us: u64) -> AccessLine<'_> {
        AccessLine {
            message: MESSAGE,
            method: self.method.as_str(),
            path: &self.path,
            route: self.route.as_str(),
            caller: self.caller.as_deref(),
            mode: self.mode.map(Mode::as_str),
            side: self.side.map(Side::as_str),
            status: self.status,
            upstream_status: self.upstream_status,
            upstream_calls: self.upstream_calls,
            upstream_us: self.upstream_us,
            duration_us,
            request_bytes: self.request_bytes.get(),
            response_bytes: self.response_bytes,
            complete: self.complete,
            error: self.error,
            fault: self.fault,
            request_id: &self.request_id,
            client_certificate: self.client_certificate.as_deref(),
            trace_id: self.trace_id,
            target: TARGET,
        }
    }
}

impl AccessLine<'_> {
    fn log(&self) {
        if access_line::is_on() {
            return self.write();
        }
        tracing::info!(
            target: TARGET,
            method = self.method,
            path = self.path,
            route = self.route,
            caller = self.caller,
            mode = self.mode,
            side = self.side,
            status = self.status,
            upstream_status = self.upstream_status,
            upstream_calls = self.upstream_calls,
            upstream_us = self.upstream_us,
            duration_us = self.duration_us,
            request_bytes = self.request_bytes,
            response_bytes = self.response_bytes,
            complete = self.complete,
            error = self.error,
            fault = self.fault,
            request_id = self.request_id,
            client_certificate = self.client_certificate,
            trace_id = self.trace_id.map(tracing::field::display),
            "{MESSAGE}"
        );
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        // In `drop`, so that a request whose client left has its line and is counted as well.
        let elapsed = self.start.elapsed();
        let key = (self.route, self.mode, self.side, StatusClass::of(self.status));
        self.metrics.requests.add(key);
        self.metrics.request_seconds.observe_duration((self.route,), elapsed);
        let (route, mode) = (self.route.as_str(), self.mode.map(Mode::as_str));
        let outcome = RequestOutcome { route, mode, side: self.side, status: self.status, error: self.error };
        spans::end_request(&self.span, &self.method, outcome);
        if tracing::enabled!(target: TARGET, tracing::Level::INFO) {
            self.line(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)).log();
        }
    }
}

/// The target of the line, for `log.filter`.
const TARGET: &str = "access";
const MESSAGE: &str = "request";

/// A response body that keeps its [`Access`] until the last byte.
#[derive(Debug)]
pub(crate) struct AccessLogBody {
    payload: Payload,
    access: Access,
}

impl AccessLogBody {
    pub(crate) fn new(payload: Payload, mut access: Access) -> Self {
        // hyper does not poll a body that says it has ended, such as that of a 204.
        access.complete = payload.is_end_stream();
        Self { payload, access }
    }

    /// Records that the client did not get all that was given out; `unread`: because it left it unread for too long.
    pub(crate) fn cut_off(&mut self, unread: bool) {
        self.access.complete = false;
        if unread {
            self.access.error = Some("unread");
        }
    }
}

impl Body for AccessLogBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.payload).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.access.response_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                // Nothing follows trailers, and hyper does not ask again.
                self.access.complete = frame.is_trailers() || self.payload.is_end_stream();
            }
            Poll::Ready(Some(Err(_))) => self.access.error = Some("broken"),
            Poll::Ready(None) => self.access.complete = true,
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
