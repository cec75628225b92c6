//! Spans of a request for OpenTelemetry: what they are called, what they say, and the W3C trace context that comes with a request
//! and goes on with each call. Who collects them is `telemetry::traces`'s business; while nobody does, they cost a look at a flag.
//!
//! A span holds no query, no header but the request id and the id of the client's trace, and nothing of a body. `docs/tracing.md` lists
//! all that it holds.

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

/// The target of every span, by which the log leaves them out and the collector's layer takes them.
pub(crate) const TARGET: &str = "spans";

static W3C: LazyLock<TraceContextPropagator> = LazyLock::new(TraceContextPropagator::new);
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Which requests are traced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling {
    /// The share of those that begin a trace of their own, 0 to 1.
    pub ratio: f64,
    /// Whether a request is part of the trace that its client says it is in, if it is in one. Then the client decides.
    pub continues: bool,
}

impl From<&Traces> for Sampling {
    fn from(config: &Traces) -> Self {
        Self { ratio: config.sample_ratio, continues: config.continue_client_traces }
    }
}

impl Sampling {
    fn takes(self, theirs: &SpanContext) -> bool {
        if self.continues && theirs.is_valid() { theirs.is_sampled() } else { self.draws() }
    }

    #[expect(
        clippy::float_arithmetic,
        clippy::cast_precision_loss,
        reason = "a share of requests, not money"
    )]
    fn draws(self) -> bool {
        // Of a random id, the 48 bits before those that are always the same.
        let (drawn, _) = Uuid::new_v4().as_u64_pair();
        (drawn >> 16) as f64 / ((1_u64 << 48) as f64) < self.ratio
    }
}

/// A client's request: part of the trace that the client says it is in, where it continues that; else a trace of its own, with a
/// link to the client's. One that is not taken has no span, nor has anything that is done for it, and its headers go on as they
/// came.
#[must_use]
pub(crate) fn request<B>(request: &Request<B>, request_id: &str, sampling: Sampling) -> Span {
    if !span_enabled!(target: TARGET, Level::INFO) {
        return Span::none();
    }
    let theirs = context(request.headers());
    let theirs_span = theirs.span().span_context().clone();
    if !sampling.takes(&theirs_span) {
        return Span::none();
    }
    let span = info_span!(
        target: TARGET,
        "request",
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method(request.method()),
        network.protocol.version = version(request.version()),
        url.path = start(request.uri().path()),
        conversion_shim.request_id = request_id,
        conversion_shim.route = Empty,
        conversion_shim.mode = Empty,
        conversion_shim.side = Empty,
        http.response.status_code = Empty,
        error.type = Empty,
    );
    if sampling.continues {
        // It fails when nobody collects, and then there is nothing to be part of.
        let _ = span.set_parent(theirs);
    } else if theirs_span.is_valid() {
        // Its id alone: what else it says is as long as the client likes.
        let (id, within) = (theirs_span.span_id(), theirs_span.trace_id());
        span.add_link(SpanContext::new(within, id, theirs_span.trace_flags(), true, TraceState::default()));
    }
    span
}

/// What a client says of its trace. More than one header, and it says nothing.
fn context(headers: &HeaderMap) -> Context {
    match headers.get_all(TRACEPARENT).iter().count() {
        1 => W3C.extract_with_context(&Context::new(), &HeaderExtractor(headers)),
        _ => Context::new(),
    }
}

/// Whether what is being done is done for a request that is traced.
fn traced() -> bool {
    Span::current().metadata().is_some_and(|metadata| metadata.target() == TARGET)
}

/// What came of a client's request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
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
pub(crate) fn answered(span: &Span, method: &Method, answered: Answered) {
    if span.is_disabled() {
        return;
    }
    let Answered { route, mode, side, status, error } = answered;
    // Set when the span has begun, which `record` would be too late for.
    span.context().span().update_name(format!("{} {route}", self::method(method)));
    span.record("conversion_shim.route", route);
    span.record("conversion_shim.mode", mode);
    span.record("conversion_shim.side", side.map(Side::as_str));
    span.record("http.response.status_code", status.map(i64::from));
    span.record("error.type", error);
    // A caller's own mistake is no fault of a server's.
    if status.is_none_or(|status| status >= 500) {
        span.record("otel.status_code", "ERROR");
    }
}

/// One call to an upstream, from its sending to the head of its answer. `name` says which, out of few. The request takes
/// the trace context along, in place of any that it had.
#[must_use]
pub(crate) fn call<B>(name: &str, request: &mut Request<B>) -> Span {
    if !traced() {
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
    // Both headers are set, in place of whatever was there; a trace without a state sets an empty one.
    W3C.inject_context(&context, &mut HeaderInjector(headers));
    if headers.get(TRACESTATE).is_some_and(http::HeaderValue::is_empty) {
        headers.remove(TRACESTATE);
    }
}

/// Notes what an upstream answered, in the span of the call. `failed` says why there is no answer.
pub(crate) fn called<B, E>(
    span: &Span,
    answer: Result<&Response<B>, &E>,
    failed: impl FnOnce(&E) -> &'static str,
) {
    if span.is_disabled() {
        return;
    }
    let status = answer.as_ref().ok().map(|answer| answer.status());
    span.record("http.response.status_code", status.map(|status| i64::from(status.as_u16())));
    span.record("error.type", answer.err().map(failed));
    if status.is_none_or(|status| status.is_client_error() || status.is_server_error()) {
        span.record("otel.status_code", "ERROR");
    }
}

/// A step on the way to an answer that is no call of the client's own: `claim`, `fence`, `resolve`, `token`.
#[must_use]
pub(crate) fn step(name: &'static str, side: impl Into<Option<Side>>) -> Span {
    if !traced() {
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

/// Notes what a step came to; `failed` = it could not be done.
pub(crate) fn stepped(span: &Span, result: &'static str, failed: bool) {
    span.record("conversion_shim.result", result);
    if failed {
        span.record("otel.status_code", "ERROR");
    }
}

/// The trace that a span belongs to; `None` while nobody collects.
#[must_use]
pub(crate) fn trace_id(span: &Span) -> Option<TraceId> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    span.span_context().is_valid().then(|| span.span_context().trace_id())
}

/// As much of a path as a span holds, in bytes: what waits to be sent is bounded by number.
const LONGEST_PATH: usize = 512;

fn start(path: &str) -> &str {
    &path[..path.floor_char_boundary(LONGEST_PATH)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_is_asked_for_is_drawn() {
        let drawn = |ratio| (0..10_000).filter(|_| Sampling { ratio, continues: false }.draws()).count();
        assert_eq!((drawn(0.0), drawn(1.0)), (0, 10_000));
        // Seven standard deviations to either side.
        assert!((2_200..=2_800).contains(&drawn(0.25)));
    }
}
