//! Token requests and answers. What counts: secrets and all other fields go on byte for byte, and one value changes or none does.

use conversion_shim::translate::token::{self, Form, LEGACY_READ, Rewriting};
use proptest::prelude::*;

use super::mutation::mutated;
use super::{by_serde, cases};

const URLENCODED: [&str; 3] = [
    "grant_type=client_credentials&client_id=a&client_secret=s%2Bcret&scope=conversion%3Aread_conversion_stablecoin",
    "scope=conversion:read_conversion_stablecoin+conversion:write_conversion_stablecoin+funding:read_profile&client_id=a",
    "client_id=a&%73cope=conversion:write_conversion_stablecoin&x",
];
const MULTIPART: [&str; 2] = [
    "--x\r\nContent-Disposition: form-data; name=\"client_secret\"\r\n\r\ns3cret\r\n--x\r\nContent-Disposition: form-data; name=\"scope\"\r\n\r\nconversion:read_conversion_stablecoin\r\n--x--\r\n",
    "preamble\r\n--x\r\ncontent-disposition: form-data; name=scope\r\nContent-Type: text/plain\r\n\r\nconversion:write_conversion_stablecoin a\r\n--x\r\nContent-Disposition: form-data; name=\"b\"; filename=\"scope\"\r\n\r\n\r\n--x--",
];
const WORDS: &[&str] = &[
    "scope=",
    "&scope=x",
    "&",
    "=",
    "%",
    "%26",
    "+",
    "--x",
    "--x--",
    "\r\n",
    "\r\n\r\n",
    "name=\"scope\"",
    "Content-Disposition: form-data; ",
    "conversion:read_conversion_stablecoin",
    "\"",
    "\\",
    ";",
    "\0",
    "é",
    "\u{fffd}",
];
const ANSWERS: [&str; 2] = [
    r#"{"access_token":"t","expires_in":3599,"scope":"orchestration:read_orchestration funding:read_profile","token_type":"bearer"}"#,
    r#"{"scope":"","access_token":"t"}"#,
];
const JSON_WORDS: &[&str] = &[
    r#""scope":"x","#,
    "orchestration:read_orchestration",
    "\\u0020",
    "\\ud83d",
    "\"",
    "{",
    "}",
    ",",
    ":",
    "[",
    "null",
    "1e999",
    " ",
];

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn of_an_urlencoded_form_one_scope_changes(body in mutated(URLENCODED, WORDS), replace in any::<bool>()) {
        let how = if replace { Rewriting::Replace } else { Rewriting::Add };
        let Some(rewritten) = token::request(&Form::Urlencoded, &body, how) else { return Ok(()) };
        let read = |body: &[u8]| form_urlencoded::parse(body).into_owned().collect::<Vec<_>>();
        let (before, after) = (read(&body), read(&rewritten.body));
        prop_assert_eq!(before.len(), after.len());
        let changed: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
        prop_assert!(matches!(changed[..], [(before, after)] if before.0 == "scope" && after.0 == "scope"), "{:?}", changed);
        prop_assert!(changed[0].1.1.contains("orchestration:"), "{:?}", changed);
        // Not only as it is read: everything around the value stands as it stood.
        let same = |one: &[u8], other: &[u8]| one.iter().zip(other).take_while(|(one, other)| one == other).count();
        let (mut back, mut back_after) = (body.to_vec(), rewritten.body.clone());
        back.reverse();
        back_after.reverse();
        let around = same(&body, &rewritten.body) + same(&back, &back_after);
        let value = body.split(|byte| *byte == b'&').map(<[u8]>::len).max().unwrap_or(0);
        prop_assert!(around + value >= body.len(), "{:?}", String::from_utf8_lossy(&rewritten.body));
    }

    #[test]
    fn of_a_multipart_form_one_part_changes(body in mutated(MULTIPART, WORDS)) {
        let form = Form::of("multipart/form-data; boundary=x").unwrap();
        let Some(rewritten) = token::request(&form, &body, Rewriting::Replace) else { return Ok(()) };
        // Read more simply: cut at every line that begins like a delimiter.
        let (before, after) = (String::from_utf8_lossy(&body), String::from_utf8_lossy(&rewritten.body));
        let (before, after): (Vec<_>, Vec<_>) = (before.split("\r\n--x").collect(), after.split("\r\n--x").collect());
        prop_assert_eq!(before.len(), after.len());
        let changed: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
        prop_assert_eq!(changed.len(), 1);
        let (head, _) = changed[0].0.split_once("\r\n\r\n").unwrap();
        prop_assert!(head.contains("scope") && changed[0].1.starts_with(head), "{:?}", changed);
    }

    #[test]
    fn of_an_answer_one_scope_changes(body in mutated(ANSWERS, JSON_WORDS)) {
        let asked = token::request(&Form::Urlencoded, format!("scope={LEGACY_READ}").as_bytes(), Rewriting::Replace).unwrap().requested;
        let Some(shown) = token::answer(&body, &asked) else { return Ok(()) };
        if let Some(mut before) = by_serde(&body) {
            let after = by_serde(&shown).unwrap();
            prop_assert_ne!(&before["scope"], &after["scope"]);
            before["scope"] = after["scope"].clone();
            prop_assert_eq!(before, after);
        }
    }

    #[test]
    fn a_multipart_boundary_does_not_occur_in_its_parts(bytes in mutated(["multipart/form-data; boundary=\"x y\"", "multipart/form-data; boundary=é", "application/x-www-form-urlencoded; charset=UTF-8"], WORDS)) {
        if let Some(Form::Multipart { delimiter }) = Form::of(&String::from_utf8_lossy(&bytes)) {
            prop_assert!((3..=72).contains(&delimiter.len()) && delimiter.is_ascii(), "{}", delimiter);
        }
    }
}
