//! Rewrites the scopes of clients' token requests and answers.
//!
//! A legacy client requests the legacy API's scopes and checks that the answer grants them. [`request`] rewrites the `scope`
//! field of the form, which `form` locates; [`answer`] maps the granted scopes back to the requested names. Every other byte
//! stays. A request or an answer that could be read in more than one way yields `None` and is passed on unchanged.

mod form;
mod shared;

use std::borrow::Cow;

pub use self::form::Form;
pub(crate) use self::shared::{GrantedToken, may_be_shared};
use super::json::{JsonError, JsonReader};

/// The legacy API's scope to read.
pub const LEGACY_READ: &str = "conversion:read_conversion_stablecoin";
/// The legacy API's scope to create and cancel.
pub const LEGACY_WRITE: &str = "conversion:write_conversion_stablecoin";
/// The new API's scope to read.
pub const NEW_READ: &str = "orchestration:read_orchestration";
/// The new API's scope to create.
pub const NEW_WRITE: &str = "orchestration:write_orchestration";

/// Each legacy scope with its counterpart on the new API.
const SCOPE_PAIRS: [(&str, &str); 2] = [(LEGACY_READ, NEW_READ), (LEGACY_WRITE, NEW_WRITE)];

/// How to rewrite the legacy scopes of a token request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewriting {
    /// Request their counterparts as well.
    Add,
    /// Request their counterparts instead.
    Replace,
}

/// The scopes that the client requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedScopes(Vec<String>);

/// A token request whose scopes name the new API's as well.
#[derive(Debug)]
pub struct Rewritten {
    /// The whole form. It holds the client's secret and must not be logged.
    pub body: Vec<u8>,
    /// The scopes before the rewriting.
    pub requested: RequestedScopes,
}

/// The request with its scopes rewritten; `None` when nothing changes, or the form is ambiguous.
#[must_use]
pub fn request(form: &Form, body: &[u8], rewriting: Rewriting) -> Option<Rewritten> {
    let field = form.scope(body)?;
    let requested: Vec<String> =
        field.text.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
    let scopes = rewritten(&requested, rewriting);
    if scopes == requested {
        return None;
    }
    let value = form.encode(&scopes.join(" "));
    let body = [&body[..field.at.start], value.as_bytes(), &body[field.at.end..]].concat();
    Some(Rewritten { body, requested: RequestedScopes(requested) })
}

fn rewritten(requested: &[String], rewriting: Rewriting) -> Vec<String> {
    let counterpart = |scope: &str| SCOPE_PAIRS.iter().find(|(old, _)| *old == scope).map(|(_, new)| *new);
    let own = requested.iter().map(|scope| match rewriting {
        Rewriting::Add => scope.as_str(),
        Rewriting::Replace => counterpart(scope).unwrap_or(scope),
    });
    let added = requested.iter().filter_map(|scope| counterpart(scope));
    let mut scopes = Vec::new();
    for scope in own.chain(added) {
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    // Without a scope to rewrite, even a repeated scope stays as the client wrote it.
    if requested.iter().any(|scope| counterpart(scope).is_some()) { scopes } else { requested.to_vec() }
}

/// JSON without the byte order mark that some servers write before it, although RFC 8259 forbids it.
#[must_use]
pub(crate) fn without_mark(json: &[u8]) -> &[u8] {
    json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json)
}

/// The vendor's answer with the granted scopes under the names that the client requested; `None` when nothing changes.
#[must_use]
pub fn answer(body: &[u8], requested: &RequestedScopes) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    let mut reader = JsonReader::new(without_mark(body)).ok()?;
    let read = reader.object(|key, value| {
        let value = value.value()?;
        if key == "scope" {
            found.push(value);
        }
        Ok::<(), JsonError>(())
    });
    read.ok()?;
    reader.end().ok()?;
    // A member that is there twice could be read either way.
    let [scope] = found[..] else { return None };
    let granted = scope.as_text()?.value()?;
    let shown = shown(&granted, requested);
    if shown == granted {
        return None;
    }
    // `scope` borrows from `body`, so the addresses give its place without a search for it.
    let start = scope.as_written().as_ptr().addr() - body.as_ptr().addr();
    let shown = serde_json::to_vec(&shown).ok()?;
    Some([&body[..start], &shown, &body[start + scope.as_written().len()..]].concat())
}

/// A requested scope appears under its requested name, whichever of its two names was granted. A scope that was requested
/// under neither name stays.
fn shown<'a>(granted: &'a str, requested: &RequestedScopes) -> Cow<'a, str> {
    let is_requested = |scope: &str| requested.0.iter().any(|known| known == scope);
    let words: Vec<&str> = granted.split(' ').filter(|scope| !scope.is_empty()).collect();
    let mut shown: Vec<&str> = Vec::with_capacity(words.len());
    for scope in &words {
        let old = SCOPE_PAIRS
            .iter()
            .find(|(_, new)| new == scope)
            .map(|(old, _)| *old)
            .filter(|old| is_requested(old));
        if let Some(old) = old.filter(|old| !words.contains(old) && !shown.contains(old)) {
            shown.push(old);
        }
        if old.is_none() || is_requested(scope) {
            shown.push(scope);
        }
    }
    if shown == words { Cow::Borrowed(granted) } else { Cow::Owned(shown.join(" ")) }
}

/// Whether the vendor refused a token request because of its scopes (RFC 6749, section 5.2).
#[must_use]
pub fn is_invalid_scope(status: u16, body: &[u8]) -> bool {
    let error = || -> Option<bool> {
        let mut said = false;
        let mut reader = JsonReader::new(without_mark(body)).ok()?;
        let read = reader.object(|key, value| {
            let value = value.value()?;
            said |= key == "error" && value.as_text().is_some_and(|text| text.says("invalid_scope"));
            Ok::<(), JsonError>(())
        });
        read.is_ok().then_some(said)
    };
    status == 400 && error().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn counterparts_are_added_or_replace_and_no_scope_repeats() {
        use Rewriting::{Add, Replace};
        let (lr, lw, nr, nw) = (LEGACY_READ, LEGACY_WRITE, NEW_READ, NEW_WRITE);
        let cases = [
            (Add, format!("{lr} {lw}"), format!("{lr} {lw} {nr} {nw}")),
            (Add, format!("funding:x {lw} a"), format!("funding:x {lw} a {nw}")),
            (Add, format!("{nr} {lr}"), format!("{nr} {lr}")),
            (Add, "funding:x funding:x".into(), "funding:x funding:x".into()),
            (Add, nr.into(), nr.into()),
            (Replace, format!("a {lr} {lw} b"), format!("a {nr} {nw} b")),
            (Replace, format!("{lr} {nr} {lr}"), nr.into()),
            (Replace, "a b".into(), "a b".into()),
        ];
        for (rewriting, requested, sent) in cases {
            assert_eq!(rewritten(&words(&requested), rewriting), words(&sent), "{rewriting:?} {requested}");
        }
    }

    #[test]
    fn granted_scopes_appear_under_their_requested_names() {
        let (lr, lw, nr, nw) = (LEGACY_READ, LEGACY_WRITE, NEW_READ, NEW_WRITE);
        let cases = [
            (format!("{lr} {lw}"), format!("{lr} {lw} {nr} {nw}"), format!("{lr} {lw}")),
            (format!("{lr} {lw}"), format!("{nr} {nw}"), format!("{lr} {lw}")),
            (format!("{lr} {lw}"), nr.into(), lr.into()),
            (format!("{lr} a"), format!("a {nr} {lr}"), format!("a {lr}")),
            (format!("{lr} {nr}"), format!("{lr} {nr}"), format!("{lr} {nr}")),
            (format!("{lr} {nr}"), nr.into(), format!("{lr} {nr}")),
            (lr.into(), format!("{nw} b {nr}"), format!("{nw} b {lr}")),
            (lr.into(), String::new(), String::new()),
        ];
        for (requested, granted, expected) in cases {
            assert_eq!(
                shown(&granted, &RequestedScopes(words(&requested))),
                expected,
                "{requested} / {granted}"
            );
        }
    }

    #[test]
    fn only_the_scope_of_an_answer_changes() {
        let requested = RequestedScopes(words(LEGACY_READ));
        let body = format!(" {{\"a\":1.50, \"scope\" : \"{NEW_READ}\",\"access_token\":\"\\u0041\" }}\n");
        let expected = body.replace(NEW_READ, LEGACY_READ);
        assert_eq!(answer(body.as_bytes(), &requested).unwrap(), expected.as_bytes());
        for body in ["", "[]", "{}", "{\"scope\":7}", "{\"scope\":\"a\"}", "{\"scope\":\"a\"", "\u{fffd}"] {
            assert_eq!(answer(body.as_bytes(), &requested), None, "{body}");
        }
        let twice = format!("{{\"scope\":\"{NEW_READ}\",\"scope\":\"{NEW_READ}\"}}");
        assert_eq!(answer(twice.as_bytes(), &requested), None);
    }

    #[test]
    fn only_a_400_that_names_the_scope_is_invalid_scope() {
        assert!(is_invalid_scope(400, br#"{"error":"invalid_scope","error_description":"x"}"#));
        assert!(!is_invalid_scope(401, br#"{"error":"invalid_scope"}"#));
        assert!(!is_invalid_scope(400, br#"{"error":"invalid_client"}"#));
        assert!(!is_invalid_scope(400, b"invalid_scope"));
    }
}
