//! Records of new that look as if they had never been conversions: hidden, unless they were created here.

use conversion_shim::ledger::{Fingerprint, Key};
use conversion_shim::sandbox::Operation;
use conversion_shim::translate::side::Side;
use serde_json::{Value, json};

use crate::support::test_bed::{TestBed, new_record, old_record};

/// What the vendor may add to a record.
fn decorations() -> Vec<(&'static str, Value)> {
    vec![
        ("orchestration_rule_id", "rule".into()),
        ("destination", json!({ "crypto": { "address": "0x1" } })),
        ("source", json!({ "fiat": { "bank": "b" } })),
        ("destination_asset", "USD".into()),
    ]
}

fn seed(bed: &TestBed, ref_id: &str, (member, value): &(&'static str, Value)) -> String {
    let mut record = new_record(ref_id, "2026-01-01T00:00:00Z");
    record[*member] = value.clone();
    bed.sandbox.inspector().seed_orchestration(record)
}

/// A claim of another process, so that this one has never seen the record.
async fn claim(bed: &TestBed, side: Side, ref_id: &str, record_id: Option<&str>) {
    let key = Key::new("default", ref_id).unwrap();
    let claim = bed.ledger.claim(key, side, &Fingerprint([0; 32])).await.unwrap().claim;
    if let Some(id) = record_id {
        bed.ledger.remember_id(key, claim.generation, side, id).await.unwrap().unwrap();
    }
}

/// Get, list and cancel say the same of a record.
async fn is_shown(bed: &TestBed, id: &str) -> bool {
    let got = bed.client.get(id).await.status;
    let (listed, _) = bed.client.all("").await;
    let cancelled = bed.replica(&[("stage", "live")]).await.client.cancel(id).await.status;
    match (got, listed.contains(&id.to_owned()), cancelled) {
        (200, true, 403) => true,
        (404, false, 404) => false,
        other => panic!("{id}: {other:?}"),
    }
}

#[tokio::test]
async fn a_record_that_was_created_here_is_never_hidden() {
    let bed = TestBed::at("live").await;
    for decoration in decorations() {
        let ref_id = format!("known by id: {}", decoration.0);
        let id = seed(&bed, &ref_id, &decoration);
        assert!(!is_shown(&bed, &id).await, "{decoration:?}: nobody made it here");
        claim(&bed, Side::New, &ref_id, Some(&id)).await;
        assert!(is_shown(&bed, &id).await, "{decoration:?}");
    }
}

/// A claim that lost its record's id: a rule's id is an addition of the vendor's, but a withdrawal may have used the reference first.
#[tokio::test]
async fn a_claimed_reference_shows_what_a_rule_is_said_to_have_made() {
    let bed = TestBed::at("live").await;
    for decoration in decorations() {
        let ref_id = format!("claimed: {}", decoration.0);
        let id = seed(&bed, &ref_id, &decoration);
        claim(&bed, Side::New, &ref_id, None).await;
        assert_eq!(is_shown(&bed, &id).await, decoration.0 == "orchestration_rule_id", "{decoration:?}");
    }
}

#[tokio::test]
async fn claims_that_are_refused_or_name_legacy_show_nothing() {
    let bed = TestBed::at("live").await;
    let rule = &decorations()[0];
    let (legacy, refused) = (seed(&bed, "on legacy", rule), seed(&bed, "refused", rule));
    claim(&bed, Side::Legacy, "on legacy", None).await;
    claim(&bed, Side::New, "refused", None).await;
    let key = Key::new("default", "refused").unwrap();
    bed.ledger.close(key, 1, Side::New).await.unwrap().unwrap();
    assert!(!is_shown(&bed, &legacy).await && !is_shown(&bed, &refused).await);
}

/// They take their place in the merged order, also where a page ends between them.
#[tokio::test]
async fn own_records_among_many_hidden_ones_are_listed_in_order() {
    let bed = TestBed::at("live").await;
    let mut expected = Vec::new();
    for number in 0..60 {
        let at = format!("2026-01-01T00:00:{number:02}Z");
        let mut record = new_record(&format!("r-{number}"), &at);
        record["orchestration_rule_id"] = "rule".into();
        let id = bed.sandbox.inspector().seed_orchestration(record);
        if number % 7 == 0 {
            claim(&bed, Side::New, &format!("r-{number}"), Some(&id)).await;
            expected.push(id);
        }
        if number % 11 == 0 {
            let record = old_record("", &at.replace('Z', ".5Z"));
            expected.push(bed.sandbox.inspector().seed_conversion(record));
        }
    }
    for stage in ["live", "sealed"] {
        bed.go(&[("stage", stage)]).await;
        let records: Vec<_> = expected
            .iter()
            .filter(|id| stage == "live" || bed.sandbox.inspector().record(Side::New, id).is_some())
            .cloned()
            .collect();
        for limit in [1, 2, 5, 100] {
            let (ids, _) = bed.client.all(&format!("order=ASC&limit={limit}")).await;
            assert_eq!(ids, records, "{stage}, limit {limit}");
        }
    }
}

/// A member that this build does not know hides nothing, whoever made the record.
#[tokio::test]
async fn unknown_members_never_hide_a_record() {
    let bed = TestBed::at("live").await;
    for (member, value) in [
        (
            "source",
            json!({ "profile": { "profile_id": conversion_shim::sandbox::PROFILE }, "wallet": { "id": "w" } }),
        ),
        ("destination", json!({ "ledger": { "account": "a" } })),
        ("destination", json!({ "crypto": {}, "fiat": null })),
        ("settlement", json!({ "network": "x" })),
        ("orchestration_rule_id", "".into()),
    ] {
        let id = seed(&bed, &format!("r {member} {value}"), &(member, value));
        assert!(is_shown(&bed, &id).await, "{member}");
    }
}

#[tokio::test]
async fn a_409_of_new_shows_its_record_whatever_the_vendor_added() {
    let bed = TestBed::at("live").await;
    let id = seed(&bed, "r", &decorations()[0]);
    let problem = bed.client.create("r").await.problem(409);
    assert_eq!(problem["meta"]["existing"]["id"], id, "{problem}");
    assert_eq!(bed.sandbox.inspector().arrived(Side::New, Operation::Create), 1);
    assert!(is_shown(&bed, &id).await);
}

#[tokio::test]
async fn a_record_that_converts_nothing_is_another_kind_in_a_409_of_new() {
    let bed = TestBed::at("sealed").await;
    let mut same = new_record("r", "2026-01-01T00:00:00Z");
    same["destination_asset"] = "USD".into();
    bed.sandbox.inspector().seed_orchestration(same);
    let problem = bed.client.create("r").await.problem(409);
    assert!(problem["meta"]["existing"].is_null(), "{problem}");
    assert_eq!(problem["type"], "urn:conversion-shim:problem:ref-id-used-by-another-record", "{problem}");
}
