//! The sandbox's own endpoints, for tests that drive a process and for people with curl:
//!
//! | call | does |
//! |---|---|
//! | `POST /sandbox/faults` | arms a fault, answers `{"id": n}` |
//! | `DELETE /sandbox/faults` | takes all faults away, opens their gates |
//! | `GET /sandbox/books` | tallies by `ref_id`, balances, counters, faults with their hits |
//!
//! A fault is `{"kind": …, "side", "operation", "skip", "times", "percent", "seed"}`; all but `kind` may be left out. Kinds and
//! their own fields: `delay` (`ms`, `applied`), `gate` (`applied`), `reset` (`applied`), `truncate`, `status` (`code`, `retry_after`,
//! `body`: `problem` | `html` | `empty`, `applied`), `wrong_types`, `not_json`, `empty_body`, `ignore_filters`, `lag` (`newest` or
//! `younger_than_ms`), `unavailable` (`ms`: the port refuses connections for so long; the answer to this very call may be lost).
//! They are open to whoever reaches the port, without a token: the sandbox holds nothing that is worth one.

use std::collections::BTreeMap;
use std::time::Duration;

use http::request::Parts;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Vendor};
use super::faults::{Fault, FaultKind, RefusalBody};
use super::problem::Problem;
use super::records::HiddenRecords;
use super::requests::{Operation, Target};
use crate::translate::side::Side;

pub(super) fn answer(vendor: &Vendor, parts: &Parts, body: &[u8]) -> Answer {
    let done = match (parts.method.clone(), parts.uri.path()) {
        (Method::POST, "/sandbox/faults") => arm(vendor, body).map_err(Problem::bad_request),
        (Method::DELETE, "/sandbox/faults") => {
            vendor.faults.clear();
            Ok(json!({}))
        }
        (Method::GET, "/sandbox/books") => Ok(books(vendor)),
        _ => Err(Problem::plain(StatusCode::NOT_FOUND, "see the sandbox's documentation")),
    };
    done.map_or_else(Answer::from, |body| Answer::json(StatusCode::OK, &body))
}

fn books(vendor: &Vendor) -> Value {
    let tallies = vendor.books.conversions_by_ref().into_iter();
    let tallies: BTreeMap<_, _> = tallies
        .map(|(ref_id, tally)| (ref_id, json!({ "legacy": tally.legacy, "new": tally.new })))
        .collect();
    let named = |counters: BTreeMap<Target, u64>| -> BTreeMap<String, u64> {
        let name = |(side, operation): Target| match side {
            Some(side) => format!("{side}.{}", operation.as_str()),
            None => operation.as_str().to_owned(),
        };
        counters.into_iter().map(|(target, count)| (name(target), count)).collect()
    };
    let (arrived, applied) = vendor.books.requests.counters();
    let faults = vendor.faults.all().into_iter();
    let faults: Vec<_> = faults.map(|fault| json!({ "id": fault.id(), "hits": fault.hits() })).collect();
    json!({
        "conversions_by_ref": tallies, "balances": vendor.books.balances(),
        "arrived": named(arrived), "applied": named(applied), "faults": faults,
    })
}

/// A fault as written; `None` everywhere it was left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    kind: String,
    side: Option<String>,
    operation: Option<String>,
    #[serde(default)]
    skip: u64,
    times: Option<u64>,
    percent: Option<u8>,
    #[serde(default)]
    seed: u64,
    ms: Option<u64>,
    #[serde(default)]
    applied: bool,
    code: Option<u16>,
    retry_after: Option<u64>,
    body: Option<String>,
    newest: Option<usize>,
    younger_than_ms: Option<u64>,
}

fn arm(vendor: &Vendor, body: &[u8]) -> Result<Value, String> {
    let written: Written = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if written.kind == "unavailable" {
        vendor.faults.go_down_for(pause(&written)?);
        return Ok(json!({}));
    }
    let side = match written.side.as_deref() {
        None | Some("any") => None,
        Some("legacy") => Some(Side::Legacy),
        Some("new") => Some(Side::New),
        Some(other) => return Err(format!("there is no side {other}")),
    };
    let operation = match written.operation.as_deref() {
        None | Some("any") => None,
        Some(name) => {
            Some(Operation::from_name(name).ok_or_else(|| format!("there is no operation {name}"))?)
        }
    };
    let chance = written.percent.map(|percent| (percent, written.seed));
    let (skip, times, kind) = (written.skip, written.times, kind(&written)?);
    let armed = vendor.faults.arm(Fault { side, operation, skip, times, chance, kind });
    Ok(json!({ "id": armed.id() }))
}

fn pause(written: &Written) -> Result<Duration, String> {
    written.ms.map(Duration::from_millis).ok_or_else(|| format!("{} needs ms", written.kind))
}

fn kind(written: &Written) -> Result<FaultKind, String> {
    let applied = written.applied;
    Ok(match written.kind.as_str() {
        "delay" => FaultKind::Delay { pause: pause(written)?, applied },
        "gate" => FaultKind::Gate { applied },
        "reset" => FaultKind::Reset { applied },
        "truncate" => FaultKind::Truncate,
        "status" => status(written)?,
        "wrong_types" => FaultKind::WrongTypes,
        "not_json" => FaultKind::NotJson,
        "empty_body" => FaultKind::EmptyBody,
        "ignore_filters" => FaultKind::IgnoreFilters,
        "lag" => FaultKind::Lag(match (written.newest, written.younger_than_ms) {
            (Some(count), None) => HiddenRecords::Newest(count),
            (None, Some(ms)) => HiddenRecords::YoungerThan(Duration::from_millis(ms)),
            _ => return Err("lag needs newest or younger_than_ms".to_owned()),
        }),
        other => return Err(format!("there is no kind {other}")),
    })
}

fn status(written: &Written) -> Result<FaultKind, String> {
    let code = written.code.and_then(|code| StatusCode::from_u16(code).ok());
    let body = match written.body.as_deref() {
        None | Some("problem") => RefusalBody::Problem,
        Some("html") => RefusalBody::Html,
        Some("empty") => RefusalBody::Empty,
        Some(other) => return Err(format!("there is no body {other}")),
    };
    let code = code.ok_or_else(|| "status needs a code from 100 to 999".to_owned())?;
    Ok(FaultKind::Status { code, retry_after: written.retry_after, body, applied: written.applied })
}
