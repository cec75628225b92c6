//! The Stablecoin Conversion API: create, get, list, cancel, in its own words.

use serde_json::{Map, Value, json};

use super::intake::{Intake, check_amount, check_profile};
use super::listing::{Listing, Query};
use super::problem::Problem;
use super::records::{Account, Record, View};
use super::state::{State, written};
use crate::translate::side::Side;

const NOUN: &str = "conversion";

/// `POST /v2/conversion/stablecoins`
pub(super) fn create(state: &mut State, customer: &str, body: &[u8]) -> Result<Value, Problem> {
    let intake = Intake::read(body)?;
    let profile = intake.required("profile_id")?;
    let text = intake.required("amount")?;
    let (source, target) = (intake.required("source_asset")?, intake.required("target_asset")?);
    let (ref_id, recipient) = (intake.text("ref_id")?, intake.text("recipient_profile_id")?);
    let (identity, account) = (intake.text("identity_id")?, intake.text("account_id")?);
    let metadata = intake.metadata()?;
    if source == target {
        return Err(Problem::bad_request("source_asset and target_asset must differ"));
    }
    let amount = check_amount(state, text, source, target)?;
    check_profile(state, customer, profile)?;
    check_profile(state, customer, recipient.unwrap_or(profile))?;
    refuse_known_ref(state, customer, ref_id)?;

    let pot = |profile: &str, asset: &str| Account { profile: profile.to_owned(), asset: asset.to_owned() };
    let to = pot(recipient.unwrap_or(profile), target);
    let funds = state.take(pot(profile, source), Some(to), amount)?;
    let now = state.stamp();
    let mut record = Record::new(customer, now, Map::new());
    record.funds = Some(funds);
    let fields =
        [("profile_id", profile), ("amount", text), ("source_asset", source), ("target_asset", target)];
    fields.into_iter().for_each(|(name, value)| record.set(name, value));
    record.set("status", "CREATED");
    let optional = [("ref_id", ref_id), ("identity_id", identity), ("account_id", account)];
    for (name, value) in optional.into_iter().chain([("recipient_profile_id", recipient)]) {
        if let Some(value) = value {
            record.set(name, value);
        }
    }
    record.set("created_at", written(now));
    record.set("updated_at", written(now));
    if let Some(metadata) = metadata {
        record.set("metadata", metadata.clone());
    }
    Ok(state.file(Side::Legacy, record, Some("SETTLED")))
}

fn refuse_known_ref(state: &State, customer: &str, ref_id: Option<&str>) -> Result<(), Problem> {
    let Some(ref_id) = ref_id else { return Ok(()) };
    match state.shelf(Side::Legacy).by_ref(customer, ref_id) {
        Some(existing) => Err(Problem::already_exists(NOUN, ref_id, &existing.to_json())),
        None => Ok(()),
    }
}

/// `GET /v2/conversion/stablecoins/{id}`
pub(super) fn get(state: &State, customer: &str, id: &str, view: &View) -> Result<Value, Problem> {
    let record = state.shelf(Side::Legacy).visible(id, customer, view);
    record.map(Record::to_json).ok_or_else(|| Problem::not_found(NOUN, id, customer))
}

/// `DELETE /v2/conversion/stablecoins/{id}`
pub(super) fn cancel(state: &mut State, customer: &str, id: &str) -> Result<Value, Problem> {
    let record = state.shelf(Side::Legacy).visible(id, customer, &View::default());
    let record = record.ok_or_else(|| Problem::not_found(NOUN, id, customer))?;
    let status = record.text("status").unwrap_or_default();
    if status != "CREATED" {
        return Err(Problem::forbidden(format!("{NOUN} with id {id} is {status} and cannot be cancelled")));
    }
    let now = state.stamp();
    state.change(Side::Legacy, id, "CANCELLED", now);
    get(state, customer, id, &View::default())
}

/// `GET /v2/conversion/stablecoins`
pub(super) fn list(state: &State, customer: &str, query: &Query, view: &View) -> Result<Value, Problem> {
    let (profile, ref_id) = (query.single("profile_id")?, query.single("ref_id")?);
    let created = (query.time("created_at.begin")?, query.time("created_at.end")?);
    let updated = (query.time("updated_at.begin")?, query.time("updated_at.end")?);
    let within = |at, (begin, end): (Option<_>, Option<_>)| {
        begin.is_none_or(|begin| at >= begin) && end.is_none_or(|end| at <= end)
    };
    let (rows, next) = Listing::asked_by(query)?.page(state.shelf(Side::Legacy), customer, view, |record| {
        let updated_at =
            record.text("updated_at").and_then(|text| text.parse().ok()).unwrap_or(record.created);
        profile.is_none_or(|profile| record.text("profile_id") == Some(profile))
            && ref_id.is_none_or(|ref_id| record.text("ref_id") == Some(ref_id))
            && within(record.created, created)
            && within(updated_at, updated)
    });
    let mut answer = json!({ "items": rows });
    if let Some(next) = next {
        answer["next_page_cursor"] = json!(next);
    }
    Ok(answer)
}
