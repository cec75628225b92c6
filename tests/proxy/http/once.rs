//! A write is sent once, on every layer, and runs to its end though its client leaves. Counted where it arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use conversion_shim::sandbox::{Fault, FaultKind, Operation, Tally};
use conversion_shim::translate::side::Side;
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::soon;
use crate::support::wire::caller::{Caller, plain};
use crate::support::wire::raw::{RawConnection, RawListener};
use crate::support::wire::shim::Shim;
use crate::support::wire::{LEGACY, bed, conversion};

/// A create in flight at a gate of the vendor's; its client leaves; the gate opens.
async fn leaves_while_the_write_is_in_flight(stage: &str, side: Side, http: reqwest::ClientBuilder) {
    let bed = bed(stage, &[]).await;
    let gate = |applied| {
        let fault = Fault::new(FaultKind::Gate { applied }).on(side, Operation::Create);
        bed.sandbox.faults().arm(fault)
    };
    let (before, after) = (gate(false), gate(true));
    let client = Caller::with(&format!("http://{}", bed.shim.address), http);
    let request = client.ask(Method::POST, LEGACY).body(conversion("r").to_string());
    let leaving = tokio::spawn(request.send());
    soon(before.reached(1)).await;
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    for _ in 0..20 {
        // Round trips, in which the proxy notices that its client is gone.
        assert_eq!(client.get("/v2/profiles").await.status, 200);
    }
    before.open();
    soon(after.reached(1)).await;
    after.open();
    let inspector = bed.sandbox.inspector();
    assert_eq!(inspector.arrived(side, Operation::Create), 1);
    assert_eq!(inspector.conversions_by_ref()["r"].legacy + inspector.conversions_by_ref()["r"].new, 1);
}

#[tokio::test]
async fn a_translated_create_takes_effect_though_its_client_leaves() {
    leaves_while_the_write_is_in_flight("sealed", Side::New, plain()).await;
    leaves_while_the_write_is_in_flight("sealed", Side::New, plain().http2_prior_knowledge()).await;
}

#[tokio::test]
async fn a_create_on_the_old_api_takes_effect_though_its_client_leaves() {
    leaves_while_the_write_is_in_flight("observe", Side::Legacy, plain()).await;
    leaves_while_the_write_is_in_flight("observe", Side::Legacy, plain().http2_prior_knowledge()).await;
}

/// The sandbox works on whatever arrived; whether the proxy hung up shows only on a bare socket.
#[tokio::test]
async fn the_connection_to_the_upstream_is_not_cut_when_the_client_leaves() {
    let listener = RawListener::open().await;
    let url = listener.url("/v2");
    let flags = [("stage", "sealed"), ("upstream.legacy.url", url.as_str()), ("upstream.new.url", &url)];
    let shim = Shim::start(&flags).await;
    for path in [LEGACY, "/v2/transfer/fiat"] {
        for http in [plain(), plain().http2_prior_knowledge()] {
            let client = Caller::with(&format!("http://{}", shim.address), http);
            let leaving =
                tokio::spawn(client.ask(Method::POST, path).body(conversion("r").to_string()).send());
            let mut upstream = listener.next().await;
            upstream.message().await;
            leaving.abort();
            assert!(leaving.await.unwrap_err().is_cancelled());
            for _ in 0..20 {
                // Round trips, in which the proxy notices that its client is gone.
                assert_eq!(client.get("/v2/conversion/stablecoins?limit=0").await.status, 400);
            }
            let heard = upstream.stream.try_read(&mut [0]);
            let silent = heard.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
            assert!(silent, "{path}: the proxy hung up");
        }
    }
}

#[tokio::test]
async fn a_reset_before_or_after_the_write_is_never_repaired_by_a_second_write() {
    for (stage, side) in [("sealed", Side::New), ("observe", Side::Legacy)] {
        let bed = bed(stage, &[("timeouts.create", "1s")]).await;
        for (applied, made) in [(false, 0), (true, 1)] {
            let ref_id = applied.to_string();
            let fault = Fault::new(FaultKind::Reset { applied }).on(side, Operation::Create).times(1);
            bed.sandbox.faults().arm(fault);
            let answer = bed.client.create(&ref_id).await;
            if stage == "sealed" && applied {
                assert_eq!(answer.json()["ref_id"], ref_id, "looked up");
            } else {
                answer.problem(if stage == "sealed" { 504 } else { 502 });
                let detail = answer.detail();
                assert!(
                    detail.contains(side.as_str()) && detail.contains("may have taken effect"),
                    "{detail}"
                );
            }
            let tally =
                bed.sandbox.inspector().conversions_by_ref().get(&ref_id).copied().unwrap_or_default();
            let expected = match side {
                Side::New => Tally { legacy: 0, new: made },
                Side::Legacy => Tally { legacy: made, new: 0 },
            };
            assert_eq!(tally, expected);
        }
        assert_eq!(bed.sandbox.inspector().arrived(side, Operation::Create), 2, "{stage}");
    }
}

/// Keep-alive connections that the server closes at the worst moment: whatever comes of a POST, it arrived at most once,
/// and what the client is told is true.
#[tokio::test]
async fn a_stale_connection_never_sends_a_post_twice() {
    let listener = RawListener::open().await;
    let url = listener.url("/v2");
    let flags = [
        ("stage", "sealed"),
        ("upstream.legacy.url", url.as_str()),
        ("upstream.new.url", &url),
        ("timeouts.create", "100ms"),
    ];
    let shim = Shim::start(&flags).await;
    let posts = Arc::new(AtomicUsize::new(0));
    let serving = tokio::spawn(closing_server(listener, posts.clone()));
    let body = conversion("r").to_string();
    let mut statuses = std::collections::BTreeMap::new();
    for round in 0..150 {
        let path = if round % 2 == 0 { LEGACY } else { "/v2/transfer/fiat" };
        let mut client = RawConnection::to(shim.address).await;
        client.say("GET /v2/warm HTTP/1.1\r\nhost: shim\r\n\r\n").await;
        client.message().await;
        let before = posts.load(Ordering::SeqCst);
        let length = body.len();
        client
            .say(format!("POST {path} HTTP/1.1\r\nhost: shim\r\ncontent-length: {length}\r\n\r\n{body}"))
            .await;
        let answer = client.message().await;
        let arrived = posts.load(Ordering::SeqCst) - before;
        let detail = String::from_utf8(answer.body.clone()).unwrap();
        match answer.status() {
            "200" => assert_eq!(arrived, 1),
            "503" => assert!(arrived == 0 && detail.contains("nothing was sent"), "{arrived} {detail}"),
            "502" | "504" => {
                assert!(arrived <= 1 && detail.contains("may have taken effect"), "{arrived} {detail}")
            }
            other => panic!("{other} {detail}"),
        }
        *statuses.entry(answer.status().to_owned()).or_insert(0) += 1;
    }
    serving.abort();
    assert!(statuses.len() > 1, "the race was not met in any round: {statuses:?}");
}

/// Answers the first request of a connection, promises to keep it, and closes: at once, or when the second arrives.
async fn closing_server(listener: RawListener, posts: Arc<AtomicUsize>) {
    for round in 0.. {
        let line = listener.next().await;
        let posts = posts.clone();
        tokio::spawn(async move {
            let mut stream = line.stream;
            one_request(&mut stream, &posts).await;
            let answer = r#"{"id":"i","source_asset":"USD","destination_asset":"PYUSD"}"#;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
            let _ = stream.write_all((head + answer).as_bytes()).await;
            if round % 3 == 0 {
                one_request(&mut stream, &posts).await;
            }
        });
    }
}

/// Reads what one write of a client holds; counts a POST as soon as a byte of it is here.
async fn one_request(stream: &mut tokio::net::TcpStream, posts: &AtomicUsize) {
    let mut bytes = vec![0; 64 * 1024];
    let read = stream.read(&mut bytes).await.unwrap_or(0);
    if bytes[..read].starts_with(b"POST ") {
        posts.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_read_whose_connection_closes_is_repeated_once_and_no_more() {
    let bed = bed("sealed", &[]).await;
    bed.sandbox.faults().arm(Fault::new(FaultKind::Reset { applied: false }));
    bed.client.get(LEGACY).await.problem(502);
    assert_eq!(bed.sandbox.inspector().arrived(Side::New, Operation::List), 2);
}
