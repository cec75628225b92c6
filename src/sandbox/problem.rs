//! Refusals as the vendor words them: problem objects, declared as plain JSON. Not the token endpoint's (see `oauth`).

use http::StatusCode;
use serde_json::{Value, json};

const TYPES: &str = "https://developer.paxos.com/docs/v2/problems/";

/// One refusal, before it becomes an answer.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// The problem object; boxed to keep results small.
    pub(super) body: Box<Value>,
}

impl Problem {
    fn new(status: StatusCode, kind: &str, title: &str, detail: &str) -> Self {
        let body = json!({ "type": kind, "title": title, "status": status.as_u16(), "detail": detail });
        Self { status, body: Box::new(body) }
    }

    fn with_meta(mut self, meta: Value) -> Self {
        self.body["meta"] = meta;
        self
    }

    /// A problem of type `about:blank`: the status says it all.
    pub(super) fn plain(status: StatusCode, detail: impl AsRef<str>) -> Self {
        Self::new(status, "about:blank", status.canonical_reason().unwrap_or("Unknown"), detail.as_ref())
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
        let (kind, detail) =
            (format!("{TYPES}already-exists"), format!("{noun} already exists with ref_id '{ref_id}'"));
        Self::new(StatusCode::CONFLICT, &kind, "Already Exists", &detail)
            .with_meta(json!({ "existing": existing }))
    }

    pub(super) fn insufficient_funds(profile: &str, asset: &str, available: &str, needed: &str) -> Self {
        let (kind, detail) = (
            format!("{TYPES}insufficient-funds"),
            format!("insufficient {asset} balance in profile {profile}"),
        );
        Self::new(StatusCode::FORBIDDEN, &kind, "Insufficient Funds", &detail).with_meta(json!({
            "profile_id": profile, "asset": asset, "available": available, "needed": needed,
        }))
    }
}
