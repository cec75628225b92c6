//! A request inside a request: nobody behind the proxy may see one where the proxy sees two, or two where it sees one.

use tokio::io::AsyncWriteExt as _;

use super::{create, problem, refused, unharmed};
use crate::support::wire::raw::{RawConnection, RawListener};
use crate::support::wire::shim::Shim;
use crate::support::wire::{LEGACY, TestBed, bed};

/// Ways to say how long a body is that leave it open, or that no HTTP/1 request may use.
const LENGTHS: [&str; 30] = [
    "content-length: 4\r\ntransfer-encoding: chunked",
    "transfer-encoding: chunked\r\ncontent-length: 4",
    "Content-Length: 0\r\nTransfer-Encoding: chunked",
    "TRANSFER-ENCODING: CHUNKED\r\nCONTENT-LENGTH: 4",
    "content-length: 4\r\ncontent-length: 5",
    "content-length: 5\r\ncontent-length: 4\r\ncontent-length: 5",
    "content-length: 4, 5",
    "content-length: 4, 4",
    "content-length: +4",
    "content-length: -4",
    "content-length: 0x4",
    "content-length: 4 4",
    "content-length: 18446744073709551616",
    "content-length:",
    "content-length : 4",
    "transfer-encoding: gzip, chunked",
    "transfer-encoding: chunked, identity",
    "transfer-encoding: chunked, chunked",
    "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
    "transfer-encoding: chunked\r\ntransfer-encoding: identity",
    "transfer-encoding: identity",
    "transfer-encoding: xchunked",
    "transfer-encoding: \"chunked\"",
    "transfer-encoding: chunked;q=1",
    "transfer-encoding : chunked",
    "transfer-encoding:\x0bchunked",
    "transfer-encoding:",
    "x: y\r\n transfer-encoding: chunked",
    "transfer-encoding:\r\n chunked",
    "transfer\x00-encoding: chunked",
];

#[tokio::test]
async fn a_head_that_two_readers_could_end_in_two_places_is_refused_and_nothing_behind_it_is_read() {
    let bed = bed("sealed", &[]).await;
    let hidden = create("hidden");
    let chunked = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    for lengths in LENGTHS {
        for target in [LEGACY, "/v2/profiles"] {
            for body in [&hidden, &chunked, "0\r\n\r\n"] {
                let head = format!("POST {target} HTTP/1.1\r\nhost: shim\r\n{lengths}\r\n\r\n");
                refused(&bed, format!("{head}{body}{hidden}"), "400").await;
            }
        }
    }
    assert!(bed.sandbox.inspector().requests().is_empty());
    unharmed(&bed, "two lengths").await;
}

#[tokio::test]
async fn no_cut_between_packets_hides_it() {
    let bed = bed("sealed", &[]).await;
    let head = format!(
        "POST {LEGACY} HTTP/1.1\r\nhost: shim\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n"
    );
    for cut in 1..head.len() {
        let mut line = RawConnection::to(bed.shim.address).await;
        line.stream.set_nodelay(true).unwrap();
        line.say(&head[..cut]).await;
        tokio::task::yield_now().await;
        // Refused as it may be by now.
        let _ = line.stream.write_all(format!("{}{}", &head[cut..], create("hidden")).as_bytes()).await;
        problem(&mut line, "400", &format!("cut at {cut}")).await;
        assert!(line.is_cut().await, "{cut}");
    }
    assert!(bed.sandbox.inspector().requests().is_empty());
    unharmed(&bed, "cut").await;
}

#[tokio::test]
async fn http_1_0_has_no_chunks() {
    let bed = bed("sealed", &[]).await;
    let hidden = create("hidden");
    let attack = format!(
        "POST /v2/x HTTP/1.0\r\ntransfer-encoding: chunked\r\nconnection: keep-alive\r\n\r\n0\r\n\r\n{hidden}"
    );
    refused(&bed, attack, "400").await;
    unharmed(&bed, "HTTP/1.0").await;
}

#[tokio::test]
async fn what_came_before_it_on_the_connection_is_answered_first() {
    let bed = bed("sealed", &[]).await;
    let get = "GET /v2/profiles HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer sandbox\r\n\r\n";
    let chunked = "GET /v2/profiles HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer sandbox\r\ntransfer-encoding: chunked\r\n\r\n\
                   3;x=y\r\n\r\n\r\r\n0\r\nx-sum: 1\r\n\r\n";
    let bad = "GET /v2/bad HTTP/1.1\r\nhost: shim\r\ncontent-length: 0\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut line = RawConnection::to(bed.shim.address).await;
    line.say(format!("{get}{chunked}{get}{bad}{}", create("hidden"))).await;
    for _ in 0..3 {
        assert_eq!(line.message().await.status(), "200");
    }
    problem(&mut line, "400", "pipelined").await;
    assert!(line.is_cut().await);
    assert_eq!(bed.sandbox.inspector().requests().len(), 3);
    unharmed(&bed, "pipelined").await;
}

#[tokio::test]
async fn a_body_that_looks_like_a_request_is_a_body() {
    let bed = bed("sealed", &[]).await;
    let hidden = create("hidden");
    for lengths in [
        format!("content-length: {}\r\n\r\n{hidden}", hidden.len()),
        format!("content-length: {0}\r\ncontent-length: {0}\r\n\r\n{hidden}", hidden.len()),
        format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len()),
    ] {
        for call in [format!("GET {LEGACY}"), "GET /v2/profiles".into(), "POST /v2/profiles".into()] {
            let mut line = RawConnection::to(bed.shim.address).await;
            let head = format!(
                "{call} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer sandbox\r\nconnection: close\r\n"
            );
            line.say(format!("{head}{lengths}")).await;
            line.message().await;
            assert!(line.is_cut().await, "one answer: {call} {lengths}");
        }
    }
    unharmed(&bed, "a request as a body").await;
}

#[tokio::test]
async fn chunks_that_are_none_break_the_request_and_its_connection() {
    let bed = bed("sealed", &[]).await;
    let body = crate::support::wire::conversion("hidden").to_string();
    for chunk in [
        format!("{:x}\n{body}\r\n0\r\n\r\n", body.len()),
        format!("0x{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
        format!("-{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
        format!("{:x}\r\n{body}XX0\r\n\r\n", body.len()),
        format!("{:x}\r\n{body}0\r\n\r\n", body.len()),
        format!("ffffffffffffffff{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
        format!("{:x};a\n=b\r\n{body}\r\n0\r\n\r\n", body.len()),
        // Two readers see the end of these trailers in two places.
        "0\r\na: b\n\n".into(),
        "0\r\na: b\n\nPOST /v2/x HTTP/1.1\r\ncontent-length: 100000\r\n\r\n".into(),
        format!("\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
    ] {
        let mut line = RawConnection::to(bed.shim.address).await;
        let head = format!(
            "POST {LEGACY} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer sandbox\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        line.say(format!("{head}{chunk}{}", create("behind"))).await;
        let heard = String::from_utf8(line.rest().await).unwrap();
        assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 400"), "{chunk}: {heard}");
        assert_eq!(heard.matches("HTTP/1.1").count(), usize::from(!heard.is_empty()), "{chunk}: {heard}");
    }
    unharmed(&bed, "bad chunks").await;
}

#[tokio::test]
async fn what_is_no_http_at_all_is_refused_in_the_legacy_shape() {
    let bed = bed("sealed", &[]).await;
    for bytes in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03",
        "GARBAGE\r\n\r\n",
        "GET /v2/profiles\r\n\r\n",
        "GET  /v2/profiles HTTP/1.1\r\n\r\n",
        "GET /v2/pro files HTTP/1.1\r\n\r\n",
        "GET /v2/profiles HTTP/1.2\r\n\r\n",
        "GET /v2/profiles HTTP/2.0\r\n\r\n",
        "GET /v2/profiles\x00 HTTP/1.1\r\n\r\n",
        "GET /v2/profiles HTTP/1.1\r\nhost: a\rb: c\r\n\r\n",
        "GET /v2/profiles HTTP/1.1\r\nx: \x00\r\n\r\n",
        "GET /v2/profiles HTTP/1.1\r\nx y: z\r\n\r\n",
        "GET /v2/profiles HTTP/1.1\r\n: z\r\n\r\n",
        "GET /v2/profiles HTTP/1.1\r\nno colon\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        // No Host, and one that another reader ends elsewhere.
        "GET /v2/profiles HTTP/1.1\r\nconnection: close\r\n\r\n",
        "GET /v2/profiles HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n",
        "GET /v2/profiles HTTP/1.1\r\nhost: user@a\r\nconnection: close\r\n\r\n",
        "GET /v2/profiles HTTP/1.1\r\nhost: a/b\r\nconnection: close\r\n\r\n",
    ] {
        refused(&bed, bytes, "400").await;
    }
    let two_hosts = "GET /v2/profiles HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n";
    refused(&bed, two_hosts, "400").await;
    assert!(bed.sandbox.inspector().requests().is_empty());
    unharmed(&bed, "no HTTP").await;
}

#[tokio::test]
async fn headers_for_one_connection_do_not_reach_the_next() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &listener.url("/v2"))]).await;
    for connection in [
        "connection: authorization, x-secret, keep-alive",
        "connection: close, x-secret\r\nconnection: AUTHORIZATION",
        "connection: te\r\nconnection: x-secret,authorization",
        "connection: ,, x-secret ,\t,authorization, \"x\", a b",
    ] {
        let mut client = RawConnection::to(shim.address).await;
        let rest = "keep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nproxy-authorization: Basic eA==\r\nupgrade: h2c\r\n\
                    http2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nte: trailers, gzip\r\nx-secret: 1\r\nauthorization: Bearer x\r\nx-kept: 1";
        client.say(format!("GET /v2/x HTTP/1.1\r\nhost: shim\r\n{connection}\r\n{rest}\r\n\r\n")).await;
        let mut upstream = listener.next().await;
        let asked = upstream.message().await;
        for name in [
            "connection",
            "x-secret",
            "authorization",
            "keep-alive",
            "proxy-connection",
            "proxy-authorization",
            "upgrade",
            "http2-settings",
            "te",
        ] {
            assert_eq!(asked.header(name), None, "{connection}: {name}");
        }
        assert_eq!(asked.header("x-kept").as_deref(), Some("1"), "{connection}");
        upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        assert_eq!(client.head().await.status(), "200");
    }
}

/// `Connection` cannot be used to take away what the proxy itself lives by.
#[tokio::test]
async fn a_header_named_by_connection_takes_no_length_away() {
    let bed: TestBed = bed("sealed", &[]).await;
    let body = crate::support::wire::conversion("named").to_string();
    let head = format!(
        "POST {LEGACY} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer sandbox\r\nconnection: content-length, host, x-request-id\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut line = RawConnection::to(bed.shim.address).await;
    line.say(head).await;
    assert_eq!(line.message().await.status(), "200");
    assert_eq!(bed.sandbox.inspector().conversions_by_ref()["named"].new, 1);
}
