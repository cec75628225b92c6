//! What a customer has beside the two APIs: its profiles, and test funds for them.

use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::amount;
use super::balances::Account;
use super::create_body::{CreateBody, check_profile};
use super::problem::VendorProblem;
use super::state::VendorState;

/// Answers a path that is neither API's; `None` if there is none such.
pub(super) fn answer(
    state: &mut VendorState,
    customer: &str,
    (parts, body): (&Parts, &[u8]),
) -> Option<Result<Value, VendorProblem>> {
    let deposit = |path: &'static str| parts.uri.path().strip_prefix(path)?.strip_suffix("/deposit");
    match (&parts.method, parts.uri.path(), deposit("/v2/sandbox/profiles/")) {
        (&Method::GET | &Method::HEAD, "/v2/profiles", _) => {
            let items: Vec<_> = state.balances.profiles(customer).map(|id| json!({ "id": id })).collect();
            Some(Ok(json!({ "items": items })))
        }
        (&Method::POST, _, Some(profile)) => Some(credit(state, (customer, profile), body)),
        _ => None,
    }
}

/// `POST /v2/sandbox/profiles/{id}/deposit`
fn credit(
    state: &mut VendorState,
    (customer, profile): (&str, &str),
    body: &[u8],
) -> Result<Value, VendorProblem> {
    let body = CreateBody::read(body)?;
    let (asset, amount) = (body.required("asset")?, body.required("amount")?);
    check_profile(state, customer, profile)?;
    if amount::precision(asset).is_none() {
        return Err(VendorProblem::bad_request(format!("asset {asset} is not supported")));
    }
    let Some(amount) = amount::parse(amount) else {
        return Err(VendorProblem::bad_request(format!("{amount} is not a valid amount")));
    };
    state.balances.credit(Account::new(profile, asset), amount);
    Ok(json!({}))
}

pub(super) fn unknown_path(parts: &Parts) -> VendorProblem {
    let detail = format!("there is no {} {}", parts.method, parts.uri.path());
    VendorProblem::plain(StatusCode::NOT_FOUND, detail)
}
