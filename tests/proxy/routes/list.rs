//! One merged list with one cursor, over both sides, across changes of mode.

use std::time::Duration;

use conversion_shim::sandbox::{Fault, FaultKind, Operation, RefusalBody};
use conversion_shim::translate::side::Side;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::support::test_bed::{BACK, TestBed, new_record, old_record};

/// Records on both sides, many of them at the same instants, some with nanoseconds, and rows that were never conversions.
/// Answers the ids oldest first, by instant and then by id.
fn fill(bed: &TestBed) -> Vec<String> {
    let inspector = bed.sandbox.inspector();
    let mut all = Vec::new();
    for at in 0..30u32 {
        let instant = format!("2026-01-01T00:00:{:02}.{:06}Z", at / 10, (at / 3 % 3) * 100);
        for side in [Side::Legacy, Side::New] {
            // Ids in no order: the merge must sort ties by id, whichever side they are on.
            let id = format!("{:02}-{side}", (at * 17 + side as u32 * 5) % 37);
            let ref_id = format!("r-{id}");
            match side {
                Side::Legacy => {
                    let mut record = old_record(&ref_id, &instant);
                    record["id"] = id.clone().into();
                    inspector.seed_conversion(record)
                }
                Side::New => {
                    let mut record = new_record(&ref_id, &instant);
                    record["id"] = id.clone().into();
                    inspector.seed_orchestration(record)
                }
            };
            all.push((instant.parse::<jiff::Timestamp>().unwrap(), id));
        }
        let mut deposit = new_record("", &instant);
        deposit["orchestration_rule_id"] = "rule".into();
        inspector.seed_orchestration(deposit);
    }
    all.sort();
    all.into_iter().map(|(_, id)| id).collect()
}

#[tokio::test]
async fn both_orders_yield_every_record_once_whatever_the_page_size() {
    let bed = TestBed::at("live").await;
    let ascending = fill(&bed);
    let descending: Vec<_> = ascending.iter().rev().cloned().collect();
    for limit in [1, 2, 3, 7, 59, 60, 61, 1000] {
        let (ids, pages) = bed.client.all(&format!("order=ASC&limit={limit}")).await;
        assert_eq!(ids, ascending, "limit {limit}");
        assert_eq!(pages, 60usize.div_ceil(limit), "full pages, and a cursor exactly when there is more");
        assert_eq!(bed.client.all(&format!("limit={limit}")).await.0, descending, "limit {limit}");
    }
}

#[tokio::test]
async fn filters_hold_on_both_sides() {
    let bed = TestBed::at("live").await;
    let all = fill(&bed);
    let (ids, _) = bed.client.all("order=ASC&limit=7&created_at.begin=2026-01-01T00:00:01Z").await;
    assert_eq!(ids, all[20..]);
    let (ids, _) = bed.client.all("order=ASC&limit=7&updated_at.end=2026-01-01T00:00:00.9Z").await;
    assert_eq!(ids, all[..20]);
    let one = &all[11];
    assert_eq!(bed.client.all(&format!("ref_id=r-{one}")).await.0, std::slice::from_ref(one));
    assert_eq!(bed.client.all("profile_id=nobody").await.0.len(), 0);
    for side in [Side::Legacy, Side::New] {
        let fault = bed.fault(side, Operation::List, FaultKind::IgnoreFilters);
        assert_eq!(bed.client.all(&format!("ref_id=r-{one}")).await.0, std::slice::from_ref(one));
        assert_eq!(bed.client.all("order=ASC&limit=7").await.0, all);
        bed.sandbox.faults().remove(&fault);
    }
}

/// An unchanged client sends these to the old API today.
#[tokio::test]
async fn what_the_old_api_takes_in_a_list_is_taken_in_every_stage() {
    let bed = TestBed::at("observe").await;
    let at = "2026-12-01T00:00:00.5Z";
    bed.sandbox.inspector().seed_conversion(old_record("old", at));
    bed.sandbox.inspector().seed_orchestration(new_record("new", at));
    for (stage, rows) in [("observe", 1), ("live", 2), ("sealed", 1)] {
        bed.go(&[("stage", stage)]).await;
        for (query, finds) in [
            ("limit=", true),
            ("limit", true),
            ("created_at.begin=&created_at.end=", true),
            ("updated_at.begin=&updated_at.end", true),
            ("order=&ref_id=&profile_id=&page_cursor=", true),
            ("created_at.begin=2026-12-01t00:00:00z", true),
            ("created_at.begin=2026-12-01%2000:00:00Z", true),
            ("created_at.begin=2026-12-01+00:00:00z&created_at.end=2026-12-01T00:00:60Z", true),
            ("created_at.end=2026-12-01t00:00:00z", false),
            ("updated_at.end=2026-11-30T23:59:60Z", false),
            ("ref_id=%ff", false),
            ("ref_id=%zz", false),
        ] {
            let answer = bed.client.list(query).await;
            assert_eq!(answer.status, 200, "{stage} {query}: {}", answer.json());
            let found = answer.json()["items"].as_array().unwrap().len();
            assert_eq!(found, if finds { rows } else { 0 }, "{stage} {query}");
        }
    }
}

/// What stands beside an empty list.
fn beside(members: Value) -> Map<String, Value> {
    members.as_object().unwrap().clone()
}

#[tokio::test]
async fn one_side_failing_fails_the_page() {
    let bed = TestBed::with(&[("stage", "live"), ("timeouts.list", "400ms")]).await;
    fill(&bed);
    let first = bed.client.list("order=ASC&limit=5").await.json();
    let next = format!("order=ASC&limit=5&page_cursor={}", first["next_page_cursor"].as_str().unwrap());
    let status = |code: u16| FaultKind::Status {
        code: StatusCode::from_u16(code).unwrap(),
        retry_after: None,
        body: RefusalBody::Problem,
        applied: false,
    };
    let kinds = [
        (status(401), 401),
        (status(403), 403),
        (status(429), 429),
        (status(500), 500),
        (status(503), 503),
        (status(204), 502),
        (FaultKind::Reset { applied: false }, 502),
        (FaultKind::Gate { applied: false }, 504),
        (FaultKind::Truncate, 502),
        (FaultKind::WrongTypes, 502),
        (FaultKind::NotJson, 502),
        (FaultKind::EmptyBody, 502),
        (FaultKind::WithoutRows { members: beside(json!({ "has_more": true })) }, 502),
        (FaultKind::WithoutRows { members: beside(json!({ "nextPageCursor": "c" })) }, 502),
    ];
    for side in [Side::Legacy, Side::New] {
        for (kind, expected) in &kinds {
            let fault = bed.fault(side, Operation::List, kind.clone());
            for query in ["", "order=ASC&limit=5", &next] {
                bed.client.list(query).await.problem(*expected);
            }
            bed.sandbox.faults().remove(&fault);
        }
    }
    assert_eq!(bed.client.list(&next).await.json()["items"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_page_takes_one_call_a_side_and_no_more_than_its_cap() {
    let bed = TestBed::at("live").await;
    let lists =
        || [Side::Legacy, Side::New].map(|side| bed.sandbox.inspector().arrived(side, Operation::List));
    for at in 0..40 {
        let inspector = bed.sandbox.inspector();
        inspector.seed_conversion(old_record("", &format!("2026-01-01T00:00:{at:02}Z")));
        inspector.seed_orchestration(new_record(&at.to_string(), &format!("2026-01-01T00:00:{at:02}Z")));
    }
    bed.client.list("limit=10").await.json();
    assert_eq!(lists(), [1, 1]);
    // Far more rows that were never conversions than ten calls bring.
    for _ in 0..300 {
        let mut deposit = new_record("", "2026-01-01T00:00:20.5Z");
        deposit["orchestration_rule_id"] = "rule".into();
        bed.sandbox.inspector().seed_orchestration(deposit);
    }
    bed.go(&[("stage", "live"), ("list.upstream_calls_max", "5")]).await;
    let (ids, pages) = bed.client.all("limit=10&order=ASC").await;
    assert_eq!(ids.len(), 80);
    assert!(pages >= 8);
    bed.go(&[("stage", "live"), ("list.upstream_calls_max", "3")]).await;
    let before = lists();
    let problem = bed
        .client
        .list("limit=1&created_at.begin=2026-01-01T00:00:20.4Z&created_at.end=2026-01-01T00:00:20.6Z");
    let problem = problem.await.problem(400);
    assert!(problem["detail"].as_str().unwrap().contains("narrow the filter"), "{problem}");
    let after = lists();
    assert!(after[0] + after[1] - before[0] - before[1] <= 3);
}

#[tokio::test]
async fn a_cursor_of_the_old_api_goes_on_there_whatever_the_mode() {
    let bed = TestBed::at("observe").await;
    let all = fill(&bed);
    let legacy: Vec<_> = all.iter().filter(|id| id.ends_with("legacy")).cloned().collect();
    let first = bed.client.list("order=ASC&limit=12").await.json();
    let mut cursor = first["next_page_cursor"].as_str().unwrap().to_owned();
    let mut ids: Vec<_> = first["items"].as_array().unwrap().clone();
    for stage in [&[("stage", "live")], BACK, &[("stage", "canary")]] {
        bed.go(stage).await;
        let asked = bed.sandbox.inspector().arrived(Side::New, Operation::List);
        let page = bed.client.list(&format!("order=ASC&limit=6&page_cursor={cursor}")).await.json();
        assert_eq!(bed.sandbox.inspector().arrived(Side::New, Operation::List), asked);
        ids.extend(page["items"].as_array().unwrap().clone());
        if let Some(next) = page["next_page_cursor"].as_str() {
            next.clone_into(&mut cursor);
        }
    }
    let ids: Vec<_> = ids.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, legacy[..ids.len()]);
    assert_eq!(ids.len(), 30);
    bed.go(&[("stage", "sealed")]).await;
    let problem = bed.client.list(&format!("page_cursor={cursor}")).await.problem(400);
    assert!(problem["detail"].as_str().unwrap().contains("start the listing again"), "{problem}");
}

#[tokio::test]
async fn our_cursor_survives_every_change_of_mode() {
    let bed = TestBed::at("live").await;
    let all = fill(&bed);
    let (mut ids, mut query) = (Vec::new(), String::from("order=ASC&limit=6"));
    let replica = bed.replica(BACK).await;
    let stages: [&[(&str, &str)]; 4] =
        [&[("stage", "live")], BACK, &[("stage", "canary")], &[("stage", "hold")]];
    for turn in 0..10 {
        bed.go(stages[turn % 4]).await;
        // Another replica reads the next page.
        let client = if turn % 2 == 0 { &bed.client } else { &replica.client };
        let page = client.list(&query).await.json();
        ids.extend(
            page["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()),
        );
        if let Some(next) = page["next_page_cursor"].as_str() {
            query = format!("order=ASC&limit=6&page_cursor={next}");
        }
    }
    assert_eq!(ids, all);
}

/// Nothing was made on new yet, so the readers may go back; a client in the middle of a merged listing must not notice.
#[tokio::test]
async fn our_cursor_is_honoured_when_the_list_is_back_on_legacy_or_on_new_alone() {
    let bed = TestBed::at("hold").await;
    let all = fill(&bed);
    let first = bed.client.list("order=ASC&limit=10").await.json();
    let cursor = first["next_page_cursor"].as_str().unwrap();
    for (stage, side) in [("observe", "legacy"), ("sealed", "new")] {
        bed.go(&[("stage", stage)]).await;
        let (ids, _) = bed.client.all(&format!("order=ASC&limit=100&page_cursor={cursor}")).await;
        let rest: Vec<_> = all[10..].iter().filter(|id| id.ends_with(side)).cloned().collect();
        assert_eq!(ids, rest, "{stage}");
    }
}

#[tokio::test]
async fn records_made_while_a_client_pages_disturb_nothing() {
    let bed = TestBed::at("live").await;
    let all = fill(&bed);
    let (mut ids, mut query) = (Vec::new(), String::from("limit=7"));
    for turn in 0.. {
        bed.go(if turn % 2 == 0 { &[("stage", "live")] } else { BACK }).await;
        bed.client.create(&format!("meanwhile-{turn}")).await.id();
        let page = bed.client.list(&query).await.json();
        ids.extend(
            page["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()),
        );
        match page["next_page_cursor"].as_str() {
            Some(next) => query = format!("limit=7&page_cursor={next}"),
            None => break,
        }
    }
    // The first page began after the first of them was made.
    let expected: Vec<_> = all.iter().rev().cloned().collect();
    assert_eq!(ids[1..], expected);
}

#[tokio::test]
async fn the_sides_are_asked_side_by_side() {
    let bed = TestBed::at("live").await;
    let gates = [Side::Legacy, Side::New]
        .map(|side| bed.fault(side, Operation::List, FaultKind::Gate { applied: false }));
    let client = bed.client.clone();
    let call = tokio::spawn(async move { client.list("").await });
    for gate in &gates {
        tokio::time::timeout(Duration::from_secs(10), gate.reached(1)).await.unwrap();
    }
    gates.iter().for_each(|gate| gate.open());
    assert_eq!(call.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_stray_empty_list_is_not_the_end_of_a_listing() {
    let bed = TestBed::at("sealed").await;
    let id = bed.sandbox.inspector().seed_orchestration(new_record("r", "2026-01-01T00:00:00Z"));
    bed.sandbox.faults().arm(Fault::new(FaultKind::Twice).on(Side::New, Operation::List).times(1));
    assert_eq!(bed.client.all("ref_id=nobody").await.0.len(), 0);
    assert_eq!(bed.client.all("limit=10").await.0, [id]);
}
