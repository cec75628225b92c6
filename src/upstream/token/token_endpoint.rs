//! One request to the vendor's token endpoint. It changes nothing there, so it is repeated as a read is.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Request, Uri, header};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::super::health::{UpstreamHealth, UpstreamLane};
use super::super::rate_limit::{Endpoint, OverBudget};
use super::super::whole_calls::{WholeCall, WholeCallError, WholeCalls};
use super::{Fetch, Token, TokenError, TokenFetchResult};
use crate::config::auth::{ClientCredentials, CredentialSet};
use crate::failure::error_chain::error_chain;
use crate::http::body::Payload;
use crate::http::decode::{Decoded, decode};
use crate::http::headers;
use crate::telemetry::drift::DriftLog;
use crate::telemetry::metrics::family::Counters;
use crate::telemetry::metrics::label_set::LabelValue as _;
use crate::telemetry::spans;
use crate::translate::token::without_mark;

/// Lifetime of a token whose answer has no `expires_in`, which RFC 6749 only recommends (section 5.1).
const LIFETIME_DEFAULT: Duration = Duration::from_secs(300);
/// Upper bound of a token's lifetime, in seconds.
const LIFETIME_MAX: f64 = 86_400.0;
/// Upper bound of the answer's length, in bytes.
const ANSWER_MAX: usize = 64 << 10;

/// What a token is requested with, and where. A cached token is used only for an equal request, so that a reload with other
/// credentials takes effect at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenRequest {
    pub(super) uri: Uri,
    pub(super) credentials: ClientCredentials,
}

/// The members of a token answer that the proxy uses. Of a member that is there twice, the last one counts, as in most clients.
#[derive(Default)]
struct TokenAnswer {
    access_token: String,
    /// A number, or a number as text: clients of RFC 6749 read both. As written, because no type takes every number.
    expires_in: Option<Box<RawValue>>,
    /// Text, or what is ignored.
    scope: Option<Box<RawValue>>,
}

/// A token, and what its answer says of it.
#[derive(Debug)]
pub(super) struct FetchedToken {
    pub(super) token: Token,
    pub(super) lifetime: Duration,
    /// The granted scopes, if the answer names them.
    pub(super) scope: Option<String>,
}

impl<'de> Deserialize<'de> for TokenAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = TokenAnswer;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a token answer")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<TokenAnswer, A::Error> {
        let mut answer = TokenAnswer::default();
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            match &*name {
                "access_token" => answer.access_token = members.next_value()?,
                "expires_in" => answer.expires_in = members.next_value()?,
                "scope" => answer.scope = members.next_value()?,
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(answer)
    }
}

#[derive(Debug)]
pub(super) struct TokenEndpoint {
    calls: WholeCalls,
    drift: Arc<DriftLog>,
    /// Where the endpoint's state is reported; `None` where the tokens are for no client.
    health: Option<UpstreamHealth>,
    fetches: Counters<(CredentialSet, TokenFetchResult)>,
}

impl TokenEndpoint {
    pub(super) fn new(calls: WholeCalls, drift: Arc<DriftLog>, health: Option<UpstreamHealth>) -> Self {
        Self { calls, drift, health, fetches: Counters::default() }
    }

    pub(super) const fn fetches(&self) -> &Counters<(CredentialSet, TokenFetchResult)> {
        &self.fetches
    }

    pub(super) async fn fetch(&self, fetch: &Fetch) -> Result<FetchedToken, TokenError> {
        let span = spans::step("token", None);
        let fetched = self.exchange(&fetch.request, fetch.timeout).instrument(span.clone()).await;
        let result = if fetched.is_ok() { TokenFetchResult::Fetched } else { TokenFetchResult::Failed };
        spans::end_step(&span, result.as_str(), fetched.is_err());
        self.fetches.add((fetch.credential_set, result));
        self.report(fetched.as_ref().err());
        fetched
    }

    fn report(&self, failed: Option<&TokenError>) {
        let Some(health) = &self.health else { return };
        match failed {
            None => health.answered(UpstreamLane::OwnTokens),
            // Nothing was sent.
            Some(TokenError::Unconfigured | TokenError::OverBudget) => {}
            Some(error @ (TokenError::NoAnswer(_) | TokenError::Refused(_) | TokenError::Unreadable)) => {
                health.failed(UpstreamLane::OwnTokens, error_chain(error));
            }
        }
    }

    async fn exchange(&self, token: &TokenRequest, timeout: Duration) -> Result<FetchedToken, TokenError> {
        let (budget, cost) = (self.calls.budget(), Endpoint::Token.client());
        let turn = budget.take(cost, Instant::now() + timeout).await;
        let permit = turn.map_err(|OverBudget { .. }| TokenError::OverBudget)?;
        let until = Instant::now() + timeout;
        let again =
            || -> BoxFuture<'_, bool> { Box::pin(async move { budget.take(cost, until).await.is_ok() }) };
        let call = WholeCall { request: token.request(), permit, max: ANSWER_MAX, until };
        let (head, body) = self.calls.call(call, again).await.map_err(no_answer)?.into_parts();
        if !head.status.is_success() {
            return Err(TokenError::Refused(head.status.as_u16()));
        }
        // It holds the token.
        let body = Zeroizing::new(Vec::from(body));
        let decoded = decode(&head.headers, &body, ANSWER_MAX);
        let body = match &decoded {
            Decoded::Bytes(decoded) => decoded,
            // Some gateways decode a body and leave the header.
            Decoded::Plain | Decoded::Unreadable | Decoded::Unsupported => &body[..],
        };
        let fetched = parse(body)?;
        self.drift.inspect_token(without_mark(body));
        Ok(fetched)
    }
}

impl TokenRequest {
    fn request(&self) -> Request<Payload> {
        let mut request = Request::new(Payload::whole(form(&self.credentials)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, form);
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(header::ACCEPT_ENCODING, headers::IDENTITY);
        request
    }
}

fn form(credentials: &ClientCredentials) -> String {
    let ClientCredentials { client_id, client_secret, scopes } = credentials;
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials").append_pair("client_id", client_id);
    form.append_pair("client_secret", client_secret.reveal());
    if !scopes.is_empty() {
        form.append_pair("scope", &scopes.join(" "));
    }
    form.finish()
}

fn parse(body: &[u8]) -> Result<FetchedToken, TokenError> {
    let body = without_mark(body);
    // serde_json's error would quote the body, and with it the token.
    let answer: TokenAnswer =
        serde_json::from_slice(body).map_err(|_: serde_json::Error| TokenError::Unreadable)?;
    let lifetime = answer.expires_in.as_deref().and_then(lifetime).unwrap_or(LIFETIME_DEFAULT);
    let is_empty = answer.access_token.is_empty();
    let token = Token(Arc::new(SecretString::from(answer.access_token)));
    // Checked here and not at its use: a token that no header can hold must not be cached.
    if is_empty || token.authorization().is_none() {
        Err(TokenError::Unreadable)
    } else {
        let scope = answer.scope.and_then(|scope| serde_json::from_str(scope.get()).ok());
        Ok(FetchedToken { token, lifetime, scope })
    }
}

/// The lifetime that the answer gives. Zero, for a token that is used once, where it is not above zero.
fn lifetime(expires_in: &RawValue) -> Option<Duration> {
    let text = serde_json::from_str::<Cow<'_, str>>(expires_in.get());
    let seconds: f64 = text.as_deref().unwrap_or(expires_in.get()).trim().parse().ok()?;
    (!seconds.is_nan()).then(|| Duration::from_secs_f64(seconds.clamp(0.0, LIFETIME_MAX)))
}

fn no_answer(error: WholeCallError) -> TokenError {
    match error {
        WholeCallError::NoAnswer(error) => TokenError::NoAnswer(Arc::new(error)),
        WholeCallError::TooLong { .. } => TokenError::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_other_clients_read_them() {
        let answer = |expires_in: &str| format!(r#"{{"access_token":"t","expires_in":{expires_in}}}"#);
        let lifetime = |body: &str| parse(body.as_bytes()).unwrap().lifetime;
        for (expires_in, seconds) in [
            ("60", 60.0),
            ("\"60\"", 60.0),
            ("\" 60.5 \"", 60.5),
            ("59.5", 59.5),
            ("0", 0.0),
            ("-1", 0.0),
            ("1e300", LIFETIME_MAX),
            ("1e400", LIFETIME_MAX),
            ("-1e400", 0.0),
            ("\"1e400\"", LIFETIME_MAX),
            ("true", LIFETIME_DEFAULT.as_secs_f64()),
            ("[1]", LIFETIME_DEFAULT.as_secs_f64()),
            ("null", LIFETIME_DEFAULT.as_secs_f64()),
            ("\"soon\"", LIFETIME_DEFAULT.as_secs_f64()),
            ("\"NaN\"", LIFETIME_DEFAULT.as_secs_f64()),
        ] {
            assert_eq!(lifetime(&answer(expires_in)), Duration::from_secs_f64(seconds), "{expires_in}");
        }
        assert_eq!(lifetime(&format!("\u{feff}{}", answer("60"))), Duration::from_secs(60));
        for (scope, granted) in [("\"a b\"", Some("a b")), ("null", None), ("[1e400]", None)] {
            let body = format!(r#"{{"access_token":"t","scope":{scope}}}"#);
            assert_eq!(parse(body.as_bytes()).unwrap().scope.as_deref(), granted, "{scope}");
        }
        let twice = r#"{"access_token":"old","expires_in":1,"access_token":"t","expires_in":60}"#;
        assert_eq!(lifetime(twice), Duration::from_secs(60));
        for unreadable in [
            "",
            "{}",
            r#"{"access_token":null}"#,
            r#"{"access_token":""}"#,
            r#"{"access_token":"a\nb"}"#,
            "[]",
        ] {
            assert!(parse(unreadable.as_bytes()).is_err(), "{unreadable}");
        }
    }
}
