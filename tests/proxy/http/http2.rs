//! HTTP/2 on either side: prior knowledge, ALPN over TLS, and both versions mixed.

use conversion_shim::sandbox::Options;
use reqwest::{Method, Version};
use serde_json::json;

use crate::support::wire::caller::{Caller, answer, plain};
use crate::support::wire::http2_client::{DATA, END_STREAM, RawHttp2};
use crate::support::wire::raw::RawListener;
use crate::support::wire::shim::Shim;
use crate::support::wire::tls::Pair;
use crate::support::wire::{LEGACY, vendor_with};

#[tokio::test]
async fn a_client_with_prior_knowledge_reaches_an_http_1_upstream() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &listener.url("/v2"))]).await;
    let client = Caller::with(&format!("http://{}", shim.address), plain().http2_prior_knowledge());
    let asking = answer(client.ask(Method::POST, "/v2/x?y=1").header("x-own", "1").body("hello"));
    let serving = async {
        let mut upstream = listener.next().await;
        let request = upstream.message().await;
        assert_eq!(request.start(), "POST /v2/x?y=1 HTTP/1.1");
        assert_eq!(request.header("host"), Some(listener.address().to_string()));
        assert_eq!((request.header("x-own").as_deref(), &*request.body), (Some("1"), b"hello".as_slice()));
        upstream
            .say("HTTP/1.1 201 Created\r\nconnection: x-hop\r\nx-hop: 1\r\nX-Kept: 1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .await;
    };
    let (answer, ()) = tokio::join!(asking, serving);
    assert_eq!((answer.status, answer.version, &*answer.body), (201, Version::HTTP_2, b"ok".as_slice()));
    assert_eq!(
        (answer.header("x-kept"), answer.header("x-hop"), answer.header("transfer-encoding")),
        (Some("1"), None, None)
    );
}

#[tokio::test]
async fn the_length_of_a_body_that_is_not_sent_is_kept() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &listener.url("/v2"))]).await;
    let client = Caller::with(&format!("http://{}", shim.address), plain().http2_prior_knowledge());
    let mut upstream = None;
    for (method, answered, length) in [
        (Method::GET, "304 Not Modified\r\ncontent-length: 1234", Some("1234")),
        (Method::GET, "304 Not Modified\r\netag: \"e\"", None),
        (Method::HEAD, "200 OK\r\ncontent-length: 1234", Some("1234")),
        (Method::HEAD, "304 Not Modified\r\ncontent-length: 1234", Some("1234")),
        (Method::HEAD, "404 Not Found\r\ncontent-length: 0", Some("0")),
        (Method::HEAD, "200 OK\r\netag: \"e\"", None),
    ] {
        let asking = answer(client.ask(method.clone(), "/v2/x"));
        let serving = async {
            if upstream.is_none() {
                upstream = Some(listener.next().await);
            }
            let upstream = upstream.as_mut().unwrap();
            upstream.head().await;
            upstream.say(format!("HTTP/1.1 {answered}\r\n\r\n")).await;
        };
        let (answer, ()) = tokio::join!(asking, serving);
        assert_eq!(
            (answer.version, answer.header("content-length")),
            (Version::HTTP_2, length),
            "{method} {answered}"
        );
        assert!(answer.body.is_empty());
    }
}

#[tokio::test]
async fn the_host_of_an_http2_target_is_sent_upstream() {
    let listener = RawListener::open().await;
    let shim =
        Shim::start(&[("upstream.legacy.url", &listener.url("/v2")), ("forwarding.x_forwarded", "true")])
            .await;
    let client = Caller::with(&format!("http://{}", shim.address), plain().http2_prior_knowledge());
    let serving = async {
        let mut upstream = listener.next().await;
        let request = upstream.message().await;
        assert_eq!(request.header("x-forwarded-host"), Some(shim.address.to_string()));
        upstream.say("HTTP/1.1 204 No Content\r\n\r\n").await;
    };
    let (answer, ()) = tokio::join!(client.get("/v2/x"), serving);
    assert_eq!(answer.status, 204);
}

#[tokio::test]
async fn tls_on_both_sides_speaks_http_2_or_1_as_the_client_can() {
    let (inner, outer) = (Pair::new(), Pair::new());
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = outer.write(dir.path());
    let trusted = tempfile::tempdir().unwrap();
    let (authority, _) = inner.write(trusted.path());
    let sandbox = vendor_with(Options { tls: Some(inner.server()), ..Options::default() }).await;
    let url = sandbox.base_url();
    let flags = [
        ("stage", "sealed"),
        ("upstream.legacy.url", &url),
        ("upstream.new.url", &url),
        ("upstream.ca_file", authority.to_str().unwrap()),
        ("tls.certificate", certificate.to_str().unwrap()),
        ("tls.key", key.to_str().unwrap()),
    ];
    let shim = Shim::start(&flags).await;
    let origin = format!("https://{}", shim.address);
    for (http, version) in
        [(outer.trusting(), Version::HTTP_2), (outer.trusting().http1_only(), Version::HTTP_11)]
    {
        let client = Caller::with(&origin, http);
        let created = client.create(&format!("{version:?}")).await;
        assert_eq!((created.status, created.version), (200, version));
        let passed = client.get("/v2/profiles").await;
        assert_eq!((passed.status, passed.version), (200, version));
        assert!(passed.json()["items"].is_array());
        let page = client.get(&format!("{LEGACY}?ref_id={version:?}")).await;
        assert_eq!(page.json(), json!({ "items": [created.json()] }));
        let head = answer(client.ask(Method::HEAD, "/v2/profiles")).await;
        assert_eq!((head.version, head.body.len()), (version, 0));
    }
}

#[tokio::test]
async fn many_streams_of_one_connection_are_served_at_once() {
    let bed = crate::support::wire::bed("sealed", &[]).await;
    let origin = format!("http://{}", bed.shim.address);
    let client = Caller::with(&origin, plain().http2_prior_knowledge());
    let gate =
        conversion_shim::sandbox::Fault::new(conversion_shim::sandbox::FaultKind::Gate { applied: false });
    let gate = bed.sandbox.faults().arm(gate);
    let asking: Vec<_> = (0..30)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get(LEGACY).await.status })
        })
        .collect();
    crate::support::soon(gate.reached(30)).await;
    gate.open();
    for one in asking {
        assert_eq!(one.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn the_refusal_of_a_head_request_has_no_body_in_either_version() {
    let bed = crate::support::wire::bed("observe", &[]).await;
    bed.sandbox.faults().go_down().await;
    for http in [plain(), plain().http2_prior_knowledge()] {
        let client = Caller::with(&format!("http://{}", bed.shim.address), http);
        let refused = answer(client.ask(Method::HEAD, "/v2/profiles")).await;
        assert_eq!((refused.status, refused.body.len()), (503, 0));
        assert!(refused.header("content-length").is_some_and(|length| length != "0"));
    }
}

#[tokio::test]
async fn a_request_of_http_2_is_whole_on_http_1() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &listener.url("/v2"))]).await;
    let client = Caller::with(&format!("http://{}", shim.address), plain().http2_prior_knowledge());
    for (method, length) in [(Method::POST, Some("0")), (Method::PUT, Some("0")), (Method::DELETE, None)] {
        let request = client.ask(method.clone(), "/v2/x").header("cookie", "a=1").header("cookie", "b=2");
        let serving = async {
            let mut upstream = listener.next().await;
            let request = upstream.message().await;
            assert_eq!(request.header("cookie").as_deref(), Some("a=1; b=2"));
            assert_eq!(request.header("content-length").as_deref(), length, "{method}");
            upstream.say("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        };
        let (answered, ()) = tokio::join!(answer(request), serving);
        assert_eq!(answered.status, 204);
    }
}

/// Frames say where a body ends, so a client needs no length. An empty last frame is no body.
#[tokio::test]
async fn the_body_of_a_get_over_http_2_is_not_lost() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &listener.url("/v2"))]).await;
    let mut client = RawHttp2::to(shim.address, 65_535).await;
    let cases = [
        (1, &[&b"hel"[..], b"lo", b""][..], Some("chunked"), &b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"[..]),
        (3, &[&b""[..]][..], None, &b""[..]),
    ];
    for (stream, frames, coding, body) in cases {
        client.get_with_body(stream, "/v2/x").await;
        let (last, first) = frames.split_last().unwrap();
        for data in first {
            client.say(DATA, 0, stream, data).await;
        }
        client.say(DATA, END_STREAM, stream, last).await;
        let mut upstream = listener.next().await;
        let request = upstream.message().await;
        assert_eq!(request.header("transfer-encoding").as_deref(), coding);
        assert_eq!(request.body, body);
        upstream.say("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        assert!(client.end_of(stream).await.ends_stream());
    }
}
