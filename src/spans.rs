//! Spans of a request for OpenTelemetry: what they are called, what they say, and the W3C trace context that comes with a request
//! and goes on with each call. Who collects them is `telemetry::tracing`'s business; while nobody does, they cost a look at a flag.
//!
//! A span says what an access line says and no more: no query, no header, nothing of a body.

use std::sync::LazyLock;

use http::header::HeaderName;
use http::{HeaderMap, Method, Request, Response, Version};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::field::Empty;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::side::Side;

pub use opentelemetry::trace::TraceId;

/// The target of every span, by which the log leaves them out and the collector's layer takes them.
pub const TARGET: &str = "spans";

static W3C: LazyLock<TraceContextPropagator> = LazyLock::new(TraceContextPropagator::new);
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A client's request. With `continued` it is part of the trace that the client says it is in, its decision about sampling
/// included; else a trace of its own, with a link to the client's.
#[must_use]
pub fn request<B>(request: &Request<B>, request_id: &str, continued: bool) -> Span {
    let span = info_span!(
        target: TARGET,
        "request",
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method(request.method()),
        network.protocol.version = version(request.version()),
        url.path = request.uri().path(),
        conversion_shim.request_id = request_id,
        conversion_shim.route = Empty,
        conversion_shim.mode = Empty,
        conversion_shim.side = Empty,
        http.response.status_code = Empty,
        error.type = Empty,
    );
    if span.is_disabled() || request.headers().get_all(TRACEPARENT).iter().count() != 1 {
        return span;
    }
    let theirs = W3C.extract(&HeaderExtractor(request.headers()));
    if continued {
        // It fails when nobody collects, and then there is nothing to be part of.
        let _ = span.set_parent(theirs);
    } else {
        span.add_link(theirs.span().span_context().clone());
    }
    span
}

/// What came of a client's request.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// One of the four routes, `token`, or `pass_through`.
    pub route: &'static str,
    /// The route's mode.
    pub mode: Option<&'static str>,
    /// The side whose answer counted.
    pub side: Option<Side>,
    /// What the client was answered; `None` when it left before.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<&'static str>,
}

/// Notes what came of a client's request, in its span.
pub fn answered(span: &Span, method: &Method, answered: Answered) {
    if span.is_disabled() {
        return;
    }
    let Answered { route, mode, side, status, error } = answered;
    // Set when the span has begun, which `record` would be too late for.
    span.context().span().update_name(format!("{} {route}", self::method(method)));
    span.record("conversion_shim.route", route);
    span.record("conversion_shim.mode", mode);
    span.record("conversion_shim.side", side.map(Side::as_str));
    span.record("http.response.status_code", status);
    span.record("error.type", error);
    // A caller's own mistake is no fault of a server's.
    if status.is_none_or(|status| status >= 500) {
        span.record("otel.status_code", "ERROR");
    }
}

/// One call to an upstream, from its sending to the head of its answer. `name` says which, out of few. The request takes
/// the trace context along, in place of any that it had.
#[must_use]
pub fn call<B>(name: &str, request: &mut Request<B>) -> Span {
    let span = info_span!(
        target: TARGET,
        "call",
        otel.name = Empty,
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = method(request.method()),
        server.address = request.uri().host(),
        server.port = request.uri().port_u16(),
        http.response.status_code = Empty,
        error.type = Empty,
    );
    if !span.is_disabled() {
        span.record("otel.name", format!("{} {name}", method(request.method())));
        inject(&span, request.headers_mut());
    }
    span
}

fn inject(span: &Span, headers: &mut HeaderMap) {
    let context = span.context();
    if !context.span().span_context().is_valid() {
        return;
    }
    // Both headers are set, in place of whatever was there; a trace without a state sets an empty one.
    W3C.inject_context(&context, &mut HeaderInjector(headers));
    if headers.get(TRACESTATE).is_some_and(http::HeaderValue::is_empty) {
        headers.remove(TRACESTATE);
    }
}

/// Notes what an upstream answered, in the span of the call. `failed` says why there is no answer.
pub fn called<B, E>(span: &Span, answer: Result<&Response<B>, &E>, failed: impl FnOnce(&E) -> &'static str) {
    if span.is_disabled() {
        return;
    }
    let status = answer.as_ref().ok().map(|answer| answer.status());
    span.record("http.response.status_code", status.map(|status| status.as_u16()));
    span.record("error.type", answer.err().map(failed));
    if status.is_none_or(|status| status.is_client_error() || status.is_server_error()) {
        span.record("otel.status_code", "ERROR");
    }
}

/// A step on the way to an answer that is no call of the client's own: `claim`, `fence`, `resolve`, `token`.
#[must_use]
pub fn step(name: &'static str, side: impl Into<Option<Side>>) -> Span {
    info_span!(
        target: TARGET,
        "step",
        otel.name = name,
        otel.status_code = Empty,
        conversion_shim.side = side.into().map(Side::as_str),
        conversion_shim.result = Empty,
    )
}

/// Notes what a step came to; `failed` = it could not be done.
pub fn stepped(span: &Span, result: &'static str, failed: bool) {
    span.record("conversion_shim.result", result);
    if failed {
        span.record("otel.status_code", "ERROR");
    }
}

/// The trace that a span belongs to; `None` while nobody collects.
#[must_use]
pub fn trace_id(span: &Span) -> Option<TraceId> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    span.span_context().is_valid().then(|| span.span_context().trace_id())
}

/// A client may send any method; a name may not be made of it.
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
