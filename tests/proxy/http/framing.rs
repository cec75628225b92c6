//! Where a message ends is decided once: nobody gets a second request past the proxy inside a first.

use crate::support::wire::raw::{RawConnection, RawListener};
use crate::support::wire::shim::Shim;

/// Smuggling by requests is in `tests/proxy/hostile`; this is its mirror image.
#[tokio::test]
async fn an_answer_that_says_in_two_ways_how_long_it_is_is_a_502() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &listener.url("/v2"))]).await;
    for headers in [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 4",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: identity",
        "content-length: 4\r\ncontent-length: 5",
        "content-length: 5, 5",
    ] {
        let mut client = RawConnection::to(shim.address).await;
        client.say("GET /v2/x HTTP/1.1\r\nhost: shim\r\n\r\n").await;
        let mut upstream = listener.next().await;
        upstream.message().await;
        upstream.say(format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n5\r\nhello\r\n0\r\n\r\n")).await;
        let answer = client.message().await;
        assert_eq!(answer.status(), "502", "{headers}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("hello"), "{headers}");
        assert!(upstream.is_cut().await, "{headers}: nobody else gets the rest");
    }
}

#[tokio::test]
async fn a_request_of_ambiguous_length_is_refused() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &listener.url("/v2"))]).await;
    for headers in [
        "content-length: 4\r\ncontent-length: 5",
        "content-length: 4, 5",
        "content-length: +4",
        "content-length: -1",
        "transfer-encoding: chunked, gzip",
        "transfer-encoding: gzip",
        "transfer-encoding: xchunked",
        "transfer-encoding : chunked",
    ] {
        let mut client = RawConnection::to(shim.address).await;
        client.say(format!("POST /v2/x HTTP/1.1\r\nhost: shim\r\n{headers}\r\n\r\nhello")).await;
        assert_eq!(client.head().await.status(), "400", "{headers}");
        assert!(listener.is_quiet(), "{headers}");
    }
}

/// The proxy asks in its own words and leaves the client's body out; what said how long that was must stay out with it, or
/// the upstream takes the next request of the connection for the body.
#[tokio::test]
async fn a_body_that_does_not_go_on_leaves_no_length_behind() {
    let listener = RawListener::open().await;
    let url = listener.url("/v2");
    // Reads and cancels look on both sides.
    let flags = [("stage", "hold"), ("upstream.legacy.url", url.as_str()), ("upstream.new.url", &url)];
    let shim = Shim::start(&flags).await;
    let hidden = "DELETE /v2/conversion/stablecoins/hidden HTTP/1.1\r\nh: x\r\n\r\n";
    let length = format!("content-length: {}\r\n\r\n{hidden}", hidden.len());
    let chunked = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    for call in [
        "DELETE /v2/conversion/stablecoins/one",
        "GET /v2/conversion/stablecoins/one",
        "GET /v2/conversion/stablecoins?page_cursor=theirs",
    ] {
        for body in ["content-length: 2\r\n\r\n{}", &length, &chunked] {
            let mut client = RawConnection::to(shim.address).await;
            client
                .say(format!("{call} HTTP/1.1\r\nhost: shim\r\ncontent-type: application/json\r\n{body}"))
                .await;
            let mut upstream = listener.next().await;
            let asked = upstream.head().await;
            assert_eq!(asked.start(), format!("{call} HTTP/1.1"));
            for name in ["transfer-encoding", "content-type"] {
                assert_eq!(asked.header(name), None, "{call}");
            }
            assert!(asked.header("content-length").is_none_or(|length| length == "0"), "{call}: {asked:?}");
            assert_eq!(upstream.heard_already(), 0, "{call}");
            let answer = r#"{"id":"one","status":"CANCELLED"}"#;
            upstream
                .say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()))
                .await;
            assert_eq!(client.message().await.status(), "200");
            // A cancel has a connection of its own.
            if call.starts_with("DELETE") {
                continue;
            }
            follows_intact(&shim, &listener, upstream).await;
        }
    }
}

/// The next request that uses the same connection to the upstream comes whole and alone. The one before has to be back in the
/// pool for that, of which there is no signal.
async fn follows_intact(shim: &Shim, listener: &RawListener, mut upstream: RawConnection) {
    // A get, which travels in the lane of the call before it.
    const NEXT: &str = "GET /v2/conversion/stablecoins/next HTTP/1.1";
    for _ in 0..1000 {
        let mut client = RawConnection::to(shim.address).await;
        client.say(format!("{NEXT}\r\nhost: shim\r\nconnection: close\r\n\r\n")).await;
        let (mut line, same) = tokio::select! {
            readable = upstream.stream.readable() => { readable.unwrap(); (upstream, true) }
            other = listener.next() => (other, false),
        };
        assert_eq!(line.message().await.start(), NEXT);
        assert_eq!(line.heard_already(), 0);
        line.say("HTTP/1.1 200 OK\r\ncontent-length: 13\r\nconnection: close\r\n\r\n{\"id\":\"next\"}").await;
        assert_eq!(client.head().await.status(), "200");
        if same {
            return;
        }
        upstream = line;
    }
}

#[tokio::test]
async fn a_get_with_chunks_goes_on_with_them_and_one_without_a_body_has_none() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &listener.url("/v2"))]).await;
    let mut client = RawConnection::to(shim.address).await;
    let chunks = "5\r\nhello\r\n0\r\n\r\n";
    client
        .say(format!("GET /v2/x HTTP/1.1\r\nhost: shim\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"))
        .await;
    let mut upstream = listener.next().await;
    let asked = upstream.message().await;
    assert_eq!(asked.header("transfer-encoding").as_deref(), Some("chunked"));
    assert_eq!(asked.body, chunks.as_bytes());
    for (status, more) in
        [("304 Not Modified", "etag: \"a\"\r\n"), ("204 No Content", ""), ("200 OK", "content-length: 0\r\n")]
    {
        upstream.say(format!("HTTP/1.1 {status}\r\n{more}connection: close\r\n\r\n")).await;
        let answer = client.head().await;
        assert_eq!(answer.status(), &status[..3]);
        assert_eq!(answer.header("transfer-encoding"), None);
        client.say("GET /v2/x HTTP/1.1\r\nhost: shim\r\n\r\n").await;
        upstream = listener.next().await;
        let asked = upstream.message().await;
        assert_eq!((asked.header("transfer-encoding"), asked.header("content-length")), (None, None));
    }
}

/// The proxy puts a document in place of hyper's own bare refusals, and must not take an upstream's bytes for one of them.
#[tokio::test]
async fn a_body_that_reads_like_a_refusal_is_a_body() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &listener.url("/v2"))]).await;
    let body = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let mut client = RawConnection::to(shim.address).await;
    client.say("GET /v2/x HTTP/1.1\r\nhost: shim\r\n\r\n").await;
    let mut upstream = listener.next().await;
    upstream.message().await;
    upstream.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len() + 3)).await;
    // Each part goes on by itself.
    assert_eq!(client.head().await.status(), "200");
    upstream.say(body).await;
    assert_eq!(client.exactly(body.len()).await, body.as_bytes());
    upstream.say("end").await;
    assert_eq!(client.exactly(3).await, b"end");
    assert_eq!(client.heard_already(), 0);
}
