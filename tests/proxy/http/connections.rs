//! Clients' connections: half-closed, slow, silent, too many.

use bytes::Bytes;
use conversion_shim::sandbox::{Fault, FaultKind};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt as _;

use crate::support::soon;
use crate::support::wire::caller::Caller;
use crate::support::wire::raw::{RawConnection, RawListener};
use crate::support::wire::shim::Shim;
use crate::support::wire::{LEGACY, TestBed, bed};

const PING: &str = "GET /v2/profiles HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer sandbox\r\n\r\n";

async fn pings(line: &mut RawConnection) {
    line.say(PING).await;
    assert_eq!(line.message().await.status(), "200");
}

/// Resolves when the time for a head has passed on a connection that began one: a clock that is the proxy's own.
async fn a_head_is_overdue(bed: &TestBed) {
    let mut slow = RawConnection::to(bed.shim.address).await;
    slow.say("GET /v2/slow HTTP/1.1\r\nx-sl").await;
    assert!(slow.is_cut().await);
}

#[tokio::test]
async fn a_client_that_has_closed_its_sending_half_still_gets_its_answer() {
    for (stage, path) in [("sealed", LEGACY), ("observe", LEGACY), ("observe", "/v2/profiles")] {
        let bed = bed(stage, &[("timeouts.create", "10m")]).await;
        let gate = bed.sandbox.faults().arm(Fault::new(FaultKind::Gate { applied: false }));
        let mut client = RawConnection::to(bed.shim.address).await;
        client
            .say(format!("GET {path} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer sandbox\r\n\r\n"))
            .await;
        client.stream.shutdown().await.unwrap();
        soon(gate.reached(1)).await;
        gate.open();
        assert_eq!(client.message().await.status(), "200", "{stage} {path}");
        assert!(client.is_cut().await, "the connection ends with the answer");
    }
}

/// What it occupied is free again, though the vendor never answers it.
#[tokio::test]
async fn a_client_that_leaves_ends_what_passes_through_for_it() {
    let timeouts = ["create", "get", "list", "cancel"].map(|route| format!("timeouts.{route}"));
    let mut keys: Vec<_> = timeouts.iter().map(|key| (key.as_str(), "100ms")).collect();
    keys.push(("limits.in_flight.pass_through", "1"));
    for (method, is_reset) in [("GET", true), ("GET", false), ("POST", true), ("POST", false)] {
        let bed = bed("observe", &keys).await;
        let gate = bed.sandbox.faults().arm(Fault::new(FaultKind::Gate { applied: false }).times(1));
        let mut client = RawConnection::to(bed.shim.address).await;
        let request = PING.replace("GET", method).replace("\r\n\r\n", "\r\ncontent-length: 0\r\n\r\n");
        client.say(request).await;
        soon(gate.reached(1)).await;
        if is_reset {
            client.stream.set_zero_linger().unwrap();
        }
        drop(client);
        let next = Caller::of(&format!("http://{}", bed.shim.address));
        let served = async {
            while next.get("/v2/profiles").await.status == 503 {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        soon(served).await;
        gate.open();
    }
}

#[tokio::test]
async fn a_slow_head_is_cut_while_a_silent_connection_may_wait() {
    let bed =
        bed("observe", &[("limits.header_read_timeout", "300ms"), ("limits.keep_alive_timeout", "1h")]).await;
    let mut silent = RawConnection::to(bed.shim.address).await;
    pings(&mut silent).await;
    a_head_is_overdue(&bed).await;
    pings(&mut silent).await;
    silent.say("GET /v2/again").await;
    assert!(silent.is_cut().await, "a later head has the same time");
}

#[tokio::test]
async fn a_connection_that_never_says_a_word_is_cut() {
    let bed =
        bed("observe", &[("limits.header_read_timeout", "100ms"), ("limits.keep_alive_timeout", "1h")]).await;
    assert!(RawConnection::to(bed.shim.address).await.is_cut().await);
}

#[tokio::test]
async fn a_silent_connection_is_closed_in_the_end() {
    let bed = bed("observe", &[("limits.keep_alive_timeout", "100ms")]).await;
    let mut silent = RawConnection::to(bed.shim.address).await;
    pings(&mut silent).await;
    assert!(silent.is_cut().await);
}

#[tokio::test]
async fn an_unused_connection_to_an_upstream_is_closed_in_the_end() {
    let listener = RawListener::open().await;
    let flags =
        [("upstream.legacy.url", listener.url("/v2")), ("upstream.pool_idle_timeout", "100ms".to_owned())];
    let flags: Vec<_> = flags.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let shim = Shim::start(&flags).await;
    let client = Caller::of(&format!("http://{}", shim.address));
    let asking = tokio::spawn(async move { client.get("/v2/profiles").await.status });
    let mut line = listener.next().await;
    line.message().await;
    line.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(soon(asking).await.unwrap(), 200);
    // The default would keep it longer than anybody waits here.
    assert_eq!(line.rest_or_reset().await, b"");
}

#[tokio::test]
async fn neither_time_runs_while_an_answer_is_awaited() {
    let bed =
        bed("observe", &[("limits.header_read_timeout", "100ms"), ("limits.keep_alive_timeout", "100ms")])
            .await;
    let gate = bed.sandbox.faults().arm(Fault::new(FaultKind::Gate { applied: false }));
    let mut waiting = RawConnection::to(bed.shim.address).await;
    waiting.say(PING).await;
    soon(gate.reached(1)).await;
    for _ in 0..3 {
        a_head_is_overdue(&bed).await;
    }
    gate.open();
    assert_eq!(waiting.message().await.status(), "200");
}

#[tokio::test]
async fn a_silent_http_2_connection_may_wait_as_well() {
    let bed =
        bed("observe", &[("limits.header_read_timeout", "300ms"), ("limits.keep_alive_timeout", "1h")]).await;
    let stream = RawConnection::to(bed.shim.address).await.stream;
    let (mut client, connection) =
        soon(http2::handshake(TokioExecutor::new(), TokioIo::new(stream))).await.unwrap();
    let driving = tokio::spawn(connection);
    for round in 0..3 {
        let request = http::Request::get(format!("http://{}/v2/profiles", bed.shim.address))
            .header("authorization", "Bearer sandbox")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let answer = soon(client.send_request(request)).await;
        let answer = answer.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        assert_eq!(answer.status(), 200);
        soon(answer.into_body().collect()).await.unwrap();
        a_head_is_overdue(&bed).await;
    }
    driving.abort();
}

#[tokio::test]
async fn one_client_over_the_cap_waits_and_is_served_later() {
    let bed = bed("observe", &[("limits.connections_max", "1")]).await;
    let mut first = RawConnection::to(bed.shim.address).await;
    pings(&mut first).await;
    let mut second = RawConnection::to(bed.shim.address).await;
    second.say(PING.replace("/v2/profiles", "/v2/second")).await;
    for _ in 0..20 {
        // Round trips, in which the second would be served if it could.
        pings(&mut first).await;
    }
    let seen = bed.sandbox.inspector().requests();
    assert!(!seen.iter().any(|seen| seen.path_and_query == "/v2/second"));
    drop(first);
    assert_eq!(second.message().await.status(), "404");
}

#[tokio::test]
async fn a_head_longer_than_allowed_is_refused() {
    let bed = bed("observe", &[("limits.header_bytes_max", "8KiB")]).await;
    let mut client = RawConnection::to(bed.shim.address).await;
    let _ = client
        .stream
        .write_all(format!("GET /v2/x HTTP/1.1\r\nx-long: {}", "x".repeat(20_000)).as_bytes())
        .await;
    assert_eq!(client.head().await.status(), "431");
    assert!(bed.sandbox.inspector().requests().is_empty());
}
