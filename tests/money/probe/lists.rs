//! What a probe sees of lists: their order, their bounds in time, their cursors.

use std::time::Duration;

use conversion_shim::sandbox::{
    Fault, FaultKind, ListOrder, Operation, RefusalBody, StaleCursor, TieOrder, TimeBounds, Variants,
};
use conversion_shim::translate::side::Side;
use serde_json::{Value, json};

use super::{CONVERT, fact, how, prepared, probe};
use crate::identity::Deployment;
use crate::support::process::run_with;
use crate::support::test_bed::{new_record, old_record};

const READ: [&str; 3] = ["--read-only", "--format", "json"];
pub(super) const DOCUMENTED: &str = "newest first, with order=ASC oldest first";
/// Of each variant, on new.
pub(super) const BOUNDS: [&str; 4] = [
    "inclusive",
    "exclusive",
    "created_at.gte inclusive, created_at.lte exclusive",
    "inclusive, coarser than 1µs",
];
const SIDES: [&str; 2] = ["legacy", "new"];

/// Five records on each side, two of them of one instant.
fn seed(deployment: &Deployment) {
    let inspector = deployment.vendor.inspector();
    for (number, second) in ["00", "01", "01", "02", "03"].into_iter().enumerate() {
        let at = format!("2026-11-30T10:00:{second}.123456Z");
        inspector.seed_conversion(old_record(&format!("old-{number}"), &at));
        inspector.seed_orchestration(new_record(&format!("new-{number}"), &at));
    }
}

async fn seen(deployment: &Deployment, arguments: &[&str], code: i32) -> Value {
    let ran = probe(deployment, arguments).await;
    assert_eq!(ran.code, Some(code), "{ran:?}");
    ran.json()
}

fn assert_facts(found: &Value, name: &str, expected: &str) {
    for side in SIDES {
        assert_eq!(fact(found, &format!("{name}_{side}")), expected, "{found}");
    }
}

#[tokio::test]
async fn order_and_bounds_are_what_the_lists_show() {
    let (deployment, _) = prepared().await;
    seed(&deployment);
    for (list_order, order) in [
        (ListOrder::Newest, DOCUMENTED),
        (ListOrder::Oldest, "oldest first, with order=ASC oldest first"),
        (ListOrder::Fixed, "newest first, with order=ASC newest first"),
    ] {
        deployment.vendor.inspector().set_variants(Variants { list_order, ..Variants::default() });
        let found = seen(&deployment, &READ, if order == DOCUMENTED { 0 } else { 6 }).await;
        assert_facts(&found, "order", order);
        let findings = found["findings"].to_string();
        assert_eq!(findings.contains("order_new"), order != DOCUMENTED, "{findings}");
    }
    let new = ["created_at.gte", "created_at.lte"];
    let variants =
        [TimeBounds::Inclusive, TimeBounds::Exclusive, TimeBounds::HalfOpen, TimeBounds::Milliseconds];
    for (time_bounds, bounds) in variants.into_iter().zip(BOUNDS) {
        deployment.vendor.inspector().set_variants(Variants { time_bounds, ..Variants::default() });
        let found = seen(&deployment, &READ, 0).await;
        assert_eq!(fact(&found, "time_bounds_new"), bounds, "{found}");
        let legacy = bounds.replace(new[0], "created_at.begin").replace(new[1], "created_at.end");
        assert_eq!(fact(&found, "time_bounds_legacy"), &json!(legacy), "{found}");
    }
}

#[tokio::test]
async fn rows_in_no_order_are_a_finding() {
    let (deployment, _) = prepared().await;
    let inspector = deployment.vendor.inspector();
    // Ids against the order of creation, so that by id is neither order.
    for (id, second) in [("b", "00"), ("d", "01"), ("a", "02"), ("c", "03")] {
        let row = |mut row: Value| {
            row["id"] = json!(id);
            row
        };
        let at = format!("2026-11-30T10:00:{second}Z");
        inspector.seed_conversion(row(old_record(&format!("old-{id}"), &at)));
        inspector.seed_orchestration(row(new_record(&format!("new-{id}"), &at)));
    }
    inspector.set_variants(Variants { list_order: ListOrder::Unsorted, ..Variants::default() });
    let found = seen(&deployment, &READ, 6).await;
    for side in SIDES {
        let order = fact(&found, &format!("order_{side}")).as_str().unwrap();
        assert!(order.contains("not by created_at"), "{found}");
    }
}

#[tokio::test]
async fn a_filter_that_is_not_obeyed_is_no_bound() {
    let (deployment, _) = prepared().await;
    seed(&deployment);
    deployment.vendor.faults().arm(Fault::new(FaultKind::IgnoreFilters).on(Side::New, Operation::List));
    let found = seen(&deployment, &READ, 0).await;
    assert_eq!(fact(&found, "time_bounds_new"), "not known", "{found}");
    assert!(how(&found, "time_bounds_new").contains("created_at.gte is not obeyed"), "{found}");
    assert_eq!(fact(&found, "time_bounds_legacy"), "inclusive", "{found}");
}

#[tokio::test]
async fn records_of_one_instant_are_followed_through_both_orders() {
    let (deployment, _) = prepared().await;
    let found = seen(&deployment, &READ, 0).await;
    assert_facts(&found, "equal_times", "not known");
    assert!(how(&found, "equal_times_new").contains("fewer than two records"), "{found}");
    let inspector = deployment.vendor.inspector();
    inspector.set_variants(Variants { tie_order: TieOrder::Hashed, ..Variants::default() });
    seed(&deployment);
    let found = seen(&deployment, &READ, 0).await;
    assert_facts(&found, "equal_times", "reversed with the order");
    // Whatever the order says, they come the same.
    inspector.set_variants(Variants { list_order: ListOrder::Fixed, ..Variants::default() });
    assert_facts(&seen(&deployment, &READ, 6).await, "equal_times", "the same in both orders");
}

#[tokio::test]
async fn a_cursor_is_as_old_as_it_was_seen_to_work() {
    let (deployment, _) = prepared().await;
    let found = seen(&deployment, &READ, 0).await;
    assert_facts(&found, "cursor_life", "not known");
    seed(&deployment);
    let found = seen(&deployment, &[&READ[..], &["--cursor-age", "1500ms"]].concat(), 0).await;
    for side in SIDES {
        let life = fact(&found, &format!("cursor_life_{side}")).as_str().unwrap();
        assert!(life.starts_with("at least 1.5"), "{found}");
    }
    for (stale_cursor, then) in [
        (StaleCursor::Refused, "it is answered 400"),
        (StaleCursor::Ignored, "the list begins again"),
        (StaleCursor::Empty, "the list shows nothing"),
    ] {
        let cursor_life_ms = 800;
        let variants = Variants { cursor_life_ms, stale_cursor, ..Variants::default() };
        deployment.vendor.inspector().set_variants(variants);
        let found = seen(&deployment, &[&READ[..], &["--cursor-age", "1s"]].concat(), 0).await;
        for side in SIDES {
            let life = fact(&found, &format!("cursor_life_{side}")).as_str().unwrap();
            assert!(life.starts_with("less than 1") && life.ends_with(then), "{found}");
        }
    }
    // A cursor that never works says nothing about its life.
    let broken = FaultKind::Status {
        code: http::StatusCode::BAD_REQUEST,
        retry_after: None,
        body: RefusalBody::Problem,
        applied: false,
    };
    deployment.vendor.inspector().set_variants(Variants::default());
    // The lists before: by ref_id, the first page, and four around a record.
    let broken = Fault::new(broken).on(Side::Legacy, Operation::List);
    deployment.vendor.faults().arm(broken.clone().after(6).times(1));
    deployment.vendor.faults().arm(broken.after(8).times(1));
    let found = seen(&deployment, &READ, 0).await;
    assert_eq!(fact(&found, "cursor_life_legacy"), "not known", "{found}");
}

#[tokio::test]
async fn a_vendor_that_throttles_is_not_asked_further() {
    let (deployment, _) = prepared().await;
    seed(&deployment);
    let refusal = FaultKind::Status {
        code: http::StatusCode::TOO_MANY_REQUESTS,
        retry_after: None,
        body: RefusalBody::Problem,
        applied: false,
    };
    deployment.vendor.faults().arm(Fault::new(refusal).on(Side::Legacy, Operation::List).after(2));
    let before = deployment.vendor.inspector().arrived(Side::New, Operation::List);
    let found = seen(&deployment, &READ, 0).await;
    for name in ["order", "time_bounds", "equal_times", "cursor_life"] {
        assert_facts(&found, name, "not known");
        assert!(how(&found, &format!("{name}_new")).contains("429"), "{found}");
    }
    let asked = deployment.vendor.inspector().arrived(Side::New, Operation::List) - before;
    assert_eq!(asked, 3, "a lookup, the limit and the first page");
}

#[tokio::test]
async fn every_fact_is_known_within_forty_calls() {
    let (deployment, keys) = prepared().await;
    seed(&deployment);
    let file = deployment.path("facts.toml");
    let out = ["--format", "json", "--out", file.to_str().unwrap()];
    let found = seen(&deployment, &[&CONVERT[..], &out].concat(), 0).await;
    let facts = found["facts"].as_array().unwrap();
    assert!(facts.iter().all(|fact| fact["value"] != "not known"), "{found}");
    assert_facts(&found, "error_form", "problem");
    assert_facts(&found, "order", DOCUMENTED);
    assert_facts(&found, "time_bounds", "inclusive");
    assert_facts(&found, "equal_times", "reversed with the order");
    assert!(found["calls"].as_u64().unwrap() <= 40, "{found}");

    // What an earlier probe saw and is otherwise now is a finding, but not how long something took.
    deployment.write(&format!("{keys}\nfacts.file = \"{}\"", file.display()));
    assert_eq!(seen(&deployment, &READ, 0).await["findings"], json!([]));
    let time_bounds = TimeBounds::Exclusive;
    deployment.vendor.inspector().set_variants(Variants { time_bounds, ..Variants::default() });
    let findings = seen(&deployment, &READ, 6).await["findings"].to_string();
    assert!(findings.contains("time_bounds_new") && !findings.contains("cursor_life"), "{findings}");
}

#[tokio::test]
async fn what_was_not_observed_is_not_in_the_file() {
    let (deployment, keys) = prepared().await;
    let file = deployment.path("facts.toml");
    let ran = probe(&deployment, &[&CONVERT[..], &["--out", file.to_str().unwrap()]].concat()).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.out.contains("equal_times_new") && ran.out.contains("no two records of one created_at"),
        "{ran:?}"
    );
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("\"not known\"") && !text.contains("\nequal_times_new ="), "{text}");
    assert!(text.contains("# equal_times_new is not known: no two records"), "{text}");
    deployment.write(&format!("{keys}\nfacts.file = \"{}\"", file.display()));
    let used = run_with(&deployment.config(), &["check"]).await;
    assert_eq!(used.code, Some(0), "{used:?}");
}

#[tokio::test]
async fn when_the_calls_run_out_what_was_found_stays() {
    let (deployment, _) = prepared().await;
    seed(&deployment);
    let hidden = conversion_shim::sandbox::HiddenRecords::YoungerThan(Duration::from_millis(2200));
    for side in [Side::Legacy, Side::New] {
        for operation in [Operation::Get, Operation::List] {
            deployment.vendor.faults().arm(Fault::new(FaultKind::Lag(hidden)).on(side, operation));
        }
    }
    let mut arguments = CONVERT;
    arguments[5] = "3s";
    let found = seen(&deployment, &[&arguments[..], &["--format", "json"]].concat(), 0).await;
    assert_eq!(fact(&found, "ref_match"), "exact", "{found}");
    assert_eq!(fact(&found, "profile_filter"), "source", "{found}");
    assert_eq!(found["calls"], 40, "{found}");
    assert!(how(&found, "order_new").contains("more than 40 calls"), "{found}");
}
