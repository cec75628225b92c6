//! `[limits]` and `[limits.in_flight]`

use std::time::Duration;

use crate::config::read::KeyReader;
use crate::config::values::{GIB, KIB, MIB, MILLISECOND};

pub(crate) const IN_FLIGHT_ALL: &str = "limits.in_flight.all";
pub(crate) const CONNECTIONS_MAX: &str = "limits.connections_max";

/// `[limits]`
#[derive(Clone, Debug)]
pub struct Limits {
    /// Maximum size of the body of a translated request, in bytes.
    pub request_body_max: usize,
    /// Maximum size of an upstream response that is read for translation, in bytes.
    pub(crate) response_body_max: usize,
    /// Maximum number of open client connections.
    pub(crate) connections_max: usize,
    /// Timeout for receiving the head of a request.
    pub(crate) header_read_timeout: Duration,
    /// Time after which an idle client connection is closed.
    pub(crate) keep_alive_timeout: Duration,
    /// Time after which a connection is closed, or an HTTP/2 stream reset, whose client reads nothing of a pending response.
    pub(crate) write_timeout: Duration,
    /// Maximum size of a request head, in bytes.
    pub(crate) header_bytes_max: usize,
    /// Maximum number of headers of a request.
    pub(crate) headers_max: usize,
    /// Maximum number of concurrent requests on one HTTP/2 connection.
    pub(crate) http2_streams_max: u32,
    pub(crate) in_flight: InFlight,
}

/// `[limits.in_flight]`: maximum number of concurrent requests; each at least 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InFlight {
    pub(crate) all: usize,
    pub(crate) client: usize,
    pub(crate) create: usize,
    pub(crate) get: usize,
    pub(crate) list: usize,
    pub(crate) cancel: usize,
    /// Requests that match no route.
    pub(crate) pass_through: usize,
    /// `Retry-After` of a refused request; whole seconds.
    pub(crate) retry_after: Duration,
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Limits> {
    let request_body_max = keys.on_reload("limits.request_body_max").bytes(KIB..=GIB);
    let response_body_max = keys.on_reload("limits.response_body_max").bytes(KIB..=GIB);
    let connections_max = keys.on_restart(CONNECTIONS_MAX).number(1..=1_000_000);
    let header_read_timeout = keys.on_restart("limits.header_read_timeout").duration(MILLISECOND);
    let keep_alive_timeout = keys.on_restart("limits.keep_alive_timeout").duration(MILLISECOND);
    let write_timeout = keys.on_restart("limits.write_timeout").duration(MILLISECOND);
    // hyper panics on a smaller buffer (`http1::Builder::max_buf_size`).
    let header_bytes_max = keys.on_restart("limits.header_bytes_max").bytes(8 * KIB..=MIB);
    let headers_max = keys.on_restart("limits.headers_max").number(10..=10_000);
    let http2_streams_max = keys.on_restart("limits.http2_streams_max").number(1..=10_000);
    let in_flight = in_flight(keys);
    Some(Limits {
        request_body_max: request_body_max?,
        response_body_max: response_body_max?,
        connections_max: connections_max?,
        header_read_timeout: header_read_timeout?,
        keep_alive_timeout: keep_alive_timeout?,
        write_timeout: write_timeout?,
        header_bytes_max: header_bytes_max?,
        headers_max: headers_max?,
        http2_streams_max: http2_streams_max?,
        in_flight: in_flight?,
    })
}

fn in_flight(keys: &mut KeyReader) -> Option<InFlight> {
    let mut max = |key| keys.on_reload(key).number(1..=1_000_000_usize);
    let all = max(IN_FLIGHT_ALL);
    let client = max("limits.in_flight.client");
    let create = max("limits.in_flight.create");
    let get = max("limits.in_flight.get");
    let list = max("limits.in_flight.list");
    let cancel = max("limits.in_flight.cancel");
    let pass_through = max("limits.in_flight.pass_through");
    let retry_after = keys.on_reload("limits.in_flight.retry_after").whole_seconds();
    Some(InFlight {
        all: all?,
        client: client?,
        create: create?,
        get: get?,
        list: list?,
        cancel: cancel?,
        pass_through: pass_through?,
        retry_after: retry_after?,
    })
}
