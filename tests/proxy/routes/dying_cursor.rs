//! A side's own cursor that dies between two calls of one page.

use serde_json::{Value, json};

use crate::support::test_bed::TestBed;
use crate::support::wire::scripted::{self, Asked, Said, ScriptedVendor, problem};

/// Both sides list at most so many rows in one answer.
const ROWS_MAX: usize = 3;

fn keys(url: &str) -> [(&str, &str); 3] {
    [("stage", "live"), ("upstream.legacy.url", url), ("upstream.new.url", url)]
}

/// A side that refuses each of its cursors. `rows` are in the listing's order.
fn answer(asked: &Asked, rows: &[Value], status: u16) -> Said {
    if asked.parameter("page_cursor").is_some() {
        return problem(status, "invalid cursor");
    }
    let end = ["created_at.lte", "created_at.end"].into_iter().find_map(|name| asked.parameter(name));
    let is_listed =
        |row: &&Value| end.as_deref().is_none_or(|end| row["created_at"].as_str().unwrap() <= end);
    let listed: Vec<_> = rows.iter().filter(is_listed).collect();
    let shown = &listed[..listed.len().min(ROWS_MAX)];
    let next = if shown.len() < listed.len() { json!("cursor") } else { Value::Null };
    scripted::json(&json!({ "items": shown, "next_page_cursor": next }))
}

fn row(number: usize, rule: &str) -> Value {
    let at = format!("2026-01-01T00:00:{:02}Z", 59 - number);
    json!({
        "id": format!("id-{number:02}"), "profile_id": "p", "ref_id": format!("r{number}"), "source_amount": "1",
        "source_asset": "USD", "destination_asset": "PYUSD", "status": "PROCESSING", "created_at": at, "updated_at": at,
        "orchestration_rule_id": rule,
    })
}

async fn bed(rows: Vec<Value>, status: u16) -> (TestBed, ScriptedVendor) {
    let vendor = ScriptedVendor::start(move |asked| match asked.is_for_new() {
        true => answer(asked, &rows, status),
        false => scripted::json(&json!({ "items": [] })),
    })
    .await;
    (TestBed::with(&keys(&vendor.url)).await, vendor)
}

#[tokio::test]
async fn the_page_ends_there_and_the_listing_goes_on() {
    for status in [400, 404, 410, 422] {
        let rows = (0..10).map(|number| row(number, "")).collect();
        let (bed, _vendor) = bed(rows, status).await;
        let (ids, _) = bed.client.all("limit=5").await;
        let expected: Vec<_> = (0..10).map(|number| format!("id-{number:02}")).collect();
        assert_eq!(ids, expected, "{status}");
    }
}

#[tokio::test]
async fn without_a_row_the_client_is_asked_to_come_again() {
    // The first answer holds nothing that may be shown.
    let rows = (0..10).map(|number| row(number, if number < 5 { "rule" } else { "" })).collect();
    let (bed, _vendor) = bed(rows, 400).await;
    let answer = bed.client.list("limit=5").await;
    let problem = answer.problem(503);
    assert_eq!(answer.headers["retry-after"], "1");
    assert!(problem["detail"].as_str().unwrap().contains("Retry-After"), "{problem}");
}

/// A cursor that the client brought is the side's to judge, and so are its other parameters.
#[tokio::test]
async fn a_refusal_of_the_clients_own_request_is_passed_on() {
    let vendor = ScriptedVendor::start(|_| problem(400, "invalid cursor")).await;
    let bed = TestBed::with(&keys(&vendor.url)).await;
    for query in ["page_cursor=of-the-old-api", "profile_id=x"] {
        assert_eq!(bed.client.list(query).await.problem(400)["detail"], "invalid cursor", "{query}");
    }
}
