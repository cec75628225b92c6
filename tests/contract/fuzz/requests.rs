//! Bodies of creates. What counts: the reference under which a create is claimed is the one that any reader finds in it, or the
//! create is not sent.

use conversion_shim::translate::create::CreateRequest;
use conversion_shim::translate::json::Text;
use conversion_shim::translate::reference::{References, references};
use proptest::prelude::*;
use serde_json::Value;

use super::mutation::mutated;
use super::{by_serde, cases};

const INPUTS: [&str; 5] = [
    r#"{"profile_id":"p-1","amount":"100.25","source_asset":"USD","target_asset":"PYUSD","ref_id":"r-1","metadata":{"a":"1"}}"#,
    r#"{"ref_id":"r-1","profile_id":"p-1","amount":"1","source_asset":"USD","target_asset":"USDG","recipient_profile_id":"p-2"}"#,
    r#"{"profile_id":"p","amount":".5","source_asset":"USD","target_asset":"PYUSD","identity_id":"i","account_id":"a","ref_id":null}"#,
    r#"{ "profile_id" : "p", "amount" : "1", "source_asset" : "A", "target_asset" : "B", "ref_id" : "\u0072\u002d1" }"#,
    r#"{"profile_id":"p","amount":"1","source_asset":"A","target_asset":"B"}"#,
];
const WORDS: &[&str] = &[
    r#""ref_id":"r-2","#,
    r#","ref_id":"""#,
    r#""refId":"r-3","#,
    r#""REF_ID":"r-4","#,
    r#""re\u0066_id":"r-5","#,
    r#""ref_id":7,"#,
    r#""ref_id":null,"#,
    "\\ud83d",
    "\\u0000",
    "\\",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "1e999",
    "\u{feff}",
    "\0",
    "é",
    " ",
    r#""metadata":{"ref_id":"r-6"},"#,
];

/// What a reader that forgives letter case and underscores would take for the reference: every one there is.
fn spelled_like_a_reference(document: &Value) -> Vec<&Value> {
    let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
    let members = document.as_object().into_iter().flatten();
    members.filter(|(name, _)| plain(name) == "refid").map(|(_, value)| value).collect()
}

/// What a strict reader makes of one reference.
fn one(reference: Option<String>) -> References {
    reference.map_or(References::None, |reference| References::Candidates(vec![reference]))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_reference_that_anybody_finds_is_found(body in mutated(INPUTS, WORDS)) {
        let found = references(&body);
        let Some(document) = by_serde(&body) else { return Ok(()) };
        for reference in spelled_like_a_reference(&document) {
            match (reference, &found) {
                (Value::String(text), References::None) => prop_assert_eq!(text, ""),
                (Value::String(text), References::Candidates(found)) => {
                    prop_assert!(text.is_empty() || found.contains(text), "{} is not in {:?}", text, found);
                }
                (other, References::None) => prop_assert_eq!(other, &Value::Null),
                (_, References::Candidates(_) | References::Unknown) => {}
            }
        }
    }

    #[test]
    fn what_is_sent_to_the_new_api_is_claimed_under_the_same_reference(body in mutated(INPUTS, WORDS)) {
        let Ok(request) = CreateRequest::parse(&body) else { return Ok(()) };
        let reference = request.ref_id.and_then(Text::value).map(String::from);
        prop_assert_eq!(references(&body), one(reference.clone()));
        let sent: Value = serde_json::from_str(&request.to_orchestration("made")).unwrap();
        prop_assert_eq!(sent["ref_id"].as_str(), Some(reference.as_deref().unwrap_or("made")));
        // The other reader takes the same money for the same profile out of it.
        let asked = by_serde(&body).expect("what is sent is JSON");
        for (old, new) in [("amount", "source_amount"), ("source_asset", "source_asset"), ("target_asset", "destination_asset")] {
            prop_assert_eq!(&asked[old], &sent[new]);
        }
        prop_assert_eq!(&asked["profile_id"], &sent["source"]["profile"]["profile_id"]);
        let recipient = &asked["recipient_profile_id"];
        let recipient = if recipient == "" || recipient.is_null() { &asked["profile_id"] } else { recipient };
        prop_assert_eq!(recipient, &sent["destination"]["profile"]["profile_id"]);
        prop_assert_eq!(asked.get("metadata").filter(|it| !it.is_null()), sent.get("metadata"));
    }
}
