//! Shadow comparison without a socket: what differs, what it comes to, what may be written of it.

mod coverage;
mod differences;
mod dry_run;
mod precision;
mod properties;
mod redaction;
mod verdicts;

use conversion_shim::config::{IgnoreRule, PathPattern};
use conversion_shim::shadow::json::Json;
use conversion_shim::shadow::side_response::SideResponse;
use conversion_shim::shadow::verdict::Comparator;
use conversion_shim::translate::route::Route;
use jiff::civil::{Date, date};
use serde_json::{Value, json};

const TODAY: Date = date(2026, 11, 21);

/// A conversion with every field that one can have at once.
fn record() -> Value {
    json!({
        "id": "3d7a1e5b-9c2f-4d8a-a6b3-0e4f2c8d1a9b",
        "profile_id": "7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c",
        "recipient_profile_id": "9f6c7c4e-1d3b-4a5e-9f6c-8b2d7e0a4f1c",
        "amount": "100.50",
        "source_asset": "USD",
        "target_asset": "PYUSD",
        "status": "CREATED",
        "ref_id": "r-1",
        "identity_id": "b2c3d4e5-6f7a-8b9c-0d1e-f2a3b4c5d6e7",
        "account_id": "c3d4e5f6-7a8b-9c0d-1e2f-a3b4c5d6e7f8",
        "created_at": "2026-04-20T12:30:01.397730Z",
        "updated_at": "2026-04-20T12:30:01.397730Z",
        "metadata": { "order": "7", "shop": "x" },
    })
}

/// [`record`] with some fields set, and those given as `"(absent)"` taken away.
fn record_with(changes: Value) -> Value {
    with(record(), changes)
}

fn with(mut document: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    for (key, value) in changes {
        if value == "(absent)" {
            document.as_object_mut().unwrap().remove(&key);
        } else {
            document[key] = value;
        }
    }
    document
}

/// A row that goes by this reference; every row has an id of its own.
fn row(ref_id: &str) -> Value {
    record_with(json!({ "ref_id": ref_id, "id": format!("id of {ref_id}") }))
}

fn page(rows: &[Value]) -> Value {
    json!({ "items": rows })
}

fn problem(status: u16, kind: &str) -> Value {
    json!({ "type": kind, "title": "Some Title", "status": status, "detail": "something about id 7" })
}

fn read(document: &Value) -> Json {
    Json::read(document.to_string().as_bytes()).unwrap()
}

fn ok(document: &Value) -> SideResponse {
    answer(200, document)
}

fn answer(status: u16, document: &Value) -> SideResponse {
    SideResponse::read(status, document.to_string().as_bytes())
}

fn rule(path: &str) -> IgnoreRule {
    rule_until(path, TODAY)
}

fn rule_until(path: &str, expires: Date) -> IgnoreRule {
    let path = PathPattern::parse(path).unwrap();
    IgnoreRule { path, reason: "looked at".into(), owner: "payments".into(), expires }
}

fn comparator(route: Route, rules: &[IgnoreRule]) -> Comparator<'_> {
    Comparator { route, ref_id_made: false, rules, today: TODAY }
}
