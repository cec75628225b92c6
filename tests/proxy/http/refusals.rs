//! Each documented error, from the new API, in the old API's shape and words.

use conversion_shim::sandbox::{
    CUSTOMER, Fault, FaultKind, Operation, Options, PROFILE, RefusalBody, SCOPES,
};
use conversion_shim::translate::side::Side;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::wire::{LEGACY, TestBed, bed, before, conversion, vendor_with};

fn with(field: &str, value: Value) -> Value {
    let mut body = conversion("r");
    body[field] = value;
    body
}

fn status(code: StatusCode, retry_after: Option<u64>, body: RefusalBody) -> FaultKind {
    FaultKind::Status { code, retry_after, body, applied: false }
}

fn strike(bed: &TestBed, kind: FaultKind) {
    bed.sandbox.faults().arm(Fault::new(kind).times(1));
}

#[tokio::test]
async fn an_invalid_create_is_a_400_that_names_the_field_and_sends_nothing() {
    let bed = bed("sealed", &[]).await;
    for (body, field) in [
        (with("amount", Value::Null), "amount"),
        (with("amount", json!(100)), "amount"),
        (with("amount", json!("1e3")), "amount"),
        (with("profile_id", json!("")), "profile_id"),
        (with("target_asset", Value::Null), "target_asset"),
        (with("source_asset", json!([])), "source_asset"),
        (with("metadata", json!({ "a": 1 })), "metadata"),
        (json!([]), "body"),
    ] {
        let problem = bed.client.post(LEGACY, &body).await.problem(400);
        assert_eq!((&problem["type"], &problem["title"]), (&json!("about:blank"), &json!("Bad Request")));
        assert!(problem["detail"].as_str().unwrap().contains(field), "{field}: {problem}");
    }
    assert!(bed.sandbox.inspector().requests().is_empty());
}

#[tokio::test]
async fn the_vendors_own_400_keeps_its_words() {
    let sandbox = vendor_with(Options { maximum: Some("10000".to_owned()), ..Options::default() }).await;
    let bed = before(sandbox, "sealed", &[]).await;
    let problem = bed.client.post(LEGACY, &with("amount", json!("11000"))).await.problem(400);
    assert_eq!(problem["detail"], "11000 amount is above the maximum 10000 USD");
}

#[tokio::test]
async fn a_bad_token_is_a_401() {
    let bed = bed("sealed", &[]).await;
    let stranger = bed.client.clone().token("nope");
    for answer in [
        stranger.create("r").await,
        stranger.get(LEGACY).await,
        stranger.get(&format!("{LEGACY}/x")).await,
        stranger.delete(&format!("{LEGACY}/x")).await,
    ] {
        assert_eq!(answer.problem(401)["title"], "Unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
}

#[tokio::test]
async fn a_token_without_the_scope_is_a_403_that_names_the_scope() {
    let bed = bed("sealed", &[]).await;
    let reader = bed.client.clone().token(bed.sandbox.issue_token(CUSTOMER, &[SCOPES[2]]));
    let problem = reader.create("r").await.problem(403);
    let detail = format!("insufficient scopes: found '{}', required one of '[{}]'", SCOPES[2], SCOPES[3]);
    assert_eq!((&problem["type"], &problem["detail"]), (&json!("about:blank"), &json!(detail)));
}

#[tokio::test]
async fn insufficient_funds_keep_type_and_meta() {
    let bed = bed("sealed", &[]).await;
    let problem = bed.client.post(LEGACY, &with("amount", json!("1000.01"))).await.problem(403);
    assert_eq!(problem["type"], "https://developer.paxos.com/docs/v2/problems/insufficient-funds");
    assert_eq!(problem["title"], "Insufficient Funds");
    let meta = json!({ "profile_id": PROFILE, "asset": "USD", "available": "1000", "needed": "1000.01" });
    assert_eq!(problem["meta"], meta);
}

#[tokio::test]
async fn an_unknown_id_is_a_404_in_the_old_noun() {
    let bed = bed("sealed", &[]).await;
    let problem = bed.client.get(&format!("{LEGACY}/nope")).await.problem(404);
    let detail = format!("conversion with id nope not found for customer with id {CUSTOMER}");
    assert_eq!(problem["detail"], detail);
}

#[tokio::test]
async fn a_known_ref_id_is_a_409_with_the_existing_conversion() {
    let bed = bed("sealed", &[]).await;
    let existing = bed.client.create("orchestration").await.json();
    let mut other = conversion("orchestration");
    other["amount"] = json!("7");
    let problem = bed.client.post(LEGACY, &other).await.problem(409);
    assert_eq!(problem["type"], "https://developer.paxos.com/docs/v2/problems/already-exists");
    assert_eq!(problem["detail"], "conversion already exists with ref_id 'orchestration'", "the value stays");
    assert_eq!(problem["meta"], json!({ "existing": existing }));
}

#[tokio::test]
async fn too_many_requests_keep_their_retry_after() {
    let bed = bed("sealed", &[]).await;
    for path in [LEGACY.to_owned(), format!("{LEGACY}/x")] {
        strike(&bed, status(StatusCode::TOO_MANY_REQUESTS, Some(17), RefusalBody::Problem));
        let answer = bed.client.get(&path).await;
        answer.problem(429);
        assert_eq!(answer.header("retry-after"), Some("17"));
    }
}

#[tokio::test]
async fn an_error_that_is_not_json_becomes_a_problem_of_the_same_status() {
    let bed = bed("sealed", &[("timeouts.create", "200ms")]).await;
    for code in [400, 403, 429, 500, 502, 503, 504] {
        let code = StatusCode::from_u16(code).unwrap();
        for body in [RefusalBody::Html, RefusalBody::Empty, RefusalBody::Problem] {
            strike(&bed, status(code, None, body));
            let problem = bed.client.get(LEGACY).await.problem(code.as_u16());
            assert_eq!(problem["type"], "about:blank");
            let vendors_own = matches!(body, RefusalBody::Problem);
            strike(&bed, status(code, None, body));
            // What a create came to that met a server's error, or a refusal that is not the vendor's, stays unknown here.
            let expected = if code.is_server_error() || !vendors_own { 504 } else { code.as_u16() };
            bed.client.create("r").await.problem(expected);
        }
    }
    assert_eq!(bed.sandbox.inspector().applied(Side::New, Operation::Create), 0);
}

#[tokio::test]
async fn a_success_that_is_none_is_a_502_and_never_an_empty_200() {
    let bed = bed("sealed", &[]).await;
    let id = bed.client.id_of_new("first").await;
    for (at, kind) in
        [FaultKind::EmptyBody, FaultKind::NotJson, FaultKind::WrongTypes].into_iter().enumerate()
    {
        for path in [LEGACY.to_owned(), format!("{LEGACY}/{id}")] {
            // A record on a reused connection is asked for once more.
            bed.sandbox.faults().arm(Fault::new(kind.clone()));
            let detail = bed.client.get(&path).await.problem(502)["detail"].clone();
            bed.sandbox.faults().clear();
            assert!(detail.as_str().unwrap().contains("new side"), "{kind:?} {path} {detail}");
        }
        strike(&bed, kind.clone());
        let ref_id = format!("r{at}");
        let created = bed.client.create(&ref_id).await;
        assert_eq!((created.status, &created.json()["ref_id"]), (200, &json!(ref_id)), "{kind:?}: looked up");
        bed.sandbox.faults().arm(Fault::new(kind));
        bed.client.delete(&format!("{LEGACY}/{id}")).await.problem(502);
        bed.sandbox.faults().clear();
    }
}

#[tokio::test]
async fn bodies_that_no_create_has_are_refused_before_anything_is_sent() {
    let bed = bed("sealed", &[("limits.request_body_max", "1KiB")]).await;
    let long = with("metadata", json!({ "note": "x".repeat(2000) }));
    bed.client.post(LEGACY, &long).await.problem(413);
    let chunked = futures_util::stream::iter([Ok::<_, std::io::Error>(long.to_string())]);
    let chunked = bed.client.ask(reqwest::Method::POST, LEGACY).body(reqwest::Body::wrap_stream(chunked));
    crate::support::wire::caller::answer(chunked).await.problem(413);
    let packed = bed.client.ask(reqwest::Method::POST, LEGACY).header("content-encoding", "gzip").body("x");
    crate::support::wire::caller::answer(packed).await.problem(415);
    assert!(bed.sandbox.inspector().requests().is_empty());
}

#[tokio::test]
async fn an_answer_longer_than_is_read_is_a_502() {
    let bed = bed("sealed", &[("limits.response_body_max", "1KiB")]).await;
    for at in 0..5 {
        assert_eq!(bed.client.create(&format!("r{at}")).await.status, 200);
    }
    let problem = bed.client.get(LEGACY).await.problem(502);
    assert!(problem["detail"].as_str().unwrap().contains("1024 bytes"), "{problem}");
}
