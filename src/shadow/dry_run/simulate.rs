//! The new API's rules for a create, and the orchestration that it would answer. From its OpenAPI document and its guide; rules that
//! need its state (balances, limits, known references) are left out.

use serde_json::{Value, json};

use crate::shadow::json::Json;
use crate::translate::{decimal, orchestration};

/// The orchestration that the new API would answer, as JSON.
///
/// # Errors
/// The rules that the request breaks, without any of its values.
pub(super) fn simulate(request: &[u8]) -> Result<String, String> {
    let parsed = Json::read(request).map_err(|error| format!("not JSON: {error}"))?;
    let broken = broken_rules(&parsed);
    if !broken.is_empty() {
        return Err(broken.join("; "));
    }
    let mut answer: Value = serde_json::from_slice(request).map_err(|_| "not JSON".to_owned())?;
    if let Value::Object(answer) = &mut answer {
        answer.insert("id".into(), PLACEHOLDER_ID.into());
        answer.insert("customer_id".into(), PLACEHOLDER_ID.into());
        answer.insert("profile_id".into(), parsed.get("source").and_then(profile_id).into());
        answer.insert("status".into(), orchestration::Status::Processing.as_str().into());
        answer
            .insert("source_transfer".into(), json!({ "transfer_id": PLACEHOLDER_ID, "status": "PENDING" }));
        answer.insert(
            "destination_transfer".into(),
            json!({ "transfer_id": PLACEHOLDER_ID, "status": "PENDING" }),
        );
        answer.insert("created_at".into(), PLACEHOLDER_TIME.into());
        answer.insert("updated_at".into(), PLACEHOLDER_TIME.into());
    }
    Ok(answer.to_string())
}

const PLACEHOLDER_ID: &str = "00000000-0000-4000-8000-000000000000";
const PLACEHOLDER_TIME: &str = "2000-01-01T00:00:00.000000Z";

const REQUIRED: [&str; 4] = ["ref_id", "source_asset", "destination_asset", "source_amount"];
const OPTIONAL: [&str; 5] = ["identity_id", "account_id", "source", "destination", "metadata"];

fn broken_rules(request: &Json) -> Vec<String> {
    let Json::Object(members) = request else { return vec!["the body is not an object".into()] };
    let mut broken = Vec::new();
    let unknown = |key: &String| !REQUIRED.contains(&key.as_str()) && !OPTIONAL.contains(&key.as_str());
    if members.keys().any(unknown) {
        broken.push("there is a field that the API does not have".into());
    }
    for name in REQUIRED {
        if request.text(name).is_none_or(str::is_empty) {
            broken.push(format!("{name} must be a string and not empty"));
        }
    }
    for name in ["identity_id", "account_id"] {
        if request.get(name).is_some_and(|value| value.as_text().is_none()) {
            broken.push(format!("{name} must be a string"));
        }
    }
    // Without a profile the new API uses the customer's default one, which the legacy API never does.
    for end in ["source", "destination"] {
        if request.get(end).and_then(profile_id).is_none_or(str::is_empty) {
            broken.push(format!("{end}.profile.profile_id must be a string and not empty"));
        }
    }
    broken.extend(broken_metadata_rule(request));
    broken.extend(broken_amount_rule(request));
    broken
}

fn profile_id(end: &Json) -> Option<&str> {
    end.get("profile")?.text("profile_id")
}

fn broken_metadata_rule(request: &Json) -> Option<String> {
    let all_text = match request.get("metadata")? {
        Json::Object(members) => members.values().all(|value| value.as_text().is_some()),
        _ => false,
    };
    (!all_text).then(|| "metadata must be an object whose values are strings".into())
}

fn broken_amount_rule(request: &Json) -> Option<String> {
    let amount = request.text("source_amount").filter(|amount| !amount.is_empty())?;
    if !decimal::is_decimal(amount) {
        return Some("source_amount must be a decimal number in a string".into());
    }
    if decimal::same(amount, "0") {
        return Some("source_amount must be greater than 0".into());
    }
    let assets = ["source_asset", "destination_asset"].map(|asset| request.text(asset).and_then(precision));
    let most = assets.into_iter().flatten().min()?;
    let fraction = amount.split_once('.').map_or("", |(_, fraction)| fraction).trim_end_matches('0');
    (fraction.len() > most).then(|| format!("source_amount must have at most {most} decimals"))
}

/// The decimals of an asset; `None` for one that the guide does not name. A conversion uses the lower of the two.
fn precision(asset: &str) -> Option<usize> {
    match asset {
        "USD" => Some(2),
        "PYUSD" => Some(6),
        "USDG" | "USDP" => Some(8),
        _ => None,
    }
}
