//! Answers that were believed unchecked.

use conversion_shim::sandbox::{
    EmptyList, FaultKind, ForeignRecord, HiddenRecords, ListShape, ListsNothing, Operation, RefusalBody,
    RepeatedRef, Variants,
};
use conversion_shim::translate::side::Side;
use http::StatusCode;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::references::orchestration;
use super::{LIVE, ORCHESTRATIONS, World, creating_on};
use crate::support::test_bed::{conversion, one_on};

const BOTH: [Side; 2] = [Side::Legacy, Side::New];
const NONE: FaultKind = FaultKind::Lag(HiddenRecords::Newest(usize::MAX));

fn members(object: Value) -> Map<String, Value> {
    object.as_object().unwrap().clone()
}

/// An answer without the vendor's words.
fn status(code: u16, body: RefusalBody, applied: bool) -> FaultKind {
    FaultKind::Status { code: StatusCode::from_u16(code).unwrap(), retry_after: None, body, applied }
}

#[tokio::test]
async fn a_success_that_shows_another_record_is_looked_up() {
    let world = World::at(LIVE).await;
    let all = [ForeignRecord::AnotherRef, ForeignRecord::AnotherAmount, ForeignRecord::OnlyId];
    for (number, shows) in all.into_iter().enumerate() {
        let ref_id = format!("r{number}");
        let fault = world.fault(Side::New, Operation::Create, FaultKind::Foreign { shows });
        let shown = world.client.create(&ref_id).await;
        let record = world.record(Side::New, &shown.id());
        assert_eq!((&record["ref_id"], &record["source_amount"]), (&json!(ref_id), &json!("1.50")));
        assert_eq!((&shown.json()["ref_id"], &shown.json()["amount"]), (&json!(ref_id), &json!("1.50")));
        world.sandbox.faults().remove(&fault);
        assert_eq!((world.made(&ref_id), world.posts(Side::New)), (one_on(Side::New), number as u64 + 1));
    }
    // The old API judges its own requests, but not under another reference.
    world.go(creating_on(Side::Legacy)).await;
    world.fault(Side::Legacy, Operation::Create, FaultKind::Foreign { shows: ForeignRecord::AnotherRef });
    assert_eq!(world.client.create("old").await.json()["ref_id"], "old");
    assert_eq!(world.made("old"), one_on(Side::Legacy));
}

#[tokio::test]
async fn members_that_the_vendor_adds_to_a_record_do_not_hide_it() {
    for more in [
        json!({ "source": { "label": "x" }, "destination": { "network": null } }),
        json!({ "source": { "crypto": {} }, "destination": { "crypto": {}, "fiat": {} } }),
        json!({ "orchestration_rule_id": "rule" }),
    ] {
        let variants = Variants { record_members: members(more.clone()), ..Variants::default() };
        let mut world = World::with(variants, LIVE).await;
        let id = world.client.create("r").await.id();
        for _ in 0..2 {
            assert_eq!(world.client.get(&id).await.id(), id, "{more}");
            world.client.cancel(&id).await.problem(403);
            world.client.create("r").await.problem(409);
            // Another process knows what the ledger knows.
            world.restart().await;
            let list = world.client.list("limit=10").await.json();
            assert_eq!(list["items"][0]["id"], id, "{more}");
            let by_ref = world.client.list("ref_id=r").await.json();
            assert_eq!(by_ref["items"][0]["id"], id, "{more}");
        }
        // One that the ledger does not know is a conversion as well, unless a rule made it.
        let native = orchestration("native", &Value::Null);
        let native = world.client.ask(Method::POST, ORCHESTRATIONS, native).await.id();
        let expected = if more.get("orchestration_rule_id").is_some() { 404 } else { 200 };
        assert_eq!(world.client.get(&native).await.status, expected, "{more}");
    }
}

/// What a check may be answered although the reference is there: each as faults of the lists, and the variants that go with it.
fn proving_nothing() -> Vec<(Option<FaultKind>, Variants)> {
    let beside = [
        json!({ "nextPageCursor": "c" }),
        json!({ "has_more": true }),
        json!({ "error": { "code": 5 } }),
        json!({ "error": "timeout" }),
        json!({ "partial": true }),
        json!({ "total": 1 }),
        json!({ "conversions": [{ "id": "x" }] }),
        json!({ "next_page_cursor": "c" }),
    ];
    let without_rows = |more| FaultKind::WithoutRows { members: members(more) };
    let mut all: Vec<_> =
        beside.into_iter().map(|more| (Some(without_rows(more)), Variants::default())).collect();
    let empty = |empty_list| (Some(NONE), Variants { empty_list, ..Variants::default() });
    all.extend([EmptyList::None, EmptyList::Null, EmptyList::Html].map(empty));
    all.push((None, Variants { list_shape: ListShape::Data, ..Variants::default() }));
    all.push((None, Variants { camel_case: true, ..Variants::default() }));
    all
}

#[tokio::test]
async fn a_check_whose_answer_may_not_be_whole_sends_nothing() {
    for target in BOTH {
        let world = World::at(creating_on(target)).await;
        for (number, (fault, variants)) in proving_nothing().into_iter().enumerate() {
            let of_new_alone = fault.is_none();
            if of_new_alone && target == Side::New {
                continue;
            }
            let ref_id = format!("r{number}");
            world.seed(target.other(), &ref_id);
            world.sandbox.inspector().set_variants(variants.clone());
            let fault = fault.map(|kind| world.fault(target.other(), Operation::List, kind));
            let problem = world.client.create(&ref_id).await.problem(503);
            assert!(
                problem["detail"].as_str().unwrap().contains("nothing was sent"),
                "{variants:?} {problem}"
            );
            assert_eq!(world.posts(target), 0, "{fault:?} {variants:?}");
            world.sandbox.faults().clear();
            world.sandbox.inspector().set_variants(Variants::default());
            world.client.create(&ref_id).await.problem(409);
            assert_eq!(world.made(&ref_id), one_on(target.other()));
        }
    }
}

#[tokio::test]
async fn a_status_that_is_no_refusal_is_looked_up() {
    for target in BOTH {
        // Each connection is used once, where a refusal is believed without a lookup.
        let keys = "upstream.pool_idle_max = 0";
        let world = World::with_keys(Variants::default(), creating_on(target), keys).await;
        let odd = [405, 410, 421, 423, 425, 426, 451, 499]
            .map(|code| [(code, RefusalBody::Problem), (code, RefusalBody::Html)]);
        // A refusal in a gateway's words is not the vendor's.
        let refusals = [400, 401, 403, 404, 409, 422, 429].map(|code| (code, RefusalBody::Html));
        for (code, body) in odd.into_iter().flatten().chain(refusals) {
            let ref_id = format!("{code}{body:?}");
            let fault = world.fault(target, Operation::Create, status(code, body, true));
            let id = world.client.create(&ref_id).await.id();
            assert_eq!(world.record(target, &id)["ref_id"], ref_id);
            world.sandbox.faults().remove(&fault);
            world.client.create(&ref_id).await.problem(409);
            assert_eq!(world.made(&ref_id), one_on(target));
        }
    }
}

#[tokio::test]
async fn a_gateways_404_is_no_proof() {
    let variants = Variants { html_not_found: true, ..Variants::default() };
    let mut world = World::with(variants, LIVE).await;
    for side in BOTH {
        world.go(creating_on(side)).await;
        world.client.get("nobody").await.problem(502);
        world.client.cancel("nobody").await.problem(502);
    }
    world.sandbox.inspector().set_variants(Variants::default());
    world.client.get("nobody").await.problem(404);
    world.client.cancel("nobody").await.problem(404);
    world.restart().await;
    world.client.get("nobody").await.problem(404);
}

#[tokio::test]
async fn an_id_that_was_handed_out_is_never_not_found() {
    for side in BOTH {
        let mut world = World::at(creating_on(side)).await;
        let id = world.client.create("r").await.id();
        // The side lags, or its gateway or the vendor answers 404 for everything.
        let denials = [NONE, status(404, RefusalBody::Problem, false), status(404, RefusalBody::Html, false)];
        for known_by in ["the process", "the ledger"] {
            for kind in denials.clone() {
                let faults = [Operation::Get, Operation::Cancel]
                    .map(|operation| world.fault(side, operation, kind.clone()));
                // A cancel is a write: a lag of reads does not concern it.
                let cancel = world.client.cancel(&id).await;
                assert!(
                    [200, 403, 502, 503].contains(&cancel.status),
                    "{side} {known_by} {kind:?}: {cancel:?}"
                );
                let get = world.client.get(&id).await;
                assert!([502, 503].contains(&get.status), "{side} {known_by} {kind:?}: {get:?}");
                assert!(get.status == 502 || get.headers.contains_key("retry-after"));
                faults.iter().for_each(|fault| world.sandbox.faults().remove(fault));
            }
            world.restart().await;
        }
        assert_eq!(world.client.get(&id).await.id(), id);
    }
}

#[tokio::test]
async fn the_existing_record_in_a_200_is_no_success_of_another_amount() {
    let variants = Variants { repeated_ref: RepeatedRef::Success, ..Variants::default() };
    let world = World::with(variants, LIVE).await;
    let id = world.seed(Side::New, "older");
    let mut other = conversion("older");
    other["amount"] = "2".into();
    let problem = world.client.post(&other).await.problem(409);
    assert_eq!(problem["meta"]["existing"]["id"], id);
    assert_eq!(problem["meta"]["existing"]["amount"], "1.50");
    assert_eq!((world.made("older"), world.posts(Side::New)), (one_on(Side::New), 1));
    assert_eq!(world.posts(Side::Legacy), 0);
}

#[tokio::test]
async fn an_identity_that_the_vendor_fills_in_is_no_other_record() {
    let filled_in = json!({ "identity_id": "1111", "account_id": "2222" });
    let variants = Variants { record_members: members(filled_in), ..Variants::default() };
    let world = World::with(variants, LIVE).await;
    world.client.create("r").await.id();
    world.fault(Side::New, Operation::Create, FaultKind::Reset { applied: true });
    assert_eq!(world.client.create("lost").await.json()["ref_id"], "lost", "found again");
    assert_eq!(world.made("lost"), one_on(Side::New));
}

#[tokio::test]
async fn an_id_of_a_create_without_a_reference_is_never_not_found() {
    for stage in [super::READY, super::BACK] {
        let world = World::at(stage).await;
        let mut body = crate::support::test_bed::conversion("");
        body.as_object_mut().unwrap().remove("ref_id");
        let id = world.client.post(&body).await.id();
        world.fault(Side::Legacy, Operation::Get, NONE);
        let get = world.client.get(&id).await;
        assert_eq!(get.status, 503, "{stage}: {get:?}");
    }
}

#[tokio::test]
async fn a_side_that_lists_nothing_though_it_holds_records_proves_no_absence() {
    for (side, lists_nothing) in [(Side::Legacy, ListsNothing::Legacy), (Side::New, ListsNothing::New)] {
        let mut world = World::at(creating_on(side)).await;
        let known = world.client.create("known").await.id();
        let older = world.seed(side, "older");
        world.go(creating_on(side.other())).await;
        // Then the ledger knows a record that the side has to show.
        world.restart_later().await;
        for empty_list in [EmptyList::Items, EmptyList::None, EmptyList::Null, EmptyList::Html] {
            world.sandbox.inspector().set_variants(Variants {
                lists_nothing,
                empty_list,
                ..Variants::default()
            });
            for ref_id in ["older", "fresh"] {
                world.client.create(ref_id).await.problem(503);
            }
            assert_ne!(world.client.create("known").await.status, 200, "{side} {empty_list:?}");
            for id in [&known, &older] {
                assert_eq!(world.client.get(id).await.id(), *id, "{side} {empty_list:?}");
            }
            assert_eq!(world.posts(side.other()), 0, "{side} {empty_list:?}");
        }
        world.sandbox.inspector().set_variants(Variants::default());
        for (ref_id, id) in [("older", older), ("known", known)] {
            assert_eq!(world.client.create(ref_id).await.problem(409)["meta"]["existing"]["id"], id);
            assert_eq!(world.made(ref_id), one_on(side));
        }
        world.client.create("fresh").await.id();
        assert_eq!(world.made("fresh"), one_on(side.other()));
    }
}
