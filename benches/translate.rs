//! The translation alone: bytes of the new API's JSON in, bytes of the old API's out, per second.
//!
//! The same list is also mapped in the two obvious ways, as yardsticks: by way of `serde_json::Value`, and by typed, borrowed
//! `serde_json`. They do less (no filters, no order, no cursor), so the comparison flatters them.

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on fails")]

use std::borrow::Cow;
use std::hint::black_box;

use conversion_shim::translate::create::CreateRequest;
use conversion_shim::translate::get;
use conversion_shim::translate::list::ListQuery;
use conversion_shim::translate::list::page::PageBuilder;
use conversion_shim::translate::list::rows::Rows;
use conversion_shim::translate::side::Side;
use divan::Bencher;
use divan::counter::BytesCount;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

#[path = "support/rows.rs"]
mod rows;

fn main() {
    divan::main();
}

const REQUEST: &str = r#"{"ref_id":"usd-pyusd-a3b1c2d4","profile_id":"7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c","amount":"100","source_asset":"USD","target_asset":"PYUSD","metadata":{"my_id":"4f8a2b6c-9d1e-4c3a-b5f7-0e2d8a7c1b9f"}}"#;

#[divan::bench]
fn create_request(bencher: Bencher<'_, '_>) {
    bencher.counter(BytesCount::of_str(REQUEST)).bench(|| {
        let request = CreateRequest::parse(black_box(REQUEST.as_bytes())).expect("valid");
        request.to_orchestration("made")
    });
}

#[divan::bench]
fn record(bencher: Bencher<'_, '_>) {
    let body = rows::orchestration(7);
    bencher.counter(BytesCount::of_str(&body)).bench(|| {
        let mapped = get::answer(black_box(body.as_bytes())).expect("readable").expect("shown");
        let mut out = Vec::with_capacity(body.len());
        mapped.conversion.write(&mut out);
        out
    });
}

#[divan::bench(args = [100, 1000])]
fn list(bencher: Bencher<'_, '_>, count: usize) {
    measure(bencher, count, by_page);
}

#[divan::bench(args = [100, 1000])]
fn list_by_typed_serde_json(bencher: Bencher<'_, '_>, count: usize) {
    measure(bencher, count, by_types);
}

#[divan::bench(args = [100, 1000])]
fn list_by_serde_json_value(bencher: Bencher<'_, '_>, count: usize) {
    measure(bencher, count, by_value);
}

fn measure(bencher: Bencher<'_, '_>, count: usize, map: fn(&[u8]) -> Vec<u8>) {
    let body = rows::list(count);
    let parsed = |json: &[u8]| serde_json::from_slice::<Value>(json).expect("JSON");
    assert_eq!(
        parsed(&map(body.as_bytes())),
        parsed(&by_page(body.as_bytes())),
        "all ways give the same answer"
    );
    bencher.counter(BytesCount::of_str(&body)).bench(|| map(black_box(body.as_bytes())));
}

fn by_page(body: &[u8]) -> Vec<u8> {
    let query = ListQuery::parse("limit=1000&order=ASC").expect("valid");
    let mut page = PageBuilder::new(&query, &[Side::New]);
    page.add(Side::New, Rows::of(Side::New, body, &query).expect("readable"));
    page.finish().expect("a first page").body
}

fn by_value(body: &[u8]) -> Vec<u8> {
    let mut answer: Value = serde_json::from_slice(body).expect("JSON");
    let rows = answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let shown = rows.into_iter().filter_map(|row| match row {
        Value::Object(row) => value_row(row),
        _ => None,
    });
    serde_json::to_vec(&json!({ "items": shown.collect::<Vec<_>>() })).expect("JSON")
}

fn value_row(mut row: Map<String, Value>) -> Option<Value> {
    let same =
        ["id", "ref_id", "source_asset", "identity_id", "account_id", "created_at", "updated_at", "metadata"];
    let profile = |end: &Value| end["profile"]["profile_id"].as_str().map(str::to_owned);
    let (source, destination) = (profile(&row["source"])?, profile(&row["destination"])?);
    if row.contains_key("orchestration_rule_id") || row["source_asset"] == row["destination_asset"] {
        return None;
    }
    let mut out = Map::new();
    for key in same {
        out.extend(row.remove(key).map(|value| (key.to_owned(), value)));
    }
    out.extend(row.remove("source_amount").map(|amount| ("amount".to_owned(), amount)));
    out.extend(row.remove("destination_asset").map(|asset| ("target_asset".to_owned(), asset)));
    let (status, ended) = match row["status"].as_str() {
        Some("COMPLETED") => ("SETTLED", Some("settled_at")),
        Some("FAILED" | "REJECTED") => ("CANCELLED", Some("cancelled_at")),
        _ => ("CREATED", None),
    };
    out.insert("status".to_owned(), status.into());
    if let Some(ended) = ended {
        out.insert(ended.to_owned(), out["updated_at"].clone());
    }
    if source != destination {
        out.insert("recipient_profile_id".to_owned(), destination.into());
    }
    out.insert("profile_id".to_owned(), source.into());
    Some(Value::Object(out))
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    items: Vec<Orchestration<'a>>,
}

#[derive(Deserialize)]
struct Orchestration<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    ref_id: Cow<'a, str>,
    #[serde(borrow)]
    source_asset: Cow<'a, str>,
    #[serde(borrow)]
    destination_asset: Cow<'a, str>,
    #[serde(borrow)]
    source_amount: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    created_at: Cow<'a, str>,
    #[serde(borrow)]
    updated_at: Cow<'a, str>,
    orchestration_rule_id: Option<&'a str>,
    #[serde(borrow)]
    metadata: &'a RawValue,
    #[serde(borrow)]
    source: End<'a>,
    #[serde(borrow)]
    destination: End<'a>,
}

#[derive(Deserialize)]
struct End<'a> {
    #[serde(borrow)]
    profile: Profile<'a>,
}

#[derive(Deserialize)]
struct Profile<'a> {
    #[serde(borrow)]
    profile_id: Cow<'a, str>,
}

#[derive(Serialize)]
struct LegacyAnswer<'a> {
    items: Vec<Conversion<'a>>,
}

#[derive(Serialize)]
struct Conversion<'a> {
    id: &'a str,
    profile_id: &'a str,
    amount: &'a str,
    source_asset: &'a str,
    target_asset: &'a str,
    status: &'a str,
    ref_id: &'a str,
    created_at: &'a str,
    updated_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    settled_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_profile_id: Option<&'a str>,
    metadata: &'a RawValue,
}

fn by_types(body: &[u8]) -> Vec<u8> {
    let answer: Answer<'_> = serde_json::from_slice(body).expect("readable");
    let shown = answer.items.iter().filter(|row| {
        row.orchestration_rule_id.is_none_or(str::is_empty) && row.source_asset != row.destination_asset
    });
    let items = shown.map(typed_row).collect();
    let mut out = Vec::with_capacity(body.len());
    serde_json::to_writer(&mut out, &LegacyAnswer { items }).expect("JSON");
    out
}

fn typed_row<'a>(row: &'a Orchestration<'_>) -> Conversion<'a> {
    let status = match &*row.status {
        "COMPLETED" => "SETTLED",
        "FAILED" | "REJECTED" => "CANCELLED",
        _ => "CREATED",
    };
    let (source, destination) = (&*row.source.profile.profile_id, &*row.destination.profile.profile_id);
    Conversion {
        id: &row.id,
        profile_id: source,
        amount: &row.source_amount,
        source_asset: &row.source_asset,
        target_asset: &row.destination_asset,
        status,
        ref_id: &row.ref_id,
        created_at: &row.created_at,
        updated_at: &row.updated_at,
        settled_at: (status == "SETTLED").then_some(&*row.updated_at),
        cancelled_at: (status == "CANCELLED").then_some(&*row.updated_at),
        recipient_profile_id: Some(destination).filter(|destination| *destination != source),
        metadata: row.metadata,
    }
}
