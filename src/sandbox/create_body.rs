//! What both creates check: the shape of the body, the amount, the assets, the profile.

use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::amount::{self, precision};
use super::problem::VendorProblem;
use super::state::VendorState;

pub(super) struct CreateBody(Map<String, Value>);

impl CreateBody {
    /// Reads JSON; the vendor ignores the content type.
    pub(super) fn read(body: &[u8]) -> Result<Self, VendorProblem> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(VendorProblem::bad_request("request body is not a JSON object")),
            Err(_) => Err(VendorProblem::bad_request("request body is not valid JSON")),
        }
    }

    /// A string field; absent, null and empty are the same.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, VendorProblem> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(VendorProblem::bad_request(format!("{name} is not a string"))),
        }
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, VendorProblem> {
        self.text(name)?.ok_or_else(|| VendorProblem::bad_request(format!("{name} is required")))
    }

    /// An object field; absent and null are the same.
    pub(super) fn object(&self, name: &str) -> Result<Option<&Map<String, Value>>, VendorProblem> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(fields)),
            Some(_) => Err(VendorProblem::bad_request(format!("{name} is not an object"))),
        }
    }

    /// The metadata, string to string, in the order given.
    pub(super) fn metadata(&self) -> Result<Option<&Map<String, Value>>, VendorProblem> {
        let metadata = self.object("metadata")?;
        if metadata.is_some_and(|fields| fields.values().any(|value| !value.is_string())) {
            return Err(VendorProblem::bad_request("metadata values must be strings"));
        }
        Ok(metadata)
    }
}

/// Checks both assets and the amount: positive, no more decimals than both assets have, not above the maximum.
pub(super) fn check_amount(
    state: &VendorState,
    text: &str,
    source: &str,
    target: &str,
) -> Result<Decimal, VendorProblem> {
    let known = |asset: &str| {
        precision(asset).ok_or_else(|| VendorProblem::bad_request(format!("asset {asset} is not supported")))
    };
    // The same amount leaves in one asset and arrives in the other, so both must be able to express it.
    let decimals = known(source)?.min(known(target)?);
    let refuse = |why: String| Err(VendorProblem::bad_request(format!("{text} {why}")));
    let Some(amount) = amount::parse(text) else { return refuse("is not a valid amount".to_owned()) };
    if amount.is_zero() {
        return refuse("amount must be positive".to_owned());
    }
    if !amount::fits(amount, decimals) {
        return refuse(format!("amount has more than {decimals} decimals for {source} to {target}"));
    }
    match state.maximum {
        Some(maximum) if amount > maximum => {
            refuse(format!("amount is above the maximum {} {source}", amount::format(maximum)))
        }
        Some(_) | None => Ok(amount),
    }
}

/// Refuses a profile that the customer does not own.
pub(super) fn check_profile(state: &VendorState, customer: &str, profile: &str) -> Result<(), VendorProblem> {
    if state.balances.owns(customer, profile) {
        Ok(())
    } else {
        Err(VendorProblem::not_found("profile", profile, customer))
    }
}
