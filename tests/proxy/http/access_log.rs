//! The log of the program itself: one line a request with the documented fields, and no secret at any level.

use conversion_shim::sandbox::{Options, PROFILE, Sandbox};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::wire::binary::Binary;
use crate::support::wire::caller::{Caller, answer, plain};
use crate::support::wire::tls::Pair;
use crate::support::wire::{LEGACY, conversion, vendor, vendor_with};

async fn program(sandbox: &Sandbox, stage: &str, flags: &[(&str, &str)]) -> (Binary, Caller) {
    let url = sandbox.base_url();
    let config = format!("stage = \"{stage}\"\n[upstream]\nlegacy.url = \"{url}\"\nnew.url = \"{url}\"\n");
    let shim = Binary::serve(tempfile::tempdir().unwrap(), &config, flags).await;
    let client = Caller::of(&format!("http://{}", shim.address));
    (shim, client)
}

/// The access line of the request with that id; there is exactly one.
async fn line(shim: &Binary, id: &str) -> Value {
    let words = format!("\"request_id\":\"{id}\"");
    shim.line(&words).await;
    let mut lines = shim.lines(&words, 1).await;
    lines.retain(|line| line.contains("\"target\":\"access\""));
    assert_eq!(lines.len(), 1, "{lines:#?}");
    serde_json::from_str(&lines[0]).unwrap()
}

#[tokio::test]
async fn every_request_has_one_line_with_the_documented_fields() {
    let sandbox = vendor().await;
    let (shim, client) = program(&sandbox, "sealed", &[]).await;
    let body = conversion("r").to_string();
    let request = client.ask(Method::POST, LEGACY).header("x-request-id", "create");
    let created = answer(request.body(body.clone())).await;
    let logged = line(&shim, "create").await;
    for (field, value) in [
        ("level", json!("INFO")),
        ("message", json!("request")),
        ("method", json!("POST")),
        ("path", json!(LEGACY)),
        ("route", json!("create")),
        ("mode", json!("new")),
        ("side", json!("new")),
        ("status", json!(200)),
        ("upstream_status", json!(200)),
        ("upstream_calls", json!(1)),
        ("request_bytes", json!(body.len())),
        ("response_bytes", json!(created.body.len())),
        ("complete", json!(true)),
    ] {
        assert_eq!(logged[field], value, "{field} in {logged}");
    }
    let (whole, upstream) =
        (logged["duration_us"].as_u64().unwrap(), logged["upstream_us"].as_u64().unwrap());
    assert!(whole >= upstream && upstream > 0 && logged["timestamp"].is_string(), "{logged}");
    assert_eq!((logged.get("error"), logged.get("fault")), (None, None));
}

#[tokio::test]
async fn pass_through_and_failures_are_logged_as_such() {
    let sandbox = vendor().await;
    let (shim, client) = program(&sandbox, "sealed", &[]).await;
    let send = async |id: &str, method: Method, path: &str, body: String| {
        answer(client.ask(method, path).header("x-request-id", id).body(body)).await
    };
    send("passed", Method::GET, "/v2/profiles?x=1", String::new()).await;
    let logged = line(&shim, "passed").await;
    assert_eq!(
        (&logged["route"], &logged["side"], &logged["path"]),
        (&json!("pass_through"), &json!("legacy"), &json!("/v2/profiles"))
    );
    assert_eq!((logged.get("mode"), logged.get("error")), (None, None));

    send("invalid", Method::POST, LEGACY, "[]".into()).await;
    let logged = line(&shim, "invalid").await;
    assert_eq!(
        (&logged["status"], &logged["error"], &logged["fault"]),
        (&json!(400), &json!("invalid"), &json!("caller"))
    );
    assert_eq!(logged["upstream_calls"], 0);

    sandbox.faults().go_down().await;
    send("down", Method::GET, LEGACY, String::new()).await;
    let logged = shim.lines("\"request_id\":\"down\"", 2).await;
    assert!(logged.len() == 2 && logged[0].contains("\"level\":\"WARN\""), "the reason, once: {logged:#?}");
    let logged: Value = serde_json::from_str(&logged[1]).unwrap();
    assert_eq!(
        (&logged["status"], &logged["error"], &logged["fault"]),
        (&json!(503), &json!("unreachable"), &json!("new"))
    );
}

#[tokio::test]
async fn dropped_rows_and_unknown_statuses_are_logged() {
    let sandbox = vendor().await;
    let seed = |destination: &str, status: &str| {
        sandbox.inspector().seed_orchestration(json!({
            "profile_id": PROFILE, "source_asset": "USD", "destination_asset": destination, "source_amount": "1", "status": status,
        }))
    };
    seed("USD", "COMPLETED");
    seed("PYUSD", "DREAMING");
    let (shim, client) = program(&sandbox, "sealed", &[]).await;
    assert_eq!(client.get(LEGACY).await.json()["items"][0]["status"], "CREATED");
    let logged = shim.lines("\"target\":\"translate\"", 2).await;
    assert!(logged.iter().any(|line| line.contains("\"never_conversions\":1")), "{logged:#?}");
    assert!(
        logged.iter().any(|line| line.contains("\"status\":\"DREAMING\"") && line.contains("WARN")),
        "{logged:#?}"
    );
}

#[tokio::test]
async fn a_truncated_answer_is_logged_as_such() {
    let listener = crate::support::wire::raw::RawListener::open().await;
    let config = format!("[upstream.legacy]\nurl = \"{}\"\n", listener.url("/v2"));
    let shim = Binary::serve(tempfile::tempdir().unwrap(), &config, &[]).await;
    let mut client = crate::support::wire::raw::RawConnection::to(shim.address).await;
    client.say("GET /v2/x HTTP/1.1\r\nhost: shim\r\nx-request-id: cut\r\n\r\n").await;
    let mut upstream = listener.next().await;
    upstream.message().await;
    upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
    client.head().await;
    drop(upstream);
    client.rest().await;
    let logged = line(&shim, "cut").await;
    assert_eq!(
        (&logged["complete"], &logged["error"], &logged["response_bytes"]),
        (&json!(false), &json!("broken"), &json!(5))
    );
}

#[tokio::test]
async fn an_answer_with_trailers_is_complete_whether_the_client_takes_them_or_not() {
    let listener = crate::support::wire::raw::RawListener::open().await;
    let config = format!("[upstream.legacy]\nurl = \"{}\"\n", listener.url("/v2"));
    let shim = Binary::serve(tempfile::tempdir().unwrap(), &config, &[]).await;
    for (id, te) in [("dropped", ""), ("taken", "te: trailers\r\n")] {
        let mut client = crate::support::wire::raw::RawConnection::to(shim.address).await;
        client.say(format!("GET /v2/x HTTP/1.1\r\nhost: shim\r\n{te}x-request-id: {id}\r\n\r\n")).await;
        let mut upstream = listener.next().await;
        upstream.message().await;
        upstream
            .say("HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n")
            .await;
        client.message().await;
        let logged = line(&shim, id).await;
        assert_eq!((&logged["complete"], &logged["response_bytes"]), (&json!(true), &json!(5)), "{logged}");
    }
}

/// Secrets go in by every way that a client has; none comes out, at the most talkative level there is.
async fn nothing_leaks(sandbox: &Sandbox, flags: &[(&str, &str)], http: fn() -> reqwest::ClientBuilder) {
    for stage in ["sealed", "observe"] {
        let mut flags = flags.to_vec();
        flags.push(("log.filter", "trace"));
        let (shim, _) = program(sandbox, stage, &flags).await;
        let token =
            sandbox.issue_token(conversion_shim::sandbox::CUSTOMER, &conversion_shim::sandbox::SCOPES);
        let client = Caller::with(&format!("http://{}", shim.address), http()).token(token.clone());
        let mut body = conversion(&format!("hunter-ref-{stage}"));
        body["metadata"] = json!({ "note": "hunter-metadata" });
        body["unknown"] = json!("hunter-body");
        assert_eq!(client.post(LEGACY, &body).await.status, 200);
        assert_eq!(client.get(&format!("{LEGACY}?ref_id=hunter-query")).await.status, 200);
        client.get("/v2/profiles?secret=hunter-query").await;
        let secret =
            client.ask(Method::POST, "/v2/x").header("x-api-key", "hunter-header").body("hunter-body");
        answer(secret.header("cookie", "hunter-cookie")).await;
        client.get(&format!("{LEGACY}?limit=hunter-query")).await;
        client.post(LEGACY, &json!({ "amount": 1, "profile_id": "hunter-body" })).await;
        shim.lines("\"target\":\"access\"", 6).await;
        let logged = shim.output();
        assert!(logged.iter().any(|line| line.contains("\"level\":\"TRACE\"")), "the level is in force");
        let leaks: Vec<_> =
            logged.iter().filter(|line| line.contains("hunter") || line.contains(&token)).collect();
        assert!(leaks.is_empty(), "{stage}: {leaks:#?}");
    }
}

#[tokio::test]
async fn no_secret_is_logged_at_any_level_over_http_1() {
    nothing_leaks(&vendor().await, &[], plain).await;
}

#[tokio::test]
async fn no_secret_is_logged_at_any_level_over_http_2_and_tls() {
    let pair = Pair::new();
    let dir = tempfile::tempdir().unwrap();
    let (authority, _) = pair.write(dir.path());
    let sandbox = vendor_with(Options { tls: Some(pair.server()), ..Options::default() }).await;
    let flags = [("upstream.ca_file", authority.to_str().unwrap())];
    nothing_leaks(&sandbox, &flags, || plain().http2_prior_knowledge()).await;
}
