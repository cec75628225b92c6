//! What is compared with what, and what comes of it.

use conversion_shim::sandbox::{Fault, FaultKind, HiddenRecords, Operation, PROFILE};
use conversion_shim::shadow::record::ComparisonRecord;
use conversion_shim::shadow::types::{DiffKind, Recheck, Severity, Verdict};
use conversion_shim::translate::route::Route;
use conversion_shim::translate::side::Side;
use serde_json::{Value, json};

use super::shadowed::Shadowed;
use crate::support::soon;
use crate::support::test_bed::{LEGACY, conversion, new_record, old_record, vendor};

pub(crate) const WHEN: &str = "2026-04-20T11:00:00.123456Z";

/// A conversion that settled at once, as the new API's shows.
pub(crate) fn settled(ref_id: &str, when: &str) -> Value {
    let mut record = old_record(ref_id, when);
    record["settled_at"] = json!(when);
    record
}

fn differences(record: &ComparisonRecord) -> Vec<(&str, DiffKind, Severity)> {
    record.diffs.iter().map(|diff| (diff.path.as_str(), diff.kind, diff.severity)).collect()
}

#[tokio::test]
async fn a_get_is_looked_up_on_new_by_its_reference() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    vendor.inspector().seed_orchestration(new_record("r", WHEN));
    let mut shim = Shadowed::before(&vendor, &[]).await;
    assert_eq!(shim.client.get(&id).await.id(), id);
    let record = shim.record().await;
    assert_eq!((record.route, record.verdict), (Route::Get, Verdict::Match), "{:?}", record.diffs);
    assert_eq!((record.ref_id_present, record.asset_pair.as_deref()), (Some(true), Some("USD/PYUSD")));
    assert_eq!((record.served.status, record.other.status), (Some(200), Some(200)));
}

#[tokio::test]
async fn a_record_that_new_does_not_hold_has_no_counterpart() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    let mut shim = Shadowed::before(&vendor, &[]).await;
    shim.client.get(&id).await;
    assert_eq!(shim.record().await.verdict, Verdict::NoCounterpart);
    shim.client.list("").await;
    assert_eq!(shim.record().await.verdict, Verdict::NoCounterpart);
    shim.client.list("ref_id=nobody").await;
    let record = shim.record().await;
    assert_eq!((record.verdict, record.both_held), (Verdict::Match, false), "both hold nothing");
}

#[tokio::test]
async fn a_difference_is_named_and_stays_after_reading_again() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    let mut other = new_record("r", WHEN);
    other["source_amount"] = json!("1.51");
    vendor.inspector().seed_orchestration(other);
    let mut shim = Shadowed::before(&vendor, &[]).await;
    shim.client.get(&id).await;
    let record = shim.record().await;
    assert_eq!((record.verdict, record.recheck), (Verdict::Mismatch, Some(Recheck::Stays)));
    assert_eq!(differences(&record), [("amount", DiffKind::Value, Severity::Money)]);
    assert_eq!(
        (record.diffs[0].served.as_deref(), record.diffs[0].other.as_deref()),
        (Some("1.50"), Some("1.51"))
    );
    let reads = vendor.inspector().arrived(Side::Legacy, Operation::Get);
    assert_eq!(reads, 2, "the client's and the one that read again");
}

#[tokio::test]
async fn a_difference_is_not_forgotten_when_reading_again_takes_too_long() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    let mut other = new_record("r", WHEN);
    other["source_amount"] = json!("1.51");
    vendor.inspector().seed_orchestration(other);
    let gate = vendor
        .faults()
        .arm(Fault::new(FaultKind::Gate { applied: true }).on(Side::New, Operation::List).times(1));
    let mut shim = Shadowed::before(&vendor, &[("shadow.timeout", "1s")]).await;
    shim.client.get(&id).await.id();
    soon(gate.reached(1)).await;
    vendor.faults().arm(Fault::new(FaultKind::Gate { applied: false }).on(Side::Legacy, Operation::Get));
    gate.open();
    let record = shim.record().await;
    assert_eq!((record.verdict, record.recheck), (Verdict::Mismatch, Some(Recheck::Failed)));
    assert_eq!(record.severity, Some(Severity::Money));
}

#[tokio::test]
async fn a_later_status_is_progress() {
    let vendor = vendor().await;
    let mut old = old_record("r", WHEN);
    old["status"] = json!("CREATED");
    let id = vendor.inspector().seed_conversion(old);
    vendor.inspector().seed_orchestration(new_record("r", WHEN));
    let mut shim = Shadowed::before(&vendor, &[]).await;
    shim.client.get(&id).await;
    let record = shim.record().await;
    assert_eq!((record.verdict, record.severity), (Verdict::Progress, None), "{:?}", record.diffs);
}

#[tokio::test]
async fn what_is_gone_when_both_are_read_again_is_transient() {
    let vendor = vendor().await;
    for ref_id in ["r", "s"] {
        vendor.inspector().seed_conversion(settled(ref_id, WHEN));
        vendor.inspector().seed_orchestration(new_record(ref_id, WHEN));
    }
    let lag = FaultKind::Lag(HiddenRecords::Newest(1));
    vendor.faults().arm(Fault::new(lag).on(Side::New, Operation::List).times(1));
    let mut shim = Shadowed::before(&vendor, &[]).await;
    shim.client.list("").await;
    let record = shim.record().await;
    assert_eq!((record.verdict, record.recheck), (Verdict::Transient, Some(Recheck::Gone)), "{record:?}");
    assert!(record.both_held, "one row of two");
    assert_eq!(record.diffs[0].kind, DiffKind::Missing, "what was seen first is recorded");
}

#[tokio::test]
async fn both_unknown_is_a_match_and_one_refusal_is_a_disagreement() {
    let vendor = vendor().await;
    let mut shim = Shadowed::before(&vendor, &[]).await;
    shim.client.get("5d0c1e7a-9d5e-4c1e-9d6e-000000000000").await.problem(404);
    let record = shim.record().await;
    assert_eq!((record.verdict, record.both_held), (Verdict::Match, false));
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    let reader = vendor.issue_token("sandbox-customer", &["conversion:read_conversion_stablecoin"]);
    let client = shim.client.with_token(&reader);
    let _ = client.get(&id).await;
    let record = shim.record().await;
    assert_eq!(record.verdict, Verdict::ErrorDisagreement, "{record:?}");
    assert_eq!(differences(&record), [("status_code", DiffKind::Value, Severity::Contract)]);
}

#[tokio::test]
async fn lists_are_compared_row_by_row_and_refilled() {
    let vendor = vendor().await;
    for at in 0..5 {
        let when = format!("2026-04-20T11:0{at}:00Z");
        vendor.inspector().seed_conversion(settled(&format!("r{at}"), &when));
        vendor.inspector().seed_orchestration(new_record(&format!("r{at}"), &when));
        vendor.inspector().seed_orchestration(
            json!({ "profile_id": PROFILE, "orchestration_rule_id": "rule", "created_at": when }),
        );
    }
    let mut shim = Shadowed::before(&vendor, &[]).await;
    let page = shim.client.list("limit=3&order=ASC&created_at.begin=2026-04-20T11:01:00Z").await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 3);
    let record = shim.record().await;
    assert_eq!(record.verdict, Verdict::Match, "{:?}", record.diffs);
    let counts = record.counts.unwrap();
    assert_eq!((counts.served, counts.other), (3, 3));
    assert!(counts.filtered_out > 0, "deposits were left out");
    assert_eq!(record.query, ["created_at.begin", "limit", "order"]);
    let next = page["next_page_cursor"].as_str().unwrap();
    shim.client.list(&format!("limit=3&order=ASC&page_cursor={next}")).await;
    let record = shim.record().await;
    assert_eq!(
        (record.verdict, record.other.skip_reason.as_deref()),
        (Verdict::NotComparable, Some("page_cursor"))
    );
}

#[tokio::test]
async fn bad_parameters_are_refused_by_both() {
    let vendor = vendor().await;
    let mut shim = Shadowed::before(&vendor, &[]).await;
    shim.client.list("limit=0").await.problem(400);
    let record = shim.record().await;
    assert_eq!((record.served.status, record.other.status), (Some(400), Some(400)));
    assert_eq!(vendor.inspector().arrived(Side::New, Operation::List), 0, "nothing to ask");
}

#[tokio::test]
async fn a_create_is_compared_in_a_dry_run_and_nothing_is_sent() {
    let vendor = vendor().await;
    let mut shim = Shadowed::before(&vendor, &[]).await;
    shim.client.create("r").await.id();
    let record = shim.record().await;
    assert_eq!((record.route, record.verdict), (Route::Create, Verdict::Match), "{:?}", record.diffs);
    shim.client.create("r").await.problem(409);
    let record = shim.record().await;
    let why = record.other.skip_reason.as_deref();
    assert_eq!((record.verdict, why), (Verdict::NotComparable, Some("depends_on_state")));
    let mut broken = conversion("s");
    broken["amount"] = json!("one");
    shim.client.post(&broken).await.problem(400);
    assert_eq!(shim.record().await.verdict, Verdict::Match, "both refuse it");
    assert_eq!(vendor.inspector().arrived(Side::New, Operation::Create), 0);
    assert_eq!(vendor.inspector().records(Side::New), 0);
}

#[tokio::test]
async fn a_failed_primary_is_compared_too() {
    let vendor = vendor().await;
    let id = vendor.inspector().seed_conversion(settled("r", WHEN));
    // A read is repeated once where its connection closes before an answer.
    vendor
        .faults()
        .arm(Fault::new(FaultKind::Reset { applied: false }).on(Side::Legacy, Operation::Get).times(2));
    let mut shim = Shadowed::before(&vendor, &[]).await;
    shim.client.ask(reqwest::Method::GET, &format!("{LEGACY}/{id}"), String::new()).await.problem(502);
    let record = shim.record().await;
    assert_eq!((record.verdict, record.served.status), (Verdict::ErrorDisagreement, Some(502)), "{record:?}");
}
