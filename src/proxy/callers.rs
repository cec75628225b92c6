//! Authenticates callers while the proxy sends its own credentials, and checks whether they may read or write. In mode `passthrough` it
//! checks nothing: the vendor judges the caller's own token.

use http::{HeaderMap, Method, header};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::config::auth::{Auth, AuthMode, Caller};
use crate::failure::AuthFailure;
use crate::http::headers;

/// SHA-256 of a client's certificate, as DER.
pub(crate) type CertificateFingerprint = [u8; 32];

/// The caller of a request; `None` in mode `passthrough`.
///
/// # Errors
/// When no configured caller matches.
pub(crate) fn identify<'config>(
    auth: &'config Auth,
    headers: &HeaderMap,
    certificate: Option<&CertificateFingerprint>,
) -> Result<Option<&'config Caller>, AuthFailure> {
    if auth.mode == AuthMode::Passthrough {
        return Ok(None);
    }
    matching(&auth.callers, bearer(headers).as_ref(), certificate).map(Some).ok_or(AuthFailure::UnknownCaller)
}

/// Checks a caller's permission. Only the method counts, so that no spelling of a path evades the check.
///
/// # Errors
/// When the caller lacks the permission.
pub(crate) fn permit(caller: &Caller, method: &Method, headers: &HeaderMap) -> Result<(), AuthFailure> {
    // Its answer repeats the request, and with it the proxy's own token (RFC 9110, section 9.3.8).
    if *method == Method::TRACE {
        return Err(AuthFailure::Reflecting);
    }
    // An override can make a GET a write at the vendor.
    let reads = method.is_safe() && !headers::override_method(headers);
    let may = if reads { caller.read } else { caller.write };
    if may { Ok(()) } else { Err(AuthFailure::NotAllowed { reads: caller.read }) }
}

/// The digest of a request's bearer token, if it has exactly one.
fn bearer(headers: &HeaderMap) -> Option<[u8; 32]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    // Two `Authorization` headers: the vendor may take the other one.
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| Sha256::digest(token).into())
}

/// The caller whose configured proofs all match; one with a token is preferred. Every caller is compared in constant time.
fn matching<'config>(
    callers: &'config [Caller],
    token: Option<&[u8; 32]>,
    certificate: Option<&CertificateFingerprint>,
) -> Option<&'config Caller> {
    let same = |wanted: &Option<[u8; 32]>, shown: Option<&[u8; 32]>| match (wanted, shown) {
        (None, _) => Choice::from(1),
        (Some(_), None) => Choice::from(0),
        (Some(wanted), Some(shown)) => wanted.ct_eq(shown),
    };
    let mut found = None;
    // All of them, each compared in constant time: how long it takes says nothing about how much of a guess is right.
    for caller in callers {
        let proven = same(&caller.token, token) & same(&caller.certificate, certificate);
        let better = found.is_none_or(|found: &Caller| found.token.is_none() && caller.token.is_some());
        if bool::from(proven) && better {
            found = Some(caller);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str, token: Option<&str>, certificate: Option<[u8; 32]>) -> Caller {
        let token = token.map(|token| Sha256::digest(token).into());
        Caller { name: name.into(), token, certificate, read: true, write: false }
    }

    #[test]
    fn what_is_configured_must_match_all_of_it() {
        let callers = [
            caller("by certificate", None, Some([1; 32])),
            caller("by token", Some("t"), None),
            caller("by both", Some("b"), Some([2; 32])),
        ];
        let name = |token: Option<&str>, certificate: Option<[u8; 32]>| {
            let token = token.map(|token| Sha256::digest(token).into());
            matching(&callers, token.as_ref(), certificate.as_ref()).map(|caller| caller.name.as_str())
        };
        assert_eq!(name(Some("t"), None), Some("by token"));
        assert_eq!(name(None, Some([1; 32])), Some("by certificate"));
        assert_eq!(name(Some("unknown"), Some([1; 32])), Some("by certificate"));
        assert_eq!(name(Some("t"), Some([1; 32])), Some("by token"));
        assert_eq!(name(Some("b"), Some([2; 32])), Some("by both"));
        for (token, certificate) in
            [(Some("b"), None), (None, Some([2; 32])), (None, None), (Some("x"), Some([9; 32]))]
        {
            assert_eq!(name(token, certificate), None, "{token:?} {certificate:?}");
        }
    }

    #[test]
    fn there_is_one_bearer_token_or_none() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, http::HeaderValue::from_static(value));
            }
            bearer(&headers)
        };
        let digest = Some(Sha256::digest("t").into());
        assert_eq!((of(&["Bearer t"]), of(&["bEARER  t "])), (digest, digest));
        for none in [&[][..], &["Bearer t", "Bearer t"], &["Basic t"], &["Bearer "], &["Bearer"], &["t"]] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}
