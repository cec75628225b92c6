//! The Orchestrations API: create, get, list, in its own words. It has no cancel.

use serde_json::{Map, Value, json};

use super::intake::{Intake, check_amount, check_profile};
use super::listing::{Listing, Query};
use super::problem::Problem;
use super::records::{Account, Record, View};
use super::state::{State, written};
use super::{ListShape, OrchestrationOutcome, ProfileFilter};
use crate::translate::side::Side;

const NOUN: &str = "orchestration";

/// `POST /v2/orchestration/orchestrations`
pub(super) fn create(state: &mut State, customer: &str, body: &[u8]) -> Result<Value, Problem> {
    let intake = Intake::read(body)?;
    let ref_id = intake.required("ref_id")?;
    let (source, target) = (intake.required("source_asset")?, intake.required("destination_asset")?);
    let text = intake.required("source_amount")?;
    let (identity, account) = (intake.text("identity_id")?, intake.text("account_id")?);
    let metadata = intake.metadata()?;
    let profile = source_profile(state, customer, &intake)?;
    let (destination, recipient) = destination(state, customer, &intake)?;
    if source == target && recipient.as_ref() == Some(&profile) {
        return Err(Problem::bad_request("source_asset and destination_asset must differ"));
    }
    let amount = check_amount(state, text, source, target)?;
    if let Some(existing) = state.shelf(Side::New).by_ref(customer, ref_id) {
        return Err(Problem::already_exists(NOUN, ref_id, &existing.to_json()));
    }

    let to = recipient.map(|profile| Account { profile, asset: target.to_owned() });
    let from = Account { profile: profile.clone(), asset: source.to_owned() };
    let funds = state.take(from, to, amount)?;
    let (status, next, fail_reason) = course(state.outcomes.get(&profile));
    let now = state.stamp();
    let mut record = Record::new(customer, now, Map::new());
    record.funds = Some(funds);
    let fields = [("profile_id", profile.as_str()), ("source_amount", text), ("source_asset", source)];
    fields.into_iter().for_each(|(name, value)| record.set(name, value));
    let fields = [("destination_asset", target), ("status", status), ("ref_id", ref_id)];
    fields.into_iter().for_each(|(name, value)| record.set(name, value));
    for (name, value) in [("identity_id", identity), ("account_id", account)] {
        value.into_iter().for_each(|value| record.set(name, value));
    }
    record.set("customer_id", customer);
    record.set("created_at", written(now));
    record.set("updated_at", written(now));
    record.set("source", json!({ "profile": { "profile_id": profile } }));
    record.set("destination", destination);
    metadata.into_iter().for_each(|metadata| record.set("metadata", metadata.clone()));
    if state.terms.empty_rule_id {
        record.set("orchestration_rule_id", "");
    }
    let answer = state.file(Side::New, record, next);
    remember_reason(state, &answer, fail_reason);
    Ok(answer)
}

/// A failing orchestration carries its reason only once it has failed, so the reason waits with the outcome.
fn remember_reason(state: &mut State, answer: &Value, reason: Option<String>) {
    if let (Some(reason), Some(id)) = (reason, answer["id"].as_str()) {
        state.edit(id, |record| record.reason = Some(reason));
    }
}

/// The first status, the one that follows by itself, and why it will fail.
fn course(outcome: Option<&OrchestrationOutcome>) -> (&'static str, Option<&'static str>, Option<String>) {
    match outcome {
        None | Some(OrchestrationOutcome::Complete) => ("PROCESSING", Some("COMPLETED"), None),
        Some(OrchestrationOutcome::AwaitApproval) => ("PENDING", None, None),
        Some(OrchestrationOutcome::Reject) => ("PENDING", Some("REJECTED"), None),
        Some(OrchestrationOutcome::Fail(reason)) => ("PROCESSING", Some("FAILED"), Some(reason.clone())),
    }
}

fn default_profile(state: &State, customer: &str) -> Result<String, Problem> {
    let profile = state.vault.default_profile(customer).map(ToOwned::to_owned);
    profile.ok_or_else(|| Problem::bad_request(format!("customer {customer} has no default profile")))
}

/// The profile id in `{"profile": {"profile_id": …}}`, checked.
fn named_profile(state: &State, customer: &str, profile: &Value) -> Result<String, Problem> {
    let id = profile["profile_id"].as_str().filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| Problem::bad_request("profile.profile_id is required"))?;
    check_profile(state, customer, id)?;
    Ok(id.to_owned())
}

fn source_profile(state: &State, customer: &str, intake: &Intake) -> Result<String, Problem> {
    let source = intake.object("source")?;
    match source.and_then(|source| source.get("profile")).filter(|profile| !profile.is_null()) {
        Some(profile) => named_profile(state, customer, profile),
        None => default_profile(state, customer),
    }
}

/// The destination as it will be shown, and its profile if it is one.
fn destination(state: &State, customer: &str, intake: &Intake) -> Result<(Value, Option<String>), Problem> {
    let empty = Map::new();
    let fields = intake.object("destination")?.unwrap_or(&empty);
    let kinds = ["profile", "crypto", "fiat"];
    let mut named =
        kinds.into_iter().filter_map(|kind| Some((kind, fields.get(kind)?))).filter(|(_, v)| !v.is_null());
    let profile = match (named.next(), named.next()) {
        (_, Some(_)) => return Err(Problem::bad_request("destination must be one of profile, crypto, fiat")),
        (None, None) => default_profile(state, customer)?,
        (Some(("profile", profile)), None) => named_profile(state, customer, profile)?,
        (Some((_, Value::Object(_))), None) => return Ok((Value::Object(fields.clone()), None)),
        (Some((kind, _)), None) => {
            return Err(Problem::bad_request(format!("destination.{kind} is not an object")));
        }
    };
    Ok((json!({ "profile": { "profile_id": profile } }), Some(profile)))
}

/// `GET /v2/orchestration/orchestrations/{id}`
pub(super) fn get(state: &State, customer: &str, id: &str, view: &View) -> Result<Value, Problem> {
    let record = state.shelf(Side::New).visible(id, customer, view);
    record.map(Record::to_json).ok_or_else(|| Problem::not_found(NOUN, id, customer))
}

/// `GET /v2/orchestration/orchestrations`
pub(super) fn list(state: &State, customer: &str, query: &Query, view: &View) -> Result<Value, Problem> {
    let fields = ["ref_id", "orchestration_rule_id", "source_asset", "destination_asset", "status"];
    let mut filters = Vec::new();
    for (parameter, field) in fields.into_iter().map(|name| (name, name)).chain([("orchestration_id", "id")])
    {
        filters.push((field, query.repeated(parameter)?));
    }
    let profiles = query.repeated("profile_id")?;
    let [lt, lte, eq, gte, gt] =
        ["lt", "lte", "eq", "gte", "gt"].map(|name| query.time(&format!("created_at.{name}")));
    let (lt, lte, eq, gte, gt) = (lt?, lte?, eq?, gte?, gt?);
    let which = state.terms.profile_filter;
    let (rows, next) = Listing::asked_by(query)?.page(state.shelf(Side::New), customer, view, |record| {
        let at = record.created;
        (profiles.is_empty() || profiles_of(record, which).any(|profile| profiles.contains(&profile)))
            && filters.iter().all(|(field, values)| {
                values.is_empty() || record.text(field).is_some_and(|value| values.contains(&value))
            })
            && lt.is_none_or(|bound| at < bound)
            && lte.is_none_or(|bound| at <= bound)
            && eq.is_none_or(|bound| at == bound)
            && gte.is_none_or(|bound| at >= bound)
            && gt.is_none_or(|bound| at > bound)
    });
    Ok(shaped(state.terms.list_shape, rows, next))
}

/// The profiles that a `profile_id` filter compares with.
fn profiles_of(record: &Record, which: ProfileFilter) -> impl Iterator<Item = &str> {
    let destination =
        record.body.get("destination").and_then(|to| to.pointer("/profile/profile_id")?.as_str());
    let (source, destination) = match which {
        ProfileFilter::Source => (record.text("profile_id"), None),
        ProfileFilter::Destination => (None, destination),
        ProfileFilter::Either => (record.text("profile_id"), destination),
    };
    source.into_iter().chain(destination)
}

fn shaped(shape: ListShape, rows: Vec<Value>, next: Option<String>) -> Value {
    let mut answer = match shape {
        ListShape::Items => json!({ "items": rows }),
        ListShape::Orchestrations => json!({ "orchestrations": rows }),
        ListShape::Both => json!({ "orchestrations": rows.clone(), "items": rows }),
    };
    if let Some(next) = next {
        answer["next_page_cursor"] = json!(next);
    }
    answer
}
