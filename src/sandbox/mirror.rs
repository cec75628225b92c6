//! A record of one API as the other one shows it: for the variants in which both run on one engine.

use serde_json::{Map, Value, json};

use crate::translate::side::Side;

/// A status of the old API and the new API's word for it.
const STATUSES: [(&str, &str); 3] =
    [("CREATED", "PROCESSING"), ("SETTLED", "COMPLETED"), ("CANCELLED", "FAILED")];

/// Members with the same name and meaning in both.
const SAME: [&str; 8] =
    ["id", "ref_id", "source_asset", "identity_id", "account_id", "created_at", "updated_at", "metadata"];

/// A side's word for a status of the other one.
pub(super) fn status_on(side: Side, status: &str) -> &str {
    match side {
        Side::Legacy => match status {
            "PENDING" => "CREATED",
            "REJECTED" => "CANCELLED",
            _ => STATUSES.iter().find(|(_, new)| *new == status).map_or(status, |(legacy, _)| legacy),
        },
        Side::New => STATUSES.iter().find(|(legacy, _)| *legacy == status).map_or(status, |(_, new)| new),
    }
}

/// A record as the other side shows it.
pub(super) fn of(side: Side, record: &Map<String, Value>) -> Map<String, Value> {
    match side {
        Side::Legacy => orchestration(record),
        Side::New => conversion(record),
    }
}

/// A conversion as an orchestration.
fn orchestration(conversion: &Map<String, Value>) -> Map<String, Value> {
    let text = |name: &str| conversion.get(name).and_then(Value::as_str);
    let profile = |id: Option<&str>| json!({ "profile": { "profile_id": id } });
    let recipient = text("recipient_profile_id").or(text("profile_id"));
    with_same(
        conversion,
        json!({
            "profile_id": text("profile_id"), "source_amount": text("amount"), "destination_asset": text("target_asset"),
            "status": text("status").map(|status| status_on(Side::New, status)),
            "source": profile(text("profile_id")), "destination": profile(recipient),
        }),
    )
}

/// An orchestration between profiles as a conversion.
fn conversion(orchestration: &Map<String, Value>) -> Map<String, Value> {
    let text = |name: &str| orchestration.get(name).and_then(Value::as_str);
    with_same(
        orchestration,
        json!({
            "profile_id": text("profile_id"), "amount": text("source_amount"), "target_asset": text("destination_asset"),
            "status": text("status").map(|status| status_on(Side::Legacy, status)),
        }),
    )
}

fn with_same(record: &Map<String, Value>, members: Value) -> Map<String, Value> {
    let same = SAME.into_iter().filter_map(|name| Some((name.to_owned(), record.get(name)?.clone())));
    let mut mirror: Map<_, _> = same.collect();
    if let Value::Object(members) = members {
        mirror.extend(members);
    }
    mirror
}
