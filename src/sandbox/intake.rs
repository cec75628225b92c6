//! What both creates check: the shape of the body, the amount, the assets. Field names are the callers'.

use serde_json::{Map, Value};

use super::money::{Amount, precision};
use super::problem::Problem;
use super::state::State;

/// A create's body.
pub(super) struct Intake(Map<String, Value>);

impl Intake {
    /// Reads JSON whatever the content type said.
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(Problem::bad_request("request body is not a JSON object")),
            Err(_) => Err(Problem::bad_request("request body is not valid JSON")),
        }
    }

    /// A text field; absent, null and empty are the same.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(Problem::bad_request(format!("{name} is not a string"))),
        }
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Problem> {
        self.text(name)?.ok_or_else(|| Problem::bad_request(format!("{name} is required")))
    }

    /// An object field; absent and null are the same.
    pub(super) fn object(&self, name: &str) -> Result<Option<&Map<String, Value>>, Problem> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(fields)),
            Some(_) => Err(Problem::bad_request(format!("{name} is not an object"))),
        }
    }

    /// The metadata, string to string, in the order in which it was given.
    pub(super) fn metadata(&self) -> Result<Option<&Map<String, Value>>, Problem> {
        let metadata = self.object("metadata")?;
        if metadata.is_some_and(|fields| fields.values().any(|value| !value.is_string())) {
            return Err(Problem::bad_request("metadata values must be strings"));
        }
        Ok(metadata)
    }
}

/// Checks both assets and that the amount suits them.
pub(super) fn check_amount(state: &State, text: &str, source: &str, target: &str) -> Result<Amount, Problem> {
    let known = |asset: &str| {
        precision(asset).ok_or_else(|| Problem::bad_request(format!("asset {asset} is not supported")))
    };
    let decimals = known(source)?.min(known(target)?);
    let amount =
        Amount::parse(text).ok_or_else(|| Problem::bad_request(format!("{text} is not a valid amount")))?;
    if amount == Amount::ZERO {
        return Err(Problem::bad_request(format!("{text} amount must be positive")));
    }
    if !amount.fits(decimals) {
        let detail = format!("{text} amount has more than {decimals} decimals for {source} to {target}");
        return Err(Problem::bad_request(detail));
    }
    match state.terms.maximum {
        Some(maximum) if amount > maximum => {
            Err(Problem::bad_request(format!("{text} amount is above the maximum {maximum} {source}")))
        }
        _ => Ok(amount),
    }
}

/// Refuses a profile that the customer does not have.
pub(super) fn check_profile(state: &State, customer: &str, profile: &str) -> Result<(), Problem> {
    if state.vault.owns(customer, profile) {
        Ok(())
    } else {
        Err(Problem::not_found("profile", profile, customer))
    }
}
