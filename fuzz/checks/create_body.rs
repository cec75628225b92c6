//! A create's body, read strictly to translate it and leniently to claim every reference that a server may read in it.
//!
//! Held: a reference that is read strictly is a candidate, also when the same text comes in a wider encoding, behind a byte order mark or
//! before trailing text; of any JSON object every spelling and repetition of the reference is a candidate, or it is said that not all are known;
//! a reference that is written for lenient readers alone is a candidate; and the translated request is JSON with the values of the body.

use std::fmt;

use conversion_shim::translate::create::CreateRequest;
use conversion_shim::translate::json::Text;
use conversion_shim::translate::reference::{References, references};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The members of an object, repeated ones too.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(All)
    }
}

/// Whether a reference is claimed, or the body not believed to be read whole.
fn is_covered(found: &References, reference: &str) -> bool {
    match found {
        References::Candidates(candidates) => candidates.iter().any(|candidate| candidate == reference),
        References::Unknown => true,
        References::None => false,
    }
}

/// Bodies that lenient readers alone accept, each with this reference.
fn for_lenient_readers(reference: &str) -> Vec<String> {
    let escaped = |quote: char| {
        let mut literal = String::from(quote);
        for letter in reference.chars() {
            if letter == quote || matches!(letter, '\\' | '/') {
                literal.push('\\');
            }
            literal.push(letter);
        }
        literal.push(quote);
        literal
    };
    let (double, single) = (escaped('"'), escaped('\''));
    vec![
        format!("{{\"ref_id\":{double},}}"),
        format!("{{\"ref_id\" /* \"x\": */ : // y\n {double}}}"),
        format!("{{'amount':1.50,'refId':{single}}}"),
        format!("{{ref_id:{double},# z\namount:NaN}}"),
        format!("[{{\"\\u0072ef_id\":{double}}}"),
    ]
}

/// The same text as other servers may still understand it.
fn variants(text: &str) -> Vec<Vec<u8>> {
    let marked = format!("\u{FEFF}{text}");
    let mut all = vec![marked.clone().into_bytes(), format!("{text}}}").into_bytes()];
    for text in [text, &marked] {
        all.push(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
        all.push(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
        all.push(text.chars().flat_map(|letter| u32::from(letter).to_le_bytes()).collect());
        all.push(text.chars().flat_map(|letter| u32::from(letter).to_be_bytes()).collect());
    }
    all
}

/// Every member that a forgiving server takes for the reference.
fn check_members(body: &[u8], found: &References) {
    let Ok(Members(members)) = serde_json::from_slice::<Members>(body) else { return };
    for (name, value) in &members {
        if name.replace('_', "").eq_ignore_ascii_case("refid")
            && let Some(reference) = value.as_str().filter(|reference| !reference.is_empty())
        {
            assert!(is_covered(found, reference), "{name}: {reference:?} is no candidate");
        }
    }
}

fn check_request(request: CreateRequest<'_>, body: &[u8]) {
    let sent: Value = serde_json::from_str(&request.to_orchestration("made")).expect("the request is JSON");
    let given = request.ref_id.and_then(Text::value);
    assert_eq!(sent["ref_id"], given.as_deref().unwrap_or("made"));
    let Ok(written) = serde_json::from_slice::<Value>(body) else { return };
    for (legacy, new) in
        [("amount", "source_amount"), ("source_asset", "source_asset"), ("target_asset", "destination_asset")]
    {
        assert_eq!(written[legacy], sent[new], "{legacy}");
    }
    assert_eq!(written["profile_id"], sent["source"]["profile"]["profile_id"]);
    let recipient = written["recipient_profile_id"].as_str().filter(|recipient| !recipient.is_empty());
    let credited = recipient.map_or(&written["profile_id"], |_| &written["recipient_profile_id"]);
    assert_eq!(*credited, sent["destination"]["profile"]["profile_id"]);
    assert_eq!(written["metadata"], sent["metadata"]);
}

pub(crate) fn check(body: &[u8]) {
    let found = references(body);
    if let References::Candidates(candidates) = &found {
        assert!(!candidates.is_empty() && candidates.is_sorted_by(|one, next| one < next));
    }
    check_members(body, &found);
    let Ok(request) = CreateRequest::parse(body) else { return };
    check_request(request, body);
    let Some(reference) = request.ref_id.and_then(Text::value) else { return };
    assert_eq!(found, References::Candidates(vec![reference.clone().into_owned()]));
    let text = std::str::from_utf8(body).expect("JSON is UTF-8");
    for variant in variants(text) {
        assert!(is_covered(&references(&variant), &reference), "{reference:?} in {variant:?}");
    }
    for lenient in for_lenient_readers(&reference) {
        let expected = References::Candidates(vec![reference.clone().into_owned()]);
        assert_eq!(references(lenient.as_bytes()), expected, "{lenient:?}");
        let wide: Vec<u8> = lenient.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(is_covered(&references(&wide), &reference), "{reference:?} in {lenient:?} as UTF-16");
    }
}
