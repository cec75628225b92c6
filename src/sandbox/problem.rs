//! Refusals as the vendor words them: problem objects served as plain `application/json`. The token endpoint has errors of its own
//! (see `tokens`).

use http::StatusCode;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::amount;
use super::balances::Account;

const TYPES: &str = "https://developer.paxos.com/docs/v2/problems/";

#[derive(Debug)]
pub(super) struct VendorProblem {
    pub(super) status: StatusCode,
    /// Boxed to keep results small.
    pub(super) body: Box<Value>,
}

impl VendorProblem {
    fn new(status: StatusCode, kind: &str, title: &str, detail: &str) -> Self {
        let body = json!({ "type": kind, "title": title, "status": status.as_u16(), "detail": detail });
        Self { status, body: Box::new(body) }
    }

    fn with_meta(mut self, meta: Value) -> Self {
        self.body["meta"] = meta;
        self
    }

    /// A problem of type `about:blank`.
    pub(super) fn plain(status: StatusCode, detail: impl AsRef<str>) -> Self {
        Self::new(status, "about:blank", status.canonical_reason().unwrap_or("Unknown"), detail.as_ref())
    }

    /// A problem that the vendor's documents do not have.
    pub(super) fn undocumented(status: StatusCode) -> Self {
        let mut problem =
            Self::new(status, &format!("{TYPES}velocity-limit"), "Velocity Limit", "on request");
        problem.body["trace"] = json!("0f");
        problem
    }

    pub(super) fn bad_request(detail: impl AsRef<str>) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn forbidden(detail: impl AsRef<str>) -> Self {
        Self::plain(StatusCode::FORBIDDEN, detail)
    }

    pub(super) fn not_found(noun: &str, id: &str, customer: &str) -> Self {
        let detail = format!("{noun} with id {id} not found for customer with id {customer}");
        Self::plain(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn already_exists(noun: &str, ref_id: &str, existing: &Value) -> Self {
        let detail = format!("{noun} already exists with ref_id '{ref_id}'");
        Self::new(StatusCode::CONFLICT, &format!("{TYPES}already-exists"), "Already Exists", &detail)
            .with_meta(json!({ "existing": existing }))
    }

    pub(super) fn insufficient_funds(account: &Account, available: Decimal, needed: Decimal) -> Self {
        let Account { profile, asset } = account;
        let (available, needed) = (amount::format(available), amount::format(needed));
        let detail = format!("insufficient {asset} balance in profile {profile}");
        Self::new(StatusCode::FORBIDDEN, &format!("{TYPES}insufficient-funds"), "Insufficient Funds", &detail)
            .with_meta(json!({
                "profile_id": profile, "asset": asset, "available": available, "needed": needed,
            }))
    }
}
