//! Token requests and their answers: the scopes of the two APIs, and nothing else of either.
//!
//! A client of the old API asks for the old API's scopes and checks that the answer holds them. [`request`] rewrites the one
//! field, wherever the form keeps it (`form`), [`answer`] writes the granted scopes in the words in which they were asked for.
//! Every other byte stays. What cannot be read for certain is `None`, and goes on as it came.

mod form;

use std::borrow::Cow;

pub use self::form::Form;
use super::json::{JsonError, Reader};

/// What a client of the old API needs to read.
pub const LEGACY_READ: &str = "conversion:read_conversion_stablecoin";
/// What a client of the old API needs to create and cancel.
pub const LEGACY_WRITE: &str = "conversion:write_conversion_stablecoin";
/// What reading needs on the new API.
pub const NEW_READ: &str = "orchestration:read_orchestration";
/// What creating needs on the new API.
pub const NEW_WRITE: &str = "orchestration:write_orchestration";

/// The old API's scopes, each with its twin on the new one.
const SCOPE_PAIRS: [(&str, &str); 2] = [(LEGACY_READ, NEW_READ), (LEGACY_WRITE, NEW_WRITE)];

/// What becomes of the old API's scopes in a token request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewriting {
    /// Their twins are asked for too.
    Add,
    /// Their twins are asked for instead.
    Replace,
}

/// The scopes that a client asked for, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked(Vec<String>);

/// A token request with other scopes.
#[derive(Debug)]
pub struct Rewritten {
    /// The whole form. Holds the client's secret: never log it.
    pub body: Vec<u8>,
    /// What the client had asked for.
    pub asked: Asked,
}

/// The request with its scopes rewritten; `None` when there is nothing to rewrite, or the form cannot be read for certain.
#[must_use]
pub fn request(form: &Form, body: &[u8], how: Rewriting) -> Option<Rewritten> {
    let field = form.scope(body)?;
    let asked: Vec<String> =
        field.text.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
    let scopes = rewritten(&asked, how);
    if scopes == asked {
        return None;
    }
    let value = form.written(&scopes.join(" "));
    let body = [&body[..field.at.start], value.as_bytes(), &body[field.at.end..]].concat();
    Some(Rewritten { body, asked: Asked(asked) })
}

fn rewritten(asked: &[String], how: Rewriting) -> Vec<String> {
    let twin = |scope: &str| SCOPE_PAIRS.iter().find(|(old, _)| *old == scope).map(|(_, new)| *new);
    let own = asked.iter().map(|scope| match how {
        Rewriting::Add => scope.as_str(),
        Rewriting::Replace => twin(scope).unwrap_or(scope),
    });
    let added = asked.iter().filter_map(|scope| twin(scope));
    let mut scopes = Vec::new();
    for scope in own.chain(added) {
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    // A client that says a scope twice and none to rewrite is not corrected.
    if asked.iter().any(|scope| twin(scope).is_some()) { scopes } else { asked.to_vec() }
}

/// The vendor's answer with the granted scopes in the client's words; `None` when it is to go on as it came.
#[must_use]
pub fn answer(body: &[u8], asked: &Asked) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    let mut reader = Reader::new(body).ok()?;
    let read = reader.object(|key, value| {
        let value = value.value()?;
        if key == "scope" {
            found.push(value);
        }
        Ok::<(), JsonError>(())
    });
    read.ok()?;
    reader.end().ok()?;
    let [scope] = found[..] else { return None };
    let granted = scope.as_text()?.value()?;
    let shown = shown(&granted, asked);
    if shown == granted {
        return None;
    }
    let start = scope.as_written().as_ptr().addr() - body.as_ptr().addr();
    let shown = serde_json::to_vec(&shown).ok()?;
    Some([&body[..start], &shown, &body[start + scope.as_written().len()..]].concat())
}

/// What was asked for is shown as it was asked for, whichever of its two names was granted; what nobody asked for by either
/// name is shown as it is.
fn shown<'a>(granted: &'a str, asked: &Asked) -> Cow<'a, str> {
    let asked_for = |scope: &str| asked.0.iter().any(|known| known == scope);
    let words: Vec<&str> = granted.split(' ').filter(|scope| !scope.is_empty()).collect();
    let mut shown: Vec<&str> = Vec::with_capacity(words.len());
    for scope in &words {
        let old = SCOPE_PAIRS
            .iter()
            .find(|(_, new)| new == scope)
            .map(|(old, _)| *old)
            .filter(|old| asked_for(old));
        if let Some(old) = old.filter(|old| !words.contains(old) && !shown.contains(old)) {
            shown.push(old);
        }
        if old.is_none() || asked_for(scope) {
            shown.push(scope);
        }
    }
    if shown == words { Cow::Borrowed(granted) } else { Cow::Owned(shown.join(" ")) }
}

/// Whether the vendor refused a token request because of its scopes (RFC 6749, 5.2).
#[must_use]
pub fn is_invalid_scope(status: u16, body: &[u8]) -> bool {
    let error = || -> Option<bool> {
        let mut said = false;
        let mut reader = Reader::new(body).ok()?;
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
    fn twins_are_added_or_take_the_place_and_nothing_is_said_twice() {
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
        for (how, asked, sent) in cases {
            assert_eq!(rewritten(&words(&asked), how), words(&sent), "{how:?} {asked}");
        }
    }

    #[test]
    fn what_was_asked_for_and_granted_is_shown_as_it_was_asked_for() {
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
        for (asked, granted, expected) in cases {
            assert_eq!(shown(&granted, &Asked(words(&asked))), expected, "{asked} / {granted}");
        }
    }

    #[test]
    fn only_the_scope_of_an_answer_changes() {
        let asked = Asked(words(LEGACY_READ));
        let body = format!(" {{\"a\":1.50, \"scope\" : \"{NEW_READ}\",\"access_token\":\"\\u0041\" }}\n");
        let expected = body.replace(NEW_READ, LEGACY_READ);
        assert_eq!(answer(body.as_bytes(), &asked).unwrap(), expected.as_bytes());
        for body in ["", "[]", "{}", "{\"scope\":7}", "{\"scope\":\"a\"}", "{\"scope\":\"a\"", "\u{fffd}"] {
            assert_eq!(answer(body.as_bytes(), &asked), None, "{body}");
        }
        let twice = format!("{{\"scope\":\"{NEW_READ}\",\"scope\":\"{NEW_READ}\"}}");
        assert_eq!(answer(twice.as_bytes(), &asked), None);
    }

    #[test]
    fn only_a_400_that_names_the_scope_is_invalid_scope() {
        assert!(is_invalid_scope(400, br#"{"error":"invalid_scope","error_description":"x"}"#));
        assert!(!is_invalid_scope(401, br#"{"error":"invalid_scope"}"#));
        assert!(!is_invalid_scope(400, br#"{"error":"invalid_client"}"#));
        assert!(!is_invalid_scope(400, b"invalid_scope"));
    }
}
