//! The claim: durable before anything is sent, and stronger than every mode.

use std::collections::BTreeSet;
use std::time::Duration;

use conversion_shim::ledger::ClaimState;
use conversion_shim::sandbox::{FaultKind, Operation, RefusalBody, Tally};
use conversion_shim::translate::side::Side;
use http::StatusCode;
use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use crate::support::soon;
use crate::support::test_bed::{BACK, TestBed, conversion, one_on};

const BOTH: [Side; 2] = [Side::Legacy, Side::New];

async fn go_to(bed: &TestBed, target: Side) {
    bed.go(if target == Side::New { &[("stage", "live")] } else { BACK }).await;
}

#[tokio::test]
async fn the_claim_is_durable_before_anything_is_sent() {
    for target in BOTH {
        let bed = TestBed::at("live").await;
        go_to(&bed, target).await;
        let gates = [Side::Legacy, Side::New].map(|side| {
            let list = bed.fault(side, Operation::List, FaultKind::Gate { applied: false });
            (list, bed.fault(side, Operation::Create, FaultKind::Gate { applied: false }))
        });
        let client = bed.client.clone();
        let call = tokio::spawn(async move { client.create("r").await });
        let list = &gates[target.other() as usize].0;
        soon(list.reached(1)).await;
        let claim = bed.claim("r").await.unwrap();
        assert_eq!(
            (claim.side, claim.state),
            (target, ClaimState::Claimed),
            "claimed before the duplicate check"
        );
        list.open();
        soon(gates[target as usize].1.reached(1)).await;
        let claim = bed.claim("r").await.unwrap();
        assert_eq!((claim.side, claim.state), (target, ClaimState::Checked), "checked before it is sent");
        if target == Side::New {
            assert!(bed.ledger.reader().first_new_create_at().await.unwrap().is_some());
        }
        gates[target as usize].1.open();
        let id = soon(call).await.unwrap().id();
        assert_eq!(bed.made("r"), one_on(target));
        // The id is stored before the client gets its answer.
        assert_eq!(bed.claim("r").await.unwrap().record_id, Some(id));
    }
}

#[tokio::test]
async fn a_claim_wins_over_every_mode() {
    for target in BOTH {
        let bed = TestBed::at("live").await;
        let id = bed.made_on(target, "r").await;
        let modes: [&[(&str, &str)]; 4] = [
            &[("stage", "live")],
            BACK,
            &[("stage", "canary"), ("canary.percent", "100"), ("canary.salt", "s")],
            &[("stage", "canary")],
        ];
        for mode in modes {
            bed.go(mode).await;
            let posts = bed.posts(target.other());
            let problem = bed.client.create("r").await.problem(409);
            assert_eq!(problem["meta"]["existing"]["id"], id, "{mode:?}");
            assert_eq!(bed.posts(target.other()), posts, "{mode:?}");
            assert_eq!(bed.made("r"), one_on(target), "{mode:?}");
        }
    }
}

#[tokio::test]
async fn a_create_that_was_refused_keeps_its_side() {
    for target in BOTH {
        let bed = TestBed::at("live").await;
        go_to(&bed, target).await;
        let code = StatusCode::FORBIDDEN;
        let no = FaultKind::Status { code, retry_after: None, body: RefusalBody::Problem, applied: false };
        let fault = bed.fault(target, Operation::Create, no);
        bed.client.create("r").await.problem(403);
        bed.sandbox.faults().remove(&fault);
        go_to(&bed, target.other()).await;
        bed.client.create("r").await.id();
        assert_eq!(bed.made("r"), one_on(target));
        assert_eq!(bed.posts(target.other()), 0, "never the other side");
    }
}

#[tokio::test]
async fn sealed_answers_a_legacy_claim_from_memory_and_sends_nothing() {
    let bed = TestBed::at("live").await;
    let id = bed.made_on(Side::Legacy, "old").await;
    let kept = async {
        while bed.claim("old").await.unwrap().record_id.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    soon(kept).await;
    bed.go(&[("stage", "sealed")]).await;
    let (posts, lists) =
        (bed.posts(Side::Legacy), bed.sandbox.inspector().arrived(Side::Legacy, Operation::List));
    let problem = bed.client.create("old").await.problem(409);
    assert_eq!(problem["meta"]["existing"]["id"], id);
    assert_eq!(problem["meta"]["existing"]["ref_id"], "old");
    assert_eq!(bed.posts(Side::New), 0);
    bed.client.create("fresh").await.id();
    assert_eq!(bed.made("fresh"), one_on(Side::New));
    assert_eq!(bed.posts(Side::Legacy), posts, "the old API is not asked any more");
    assert_eq!(bed.sandbox.inspector().arrived(Side::Legacy, Operation::List), lists);
}

#[tokio::test]
async fn references_without_which_the_new_api_cannot_do_are_made_one_per_request() {
    let bed = TestBed::at("live").await;
    let mut refs = BTreeSet::new();
    for given in [Value::Null, "".into(), Value::Null] {
        let mut body = conversion("");
        body["ref_id"] = given;
        let answer = bed.client.post(&body).await;
        let record = bed.sandbox.inspector().record(Side::New, &answer.id()).unwrap();
        assert_eq!(answer.json()["ref_id"], record["ref_id"], "the client learns it");
        refs.insert(record["ref_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(refs.len(), 3, "two equal conversions may both be meant");
    let made = refs.first().unwrap();
    go_to(&bed, Side::Legacy).await;
    bed.client.create(made).await.problem(409);
    assert_eq!(bed.made(made), one_on(Side::New), "a made reference is claimed like any other");
}

#[tokio::test]
async fn without_a_reference_the_old_api_gets_the_request_untouched_and_unclaimed() {
    let bed = TestBed::at("observe").await;
    let body = r#"{ "profile_id":"7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c","amount":"1","source_asset":"USD","target_asset":"PYUSD","ref_id":"" }"#;
    let answer =
        bed.client.ask(reqwest::Method::POST, crate::support::test_bed::LEGACY, body.to_owned()).await;
    answer.id();
    assert_eq!(bed.ledger.reader().stats().await.unwrap().counts.len(), 0);
    let requests = bed.sandbox.inspector().requests();
    assert_eq!(requests.last().unwrap().body, body);
}

#[tokio::test]
async fn a_ledger_that_cannot_write_means_503_and_nothing_sent() {
    for target in BOTH {
        let bed = TestBed::with_ledger(&[("stage", "live")], |settings| {
            settings.timeout = Duration::from_millis(400)
        })
        .await;
        assert_eq!(bed.client.create("somebody else's").await.status, 200);
        go_to(&bed, target).await;
        let file = bed.dir.path().join("ledger.db");
        let mut other = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        let before = bed.sandbox.inspector().requests().len();
        let problem = bed.client.create("r").await.problem(503);
        assert!(problem["detail"].as_str().unwrap().contains("nothing was sent"), "{problem}");
        assert_eq!(bed.sandbox.inspector().requests().len(), before, "nothing at all was sent");
        assert!(!bed.ledger.health().is_ready());
        other.execute("ROLLBACK").await.unwrap();
        other.close().await.unwrap();
        let accepted = async { while bed.client.create("r").await.status != 200 {} };
        soon(accepted).await;
        assert_eq!(bed.made("r"), one_on(target));
    }
}

/// The ledger fails between the lookup and the send: the check cannot be recorded.
#[tokio::test]
async fn a_duplicate_check_that_cannot_be_recorded_sends_nothing() {
    let bed =
        TestBed::with_ledger(&[("stage", "live")], |settings| settings.timeout = Duration::from_millis(400))
            .await;
    let gate = bed.fault(Side::Legacy, Operation::List, FaultKind::Gate { applied: false });
    let client = bed.client.clone();
    let call = tokio::spawn(async move { client.create("r").await });
    soon(gate.reached(1)).await;
    let file = bed.dir.path().join("ledger.db");
    let mut other = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    gate.open();
    soon(call).await.unwrap().problem(503);
    assert_eq!((bed.made("r"), bed.posts(Side::New)), (Tally::default(), 0));
    other.execute("ROLLBACK").await.unwrap();
}

#[tokio::test]
async fn held_creates_are_neither_claimed_nor_sent() {
    let bed = TestBed::at("hold").await;
    let answer = bed.client.create("r").await;
    answer.problem(503);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(bed.claim("r").await, None);
    assert_eq!(bed.sandbox.inspector().requests().len(), 0);
}

#[tokio::test]
async fn readers_cannot_go_back_once_a_create_went_to_new() {
    let bed = TestBed::at("live").await;
    bed.client.create("r").await.id();
    let refused = bed.proxy.try_go(&[("stage", "observe")]).await.unwrap_err();
    assert_eq!(refused.len(), 3, "get, list and cancel: {refused:?}");
    bed.go(BACK).await;
}

/// The new API would take it for a transfer between profiles, and no reader of the old one could ever see it.
#[tokio::test]
async fn nothing_is_made_on_new_that_the_old_api_could_not_have_made() {
    let bed = TestBed::at("live").await;
    let mut body = conversion("r");
    body["target_asset"] = "USD".into();
    body["recipient_profile_id"] = conversion_shim::sandbox::SECOND_PROFILE.into();
    let problem = bed.client.post(&body).await.problem(400);
    assert!(problem["detail"].as_str().unwrap().contains("target_asset"), "{problem}");
    assert_eq!(bed.posts(Side::New), 0);
}
