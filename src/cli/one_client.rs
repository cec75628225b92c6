//! `usage --client`: what one client calls, and what its owner changes to call the new API itself.

use serde_json::{Value, json};

use super::exit::{ABSENT, OK};
use super::output::{json_line, table};
use crate::admin::documents::{ClientDocument, ClientRecordDocument, UsageDocument};
use crate::translate::create::CreateRequest;
use crate::translate::list::ListQuery;
use crate::translate::paths::collection;
use crate::translate::route::Route;
use crate::translate::side::Side;

/// Similarity (Jaro-Winkler) from which another name is suggested.
const MIN_SIMILARITY: f64 = 0.75;
const SUGGESTIONS_MAX: usize = 3;

/// A list as old clients send it.
const LIST: &str = "profile_id=PROFILE&created_at.begin=2026-04-20T11:00:00Z&order=DESC&limit=50";
/// A create as old clients send it, without the `ref_id`.
const CREATE: &str = r#"{"profile_id":"2fd34b3f-6d3c-4ab0-8b9f-1d2c8f6e4a55","amount":"100.00","source_asset":"USD","target_asset":"PYUSD"}"#;
/// The reference in the example.
const REFERENCE: &str = "invoice-1047";

/// The client of that name, or the names that are most like it; with the exit code.
pub(super) fn render(name: &str, usage: &UsageDocument, as_json: bool) -> (String, u8) {
    // One name that is identified in two ways is two clients.
    let found: Vec<_> = usage.clients.iter().filter(|client| client.client == name).collect();
    let similar = if found.is_empty() { similar(name, usage) } else { Vec::new() };
    let code = if found.is_empty() { ABSENT } else { OK };
    let record = on_record(name, usage);
    let text = if as_json {
        json_line(&document(name, &found, &similar, &record).to_string())
    } else if found.is_empty() {
        unknown(name, &similar, &record)
    } else {
        let create = found.first().map(|client| create_text(client)).unwrap_or_default();
        let record = record.iter().map(|client| ("ON RECORD", record_text(client)));
        let rows: Vec<_> = found.into_iter().flat_map(rows).chain(record).collect();
        format!("{}\nA create before and after; paths are below the base URL:\n\n{create}", table(&rows))
    };
    (text, code)
}

/// That client in the ledger, where the source of a name stands before it.
fn on_record<'a>(name: &str, usage: &'a UsageDocument) -> Vec<&'a ClientRecordDocument> {
    let clients = usage.on_record.iter().flat_map(|record| &record.clients);
    clients.filter(|row| row.client.split_once(' ').is_some_and(|(_, known)| known == name)).collect()
}

fn similar<'a>(name: &str, usage: &'a UsageDocument) -> Vec<&'a str> {
    let lower = name.to_lowercase();
    let score = |known: &str| {
        let known = known.to_lowercase();
        if known.contains(&lower) || lower.contains(&known) {
            1.0
        } else {
            strsim::jaro_winkler(&known, &lower)
        }
    };
    let each = usage.clients.iter().map(|client| (score(&client.client), client.client.as_str()));
    let mut near: Vec<_> = each.filter(|(score, _)| *score >= MIN_SIMILARITY).collect();
    near.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    near.dedup();
    near.into_iter().take(SUGGESTIONS_MAX).map(|(_, name)| name).collect()
}

fn unknown(name: &str, similar: &[&str], record: &[&ClientRecordDocument]) -> String {
    let mut rows =
        vec![("no client", format!("{name} with an accepted request to the four routes since start"))];
    rows.extend(record.iter().map(|client| ("ON RECORD", record_text(client))));
    if !similar.is_empty() {
        rows.push(("similar", similar.join(", ")));
    }
    table(&rows)
}

fn rows(client: &ClientDocument) -> Vec<(&str, String)> {
    let mut rows = vec![(client.client.as_str(), identified(client))];
    for ClientCall { route, requests, old, new } in calls(client) {
        rows.push((route.as_str(), format!("{requests} requests")));
        rows.push(("", format!("old  {old}")));
        rows.push(("", format!("new  {}", new.as_deref().unwrap_or("no such call"))));
    }
    rows.extend(blocking(client).map(|text| ("BLOCKING", text)));
    rows
}

/// The calls of a client on one route, and the new API's call that does the same.
struct ClientCall {
    route: Route,
    requests: u64,
    old: String,
    new: Option<String>,
}

fn calls(client: &ClientDocument) -> impl Iterator<Item = ClientCall> {
    client.routes.iter().filter_map(|(name, requests)| {
        let route: Route = name.parse().ok()?;
        let (old, new) = (call(route, Side::Legacy)?, call(route, Side::New));
        Some(ClientCall { route, requests: *requests, old, new })
    })
}

/// A call of that route; `None`: this side has none.
fn call(route: Route, side: Side) -> Option<String> {
    let path = collection(side);
    match (route, side) {
        (Route::Create, _) => Some(format!("POST {path}")),
        (Route::Get, _) => Some(format!("GET {path}/{{id}}")),
        (Route::List, Side::Legacy) => Some(format!("GET {path}?{LIST}")),
        (Route::List, Side::New) => {
            let query = ListQuery::parse(LIST).ok()?;
            Some(format!("GET {path}?{}", query.to_orchestrations(query.limit, None)))
        }
        (Route::Cancel, Side::Legacy) => Some(format!("DELETE {path}/{{id}}")),
        (Route::Cancel, Side::New) => None,
    }
}

/// A create of this client on both APIs. One that sends no reference shows what it has to add.
fn create(client: &ClientDocument) -> Option<(Value, Value)> {
    let mut before: Value = serde_json::from_str(CREATE).ok()?;
    if !client.blocking.contains_key("no_reference") {
        before["ref_id"] = REFERENCE.into();
    }
    let body = before.to_string();
    let after = CreateRequest::parse(body.as_bytes()).ok()?.to_orchestration(REFERENCE);
    Some((before, serde_json::from_str(&after).ok()?))
}

fn create_text(client: &ClientDocument) -> String {
    let Some((before, after)) = create(client) else { return String::new() };
    let one = |side, body: &Value| {
        let call = call(Route::Create, side).unwrap_or_default();
        format!("{call}\n{}\n", serde_json::to_string_pretty(body).unwrap_or_default())
    };
    format!("{}\n{}", one(Side::Legacy, &before), one(Side::New, &after))
}

fn document(
    name: &str,
    found: &[&ClientDocument],
    similar: &[&str],
    record: &[&ClientRecordDocument],
) -> Value {
    let call = |ClientCall { route, requests, old, new }: ClientCall| json!({ "route": route.as_str(), "requests": requests, "legacy": old, "new": new });
    let one = |client: &&ClientDocument| {
        let (before, after) = create(client).unzip();
        json!({
            "identified_by": client.identified_by,
            "last_seen": client.last_seen,
            "requests": client.requests,
            "calls": calls(client).map(call).collect::<Vec<_>>(),
            "blocking": client.blocking,
            "create": { "legacy": before, "new": after },
        })
    };
    json!({
        "client": name,
        "found": found.iter().map(one).collect::<Vec<_>>(),
        "similar": similar,
        "on_record": record,
    })
}

/// How a client is known, and how much it calls.
pub(super) fn identified(client: &ClientDocument) -> String {
    let ClientDocument { identified_by, requests, last_seen, .. } = client;
    format!("identified by {identified_by}; {requests} requests, last {last_seen}")
}

/// What of a client blocks the end of the old API, a line each.
pub(super) fn blocking(client: &ClientDocument) -> impl Iterator<Item = String> {
    client.blocking.iter().map(|(feature, count)| match feature.as_str() {
        "cancel" => format!("{count} cancels, which the new API does not support"),
        "change_filter" => {
            format!("{count} lists filtered by updated_at, which the new API does not support")
        }
        "no_reference" => format!("{count} creates without ref_id, which the new API requires"),
        "legacy_record" => format!("{count} gets of records that only the old API holds"),
        other => format!("{count} {other}"),
    })
}

/// A client in the ledger, in one line.
pub(super) fn record_text(client: &ClientRecordDocument) -> String {
    let ClientRecordDocument { client, last_seen, blocked, blockers, blocking } = client;
    // The source of the name comes first; a client may call itself anything, also "not identified".
    let client = if client.starts_with("nothing ") { "all that nothing identifies" } else { client };
    let each = blockers.split(", ").map(|name| match blocking.get(name) {
        Some(at) => format!("{name}, last {at}"),
        None => name.to_owned(),
    });
    let each: Vec<_> = each.collect();
    let blocking = blocked.as_ref().map(|_| format!("; BLOCKING: {}", each.join("; ")));
    format!("{client}, last {last_seen}{}", blocking.unwrap_or_default())
}
