//! Pass-through, byte by byte, both ways: HTTP/1 between bare sockets.

use crate::support::wire::raw::{Message, RawConnection, RawListener};
use crate::support::wire::shim::Shim;
use crate::support::wire::tls::Pair;

/// A client's and an upstream's end, with the proxy in between.
struct Between {
    _shim: Shim,
    listener: RawListener,
    client: RawConnection,
}

async fn between() -> Between {
    between_with(&[]).await
}

async fn between_with(more: &[(&str, &str)]) -> Between {
    let listener = RawListener::open().await;
    let url = listener.url("/v2");
    let mut flags = vec![("upstream.legacy.url", url.as_str())];
    flags.extend_from_slice(more);
    let shim = Shim::start(&flags).await;
    let client = RawConnection::to(shim.address).await;
    Between { _shim: shim, listener, client }
}

const GET: &str = "GET /v2/x HTTP/1.1\r\nhost: shim\r\nx-request-id: id\r\n\r\n";

/// What the client gets for that answer of the upstream to [`GET`].
async fn answered(answer: &[u8]) -> Message {
    let mut it = between().await;
    it.client.say(GET).await;
    let mut upstream = it.listener.next().await;
    upstream.message().await;
    upstream.say(answer).await;
    drop(upstream);
    it.client.message().await
}

/// Headers as [`Message::headers`] tells them.
fn headers(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_request_loses_what_was_for_one_connection_and_nothing_else() {
    let mut it = between().await;
    it.client
        .say(
            "PUT /v2/x?y=%20 HTTP/1.1\r\nHost: client.example\r\nX-Mixed-CASE: One  two\r\nx-repeated: b\r\n\
             X-Repeated: a\r\nx-repeated: \r\nAccept-Encoding: gzip, br\r\nAuthorization: Bearer t\r\n\
             Connection: keep-alive, X-Private\r\nX-Private: p\r\nconnection: x-other\r\nX-OTHER: p\r\n\
             Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\n\
             Upgrade: websocket\r\nTE: trailers\r\nX-Latin: caf\u{e9}\r\nContent-Length: 5\r\nTraceParent: 00-a-b-01\r\n\
             x-request-id: mine\r\n\r\nhello",
        )
        .await;
    let mut upstream = it.listener.next().await;
    let request = upstream.message().await;
    assert_eq!(request.start(), "PUT /v2/x?y=%20 HTTP/1.1");
    let host = it.listener.address().to_string();
    let expected = headers(&[
        ("Accept-Encoding", "gzip, br"),
        ("Authorization", "Bearer t"),
        ("Content-Length", "5"),
        ("Host", &host),
        ("TE", "trailers"),
        ("TraceParent", "00-a-b-01"),
        ("X-Latin", "caf\u{e9}"),
        ("X-Mixed-CASE", "One  two"),
        ("x-repeated", "b"),
        ("X-Repeated", "a"),
        ("x-repeated", ""),
        ("x-request-id", "mine"),
    ]);
    let sent = request.headers().into_iter();
    // The proxy writes the Host itself, in whatever case.
    let sent =
        sent.map(|(name, value)| if name == "host" { ("Host".to_owned(), value) } else { (name, value) });
    assert_eq!(sent.collect::<Vec<_>>(), expected);
    assert_eq!(request.body, b"hello");
}

#[tokio::test]
async fn an_answer_loses_what_was_for_one_connection_and_nothing_else() {
    let answer = answered(
        b"HTTP/1.1 299 Fairly Odd\r\nX-Mixed-CASE: One\r\nSet-Cookie: b=1\r\nset-cookie: a=2\r\nETag: \"e\"\r\n\
          Connection: X-Private, close\r\nX-Private: p\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\n\
          Content-Length: 3\r\nContent-Type: application/odd\r\nServer: vendor\r\n\r\n\x00\xff!",
    );
    let answer = answer.await;
    assert_eq!(answer.start(), "HTTP/1.1 299 Fairly Odd");
    let expected = headers(&[
        ("Content-Length", "3"),
        ("Content-Type", "application/odd"),
        ("ETag", "\"e\""),
        ("Server", "vendor"),
        ("Set-Cookie", "b=1"),
        ("set-cookie", "a=2"),
        ("X-Mixed-CASE", "One"),
        ("x-request-id", "id"),
    ]);
    assert_eq!(answer.headers(), expected, "nothing but the request id is added, not even a date");
    assert_eq!(answer.body, b"\x00\xff!");
}

#[tokio::test]
async fn client_addresses_are_forwarded_only_if_configured() {
    for on in [false, true] {
        let on = on.to_string();
        let keys = ["forwarding.via", "forwarding.x_forwarded", "forwarding.forwarded"];
        let mut it = between_with(&keys.map(|key| (key, on.as_str()))).await;
        it.client
            .say("GET /v2/x HTTP/1.1\r\nhost: client.example\r\nx-forwarded-for: 10.0.0.1\r\n\r\n")
            .await;
        let request = it.listener.next().await.message().await;
        let expected = |forwarded: &str| (on == "true").then(|| forwarded.to_owned());
        assert_eq!(request.header("via"), expected("1.1 conversion-shim"));
        let added = expected("for=127.0.0.1;proto=http;host=\"client.example\"");
        assert_eq!(request.header("forwarded"), added);
        assert_eq!(request.header("x-forwarded-host"), expected("client.example"));
        assert_eq!(
            request.header("x-forwarded-for"),
            expected("127.0.0.1"),
            "a client's own does not go through"
        );
    }
}

/// Everything by which a client can say where a request came from.
const CLAIMS: &str = "Forwarded: for=203.0.113.9\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Host: a\r\n\
                      X-Forwarded-Proto: https\r\nX-Forwarded-Prefix: /x\r\nX-Real-IP: 203.0.113.9\r\n";

/// A proxy in front that forwards what its client sent.
const NAMED: &str = "Connection: keep-alive, X-Forwarded-For, x-real-ip, Forwarded\r\n";

#[tokio::test]
async fn what_a_client_says_of_itself_goes_on_only_from_a_trusted_proxy() {
    for (trusted, kept) in
        [("", false), ("10.0.0.0/8", false), ("127.0.0.0/8", true), ("::/0,0.0.0.0/0", true)]
    {
        for path in ["/v2/x", "/v2/conversion/stablecoins/x"] {
            let mut it = between_with(&[("forwarding.trusted_proxies", trusted)]).await;
            it.client
                .say(format!("GET {path} HTTP/1.1\r\nhost: shim\r\nvia: 1.1 a\r\n{NAMED}{CLAIMS}\r\n"))
                .await;
            let request = it.listener.next().await.message().await;
            for name in CLAIMS.lines().map(|line| line.split(':').next().unwrap()) {
                assert_eq!(request.header(name).is_some(), kept, "{trusted}: {name}");
            }
            assert_eq!(request.header("via").as_deref(), Some("1.1 a"), "it names proxies, not clients");
        }
    }
}

#[tokio::test]
async fn the_host_and_scheme_that_a_trusted_proxy_names_go_on() {
    let trusted =
        [("127.0.0.0/8", "a", "https"), ("::ffff:127.0.0.0/104", "a", "https"), ("", "shim", "http")];
    for (trusted, host, proto) in trusted {
        let keys = [("forwarding.trusted_proxies", trusted), ("forwarding.x_forwarded", "true")];
        let mut it = between_with(&keys).await;
        it.client.say(format!("GET /v2/x HTTP/1.1\r\nhost: shim\r\n{CLAIMS}\r\n")).await;
        let request = it.listener.next().await.message().await;
        assert_eq!(request.header("x-forwarded-host").as_deref(), Some(host), "{trusted}");
        assert_eq!(request.header("x-forwarded-proto").as_deref(), Some(proto), "{trusted}");
    }
}

#[tokio::test]
async fn what_a_trusted_proxy_leaves_empty_is_not_said() {
    let keys = [("forwarding.trusted_proxies", "127.0.0.0/8"), ("forwarding.x_forwarded", "true")];
    let mut it = between_with(&keys).await;
    let empty = "x-forwarded-for:\r\nx-forwarded-host:\r\nx-forwarded-proto: \r\n";
    it.client.say(format!("GET /v2/x HTTP/1.1\r\nhost: shim\r\n{empty}\r\n")).await;
    let request = it.listener.next().await.message().await;
    let added = ["for", "host", "proto"].map(|name| request.header(&format!("x-forwarded-{name}")));
    assert_eq!(added, ["127.0.0.1", "shim", "http"].map(|value| Some(value.to_owned())));
}

#[tokio::test]
async fn chunks_and_trailers_go_both_ways() {
    let mut it = between().await;
    it.client
        .say(
            "POST /v2/x HTTP/1.1\r\nhost: shim\r\nte: trailers\r\ntrailer: X-Sum\r\ntransfer-encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\nX-Sum: up\r\n\r\n",
        )
        .await;
    let mut upstream = it.listener.next().await;
    let request = upstream.message().await;
    assert_eq!(request.header("transfer-encoding").as_deref(), Some("chunked"));
    assert_eq!(request.header("content-length"), None);
    assert_eq!(String::from_utf8_lossy(&request.body).to_lowercase(), "5\r\nhello\r\n0\r\nx-sum: up\r\n\r\n");
    upstream
        .say(
            "HTTP/1.1 200 OK\r\ntrailer: X-Sum\r\ntransfer-encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\nX-Sum: down\r\n\r\n",
        )
        .await;
    let answer = it.client.message().await;
    assert_eq!(answer.header("trailer").as_deref(), Some("X-Sum"));
    assert_eq!(
        String::from_utf8_lossy(&answer.body).to_lowercase(),
        "5\r\nworld\r\n0\r\nx-sum: down\r\n\r\n"
    );
}

#[tokio::test]
async fn chunks_are_passed_on_as_they_come() {
    let mut it = between().await;
    it.client.say("POST /v2/x HTTP/1.1\r\nhost: shim\r\ntransfer-encoding: chunked\r\n\r\n2\r\nup\r\n").await;
    let mut upstream = it.listener.next().await;
    upstream.head().await;
    assert_eq!(upstream.exactly(7).await, b"2\r\nup\r\n");
    upstream.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\ndown\r\n").await;
    it.client.head().await;
    assert_eq!(it.client.exactly(9).await, b"4\r\ndown\r\n", "while the request is still going up");
    it.client.say("0\r\n\r\n").await;
    assert_eq!(upstream.exactly(5).await, b"0\r\n\r\n");
}

#[tokio::test]
async fn a_large_body_arrives_byte_for_byte_both_ways() {
    let body: Vec<u8> =
        (0..8 << 20_u32).map(|at: u32| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let mut it = between().await;
    let head = format!("POST /v2/x HTTP/1.1\r\nhost: shim\r\ncontent-length: {}\r\n\r\n", body.len());
    let (sent, expected) = (body.clone(), body.clone());
    let upstream = async {
        let mut upstream = it.listener.next().await;
        let request = upstream.message().await;
        assert!(request.body == expected, "the request");
        upstream.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", request.body.len())).await;
        upstream.say(request.body).await;
    };
    let client = async {
        it.client.say(head).await;
        it.client.say(sent).await;
        it.client.message().await
    };
    let (answer, ()) = tokio::join!(client, upstream);
    assert!(answer.body == body, "the answer");
}

#[tokio::test]
async fn the_answer_to_head_keeps_its_length_and_has_no_body() {
    let mut it = between().await;
    let mut upstream = None;
    for _ in 0..2 {
        // Twice on both connections: a body that is waited for would block the second.
        it.client.say("HEAD /v2/x HTTP/1.1\r\nhost: shim\r\n\r\n").await;
        if upstream.is_none() {
            upstream = Some(it.listener.next().await);
        }
        let upstream = upstream.as_mut().unwrap();
        assert_eq!(upstream.message().await.start(), "HEAD /v2/x HTTP/1.1");
        upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 1234\r\netag: \"e\"\r\n\r\n").await;
        let answer = it.client.head().await;
        assert_eq!(answer.header("content-length").as_deref(), Some("1234"));
    }
}

#[tokio::test]
async fn answers_without_a_body_stay_without() {
    let mut it = between().await;
    it.client.say(GET).await;
    let mut upstream = it.listener.next().await;
    for (answer, length) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", None),
        ("HTTP/1.1 304 Not Modified\r\netag: \"e\"\r\n\r\n", None),
        // The length of the body that a 200 would have (RFC 9110, section 8.6).
        ("HTTP/1.1 304 Not Modified\r\netag: \"e\"\r\ncontent-length: 1234\r\n\r\n", Some("1234")),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 0\r\n\r\n", Some("0")),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Some("0")),
    ] {
        upstream.message().await;
        upstream.say(answer).await;
        let got = it.client.head().await;
        assert_eq!(got.start(), answer.lines().next().unwrap());
        assert_eq!(got.header("content-length").as_deref(), length, "{answer}");
        assert_eq!(got.header("transfer-encoding"), None, "{answer}");
        it.client.say(GET).await;
    }
}

#[tokio::test]
async fn compressed_bytes_are_not_touched() {
    let packed = b"\x1f\x8b\x08\x00not really gzip\x00\xff";
    let mut bytes =
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len())
            .into_bytes();
    bytes.extend_from_slice(packed);
    let answer = answered(&bytes).await;
    assert_eq!(answer.header("content-encoding").as_deref(), Some("gzip"));
    assert_eq!(answer.body, packed);
}

#[tokio::test]
async fn redirects_are_the_clients_to_follow() {
    let answer = answered(b"HTTP/1.1 307 Temporary Redirect\r\nlocation: https://elsewhere.example/\r\ncontent-length: 0\r\n\r\n");
    let answer = answer.await;
    assert_eq!(answer.status(), "307");
    assert_eq!(answer.header("location").as_deref(), Some("https://elsewhere.example/"));
}

#[tokio::test]
async fn informational_answers_do_not_disturb_the_real_one() {
    let mut it = between().await;
    it.client
        .say("POST /v2/x HTTP/1.1\r\nhost: shim\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
        .await;
    let mut upstream = it.listener.next().await;
    assert_eq!(upstream.head().await.header("expect").as_deref(), Some("100-continue"));
    assert_eq!(it.client.head().await.status(), "100");
    it.client.say("hello").await;
    upstream.say("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(upstream.exactly(5).await, b"hello");
    upstream.say("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok").await;
    let answer = it.client.message().await;
    assert_eq!((answer.status(), answer.body.as_slice()), ("201", b"ok".as_slice()));
    assert_eq!(answer.header("link"), None);
}

#[tokio::test]
async fn an_upgrade_is_not_passed_on_and_not_believed() {
    let mut it = between().await;
    it.client
        .say("GET /v2/x HTTP/1.1\r\nhost: shim\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        .await;
    let mut upstream = it.listener.next().await;
    let request = upstream.message().await;
    assert_eq!((request.header("upgrade"), request.header("connection")), (None, None));
    upstream
        .say("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        .await;
    assert_eq!(it.client.message().await.status(), "502");
}

#[tokio::test]
async fn an_http_1_0_client_is_answered_in_its_own_words() {
    let mut it = between().await;
    it.client.say("GET /v2/x HTTP/1.0\r\n\r\n").await;
    let mut upstream = it.listener.next().await;
    let request = upstream.message().await;
    assert_eq!(request.start(), "GET /v2/x HTTP/1.1");
    assert_eq!(request.header("host"), Some(it.listener.address().to_string()));
    upstream.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").await;
    let head = it.client.head().await;
    assert_eq!(head.start(), "HTTP/1.0 200 OK");
    assert_eq!(head.header("transfer-encoding"), None);
    assert_eq!(it.client.rest().await, b"hello", "the end of the connection is the end of the body");
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_whole() {
    let answer = answered(b"HTTP/1.1 200 OK\r\n\r\nhello").await;
    assert_eq!(answer.body, b"5\r\nhello\r\n0\r\n\r\n");
}

#[tokio::test]
async fn one_connection_serves_many_requests_on_both_sides() {
    let mut it = between().await;
    it.client.say(GET.repeat(3)).await;
    let mut upstream = it.listener.next().await;
    for body in ["a", "b", "c"] {
        upstream.message().await;
        upstream.say(format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{body}")).await;
        assert_eq!(it.client.message().await.body, body.as_bytes());
    }
    assert!(it.listener.is_quiet());
}

#[tokio::test]
async fn an_upstream_that_cannot_be_trusted_is_not_spoken_to() {
    let pair = Pair::new();
    let options = conversion_shim::sandbox::Options { tls: Some(pair.server()), ..Default::default() };
    let sandbox = crate::support::wire::vendor_with(options).await;
    let bed = crate::support::wire::before(sandbox, "observe", &[]).await;
    let problem = bed.client.get("/v2/profiles").await.problem(503);
    assert!(problem["detail"].as_str().unwrap().contains("nothing was sent"), "{problem}");
    assert!(bed.sandbox.inspector().requests().is_empty());
}

/// An HTTP/1.0 client takes the end of the connection for that of an answer of unknown length, unless it is a reset.
#[tokio::test]
async fn an_answer_that_breaks_off_ends_with_a_reset_for_an_http10_client() {
    const OLD: &str = "GET /v2/x HTTP/1.0\r\nhost: shim\r\n\r\n";
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &listener.url("/v2"))]).await;
    for (rest, is_whole) in
        [("5\r\nhello\r\n0\r\n\r\n", true), ("5\r\nhello\r\n", false), ("5\r\nhel", false)]
    {
        let mut client = RawConnection::to(shim.address).await;
        client.say(OLD).await;
        let mut upstream = listener.next().await;
        upstream.message().await;
        upstream.say(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{rest}")).await;
        drop(upstream);
        let mut heard = Vec::new();
        let end =
            crate::support::soon(tokio::io::AsyncReadExt::read_to_end(&mut client.stream, &mut heard)).await;
        assert_eq!(end.is_ok(), is_whole, "{rest:?} {:?}", String::from_utf8_lossy(&heard));
        assert!(!is_whole || heard.ends_with(b"hello"), "{rest:?}");
    }
}
