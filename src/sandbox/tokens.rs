//! The token endpoint and the scopes of tokens. Its errors are OAuth's own (RFC 6749 §5.2), not problem objects.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::operation::{Operation, OperationTarget};
use super::options::{CUSTOMER, OAuthClient, TOKEN};
use super::problem::VendorProblem;
use super::variants::GrantedScopes;
use crate::translate::side::Side;

/// Every scope. A token request that names none gets all scopes of its client.
pub const SCOPES: [&str; 5] = [
    "conversion:read_conversion_stablecoin",
    "conversion:write_conversion_stablecoin",
    "orchestration:read_orchestration",
    "orchestration:write_orchestration",
    "funding:read_profile",
];

#[derive(Clone)]
pub(super) struct Grant {
    pub(super) customer: String,
    scopes: Vec<String>,
}

/// The tokens issued, and the clients that may request them.
pub(super) struct TokenIssuer {
    clients: Vec<OAuthClient>,
    lifetime: Duration,
    grants: Mutex<HashMap<String, Grant>>,
}

/// An OAuth error: status, code, description.
type OAuthError = (StatusCode, &'static str, &'static str);

impl TokenIssuer {
    pub(super) fn new(clients: Vec<OAuthClient>, lifetime: Duration) -> Self {
        let tokens = Self { clients, lifetime, grants: Mutex::default() };
        tokens.reset();
        tokens
    }

    fn grants(&self) -> MutexGuard<'_, HashMap<String, Grant>> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Invalidates every token but the fixed one.
    pub(super) fn reset(&self) {
        let scopes = SCOPES.map(str::to_owned).to_vec();
        let mut grants = self.grants();
        grants.clear();
        grants.insert(TOKEN.to_owned(), Grant { customer: CUSTOMER.to_owned(), scopes });
    }

    pub(super) fn issue(&self, customer: &str, scopes: Vec<String>) -> String {
        let token = Uuid::new_v4().simple().to_string();
        self.grants().insert(token.clone(), Grant { customer: customer.to_owned(), scopes });
        token
    }

    /// Answers `POST /oauth2/token`.
    pub(super) fn answer(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        granted: GrantedScopes,
    ) -> (StatusCode, Value) {
        match self.exchange(&form(headers, body), headers, granted) {
            Ok(answer) => (StatusCode::OK, answer),
            Err((status, error, why)) => (status, json!({ "error": error, "error_description": why })),
        }
    }

    fn exchange(
        &self,
        form: &HashMap<String, String>,
        headers: &HeaderMap,
        granted: GrantedScopes,
    ) -> Result<Value, OAuthError> {
        let bad = |error, why| (StatusCode::BAD_REQUEST, error, why);
        let field = |name: &str| form.get(name).cloned().unwrap_or_default();
        match field("grant_type").as_str() {
            "client_credentials" => {}
            "" => return Err(bad("invalid_request", "grant_type is missing")),
            _ => return Err(bad("unsupported_grant_type", "only client_credentials is supported")),
        }
        // HTTP Basic comes first: RFC 6749, section 2.3.1, has every server support it and advises against the fields of the body.
        let (id, secret) = basic(headers).unwrap_or_else(|| (field("client_id"), field("client_secret")));
        let (customer, allowed) = self.client_of(&id, &secret)?;
        let mut scopes: Vec<String> = field("scope").split_whitespace().map(str::to_owned).collect();
        if scopes.iter().any(|scope| !allowed.contains(scope)) {
            return Err(bad("invalid_scope", "the requested scope is invalid, unknown, or malformed"));
        }
        // RFC 6749, section 3.3: a request without a scope gets the default, which here is all that the client may have.
        if scopes.is_empty() {
            scopes = allowed;
        }
        if granted == GrantedScopes::Reading {
            scopes.retain(|scope| scope.contains(":read_"));
        }
        let scope = (granted != GrantedScopes::Unnamed).then(|| scopes.join(" "));
        let token = self.issue(&customer, scopes);
        let lifetime = self.lifetime.as_secs();
        let mut answer =
            json!({ "access_token": token, "expires_in": lifetime, "scope": scope, "token_type": "bearer" });
        // Absent instead of null: RFC 6749, section 5.1, makes the member optional.
        if let (None, Some(members)) = (scope, answer.as_object_mut()) {
            members.shift_remove("scope");
        }
        Ok(answer)
    }

    /// The customer of a client, and the scopes that it may request.
    fn client_of(&self, id: &str, secret: &str) -> Result<(String, Vec<String>), OAuthError> {
        let refusal = (StatusCode::UNAUTHORIZED, "invalid_client", "client authentication failed");
        if id.is_empty() || secret.is_empty() {
            return Err(refusal);
        }
        if self.clients.is_empty() {
            return Ok((CUSTOMER.to_owned(), SCOPES.map(str::to_owned).to_vec()));
        }
        let known = self.clients.iter().find(|client| client.id == id && client.secret == secret);
        let allowed = |client: &OAuthClient| match client.scopes.as_slice() {
            [] => SCOPES.map(str::to_owned).to_vec(),
            some => some.to_vec(),
        };
        known.map(|client| (client.customer.clone(), allowed(client))).ok_or(refusal)
    }

    /// The grant of the bearer token, if it allows the operation.
    pub(super) fn authorize(
        &self,
        headers: &HeaderMap,
        target: OperationTarget,
    ) -> Result<Grant, VendorProblem> {
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (scheme, token) = header.split_once(' ').unwrap_or_default();
        let grant = self.grants().get(token).filter(|_| scheme.eq_ignore_ascii_case("bearer")).cloned();
        let grant = grant.ok_or_else(|| {
            VendorProblem::plain(StatusCode::UNAUTHORIZED, "access token is missing or invalid")
        })?;
        match needed_scope(target) {
            Some(needed) if !grant.scopes.iter().any(|scope| scope == needed) => {
                let found = grant.scopes.join(" ");
                let detail = format!("insufficient scopes: found '{found}', required one of '[{needed}]'");
                Err(VendorProblem::forbidden(detail))
            }
            _ => Ok(grant),
        }
    }
}

const fn needed_scope((side, operation): OperationTarget) -> Option<&'static str> {
    let writes = matches!(operation, Operation::Create | Operation::Cancel);
    match (side, writes) {
        (Some(Side::Legacy), false) => Some(SCOPES[0]),
        (Some(Side::Legacy), true) => Some(SCOPES[1]),
        (Some(Side::New), false) => Some(SCOPES[2]),
        (Some(Side::New), true) => Some(SCOPES[3]),
        (None, _) => None,
    }
}

/// Client id and secret from HTTP Basic; both are form-encoded inside (RFC 6749 §2.3.1).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let encoded = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let plain = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    Some((plain(id), plain(secret)))
}

/// The fields of a form, in either encoding.
fn form(headers: &HeaderMap, body: &[u8]) -> HashMap<String, String> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match kind.split_once("boundary=") {
        Some((_, boundary)) if kind.starts_with("multipart/form-data") => {
            multipart(boundary.trim_matches('"'), &String::from_utf8_lossy(body))
        }
        _ => form_urlencoded::parse(body).into_owned().collect(),
    }
}

/// The text fields of a multipart form, as `curl --form` and HTTP libraries send them; no files.
fn multipart(boundary: &str, body: &str) -> HashMap<String, String> {
    let boundary = format!("--{boundary}");
    let parts = body.split(&boundary).filter_map(|part| part.split_once("\r\n\r\n"));
    let field = |(head, value): (&str, &str)| {
        let name = head.split_once("name=\"")?.1.split_once('"')?.0;
        Some((name.to_owned(), value.strip_suffix("\r\n").unwrap_or(value).to_owned()))
    };
    parts.filter_map(field).collect()
}
