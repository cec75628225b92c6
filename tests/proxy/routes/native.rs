//! Creates through the new API's own path: recorded beside the claims, and forwarded as they are.

use std::io::Write as _;
use std::time::Duration;

use conversion_shim::sandbox::{Operation, TOKEN, Tally};
use conversion_shim::translate::side::Side;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Executor as _};

use crate::support::test_bed::{Answer, TestBed, conversion, new_record, old_record, one_on};
use crate::support::wire::raw::{RawConnection, RawListener};

const PATH: &str = "/v2/orchestration/orchestrations";

/// A create between profiles, written as no serializer would.
fn native(ref_id: &str) -> String {
    let record = new_record(ref_id, "");
    format!(
        "{{ \"ref_id\" : {}, \"source_amount\":\"1.50\",\"source_asset\":\"USD\",\"destination_asset\":\"PYUSD\",\n \"source\":{},\"destination\":{} }}",
        json!(ref_id),
        record["source"],
        record["destination"]
    )
}

async fn create(bed: &TestBed, body: &str) -> Answer {
    bed.client.ask(Method::POST, PATH, body.to_owned()).await
}

fn is_forwarded_untouched(bed: &TestBed, body: &str) -> bool {
    let requests = bed.sandbox.inspector().requests();
    requests.iter().any(|seen| seen.path_and_query == PATH && seen.body == body.as_bytes())
}

#[tokio::test]
async fn a_legacy_create_looks_on_new_for_a_reference_that_a_native_create_used() {
    for stage in ["observe", "shadow", "ready"] {
        let bed = TestBed::at(stage).await;
        let body = native("r");
        let id = create(&bed, &body).await.id();
        assert!(is_forwarded_untouched(&bed, &body));
        assert_eq!(bed.claim("r").await, None, "no claim, and no side");
        let problem = bed.client.create("r").await.problem(409);
        assert_eq!(problem["meta"]["existing"]["id"], id, "{stage}: {problem}");
        assert_eq!(bed.made("r"), one_on(Side::New), "{stage}");
        assert_eq!(bed.client.create("another").await.status, 200);
    }
}

#[tokio::test]
async fn a_reference_that_is_claimed_for_legacy_is_refused_on_the_native_path() {
    let bed = TestBed::at("observe").await;
    bed.client.create("r").await.id();
    let problem = create(&bed, &native("r")).await.problem(409);
    assert!(problem["detail"].as_str().unwrap().contains("nothing was sent"), "{problem}");
    assert_eq!(bed.made("r"), one_on(Side::Legacy));
    // A claim that is refused holds nothing. In a test bed of its own: on a reused connection no refusal is believed.
    let bed = TestBed::at("observe").await;
    let mut dear = conversion("s");
    dear["amount"] = "99999999999".into();
    bed.client.post(&dear).await.problem(403);
    assert_eq!(create(&bed, &native("s")).await.status, 200);
}

/// The old API lists a mirror of what a native create made. It never held the reference, so a create that is sent there converts again.
#[tokio::test]
async fn a_mirror_of_a_native_create_is_not_sent_to_the_side_that_mirrors_it() {
    for stage in ["observe", "shadow", "ready"] {
        let bed = TestBed::at(stage).await;
        let id = create(&bed, &native("r")).await.id();
        let mut mirror = old_record("r", "2026-01-01T00:00:00Z");
        mirror["id"] = id.clone().into();
        bed.sandbox.inspector().seed_conversion(mirror);
        for attempt in 0..3 {
            let problem = bed.client.create("r").await.problem(409);
            assert_eq!(problem["meta"]["existing"]["id"], id, "{stage} {attempt}: {problem}");
        }
        assert_eq!(bed.sandbox.inspector().arrived(Some(Side::Legacy), Operation::Create), 0, "{stage}");
    }
}

#[tokio::test]
async fn a_withdrawal_is_not_recorded() {
    let bed = TestBed::at("observe").await;
    let mut body: Value = serde_json::from_str(&native("r")).unwrap();
    body["destination"] = json!({ "crypto": { "address": "0x1", "network": "ETHEREUM" } });
    create(&bed, &body.to_string()).await;
    assert_eq!(bed.client.create("r").await.status, 200);
    assert_eq!(bed.made("r").legacy, 1, "the reference of a withdrawal is free on legacy");
}

#[tokio::test]
async fn pass_does_nothing_and_a_reload_changes_it() {
    let bed = TestBed::with(&[("stage", "observe"), ("ledger.native_creates", "pass")]).await;
    let body = native("r");
    create(&bed, &body).await.id();
    assert!(is_forwarded_untouched(&bed, &body));
    bed.client.create("r").await.id();
    assert_eq!(bed.made("r"), Tally { legacy: 1, new: 1 }, "as the operator chose");
    assert_eq!(create(&bed, &native("s")).await.status, 200);
    bed.go(&[("stage", "observe"), ("ledger.native_creates", "record")]).await;
    create(&bed, &native("t")).await.id();
    bed.client.create("t").await.problem(409);
    assert_eq!(bed.made("t"), one_on(Side::New));
}

#[tokio::test]
async fn a_native_create_is_forwarded_while_the_ledger_is_down() {
    let bed = TestBed::with_ledger(&[("stage", "observe")], |settings| {
        settings.timeout = Duration::from_millis(300)
    })
    .await;
    let file = bed.dir.path().join("ledger.db");
    let mut busy = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    busy.execute("BEGIN IMMEDIATE").await.unwrap();
    let body = native("r");
    assert_eq!(create(&bed, &body).await.status, 200);
    assert!(is_forwarded_untouched(&bed, &body));
    busy.execute("ROLLBACK").await.unwrap();
}

#[tokio::test]
async fn a_compressed_native_create_is_recorded_as_well() {
    let bed = TestBed::at("observe").await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(native("r").as_bytes()).unwrap();
    let request = bed.client.http.post(format!("http://{}{PATH}", bed.client.address())).bearer_auth(TOKEN);
    let request = request.header("content-encoding", "gzip").body(gzip.finish().unwrap());
    request.send().await.unwrap();
    let lists = || bed.sandbox.inspector().arrived(Side::New, Operation::List);
    let before = lists();
    bed.client.create("r").await.id();
    assert!(lists() > before, "it was looked for on new");
    let before = lists();
    bed.client.create("another").await.id();
    assert_eq!(lists(), before);
}

/// A create in two chunks, and its trailers.
fn chunked(ref_id: &str) -> String {
    let body = native(ref_id);
    let (first, second) = body.split_at(7);
    let (size, rest) = (first.len(), second.len());
    format!(
        "POST {PATH} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n\
         trailer: X-Sum\r\ntransfer-encoding: chunked\r\n\r\n{size:x}\r\n{first}\r\n{rest:x}\r\n{second}\r\n0\r\nX-Sum: abc\r\n\r\n"
    )
}

#[tokio::test]
async fn a_native_create_with_trailers_is_recorded_as_well() {
    let bed = TestBed::at("observe").await;
    let mut line = RawConnection::to(bed.client.address().parse().unwrap()).await;
    line.say(chunked("r")).await;
    let made = line.message().await;
    assert_eq!(made.status(), "200");
    let problem = bed.client.create("r").await.problem(409);
    assert_eq!(bed.made("r"), one_on(Side::New), "{problem}");
    // A claimed one is refused.
    bed.client.create("s").await.id();
    line.say(chunked("s")).await;
    assert_eq!(line.message().await.status(), "409");
    assert_eq!(bed.made("s"), one_on(Side::Legacy));
}

#[tokio::test]
async fn the_trailers_of_a_native_create_go_on_to_the_vendor() {
    let vendor = RawListener::open().await;
    let bed = TestBed::with(&[("stage", "observe"), ("upstream.legacy.url", &vendor.url("/v2"))]).await;
    let mut line = RawConnection::to(bed.client.address().parse().unwrap()).await;
    line.say(chunked("t")).await;
    let mut upstream = vendor.next().await;
    let heard = upstream.message().await;
    assert_eq!(heard.header("trailer").as_deref(), Some("X-Sum"));
    let body = String::from_utf8(heard.body).unwrap();
    assert!(body.to_lowercase().ends_with("\r\n0\r\nx-sum: abc\r\n\r\n"), "{body:?}");
    upstream.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    assert_eq!(line.message().await.status(), "200");
}

/// Some servers take the method from a header.
#[tokio::test]
async fn a_native_create_in_another_method_is_recorded_as_well() {
    for method in [Method::GET, Method::PUT] {
        let bed = TestBed::at("observe").await;
        let request = bed.client.http.request(method, format!("http://{}{PATH}", bed.client.address()));
        let request = request.bearer_auth(TOKEN).header("x-http-method-override", "POST").body(native("r"));
        request.send().await.unwrap();
        let lists = || bed.sandbox.inspector().arrived(Side::New, Operation::List);
        let before = lists();
        bed.client.create("r").await.id();
        assert!(lists() > before, "it was looked for on new");
    }
}

/// Behind another prefix, a path outside the clients' base path reaches the vendor as it is.
#[tokio::test]
async fn a_native_create_past_the_base_path_is_recorded_as_well() {
    let bed = TestBed::with(&[("stage", "observe"), ("base_path", "/old")]).await;
    let id = create(&bed, &native("r")).await.id();
    let legacy =
        bed.client.ask(Method::POST, "/old/conversion/stablecoins", conversion("r").to_string()).await;
    assert_eq!(legacy.problem(409)["meta"]["existing"]["id"], id);
    assert_eq!(bed.made("r"), one_on(Side::New));
}

#[tokio::test]
async fn a_native_create_that_does_not_arrive_is_cut_off() {
    let keys = [
        ("stage", "observe"),
        ("timeouts.pass_through_idle", "300ms"),
        ("limits.in_flight.pass_through", "5"),
    ];
    let bed = TestBed::with(&keys).await;
    let mut lines = Vec::new();
    for _ in 0..5 {
        let mut line = RawConnection::to(bed.client.address().parse().unwrap()).await;
        line.say(format!("POST {PATH} HTTP/1.1\r\nhost: shim\r\ncontent-length: 100\r\n\r\n{{")).await;
        lines.push(line);
    }
    for mut line in lines {
        assert_eq!(line.message().await.status(), "408");
        assert!(line.is_cut().await);
    }
    assert_ne!(bed.client.ask(Method::GET, "/v2/other", String::new()).await.status, 503);
    assert_eq!(bed.sandbox.inspector().arrived(Some(Side::New), Operation::Create), 0);
}
