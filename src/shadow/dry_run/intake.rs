//! The new API's counter: what it asks of a create, and the orchestration that it would make of one. From its OpenAPI document
//! and its guide; what needs its books (balances, limits, known references) is left out.

use serde_json::{Value, json};

use crate::shadow::json::Json;
use crate::translate::{decimal, orchestration};

/// The orchestration that the new API would answer, as JSON.
///
/// # Errors
/// Every rule that the request breaks, in words that hold no value of it.
pub(super) fn take(request: &[u8]) -> Result<String, String> {
    let asked = Json::read(request).map_err(|error| format!("not JSON: {error}"))?;
    let wrong = broken_rules(&asked);
    if !wrong.is_empty() {
        return Err(wrong.join("; "));
    }
    let mut made: Value = serde_json::from_slice(request).map_err(|_| "not JSON".to_owned())?;
    if let Value::Object(made) = &mut made {
        made.insert("id".into(), MADE_ID.into());
        made.insert("customer_id".into(), MADE_ID.into());
        made.insert("profile_id".into(), asked.get("source").and_then(profile_id).into());
        made.insert("status".into(), orchestration::Status::Processing.as_str().into());
        made.insert("source_transfer".into(), json!({ "transfer_id": MADE_ID, "status": "PENDING" }));
        made.insert("destination_transfer".into(), json!({ "transfer_id": MADE_ID, "status": "PENDING" }));
        made.insert("created_at".into(), MADE_AT.into());
        made.insert("updated_at".into(), MADE_AT.into());
    }
    Ok(made.to_string())
}

const MADE_ID: &str = "00000000-0000-4000-8000-000000000000";
const MADE_AT: &str = "2000-01-01T00:00:00.000000Z";

const REQUIRED: [&str; 4] = ["ref_id", "source_asset", "destination_asset", "source_amount"];
const OPTIONAL: [&str; 5] = ["identity_id", "account_id", "source", "destination", "metadata"];

fn broken_rules(asked: &Json) -> Vec<String> {
    let Json::Object(members) = asked else { return vec!["the body is not an object".into()] };
    let mut wrong = Vec::new();
    let unknown = |key: &String| !REQUIRED.contains(&key.as_str()) && !OPTIONAL.contains(&key.as_str());
    if members.keys().any(unknown) {
        wrong.push("there is a field that the API does not have".into());
    }
    for name in REQUIRED {
        if asked.text(name).is_none_or(str::is_empty) {
            wrong.push(format!("{name} must be a string and not empty"));
        }
    }
    for name in ["identity_id", "account_id"] {
        if asked.get(name).is_some_and(|value| value.as_text().is_none()) {
            wrong.push(format!("{name} must be a string"));
        }
    }
    // Left out, the customer's default profile would pay or be paid. The old API has no such thing.
    for end in ["source", "destination"] {
        if asked.get(end).and_then(profile_id).is_none_or(str::is_empty) {
            wrong.push(format!("{end}.profile.profile_id must be a string and not empty"));
        }
    }
    wrong.extend(wrong_metadata(asked));
    wrong.extend(wrong_amount(asked));
    wrong
}

fn profile_id(end: &Json) -> Option<&str> {
    end.get("profile")?.text("profile_id")
}

fn wrong_metadata(asked: &Json) -> Option<String> {
    let all_text = match asked.get("metadata")? {
        Json::Object(members) => members.values().all(|value| value.as_text().is_some()),
        _ => false,
    };
    (!all_text).then(|| "metadata must be an object whose values are strings".into())
}

fn wrong_amount(asked: &Json) -> Option<String> {
    let amount = asked.text("source_amount").filter(|amount| !amount.is_empty())?;
    if !decimal::is_decimal(amount) {
        return Some("source_amount must be a decimal number in a string".into());
    }
    if decimal::same(amount, "0") {
        return Some("source_amount must be greater than 0".into());
    }
    let assets = ["source_asset", "destination_asset"].map(|asset| asked.text(asset).and_then(precision));
    let most = assets.into_iter().flatten().min()?;
    let fraction = amount.split_once('.').map_or("", |(_, fraction)| fraction).trim_end_matches('0');
    (fraction.len() > most).then(|| format!("source_amount must have at most {most} decimals"))
}

/// How many decimals an asset has; `None` for one that the guide does not name. A conversion uses the lower of its two.
fn precision(asset: &str) -> Option<usize> {
    match asset {
        "USD" => Some(2),
        "PYUSD" => Some(6),
        "USDG" | "USDP" => Some(8),
        _ => None,
    }
}
