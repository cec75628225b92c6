//! The four routes in each mode: who is asked, and that a legacy client sees no difference.

use conversion_shim::sandbox::{Operation, PROFILE, SECOND_PROFILE, Tally};
use conversion_shim::translate::side::Side;
use serde_json::{Value, json};

use crate::support::wire::{LEGACY, bed, conversion};

/// What no legacy client has ever seen.
const NEW_WORDS: [&str; 10] = [
    "orchestration",
    "source_amount",
    "destination",
    "\"source\"",
    "customer_id",
    "rule",
    "transfer",
    "PROCESSING",
    "COMPLETED",
    "fail_reason",
];

fn speaks_legacy(body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    assert!(!NEW_WORDS.iter().any(|word| text.contains(word)), "{text}");
}

#[tokio::test]
async fn sealed_serves_all_four_from_the_new_api_alone() {
    let bed = bed("sealed", &[]).await;
    let created = bed.client.create("r").await;
    assert_eq!(created.status, 200);
    speaks_legacy(&created.body);
    let record = created.json();
    for (field, value) in
        [("status", "CREATED"), ("amount", "100"), ("target_asset", "PYUSD"), ("ref_id", "r")]
    {
        assert_eq!(record[field], value, "{record}");
    }
    assert!(String::from_utf8_lossy(&created.body).contains(r#""metadata":{"zebra":"1","apple":"2"}"#));

    let id = record["id"].as_str().unwrap();
    let got = bed.client.get(&format!("{LEGACY}/{id}")).await;
    assert_eq!((got.status, got.json()), (200, record.clone()));
    let listed = bed.client.get(&format!("{LEGACY}?ref_id=r")).await;
    assert_eq!((listed.status, listed.json()), (200, json!({ "items": [record] })));
    bed.client.delete(&format!("{LEGACY}/{id}")).await.problem(403);

    let seen = bed.sandbox.inspector().requests();
    assert!(seen.len() == 4 && seen.iter().all(|seen| seen.side == Some(Side::New)));
    assert_eq!(bed.sandbox.inspector().conversions_by_ref()["r"], Tally { legacy: 0, new: 1 });
}

#[tokio::test]
async fn observe_serves_all_four_from_the_old_api_alone_and_changes_no_byte() {
    let bed = bed("observe", &[]).await;
    let body = format!(" {} ", conversion("r"));
    let created = crate::support::wire::caller::answer(
        bed.client.ask(reqwest::Method::POST, LEGACY).body(body.clone()),
    );
    let created = created.await;
    assert_eq!(created.status, 200);
    let record = created.json();
    let id = record["id"].as_str().unwrap();
    assert_eq!(bed.client.get(&format!("{LEGACY}/{id}")).await.json(), record);
    let listed = bed.client.get(&format!("{LEGACY}?ref_id=r&cursor=unknown")).await;
    assert_eq!(listed.json(), json!({ "items": [record] }));
    let cancelled = bed.client.delete(&format!("{LEGACY}/{id}")).await;
    assert_eq!((cancelled.status, &cancelled.json()["status"]), (200, &json!("CANCELLED")));

    let seen = bed.sandbox.inspector().requests();
    assert!(seen.iter().all(|seen| seen.side == Some(Side::Legacy)));
    assert_eq!(seen[0].body, body.as_bytes(), "not even the blanks");
    assert_eq!(seen[2].path_and_query, format!("{LEGACY}?ref_id=r&cursor=unknown"));
}

#[tokio::test]
async fn hold_answers_creates_itself_and_lets_readers_go_on() {
    let bed = bed("observe", &[("routes.create", "hold"), ("hold.retry_after", "7s")]).await;
    let held = bed.client.create("r").await;
    assert_eq!(held.header("retry-after"), Some("7"));
    let detail = held.problem(503)["detail"].clone();
    assert!(detail.as_str().unwrap().contains("nothing was sent"), "{detail}");
    assert!(bed.sandbox.inspector().requests().is_empty());
    assert_eq!(bed.client.get(LEGACY).await.json(), json!({ "items": [] }));
}

#[tokio::test]
async fn a_create_is_read_as_json_whatever_its_content_type_says() {
    let bed = bed("sealed", &[]).await;
    for kind in ["application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8"] {
        let request = bed.client.ask(reqwest::Method::POST, LEGACY).header("content-type", kind);
        let created = crate::support::wire::caller::answer(request.body(conversion(kind).to_string())).await;
        assert_eq!(created.status, 200, "{kind}");
    }
    let seen = bed.sandbox.inspector().requests();
    assert!(seen.iter().all(|seen| seen.headers["content-type"] == "application/json"));
}

#[tokio::test]
async fn a_create_without_a_ref_id_gets_a_fresh_one_each_time() {
    let bed = bed("sealed", &[]).await;
    let mut body = conversion("");
    body.as_object_mut().unwrap().remove("ref_id");
    let one = bed.client.post(LEGACY, &body).await.json();
    let two = bed.client.post(LEGACY, &body).await.json();
    assert!(one["ref_id"].as_str().is_some_and(|ref_id| !ref_id.is_empty()), "{one}");
    assert_ne!(one["ref_id"], two["ref_id"]);
    assert_ne!(one["id"], two["id"], "two equal conversions may both be meant");
}

#[tokio::test]
async fn a_directed_settlement_names_its_recipient_there_and_back() {
    let bed = bed("sealed", &[]).await;
    let mut body = conversion("r");
    body["recipient_profile_id"] = json!(SECOND_PROFILE);
    let record = bed.client.post(LEGACY, &body).await.json();
    assert_eq!(
        (&record["profile_id"], &record["recipient_profile_id"]),
        (&json!(PROFILE), &json!(SECOND_PROFILE))
    );
    let sent: Value = serde_json::from_slice(&bed.sandbox.inspector().requests()[0].body).unwrap();
    assert_eq!(sent["destination"]["profile"]["profile_id"], SECOND_PROFILE);
}

#[tokio::test]
async fn every_status_of_the_new_api_is_shown_in_the_old_ones_words() {
    let bed = bed("sealed", &[]).await;
    let id = bed.client.id_of_new("r").await;
    for (new, legacy, time) in [
        ("PENDING", "CREATED", None),
        ("PENDING_APPROVAL", "CREATED", None),
        ("SOMETHING_NEW", "CREATED", None),
        ("COMPLETED", "SETTLED", Some("settled_at")),
        ("FAILED", "CANCELLED", Some("cancelled_at")),
        ("REJECTED", "CANCELLED", Some("cancelled_at")),
    ] {
        assert!(bed.sandbox.inspector().set_status(&id, new));
        let record = bed.client.get(&format!("{LEGACY}/{id}")).await.json();
        assert_eq!(record["status"], legacy, "{new}");
        for name in ["settled_at", "cancelled_at"] {
            let expected = if time == Some(name) { record["updated_at"].clone() } else { Value::Null };
            assert_eq!(record.get(name).cloned().unwrap_or_default(), expected, "{new} {name}");
        }
    }
}

#[tokio::test]
async fn a_record_that_never_was_a_conversion_is_not_found() {
    let bed = bed("sealed", &[]).await;
    let seed = |changes: Value| {
        let mut record = json!({ "source_asset": "USD", "destination_asset": "PYUSD", "source_amount": "1", "status": "COMPLETED" });
        record.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        bed.sandbox.inspector().seed_orchestration(record)
    };
    for hidden in [
        json!({ "source": { "fiat": { "fiat_account_id": "f" } } }),
        json!({ "destination": { "crypto": { "address": "0x0" } } }),
        json!({ "destination_asset": "USD" }),
        json!({ "orchestration_rule_id": "rule" }),
    ] {
        let id = seed(hidden.clone());
        let missing = bed.client.get(&format!("{LEGACY}/{id}")).await;
        assert_eq!(missing.problem(404)["detail"], format!("conversion with id {id} not found"), "{hidden}");
        bed.client.delete(&format!("{LEGACY}/{id}")).await.problem(404);
    }
    let shown = seed(json!({ "orchestration_rule_id": "" }));
    assert_eq!(bed.client.get(&format!("{LEGACY}/{shown}")).await.status, 200);
}

#[tokio::test]
async fn a_cancel_on_the_new_side_is_never_a_success_and_never_a_write() {
    let bed = bed("sealed", &[]).await;
    let id = bed.client.id_of_new("r").await;
    let refused = bed.client.delete(&format!("{LEGACY}/{id}")).await;
    assert_eq!(refused.problem(403)["detail"], format!("conversion with id {id} cannot be cancelled"));
    bed.client.delete(&format!("{LEGACY}/nope")).await.problem(404);
    let inspector = bed.sandbox.inspector();
    // A 404 on a reused connection is asked for again on one of its own.
    assert_eq!(
        (inspector.arrived(Side::New, Operation::Get), inspector.arrived(None, Operation::Other)),
        (3, 0)
    );
    assert_eq!(inspector.balance(PROFILE, "USD"), "900");
}

#[tokio::test]
async fn a_write_beside_the_routes_is_refused_once_creates_may_go_to_the_new_api() {
    for (stage, arrives) in [("sealed", 0), ("observe", 1)] {
        let bed = bed(stage, &[]).await;
        let strange = bed.client.post("/v2/conversion/stablecoins/x/y", &conversion("r")).await;
        strange.problem(404);
        assert_eq!(bed.sandbox.inspector().requests().len(), arrives, "{stage}");
    }
}
