//! What must be known of a token request and its answer before another equal request may be answered with the same token.

use std::ops::Range;

use super::{Form, without_mark};
use crate::translate::json::{JsonError, JsonReader, Raw};

/// Upper bound of a token's lifetime, in seconds.
const LIFETIME_MAX: f64 = 86_400.0;

/// Whether an equal request would be granted an equal token: the form asks for a client's own token (RFC 6749, section 4.4). A code, a
/// refresh token and an assertion (RFC 7523) can be used once.
#[must_use]
pub(crate) fn may_be_shared(form: &Form, body: &[u8]) -> bool {
    match form {
        Form::Urlencoded => {
            let fields = || form_urlencoded::parse(body);
            let mut grants = fields().filter(|(name, _)| name == "grant_type");
            let grant = grants.next().is_some_and(|(_, grant)| grant == "client_credentials");
            // An assertion is valid once, and a client that sends one expects a token of its own for it.
            grant && grants.next().is_none() && !fields().any(|(name, _)| name.contains("assertion"))
        }
        Form::Multipart { .. } => false,
    }
}

/// A token in the vendor's answer. It is a secret.
pub(crate) struct GrantedToken {
    pub(crate) token: String,
    /// In seconds, above 0.
    pub(crate) lifetime: f64,
    /// The number of seconds, as written, in the answer.
    at: Range<usize>,
}

impl GrantedToken {
    /// The token of an answer; `None` when the answer is ambiguous, says nothing about the lifetime, or holds another secret beside it.
    #[must_use]
    pub(crate) fn of(body: &[u8]) -> Option<Self> {
        let (mut token, mut lifetime, mut refresh) = (Vec::new(), Vec::new(), false);
        let mut reader = JsonReader::new(without_mark(body)).ok()?;
        let read = reader.object(|key, value| {
            let value = value.value()?;
            match key {
                "access_token" => token.push(value),
                "expires_in" => lifetime.push(value),
                _ => refresh |= key == "refresh_token",
            }
            Ok::<(), JsonError>(())
        });
        read.ok()?;
        reader.end().ok()?;
        // A refresh token belongs to one client and must not be handed to another.
        let ([token], [expires_in], false) = (&token[..], &lifetime[..], refresh) else { return None };
        let token = token.as_text()?.value()?.into_owned();
        let start = digits(*expires_in).as_ptr().addr() - body.as_ptr().addr();
        let at = start..start + digits(*expires_in).len();
        let lifetime = seconds(digits(*expires_in))?;
        (!token.is_empty()).then_some(Self { token, lifetime, at })
    }

    /// The answer with another lifetime, in seconds. Every other byte stays.
    #[must_use]
    pub(crate) fn with_lifetime(&self, body: &[u8], lifetime: u64) -> Vec<u8> {
        let seconds = lifetime.to_string();
        [&body[..self.at.start], seconds.as_bytes(), &body[self.at.end..]].concat()
    }
}

/// The value without quotes: some servers write the number as text.
fn digits(value: Raw<'_>) -> &str {
    value.as_text().map_or(value.as_written(), |text| text.as_written())
}

fn seconds(digits: &str) -> Option<f64> {
    let seconds: f64 = digits.trim().parse().ok()?;
    (seconds > 0.0).then(|| seconds.min(LIFETIME_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clients_own_token_is_shared() {
        let shared = |body: &str| may_be_shared(&Form::Urlencoded, body.as_bytes());
        assert!(shared("client_id=a&grant_type=client_credentials&client_secret=s"));
        for body in [
            "",
            "grant_type=refresh_token&refresh_token=x",
            "grant_type=client_credentials&grant_type=password",
        ] {
            assert!(!shared(body), "{body}");
        }
    }

    #[test]
    fn an_answer_keeps_every_byte_but_its_lifetime() {
        for (body, expected) in [
            (
                r#"{"access_token":"t", "expires_in" : 3600,"scope":"a"}"#,
                r#"{"access_token":"t", "expires_in" : 17,"scope":"a"}"#,
            ),
            (r#"{"expires_in":"3600.5","access_token":"t"}"#, r#"{"expires_in":"17","access_token":"t"}"#),
        ] {
            let granted = GrantedToken::of(body.as_bytes()).unwrap();
            assert_eq!((granted.token.as_str(), granted.lifetime.floor()), ("t", 3600.0), "{body}");
            let edited = granted.with_lifetime(body.as_bytes(), 17);
            assert_eq!(edited, expected.as_bytes());
        }
    }

    #[test]
    fn an_answer_that_is_not_certain_is_not_shared() {
        for body in [
            r#"{"access_token":"t"}"#,
            r#"{"access_token":"t","expires_in":0}"#,
            r#"{"access_token":"t","expires_in":-1}"#,
            r#"{"access_token":"t","expires_in":"soon"}"#,
            r#"{"access_token":"t","expires_in":null}"#,
            r#"{"access_token":"t","expires_in":"NaN"}"#,
            r#"{"access_token":"","expires_in":1}"#,
            r#"{"access_token":"t","access_token":"u","expires_in":1}"#,
            r#"{"access_token":"t","expires_in":1,"expires_in":2}"#,
            r#"{"access_token":"t","expires_in":1,"refresh_token":"r"}"#,
            r#"{"access_token":"t","expires_in":1"#,
            "[]",
            "",
        ] {
            assert!(GrantedToken::of(body.as_bytes()).is_none(), "{body}");
        }
    }
}
