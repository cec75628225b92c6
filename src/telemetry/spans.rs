//! OpenTelemetry spans of requests, and the W3C trace context that a request brings and each upstream call carries on. `telemetry::traces`
//! exports them; while it does not, a span costs one check of a flag.
//!
//! A span contains no query, no header value except the request id and the client's trace id, and nothing of a body. `docs/tracing.md` lists
//! every attribute.

use std::sync::LazyLock;

use http::header::HeaderName;
use http::{HeaderMap, Method, Request, Response, Version};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceState};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::field::Empty;
use tracing::{Level, Span, info_span, span_enabled};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use uuid::Uuid;

use crate::config::Traces;
use crate::translate::side::Side;

pub(crate) use opentelemetry::trace::TraceId;

/// The target of every span: the log filter excludes it, and the exporting layer selects it.
pub(crate) const TARGET: &str = "spans";

static W3C: LazyLock<TraceContextPropagator> = LazyLock::new(TraceContextPropagator::new);
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling {
    /// The share of requests that start a trace of their own, 0 to 1.
    pub(crate) ratio: f64,
    /// Whether a request continues its client's trace, in which case the client's sampled flag decides.
    pub(crate) continues: bool,
}

impl From<&Traces> for Sampling {
    fn from(config: &Traces) -> Self {
        Self { ratio: config.sample_ratio, continues: config.continue_client_traces }
    }
}

impl Sampling {
    fn samples(self, client: &SpanContext) -> bool {
        if self.continues && client.is_valid() { client.is_sampled() } else { self.is_drawn() }
    }

    #[expect(
        clippy::float_arithmetic,
        clippy::cast_precision_loss,
        reason = "a share of requests, not money"
    )]
    fn is_drawn(self) -> bool {
        // The first 48 bits of a version 4 UUID, which are random; the version follows them (RFC 9562, 5.4).
        let (drawn, _) = Uuid::new_v4().as_u64_pair();
        (drawn >> 16) as f64 / ((1_u64 << 48) as f64) < self.ratio
    }
}

/// The server span of a client's request: in the client's trace if [`Sampling::continues`], else in a new trace with a link to the client's. A
/// request that is not sampled has no spans, and its trace headers are forwarded unchanged.
pub(crate) fn request<B>(request: &Request<B>, request_id: &str, sampling: Sampling) -> Span {
    if !span_enabled!(target: TARGET, Level::INFO) {
        return Span::none();
    }
    let client = client_context(request.headers());
    let client_span = client.span().span_context().clone();
    // Decided before the span exists: one that is not exported costs nothing further.
    if !sampling.samples(&client_span) {
        return Span::none();
    }
    let span = info_span!(
        target: TARGET,
        "request",
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method(request.method()),
        network.protocol.version = version(request.version()),
        url.path = truncated(request.uri().path()),
        conversion_shim.request_id = request_id,
        conversion_shim.route = Empty,
        conversion_shim.mode = Empty,
        conversion_shim.side = Empty,
        http.response.status_code = Empty,
        error.type = Empty,
    );
    if sampling.continues {
        // It fails when nobody collects, and then there is nothing to be part of.
        let _ = span.set_parent(client);
    } else if client_span.is_valid() {
        // Its id alone: what else it says is as long as the client likes.
        let (id, within) = (client_span.span_id(), client_span.trace_id());
        span.add_link(SpanContext::new(within, id, client_span.trace_flags(), true, TraceState::default()));
    }
    span
}

/// The trace context that the client sent. More than one `traceparent` counts as none (W3C Trace Context, 3.2).
fn client_context(headers: &HeaderMap) -> Context {
    match headers.get_all(TRACEPARENT).iter().count() {
        // W3C Trace Context: several `traceparent` headers are one that is not valid.
        1 => W3C.extract_with_context(&Context::new(), &HeaderExtractor(headers)),
        _ => Context::new(),
    }
}

/// Whether the current span belongs to a sampled request.
fn is_traced() -> bool {
    Span::current().metadata().is_some_and(|metadata| metadata.target() == TARGET)
}

/// The attributes of a server span that are known at the end of its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestOutcome {
    pub(crate) route: &'static str,
    pub(crate) mode: Option<&'static str>,
    pub(crate) side: Option<Side>,
    /// `None`: the client disconnected before the response.
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<&'static str>,
}

/// Completes the span of a client's request.
pub(crate) fn end_request(span: &Span, method: &Method, outcome: RequestOutcome) {
    if span.is_disabled() {
        return;
    }
    let RequestOutcome { route, mode, side, status, error } = outcome;
    // `record` cannot change `otel.name`: the layer reads it only when the span is created.
    span.context().span().update_name(format!("{} {route}", self::method(method)));
    span.record("conversion_shim.route", route);
    span.record("conversion_shim.mode", mode);
    span.record("conversion_shim.side", side.map(Side::as_str));
    span.record("http.response.status_code", status.map(i64::from));
    span.record("error.type", error);
    // OpenTelemetry HTTP conventions: a 4xx is an error of the client span, not of the server span.
    if status.is_none_or(|status| status >= 500) {
        span.record("otel.status_code", "ERROR");
    }
}

/// The client span of an upstream call, to the response head. `name` must have few values. Replaces the trace context in the headers of
/// `request`.
pub(crate) fn call<B>(name: &str, request: &mut Request<B>) -> Span {
    if !is_traced() {
        return Span::none();
    }
    let span = info_span!(
        target: TARGET,
        "call",
        otel.name = Empty,
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = method(request.method()),
        server.address = request.uri().host(),
        server.port = request.uri().port_u16().map(i64::from),
        http.response.status_code = Empty,
        error.type = Empty,
    );
    span.record("otel.name", format!("{} {name}", method(request.method())));
    inject(&span, request.headers_mut());
    span
}

fn inject(span: &Span, headers: &mut HeaderMap) {
    let context = span.context();
    if !context.span().span_context().is_valid() {
        return;
    }
    // This replaces both headers. A trace without a state gets an empty `tracestate`, which is removed again.
    W3C.inject_context(&context, &mut HeaderInjector(headers));
    if headers.get(TRACESTATE).is_some_and(http::HeaderValue::is_empty) {
        headers.remove(TRACESTATE);
    }
}

/// Completes the span of an upstream call. `error_type` gives the `error.type` of a call without a response.
pub(crate) fn end_call<B, E>(
    span: &Span,
    answer: Result<&Response<B>, &E>,
    error_type: impl FnOnce(&E) -> &'static str,
) {
    if span.is_disabled() {
        return;
    }
    let status = answer.as_ref().ok().map(|answer| answer.status());
    span.record("http.response.status_code", status.map(|status| i64::from(status.as_u16())));
    span.record("error.type", answer.err().map(error_type));
    if status.is_none_or(|status| status.is_client_error() || status.is_server_error()) {
        span.record("otel.status_code", "ERROR");
    }
}

/// An internal span: `claim`, `duplicate_check`, `mark_checked`, `resolve` or `token`.
pub(crate) fn step(name: &'static str, side: impl Into<Option<Side>>) -> Span {
    if !is_traced() {
        return Span::none();
    }
    info_span!(
        target: TARGET,
        "step",
        otel.name = name,
        otel.status_code = Empty,
        conversion_shim.side = side.into().map(Side::as_str),
        conversion_shim.result = Empty,
    )
}

pub(crate) fn end_step(span: &Span, result: &'static str, failed: bool) {
    span.record("conversion_shim.result", result);
    if failed {
        span.record("otel.status_code", "ERROR");
    }
}

/// The trace that a span belongs to; `None` if it is not exported.
pub(crate) fn trace_id(span: &Span) -> Option<TraceId> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    span.span_context().is_valid().then(|| span.span_context().trace_id())
}

/// Longer paths are truncated, in bytes: the export queue is bounded by the number of spans, not by their size.
const PATH_MAX: usize = 512;

fn truncated(path: &str) -> &str {
    &path[..path.floor_char_boundary(PATH_MAX)]
}

/// OpenTelemetry HTTP conventions: an unknown method is `_OTHER`, so that a client cannot create span names.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "_OTHER",
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_share_is_sampled() {
        let drawn = |ratio| (0..10_000).filter(|_| Sampling { ratio, continues: false }.is_drawn()).count();
        assert_eq!((drawn(0.0), drawn(1.0)), (0, 10_000));
        // Seven standard deviations to either side.
        assert!((2_200..=2_800).contains(&drawn(0.25)));
    }
}
