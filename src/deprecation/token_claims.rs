//! Reads the client id from the payload of a JWT, without verifying the token. It only names clients in the usage table; never base a
//! decision on it. The token itself is neither stored nor logged.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use serde::Deserialize;

/// Longer payloads are ignored, so that a client cannot make the proxy decode megabytes. In bytes of base64.
const PAYLOAD_MAX: usize = 8 << 10;

/// The claims in which issuers put the client id, the most specific first.
#[derive(Deserialize)]
struct Claims {
    client_id: Option<String>,
    cid: Option<String>,
    azp: Option<String>,
    sub: Option<String>,
}

/// The client id in the request's bearer token, if that is a JWT with one.
pub(crate) fn client_id(headers: &HeaderMap) -> Option<String> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut parts = token.trim_matches(' ').split('.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    if payload.len() > PAYLOAD_MAX {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let Claims { client_id, cid, azp, sub } = serde_json::from_slice(&payload).ok()?;
    [client_id, cid, azp, sub].into_iter().flatten().find(|name| !name.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_of(token: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, token.parse().unwrap());
        client_id(&headers)
    }

    fn jwt(payload: &str) -> String {
        format!("Bearer e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn a_jwt_names_its_client_and_other_tokens_name_none() {
        assert_eq!(
            client_of(&jwt(r#"{"sub":"s","cid":"c","client_id":"treasury"}"#)).as_deref(),
            Some("treasury")
        );
        assert_eq!(client_of(&jwt(r#"{"sub":"s","cid":" "}"#)).as_deref(), Some("s"));
        for token in [
            "Bearer opaque",
            "Basic e30.e30.c2ln",
            "Bearer a.b",
            "Bearer e30.!!.c2ln",
            &jwt(r#"{"client_id":7}"#),
            &jwt("[]"),
            &format!("Bearer e30.{}.c2ln", "A".repeat(PAYLOAD_MAX + 1)),
            &(jwt(r#"{"sub":"s"}"#) + ".more"),
        ] {
            assert_eq!(client_of(token), None, "{token}");
        }
    }
}
