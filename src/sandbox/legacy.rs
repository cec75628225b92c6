//! The Stablecoin Conversion API: create, get, list, cancel.

use serde_json::{Map, Value};

use super::balances::Account;
use super::create_body::{CreateBody, check_amount, check_profile};
use super::list_page::{PageRequest, RecordFilter};
use super::list_query::QueryParameters;
use super::problem::VendorProblem;
use super::records::{ReadView, Record};
use super::state::{VendorState, format_time};
use crate::translate::side::Side;

const NOUN: &str = "conversion";

/// The fields of a create.
struct RequestedConversion<'body> {
    profile: &'body str,
    amount: &'body str,
    source: &'body str,
    target: &'body str,
    ref_id: Option<&'body str>,
    recipient: Option<&'body str>,
    identity: Option<&'body str>,
    account: Option<&'body str>,
    metadata: Option<&'body Map<String, Value>>,
}

impl<'body> RequestedConversion<'body> {
    fn read(body: &'body CreateBody) -> Result<Self, VendorProblem> {
        let conversion = Self {
            profile: body.required("profile_id")?,
            amount: body.required("amount")?,
            source: body.required("source_asset")?,
            target: body.required("target_asset")?,
            ref_id: body.text("ref_id")?,
            recipient: body.text("recipient_profile_id")?,
            identity: body.text("identity_id")?,
            account: body.text("account_id")?,
            metadata: body.metadata()?,
        };
        if conversion.source == conversion.target {
            return Err(VendorProblem::bad_request("source_asset and target_asset must differ"));
        }
        Ok(conversion)
    }

    /// The profile that receives the money.
    fn destination(&self) -> &'body str {
        self.recipient.unwrap_or(self.profile)
    }

    fn fill(&self, record: &mut Record) {
        let now = format_time(record.created);
        record.set_all([
            ("profile_id", Some(self.profile)),
            ("amount", Some(self.amount)),
            ("source_asset", Some(self.source)),
            ("target_asset", Some(self.target)),
            ("status", Some("CREATED")),
            ("ref_id", self.ref_id),
            ("identity_id", self.identity),
            ("account_id", self.account),
            ("recipient_profile_id", self.recipient),
            ("created_at", Some(&now)),
            ("updated_at", Some(&now)),
        ]);
        if let Some(metadata) = self.metadata {
            record.set("metadata", metadata.clone());
        }
    }
}

/// `POST /v2/conversion/stablecoins`
pub(super) fn create(state: &mut VendorState, customer: &str, body: &[u8]) -> Result<Value, VendorProblem> {
    let body = CreateBody::read(body)?;
    let conversion = RequestedConversion::read(&body)?;
    let amount = check_amount(state, conversion.amount, conversion.source, conversion.target)?;
    check_profile(state, customer, conversion.profile)?;
    check_profile(state, customer, conversion.destination())?;
    // Before any money moves: a repeated reference is answered with its first record.
    if let Some(ref_id) = conversion.ref_id
        && let Some(existing) = state.holder(Side::Legacy, customer, ref_id)
    {
        return Err(VendorProblem::already_exists(NOUN, ref_id, &existing));
    }

    let from = Account::new(conversion.profile, conversion.source);
    let to = Account::new(conversion.destination(), conversion.target);
    let funds = state.withdraw(from, Some(to), amount)?;
    let mut record = Record::new(customer, state.now(), Map::new());
    record.funds = Some(funds);
    conversion.fill(&mut record);
    Ok(state.insert(Side::Legacy, record, Some("SETTLED")))
}

/// `GET /v2/conversion/stablecoins/{id}`
pub(super) fn get(
    state: &VendorState,
    customer: &str,
    id: &str,
    view: &ReadView,
) -> Result<Value, VendorProblem> {
    let record = state.records(Side::Legacy).visible(id, customer, view);
    record.map(Record::to_json).ok_or_else(|| VendorProblem::not_found(NOUN, id, customer))
}

/// `DELETE /v2/conversion/stablecoins/{id}`
pub(super) fn cancel(state: &mut VendorState, customer: &str, id: &str) -> Result<Value, VendorProblem> {
    let record = state.records(Side::Legacy).visible(id, customer, &ReadView::default());
    let record = record.ok_or_else(|| VendorProblem::not_found(NOUN, id, customer))?;
    let status = record.text("status").unwrap_or_default();
    // The new API, which made the original of a mirror, cancels nothing.
    if status != "CREATED" || record.is_mirror {
        return Err(VendorProblem::forbidden(format!(
            "{NOUN} with id {id} is {status} and cannot be cancelled"
        )));
    }
    let now = state.now();
    state.set_status(Side::Legacy, id, "CANCELLED", now);
    get(state, customer, id, &ReadView::default())
}

/// `GET /v2/conversion/stablecoins`
pub(super) fn list(
    state: &VendorState,
    customer: &str,
    query: &QueryParameters,
    view: &ReadView,
) -> Result<Value, VendorProblem> {
    let profile = query.single("profile_id")?;
    let refs = query.single("ref_id")?.into_iter().collect();
    let created = (query.time("created_at.begin")?, query.time("created_at.end")?);
    let updated = (query.time("updated_at.begin")?, query.time("updated_at.end")?);
    let bounds = state.variants.time_bounds;
    let within = |at, (begin, end): (Option<_>, Option<_>)| {
        begin.is_none_or(|begin| bounds.is_from(at, begin)) && end.is_none_or(|end| bounds.is_until(at, end))
    };
    let filter = RecordFilter { customer, view, refs, matching: state.variants.ref_match };
    let page = PageRequest::parse(query, state, Side::Legacy)?.read(
        state.records(Side::Legacy),
        &filter,
        |record| {
            let updated_at =
                record.text("updated_at").and_then(|text| text.parse().ok()).unwrap_or(record.created);
            profile.is_none_or(|profile| record.text("profile_id") == Some(profile))
                && within(record.created, created)
                && within(updated_at, updated)
        },
    );
    Ok(page.into_json(&["items"], &[]))
}
