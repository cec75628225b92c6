//! The sandbox's own endpoints, for tests that drive a process and for people with curl:
//!
//! | call | does |
//! |---|---|
//! | `POST /sandbox/faults` | arms a fault, answers `{"id": n}` |
//! | `DELETE /sandbox/faults` | removes all faults, opens their gates |
//! | `GET /sandbox/variants` | the [`Variants`](super::Variants) in force |
//! | `PATCH /sandbox/variants` | replaces the variants named in the body, answers all of them |
//! | `POST /sandbox/echo` | answers the body that it got, in the coding that it got |
//! | `GET /sandbox/inspector` | record counts by `ref_id`, balances, request counters, faults with their hits, variants |
//!
//! `docs/sandbox.md` lists the variants, and the kinds of faults with their fields.
//!
//! These endpoints need no token: the sandbox holds nothing worth protecting.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_ENCODING;
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fault::{Fault, FaultKind};
use super::operation::{Operation, OperationTarget};
use super::problem::VendorProblem;
use super::records::milliseconds;
use super::response::VendorResponse;
use super::vendor::Vendor;
use crate::translate::side::Side;

/// All paths of this API begin with it.
pub(super) const PREFIX: &str = "/sandbox/";

pub(super) fn answer(vendor: &Vendor, parts: &Parts, body: &Bytes) -> VendorResponse {
    let done = match (parts.method.as_str(), parts.uri.path()) {
        ("POST", "/sandbox/faults") => arm(vendor, body).map_err(|error| error.to_string()),
        ("DELETE", "/sandbox/faults") => {
            vendor.faults.clear();
            Ok(json!({}))
        }
        ("GET", "/sandbox/variants") => Ok(json!(vendor.inspector.variants())),
        ("PATCH", "/sandbox/variants") => change_variants(vendor, body).map_err(|error| error.to_string()),
        ("GET", "/sandbox/inspector") => Ok(inspect(vendor)),
        ("POST", "/sandbox/echo") => {
            return VendorResponse::bytes(body.clone(), parts.headers.get(CONTENT_ENCODING).cloned());
        }
        (method, path) => {
            let detail = format!("there is no {method} {path}; see the documentation of the sandbox");
            return VendorProblem::plain(StatusCode::NOT_FOUND, detail).into();
        }
    };
    match done {
        Ok(body) => VendorResponse::json(StatusCode::OK, &body),
        Err(detail) => VendorProblem::bad_request(detail).into(),
    }
}

fn inspect(vendor: &Vendor) -> Value {
    let by_ref = vendor.inspector.conversions_by_ref().into_iter();
    let by_ref: BTreeMap<_, _> =
        by_ref.map(|(ref_id, tally)| (ref_id, json!({ "legacy": tally.legacy, "new": tally.new }))).collect();
    let (arrived, applied) = vendor.inspector.requests.counters();
    let faults = vendor.faults.all().into_iter();
    let faults: Vec<_> = faults.map(|fault| json!({ "id": fault.id(), "hits": fault.hits() })).collect();
    json!({
        "conversions_by_ref": by_ref, "balances": vendor.inspector.balances(),
        "arrived": named(arrived), "applied": named(applied), "faults": faults,
        "variants": vendor.inspector.variants(),
    })
}

fn named(counters: BTreeMap<OperationTarget, u64>) -> BTreeMap<String, u64> {
    let name = |(side, operation): OperationTarget| match side {
        Some(side) => format!("{side}.{}", operation.as_str()),
        None => operation.as_str().to_owned(),
    };
    counters.into_iter().map(|(target, count)| (name(target), count)).collect()
}

fn change_variants(vendor: &Vendor, body: &[u8]) -> serde_json::Result<Value> {
    let changes: Map<String, Value> = serde_json::from_slice(body)?;
    let variants = vendor.inspector.variants().with(changes)?;
    vendor.inspector.set_variants(variants.clone());
    serde_json::to_value(variants)
}

/// Which requests a fault affects; `None` is any.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Selector {
    side: Option<SideName>,
    operation: Option<OperationName>,
    #[serde(default)]
    skip: u64,
    times: Option<u64>,
    percent: Option<u8>,
    #[serde(default)]
    seed: u64,
}

const SELECTOR_FIELDS: [&str; 6] = ["side", "operation", "skip", "times", "percent", "seed"];

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum SideName {
    Any,
    Legacy,
    New,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OperationName {
    Only(Operation),
    Any(Any),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Any {
    Any,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unavailable {
    #[serde(rename = "ms", deserialize_with = "milliseconds")]
    pause: Duration,
}

fn arm(vendor: &Vendor, body: &[u8]) -> serde_json::Result<Value> {
    let mut fields: Map<String, Value> = serde_json::from_slice(body)?;
    let kind = fields.remove("kind").unwrap_or_default();
    let (selector, fields): (Map<_, _>, Map<_, _>) =
        fields.into_iter().partition(|(name, _)| SELECTOR_FIELDS.contains(&name.as_str()));
    let selector: Selector = serde_json::from_value(selector.into())?;
    if kind == "unavailable" {
        vendor.faults.go_down_for(serde_json::from_value::<Unavailable>(fields.into())?.pause);
        return Ok(json!({}));
    }
    let side = match selector.side {
        None | Some(SideName::Any) => None,
        Some(SideName::Legacy) => Some(Side::Legacy),
        Some(SideName::New) => Some(Side::New),
    };
    let operation = match selector.operation {
        None | Some(OperationName::Any(Any::Any)) => None,
        Some(OperationName::Only(operation)) => Some(operation),
    };
    let chance = selector.percent.map(|percent| (percent, selector.seed));
    let (skip, times, kind) = (selector.skip, selector.times, parse_kind(kind, fields)?);
    let armed = vendor.faults.arm(Fault { side, operation, skip, times, chance, kind });
    Ok(json!({ "id": armed.id() }))
}

/// A kind with its fields, in serde's form of an enum: `"name"` without fields, `{"name": fields}` with some.
fn parse_kind(name: Value, fields: Map<String, Value>) -> serde_json::Result<FaultKind> {
    let tagged = |fields: Value| match &name {
        Value::String(name) => json!({ name.as_str(): fields }),
        other => other.clone(),
    };
    if fields.is_empty() {
        // A kind whose fields all have defaults may be written without any as well.
        if let Ok(kind) = serde_json::from_value(name.clone()) {
            return Ok(kind);
        }
    }
    serde_json::from_value(tagged(fields.into()))
}
