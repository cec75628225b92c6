//! Token requests: of any form only the scope changes, and what is no form is left alone.

use conversion_shim::translate::token::{
    self, Form, LEGACY_READ, LEGACY_WRITE, NEW_READ, NEW_WRITE, Rewriting,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::cases;

const HOWS: [Rewriting; 2] = [Rewriting::Add, Rewriting::Replace];
const BOUNDARY: &str = "----x'y z";

fn scopes() -> impl Strategy<Value = Vec<&'static str>> {
    vec(select(vec![LEGACY_READ, LEGACY_WRITE, NEW_READ, NEW_WRITE, "funding:read_profile", "a%b+c"]), 0..6)
}

/// Fields of any name but the scope's, and where the scope stands among them.
fn fields() -> impl Strategy<Value = (Vec<(String, String)>, usize)> {
    let field = (any::<String>(), any::<String>()).prop_filter("not the scope", |(name, _)| name != "scope");
    vec(field, 0..6).prop_flat_map(|fields| {
        let places = 0..=fields.len();
        (Just(fields), places)
    })
}

fn with_scope(fields: &[(String, String)], at: usize, scope: &str) -> Vec<(String, String)> {
    let mut all = fields.to_vec();
    all.insert(at, ("scope".to_owned(), scope.to_owned()));
    all
}

fn urlencoded(fields: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn multipart(fields: &[(String, String)]) -> String {
    let part = |(at, (name, value)): (usize, &(String, String))| {
        // Names as browsers write them; any other would be another form.
        let name = if name == "scope" { name.clone() } else { format!("field-{at}") };
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    fields.iter().enumerate().map(part).chain([format!("--{BOUNDARY}--\r\n")]).collect()
}

/// What a scope becomes, said once more and more simply.
fn expected(scopes: &[&str], how: Rewriting) -> Vec<String> {
    let twin = |scope: &str| match scope {
        LEGACY_READ => Some(NEW_READ),
        LEGACY_WRITE => Some(NEW_WRITE),
        _ => None,
    };
    let mut all: Vec<String> = scopes
        .iter()
        .map(|scope| if how == Rewriting::Replace { twin(scope).unwrap_or(scope) } else { scope }.to_owned())
        .collect();
    all.extend(scopes.iter().filter_map(|scope| twin(scope)).map(str::to_owned));
    let mut seen = std::collections::HashSet::new();
    all.retain(|scope| seen.insert(scope.clone()));
    all
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn of_a_form_only_the_scope_changes(scopes in scopes(), (fields, at) in fields()) {
        let before = with_scope(&fields, at, &scopes.join(" "));
        let content_type = format!("multipart/form-data; boundary=\"{BOUNDARY}\"");
        let forms = [
            (Form::Urlencoded, urlencoded as fn(&[(String, String)]) -> String),
            (Form::of(&content_type).unwrap(), multipart),
        ];
        for (form, write) in forms {
            for how in HOWS {
                let rewritten = token::request(&form, write(&before).as_bytes(), how);
                let after = expected(&scopes, how);
                let has_old = scopes.iter().any(|scope| [LEGACY_READ, LEGACY_WRITE].contains(scope));
                match rewritten {
                    Some(rewritten) => {
                        prop_assert!(has_old);
                        let wanted = write(&with_scope(&fields, at, &after.join(" ")));
                        prop_assert_eq!(String::from_utf8(rewritten.body).unwrap(), wanted);
                    }
                    None => prop_assert!(!has_old || scopes == after),
                }
            }
        }
    }

    #[test]
    fn no_bytes_at_all_are_a_reason_to_panic(bytes in vec(any::<u8>(), 0..200), kind in any::<String>()) {
        for form in Form::of(&kind).into_iter().chain([Form::Urlencoded, Form::Multipart { delimiter: "--".to_owned() }]) {
            for how in HOWS {
                let _ = token::request(&form, &bytes, how);
            }
        }
        let _ = token::is_invalid_scope(400, &bytes);
    }

    /// Bytes that are likely to be nearly a form: pieces of one in any order.
    #[test]
    fn pieces_of_forms_are_read_for_certain_or_not_at_all(pieces in vec(select(vec![
        "--x", "--", "\r\n", "\r\n\r\n", "Content-Disposition: form-data; name=\"scope\"", "name=scope", "scope=", "&", "=",
        LEGACY_READ, "%", "%73", "\"", ";", "a",
    ]), 0..24)) {
        let body = pieces.concat();
        for form in [Form::Urlencoded, Form::Multipart { delimiter: "--x".to_owned() }] {
            if let Some(rewritten) = token::request(&form, body.as_bytes(), Rewriting::Replace) {
                // What comes out has a scope at the same place, which is not rewritten again.
                prop_assert!(token::request(&form, &rewritten.body, Rewriting::Replace).is_none());
                prop_assert!(String::from_utf8(rewritten.body).unwrap().contains("read_orchestration"));
            }
        }
    }

    #[test]
    fn an_answer_says_what_was_asked_for_and_granted(scopes in scopes(), granted in scopes()) {
        let form = urlencoded(&[("scope".to_owned(), scopes.join(" "))]);
        for how in HOWS {
            let Some(rewritten) = token::request(&Form::Urlencoded, form.as_bytes(), how) else { continue };
            let body = serde_json::json!({ "access_token": "t", "scope": granted.join(" "), "expires_in": 3599 }).to_string();
            let shown = token::answer(body.as_bytes(), &rewritten.requested).unwrap_or_else(|| body.clone().into_bytes());
            let shown: serde_json::Value = serde_json::from_slice(&shown).unwrap();
            let shown: Vec<_> = shown["scope"].as_str().unwrap().split(' ').collect();
            for (old, new) in [(LEGACY_READ, NEW_READ), (LEGACY_WRITE, NEW_WRITE)] {
                let got = granted.contains(&old) || granted.contains(&new);
                if scopes.contains(&old) {
                    prop_assert_eq!(shown.contains(&old), got);
                    prop_assert_eq!(shown.contains(&new), scopes.contains(&new) && granted.contains(&new));
                }
            }
        }
    }
}
