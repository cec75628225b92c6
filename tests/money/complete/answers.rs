//! What a complete side spares, and what is looked up all the same.

use conversion_shim::sandbox::{Fault, FaultKind, Operation, RefusalBody};
use conversion_shim::translate::side::Side;
use serde_json::Value;

use super::{Bed, conversion, run};
use crate::support::soon;
use crate::what_broke::ORCHESTRATIONS;
use crate::what_broke::references::orchestration;

#[tokio::test(flavor = "multi_thread")]
async fn a_create_costs_one_call_to_the_vendor_instead_of_two() {
    for mut bed in Bed::each().await {
        bed.seed(Side::Legacy, "old", 60);
        bed.start().await;
        if bed.is_shared() {
            bed.start().await;
        }
        assert!(bed.looks(Side::Legacy, "before").await);
        bed.complete().await;
        assert!(!bed.looks(Side::Legacy, "after").await);
        // A reference that is older than the ledger is known all the same.
        let old = bed.caller().create("old").await;
        assert_eq!(old.status, 409, "{:?}", old.body);
        assert_eq!(bed.vendor.inspector().conversions_by_ref()["old"].new, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_and_command_shows_it() {
    let mut bed = Bed::on(None, "stage = \"live\"").await;
    bed.start().await;
    let first = bed.stands("legacy").await;
    assert!(first["missing"].as_str().unwrap().contains("backfill"), "{first}");
    bed.walk(&["ledger", "backfill"], 0).await;
    let waits = bed.stands("legacy").await;
    assert!(waits["missing"].as_str().unwrap().contains("a walk has to reach"), "{waits}");
    bed.complete().await;
    let shim = &bed.replicas[0].0;
    let text = |path: &'static str| async move {
        reqwest::get(shim.admin(path)).await.unwrap().text().await.unwrap()
    };
    let status: Value = serde_json::from_str(&text("/status").await).unwrap();
    assert_eq!(status["ledger"]["completeness"]["legacy"]["complete"], true, "{status}");
    assert!(text("/").await.contains("legacy complete"), "no panel");
    soon(async {
        while !text("/metrics").await.contains("conversion_shim_ledger_complete{side=\"legacy\"} 1") {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(!bed.looks(Side::Legacy, "r").await);
    let counted = "conversion_shim_duplicate_checks_total{side=\"legacy\",result=\"local\"} 1";
    assert!(text("/metrics").await.contains(counted), "{}", text("/metrics").await);
    let printed = run(&["status", "--admin", &shim.admin_address().to_string()]).await;
    assert!(printed.row("complete").starts_with("legacy until "), "{printed:?}");
    assert!(bed.order(&["ledger", "stats"]).await.row("complete").starts_with("legacy until "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_this_request_did_not_make_is_looked_up() {
    let mut bed = Bed::on(None, "stage = \"live\"").await;
    bed.start().await;
    // Claimed while legacy does not answer, so that its claim stays unchecked.
    let fault = bed.vendor.faults().arm(Fault::new(down()).on(Side::Legacy, Operation::List));
    assert_eq!(bed.caller().create("R").await.status, 503);
    bed.vendor.faults().remove(&fault);
    bed.complete().await;
    bed.change("UPDATE ref_claims SET state = 'claimed', closed = 0 WHERE ref_id = 'R'").await;
    let fault = bed.vendor.faults().arm(Fault::new(down()).on(Side::Legacy, Operation::List));
    assert_eq!(bed.caller().create("R").await.status, 503);
    assert_eq!(bed.caller().create("another").await.status, 200);
    bed.vendor.faults().remove(&fault);
}

fn down() -> FaultKind {
    let (code, body) = (http::StatusCode::SERVICE_UNAVAILABLE, RefusalBody::Html);
    FaultKind::Status { code, body, applied: false, retry_after: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_differs_only_in_case_or_spaces_is_looked_up() {
    for mut bed in Bed::each().await {
        bed.seed(Side::Legacy, "Order-1", 60);
        bed.start().await;
        bed.complete().await;
        let caller = bed.caller().clone();
        for alike in ["order-1", "ORDER-1", " Order-1", "order-1 ", "Ördér"] {
            assert!(bed.looks_for(&caller, Side::Legacy, alike).await, "{alike}");
        }
        assert!(!bed.looks_for(&caller, Side::Legacy, "order-2").await);
        bed.write("stage = \"live\"\nfacts.ref_match = \"exact\"");
        bed.replicas[0].0.logged("config reloaded").await;
        assert!(!bed.looks_for(&caller, Side::Legacy, "oRDER-1").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_does_not_need_new_to_be_up() {
    let mut bed = Bed::on(None, "stage = \"live\"").await;
    bed.start().await;
    bed.complete().await;
    bed.write("stage = \"hold\"\nroutes.create = \"legacy\"");
    bed.replicas[0].0.logged("config reloaded").await;
    let native =
        bed.caller().ask(reqwest::Method::POST, ORCHESTRATIONS, orchestration("native", &Value::Null)).await;
    assert!(native.status < 300, "{:?}", native.body);
    let fault = bed.vendor.faults().arm(Fault::new(down()).on(Side::New, Operation::List));
    assert_eq!(bed.caller().create("fresh").await.status, 200);
    // What was created on the new API's own path has no claim.
    assert_eq!(bed.caller().create("native").await.status, 503);
    assert_eq!(bed.caller().post(&conversion("Native")).await.status, 503, "alike");
    bed.vendor.faults().remove(&fault);
}
