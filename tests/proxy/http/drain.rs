//! The end: what is in flight may finish, nothing new begins, and what had to be cut off is reported.

use conversion_shim::sandbox::{ArmedFault, Fault, FaultKind, Operation, Sandbox, TOKEN};
use conversion_shim::translate::side::Side;

use crate::support::soon;
use crate::support::wire::binary::Binary;
use crate::support::wire::caller::{Caller, plain};
use crate::support::wire::http2_client::RawHttp2;
use crate::support::wire::raw::{RawConnection, RawListener};
use crate::support::wire::shim::Shim;
use crate::support::wire::tls::Pair;
use crate::support::wire::{LEGACY, bed, conversion, vendor};

/// The program before a vendor whose creates stop at a gate.
async fn gated(flags: &[(&str, &str)]) -> (Sandbox, ArmedFault, Binary) {
    let sandbox = vendor().await;
    let fault = Fault::new(FaultKind::Gate { applied: false }).on(Side::New, Operation::Create);
    let gate = sandbox.faults().arm(fault);
    let url = sandbox.base_url();
    let config = format!("stage = \"sealed\"\n[upstream]\nlegacy.url = \"{url}\"\nnew.url = \"{url}\"\n");
    let shim = Binary::serve(tempfile::tempdir().unwrap(), &config, flags).await;
    (sandbox, gate, shim)
}

#[tokio::test]
async fn sigterm_lets_what_is_in_flight_finish_and_refuses_the_rest() {
    for signal in ["TERM", "INT"] {
        let (sandbox, gate, mut shim) = gated(&[]).await;
        let client = Caller::of(&format!("http://{}", shim.address));
        let mut idle = RawConnection::to(shim.address).await;
        idle.say("GET /v2/profiles HTTP/1.1\r\nhost: shim\r\n\r\n").await;
        idle.message().await;
        let in_flight = tokio::spawn(async move { client.create("r").await });
        soon(gate.reached(1)).await;
        shim.signal(signal);
        shim.line("\"message\":\"draining\"").await;
        assert!(idle.is_cut().await, "an idle connection has nothing to wait for");
        let refused = soon(tokio::net::TcpStream::connect(shim.address)).await;
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        gate.open();
        assert_eq!(soon(in_flight).await.unwrap().status, 200);
        assert_eq!(shim.ended().await, Some(0));
        assert_eq!(sandbox.inspector().applied(Side::New, Operation::Create), 1);
        assert_eq!(shim.lines("\"target\":\"access\"", 2).await.len(), 2, "the log is whole");
    }
}

#[tokio::test]
async fn past_the_deadline_requests_are_cut_off_and_logged() {
    let (_sandbox, gate, mut shim) = gated(&[("server.drain_deadline", "200ms")]).await;
    let client = Caller::of(&format!("http://{}", shim.address));
    let in_flight =
        tokio::spawn(client.ask(reqwest::Method::POST, LEGACY).body(conversion("r").to_string()).send());
    soon(gate.reached(1)).await;
    shim.signal("TERM");
    assert_eq!(shim.ended().await, Some(1));
    assert!(soon(in_flight).await.unwrap().is_err());
    let line = shim.line("drain deadline exceeded").await;
    assert!(line.contains("\"level\":\"ERROR\"") && line.contains("\"connections_cut\":1"), "{line}");
    assert!(line.contains("\"writes_cut\":1"), "{line}");
}

/// A write whose client has left has no connection to be counted by; the drain waits for it all the same.
#[tokio::test]
async fn a_write_that_begins_during_the_drain_and_loses_its_client_is_still_waited_for() {
    let mut bed = bed("sealed", &[("server.drain_deadline", "2s")]).await;
    let gate = bed.sandbox.faults().arm(Fault::new(FaultKind::Gate { applied: false }));
    let (pieces, mut rest) = tokio::sync::mpsc::channel::<String>(1);
    let whole = futures_util::stream::poll_fn(move |context| {
        rest.poll_recv(context).map(|piece| piece.map(Ok::<_, std::io::Error>))
    });
    // HTTP/2, where a client that leaves is noticed while its answer is awaited.
    let client = plain().http2_prior_knowledge().build().unwrap();
    let request = client.post(format!("http://{}{LEGACY}", bed.shim.address)).bearer_auth(TOKEN);
    let leaving = tokio::spawn(request.body(reqwest::Body::wrap_stream(whole)).send());
    for _ in 0..20 {
        // More than the connection's window holds: it gets through only because the proxy is reading.
        soon(pieces.send(" ".repeat(16 * 1024))).await.unwrap();
    }
    bed.shim.stop();
    while soon(tokio::net::TcpStream::connect(bed.shim.address)).await.is_ok() {
        tokio::task::yield_now().await;
    }
    soon(pieces.send(conversion("r").to_string())).await.unwrap();
    drop(pieces);
    soon(gate.reached(1)).await;
    leaving.abort();
    drop((leaving.await, client));
    let drained = bed.shim.drained().await;
    assert_eq!((drained.connections_cut, drained.writes_cut), (0, 1), "reported as cut off at the deadline");
}

/// What was sent is not called back when its client leaves, and is not waited for without end either. Over HTTP/2, where it is
/// noticed that the client has left; over HTTP/1.1 it may only have finished speaking.
#[tokio::test]
async fn a_write_that_is_never_answered_and_has_lost_its_client_ends_by_itself() {
    let listener = RawListener::open().await;
    let url = listener.url("/v2");
    let flags = [
        ("upstream.legacy.url", url.as_str()),
        ("timeouts.create", "300ms"),
        ("server.drain_deadline", "15s"),
    ];
    let mut shim = Shim::start(&flags).await;
    let client = Caller::with(&format!("http://{}", shim.address), plain().http2_prior_knowledge());
    let leaving = tokio::spawn(client.ask(reqwest::Method::POST, "/v2/transfer/fiat").body("{}").send());
    let mut upstream = listener.next().await;
    upstream.message().await;
    leaving.abort();
    drop((leaving.await, client));
    shim.stop();
    let drained = shim.drained().await;
    assert_eq!((drained.connections_cut, drained.writes_cut), (0, 0));
}

/// Longer than any test waits: what ends earlier has not waited for it.
const LONG: [(&str, &str); 3] = [
    ("server.drain_deadline", "10m"),
    ("limits.header_read_timeout", "10m"),
    ("limits.keep_alive_timeout", "10m"),
];

/// Connections with nothing in flight: nothing said, half a head, idle after an answer, and HTTP/2 that acknowledges nothing.
async fn idle(address: std::net::SocketAddr) -> (Vec<RawConnection>, Vec<RawHttp2>) {
    let mut lines = Vec::new();
    for said in ["", "G", "GET /v2/profiles HTTP/1.1\r\nhost: sh", "PRI * HTTP/2.0\r\n\r\nSM\r\n"] {
        let mut line = RawConnection::to(address).await;
        line.say(said).await;
        lines.push(line);
    }
    let mut kept = RawConnection::to(address).await;
    kept.say("GET /v2/profiles HTTP/1.1\r\nhost: shim\r\n\r\n").await;
    kept.message().await;
    kept.say("GET /v2/prof").await;
    lines.push(kept);
    let mut silent = RawHttp2::to(address, 1 << 20).await;
    silent.next().await;
    let mut answered = RawHttp2::to(address, 1 << 20).await;
    answered.get(1, "/v2/profiles").await;
    answered.end_of(1).await;
    (lines, vec![silent, answered])
}

#[tokio::test]
async fn connections_with_nothing_in_flight_end_at_once_and_are_not_cut_off() {
    let (_sandbox, _gate, mut shim) = gated(&LONG).await;
    let (lines, http2) = idle(shim.address).await;
    shim.signal("TERM");
    for mut line in lines {
        line.rest_or_reset().await;
    }
    for client in http2 {
        client.closed().await;
    }
    assert_eq!(shim.ended().await, Some(0));
    assert!(!shim.output().iter().any(|line| line.contains("\"level\":\"ERROR\"")), "{:?}", shim.output());
}

#[tokio::test]
async fn an_unfinished_tls_handshake_does_not_hold_up_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = Pair::new().write(dir.path());
    let tls = [("tls.certificate", certificate.to_str().unwrap()), ("tls.key", key.to_str().unwrap())];
    let (_sandbox, _gate, mut shim) = gated(&[&LONG[..], &tls].concat()).await;
    let mut silent = RawConnection::to(shim.address).await;
    let mut begun = RawConnection::to(shim.address).await;
    // A record of a handshake that does not go on.
    begun.say([0x16, 3, 1, 2, 0, 1]).await;
    shim.signal("TERM");
    assert!(silent.is_cut().await && begun.is_cut().await);
    assert_eq!(shim.ended().await, Some(0));
}

/// A deadline too short for the farewell is no reason to report what had nothing to lose.
#[tokio::test]
async fn only_what_was_in_flight_counts_as_cut_off() {
    let (_sandbox, gate, mut shim) = gated(&[&LONG[1..], &[("server.drain_deadline", "1ms")]].concat()).await;
    let _idle = idle(shim.address).await;
    shim.signal("TERM");
    assert_eq!(shim.ended().await, Some(0));
    drop(gate);
    let (_sandbox, gate, mut shim) = gated(&[&LONG[1..], &[("server.drain_deadline", "1ms")]].concat()).await;
    let _idle = idle(shim.address).await;
    let client = Caller::of(&format!("http://{}", shim.address));
    let create = client.ask(reqwest::Method::POST, LEGACY).header("x-request-id", "the-one-cut-off");
    let in_flight = tokio::spawn(create.body(conversion("r").to_string()).send());
    soon(gate.reached(1)).await;
    shim.signal("TERM");
    assert_eq!(shim.ended().await, Some(1));
    let line = shim.line("drain deadline exceeded").await;
    assert!(line.contains("\"connections_cut\":1") && line.contains("\"writes_cut\":1"), "{line}");
    assert!(line.contains("\"request_ids\":\"the-one-cut-off\""), "{line}");
    assert!(soon(in_flight).await.unwrap().is_err());
}

/// The other streams of a connection in use are waited for, and its client that leaves its answer unread is not forgotten.
#[tokio::test]
async fn a_stream_in_flight_is_waited_for_though_its_client_acknowledges_nothing() {
    let (_sandbox, gate, mut shim) = gated(&LONG).await;
    let client = Caller::with(&format!("http://{}", shim.address), plain().http2_prior_knowledge());
    let in_flight = tokio::spawn(async move { client.create("r").await });
    soon(gate.reached(1)).await;
    let (mut lines, _) = idle(shim.address).await;
    shim.signal("TERM");
    lines.remove(1).rest_or_reset().await;
    gate.open();
    assert_eq!(soon(in_flight).await.unwrap().status, 200);
    assert_eq!(shim.ended().await, Some(0));
}
