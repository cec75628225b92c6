//! What identifies a request travels; what described the vendor's bytes does not survive a translation.

use conversion_shim::sandbox::TOKEN;
use reqwest::Method;

use crate::support::wire::caller::answer;
use crate::support::wire::raw::{RawConnection, RawListener};
use crate::support::wire::shim::Shim;
use crate::support::wire::{LEGACY, bed, conversion};

#[tokio::test]
async fn a_request_id_is_kept_and_goes_both_ways() {
    let bed = bed("sealed", &[]).await;
    for path in [LEGACY, "/v2/profiles", "/v2/conversion/stablecoins/nope"] {
        let answer = answer(bed.client.ask(Method::GET, path).header("x-request-id", "mine-1")).await;
        assert_eq!(answer.header("x-request-id"), Some("mine-1"), "{path}");
        assert_eq!(
            bed.sandbox.inspector().requests().last().unwrap().headers["x-request-id"],
            "mine-1",
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_request_id_is_made_where_there_is_none_also_for_what_is_refused() {
    let bed = bed("sealed", &[]).await;
    let one = bed.client.get(LEGACY).await;
    let made = one.header("x-request-id").unwrap();
    assert_eq!(bed.sandbox.inspector().requests()[0].headers["x-request-id"], made);
    let two = bed.client.post(LEGACY, &serde_json::json!([])).await;
    assert_eq!(two.status, 400);
    assert!(two.header("x-request-id").is_some_and(|other| other != made));
}

#[tokio::test]
async fn an_upstreams_own_request_id_is_left_alone_on_pass_through_and_never_doubled() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("upstream.legacy.url", &listener.url("/v2"))]).await;
    let mut client = RawConnection::to(shim.address).await;
    client.say("GET /v2/x HTTP/1.1\r\nhost: shim\r\nx-request-id: mine\r\n\r\n").await;
    let mut upstream = listener.next().await;
    assert_eq!(upstream.message().await.header("x-request-id").as_deref(), Some("mine"));
    upstream.say("HTTP/1.1 200 OK\r\nx-request-id: theirs\r\ncontent-length: 0\r\n\r\n").await;
    let mut ids = client.message().await.headers();
    ids.retain(|(name, _)| name == "x-request-id");
    assert_eq!(ids, [("x-request-id".to_owned(), "theirs".to_owned())]);
}

#[tokio::test]
async fn tracing_and_credentials_travel_and_what_described_the_clients_bytes_does_not() {
    let bed = bed("sealed", &[]).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = bed.client.ask(Method::POST, LEGACY).header("traceparent", trace);
    let request = request.header("tracestate", "a=1").header("x-own", "1");
    let dropped = ["if-none-match", "range", "content-md5", "digest", "te"];
    let request = dropped.iter().fold(request, |request, name| request.header(*name, "x"));
    let request = request.header("accept", "text/html").header("accept-encoding", "gzip");
    assert_eq!(answer(request.body(conversion("r").to_string())).await.status, 200);
    let seen = bed.sandbox.inspector().requests().remove(0);
    for (name, value) in [
        ("traceparent", trace),
        ("tracestate", "a=1"),
        ("x-own", "1"),
        ("authorization", &format!("Bearer {TOKEN}")),
        ("accept", "application/json"),
        ("content-type", "application/json"),
        ("content-length", &seen.body.len().to_string()),
        ("host", &bed.sandbox.addr().to_string()),
    ] {
        assert_eq!(seen.headers[name], value, "{name}");
    }
    assert!(!dropped.iter().any(|name| seen.headers.contains_key(*name)));
    assert_eq!(seen.headers["accept-encoding"], "identity");
}

#[tokio::test]
async fn a_translated_answer_has_its_own_length_and_type_and_no_marks_of_the_vendors_bytes() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("stage", "sealed"), ("upstream.new.url", &listener.url("/v2"))]).await;
    let mut client = RawConnection::to(shim.address).await;
    let record = r#"{"id":"i","source_asset":"USD","destination_asset":"PYUSD","status":"COMPLETED","updated_at":"2026-05-01T00:00:00Z"}"#;
    for body in [record.to_owned(), r#"{"detail":"x"}"#.to_owned()] {
        let status = if body == record { "200 OK" } else { "422 Unprocessable" };
        client.say(format!("GET {LEGACY}/i HTTP/1.1\r\nhost: shim\r\n\r\n")).await;
        let mut upstream = listener.next().await;
        upstream.message().await;
        upstream
            .say(format!(
                "HTTP/1.1 {status}\r\netag: \"e\"\r\ndigest: sha-256=x\r\ncontent-digest: x\r\nrepr-digest: x\r\n\
                 content-md5: x\r\nlink: </v2/orchestration>; rel=next\r\nlocation: /v2/orchestration/i\r\n\
                 content-location: /v2/orchestration/i\r\nlast-modified: x\r\naccept-ranges: bytes\r\ncontent-encoding: identity\r\n\
                 content-type: application/hal+json\r\nconnection: x-hop, close\r\nx-hop: 1\r\ncontent-length: {}\r\n\
                 date: Fri, 01 May 2026 00:00:00 GMT\r\nx-vendor: kept\r\n\r\n{body}",
                body.len()
            ))
            .await;
        let answer = client.message().await;
        let names: Vec<_> = answer.headers().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["content-length", "content-type", "date", "x-request-id", "x-vendor"]);
        assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
        assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok(), "the length is right");
    }
}

/// An answer that the proxy wrote is about the client's request; the vendor's id is about one of the proxy's own calls.
#[tokio::test]
async fn a_translated_answer_carries_the_id_of_the_clients_request() {
    let listener = RawListener::open().await;
    let shim = Shim::start(&[("stage", "sealed"), ("upstream.new.url", &listener.url("/v2"))]).await;
    let record = r#"{"id":"one","source_asset":"USD","destination_asset":"PYUSD"}"#;
    let problem = r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no"}"#;
    for (path, status, body) in [
        ("/v2/conversion/stablecoins/one", "200 OK", record),
        ("/v2/conversion/stablecoins/one", "404 Not Found", problem),
        ("/v2/conversion/stablecoins", "200 OK", r#"{"items":[]}"#),
    ] {
        let mut client = RawConnection::to(shim.address).await;
        client.say(format!("GET {path} HTTP/1.1\r\nhost: shim\r\nx-request-id: mine\r\n\r\n")).await;
        let mut upstream = listener.next().await;
        upstream.message().await;
        let length = body.len();
        upstream
            .say(format!(
                "HTTP/1.1 {status}\r\nx-request-id: theirs\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            ))
            .await;
        let mut ids = client.message().await.headers();
        ids.retain(|(name, _)| name == "x-request-id");
        assert_eq!(ids, [("x-request-id".to_owned(), "mine".to_owned())], "{path} {status}");
    }
}
