//! The Orchestrations API: create, get, list. It has no cancel.

use serde_json::{Map, Value, json};

use super::balances::Account;
use super::create_body::{CreateBody, check_amount, check_profile};
use super::json::merge;
use super::list_page::{PageRequest, RecordFilter};
use super::list_query::QueryParameters;
use super::problem::VendorProblem;
use super::records::{ReadView, Record};
use super::state::{OrchestrationOutcome, VendorState, format_time};
use super::variants::{ListShape, ProfileFilter};
use crate::translate::side::Side;

const NOUN: &str = "orchestration";

/// The fields of a create, with the defaults filled in.
struct RequestedOrchestration<'body> {
    ref_id: &'body str,
    source: &'body str,
    target: &'body str,
    amount: &'body str,
    identity: Option<&'body str>,
    account: Option<&'body str>,
    metadata: Option<&'body Map<String, Value>>,
    profile: String,
    /// As the record shows it.
    destination: Value,
    /// The destination's profile, if it is one.
    recipient: Option<String>,
}

impl<'body> RequestedOrchestration<'body> {
    fn read(state: &VendorState, customer: &str, body: &'body CreateBody) -> Result<Self, VendorProblem> {
        let ref_id = body.required("ref_id")?;
        let (source, target) = (body.required("source_asset")?, body.required("destination_asset")?);
        let amount = body.required("source_amount")?;
        let (identity, account) = (body.text("identity_id")?, body.text("account_id")?);
        let metadata = body.metadata()?;
        let profile = source_profile(state, customer, body)?;
        let (destination, recipient) = destination(state, customer, body)?;
        if source == target && recipient.as_ref() == Some(&profile) {
            return Err(VendorProblem::bad_request("source_asset and destination_asset must differ"));
        }
        Ok(Self {
            ref_id,
            source,
            target,
            amount,
            identity,
            account,
            metadata,
            profile,
            destination,
            recipient,
        })
    }

    fn fill(&self, record: &mut Record, status: &str) {
        let (now, customer) = (format_time(record.created), record.customer.clone());
        record.set_all([
            ("profile_id", Some(self.profile.as_str())),
            ("source_amount", Some(self.amount)),
            ("source_asset", Some(self.source)),
            ("destination_asset", Some(self.target)),
            ("status", Some(status)),
            ("ref_id", Some(self.ref_id)),
            ("identity_id", self.identity),
            ("account_id", self.account),
            ("customer_id", Some(&customer)),
            ("created_at", Some(&now)),
            ("updated_at", Some(&now)),
        ]);
        record.set("source", json!({ "profile": { "profile_id": self.profile } }));
        record.set("destination", self.destination.clone());
        if let Some(metadata) = self.metadata {
            record.set("metadata", metadata.clone());
        }
    }
}

/// `POST /v2/orchestration/orchestrations`
pub(super) fn create(state: &mut VendorState, customer: &str, body: &[u8]) -> Result<Value, VendorProblem> {
    let body = CreateBody::read(body)?;
    let orchestration = RequestedOrchestration::read(state, customer, &body)?;
    let amount = check_amount(state, orchestration.amount, orchestration.source, orchestration.target)?;
    if let Some(existing) = state.holder(Side::New, customer, orchestration.ref_id) {
        return Err(VendorProblem::already_exists(NOUN, orchestration.ref_id, &existing));
    }

    let from = Account::new(&orchestration.profile, orchestration.source);
    let to = orchestration.recipient.as_deref().map(|profile| Account::new(profile, orchestration.target));
    let funds = state.withdraw(from, to, amount)?;
    let (status, next, fail_reason) = lifecycle(state.outcomes.get(&orchestration.profile));
    let mut record = Record::new(customer, state.now(), Map::new());
    (record.funds, record.fail_reason) = (Some(funds), fail_reason);
    orchestration.fill(&mut record, status);
    merge(&mut record.body, &state.variants.record_members);
    Ok(state.insert(Side::New, record, next))
}

/// The first status, the status that follows by itself, and why it will fail.
fn lifecycle(outcome: Option<&OrchestrationOutcome>) -> (&'static str, Option<&'static str>, Option<String>) {
    match outcome {
        None | Some(OrchestrationOutcome::Complete) => ("PROCESSING", Some("COMPLETED"), None),
        Some(OrchestrationOutcome::AwaitApproval) => ("PENDING", None, None),
        Some(OrchestrationOutcome::Reject) => ("PENDING", Some("REJECTED"), None),
        Some(OrchestrationOutcome::Fail(reason)) => ("PROCESSING", Some("FAILED"), Some(reason.clone())),
    }
}

fn default_profile(state: &VendorState, customer: &str) -> Result<String, VendorProblem> {
    let profile = state.balances.default_profile(customer).map(ToOwned::to_owned);
    profile.ok_or_else(|| VendorProblem::bad_request(format!("customer {customer} has no default profile")))
}

/// The profile id in `{"profile": {"profile_id": …}}`, checked.
fn named_profile(state: &VendorState, customer: &str, profile: &Value) -> Result<String, VendorProblem> {
    let id = profile["profile_id"].as_str().filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| VendorProblem::bad_request("profile.profile_id is required"))?;
    check_profile(state, customer, id)?;
    Ok(id.to_owned())
}

fn source_profile(state: &VendorState, customer: &str, body: &CreateBody) -> Result<String, VendorProblem> {
    let source = body.object("source")?;
    match source.and_then(|source| source.get("profile")).filter(|profile| !profile.is_null()) {
        Some(profile) => named_profile(state, customer, profile),
        None => default_profile(state, customer),
    }
}

/// The destination as the record shows it, and its profile if it is one.
fn destination(
    state: &VendorState,
    customer: &str,
    body: &CreateBody,
) -> Result<(Value, Option<String>), VendorProblem> {
    let empty = Map::new();
    let fields = body.object("destination")?.unwrap_or(&empty);
    let kinds = ["profile", "crypto", "fiat"];
    let mut named =
        kinds.into_iter().filter_map(|kind| Some((kind, fields.get(kind)?))).filter(|(_, v)| !v.is_null());
    let profile = match (named.next(), named.next()) {
        (_, Some(_)) => {
            return Err(VendorProblem::bad_request("destination must be one of profile, crypto, fiat"));
        }
        (None, None) => default_profile(state, customer)?,
        (Some(("profile", profile)), None) => named_profile(state, customer, profile)?,
        (Some((_, Value::Object(_))), None) => return Ok((Value::Object(fields.clone()), None)),
        (Some((kind, _)), None) => {
            return Err(VendorProblem::bad_request(format!("destination.{kind} is not an object")));
        }
    };
    Ok((json!({ "profile": { "profile_id": profile } }), Some(profile)))
}

/// `GET /v2/orchestration/orchestrations/{id}`
pub(super) fn get(
    state: &VendorState,
    customer: &str,
    id: &str,
    view: &ReadView,
) -> Result<Value, VendorProblem> {
    let record = state.records(Side::New).visible(id, customer, view);
    record.map(Record::to_json).ok_or_else(|| VendorProblem::not_found(NOUN, id, customer))
}

/// `GET /v2/orchestration/orchestrations`
pub(super) fn list(
    state: &VendorState,
    customer: &str,
    query: &QueryParameters,
    view: &ReadView,
) -> Result<Value, VendorProblem> {
    let fields = ["orchestration_rule_id", "source_asset", "destination_asset", "status"];
    let fields = fields.into_iter().map(|name| (name, name)).chain([("orchestration_id", "id")]);
    let mut filters = Vec::new();
    for (parameter, field) in fields {
        filters.push((field, query.repeated(parameter)?));
    }
    let profiles = query.repeated("profile_id")?;
    let [lt, lte, eq, gte, gt] =
        ["lt", "lte", "eq", "gte", "gt"].map(|name| query.time(&format!("created_at.{name}")));
    let (lt, lte, eq, gte, gt) = (lt?, lte?, eq?, gte?, gt?);
    let (by, bounds) = (state.variants.profile_filter, state.variants.time_bounds);
    let refs = query.repeated("ref_id")?;
    let filter = RecordFilter { customer, view, refs, matching: state.variants.ref_match };
    let page =
        PageRequest::parse(query, state, Side::New)?.read(state.records(Side::New), &filter, |record| {
            let at = record.created;
            (profiles.is_empty() || profiles_of(record, by).any(|profile| profiles.contains(&profile)))
                && filters.iter().all(|(field, values)| {
                    values.is_empty() || record.text(field).is_some_and(|value| values.contains(&value))
                })
                // `time_bounds` is about the bounds whose names say that they include their instant.
                && lt.is_none_or(|bound| at < bound)
                && lte.is_none_or(|bound| bounds.is_until(at, bound))
                && eq.is_none_or(|bound| at == bound)
                && gte.is_none_or(|bound| bounds.is_from(at, bound))
                && gt.is_none_or(|bound| at > bound)
        });
    let (names, empty): (&[_], &[_]) = match state.variants.list_shape {
        ListShape::Items => (&["items"], &[]),
        ListShape::Orchestrations => (&["orchestrations"], &[]),
        ListShape::Both => (&["orchestrations", "items"], &[]),
        ListShape::Data => (&["data"], &["items"]),
    };
    Ok(page.into_json(names, empty))
}

/// The profiles of a record that a `profile_id` filter compares.
fn profiles_of(record: &Record, filter: ProfileFilter) -> impl Iterator<Item = &str> {
    let destination =
        record.body.get("destination").and_then(|to| to.pointer("/profile/profile_id")?.as_str());
    let (source, destination) = match filter {
        ProfileFilter::Source => (record.text("profile_id"), None),
        ProfileFilter::Target => (None, destination),
        ProfileFilter::Either => (record.text("profile_id"), destination),
    };
    source.into_iter().chain(destination)
}
