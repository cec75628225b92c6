//! What shadow does with bodies of both sides. What counts: it never breaks, it sees no difference between equal bytes, and a
//! dry run accepts what a create would accept.

use conversion_shim::shadow::coverage;
use conversion_shim::shadow::dry_run;
use conversion_shim::shadow::json::Json;
use conversion_shim::shadow::redact::Redactor;
use conversion_shim::shadow::side_response::SideResponse;
use conversion_shim::shadow::types::{COMPARED, Verdict};
use conversion_shim::shadow::verdict::Comparator;
use conversion_shim::translate::create::CreateRequest;
use jiff::civil::date;
use proptest::prelude::*;
use proptest::sample::select;

use super::mutation::mutated;
use super::{by_serde, cases};

const INPUTS: [&str; 4] = [
    r#"{"id":"2","profile_id":"p","ref_id":"r-1","source_asset":"USD","target_asset":"PYUSD","amount":"1.5","status":"SETTLED","created_at":"2026-04-20T12:30:01.397730Z","updated_at":"2026-04-20T12:30:02Z","metadata":{"k":"v"}}"#,
    r#"{"items":[{"id":"1","ref_id":"a","amount":"1"},{"id":"2","ref_id":"b","amount":"1.0"}],"next_page_cursor":"c"}"#,
    r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"amount","meta":{"existing":{"id":"1"}}}"#,
    r#"{"profile_id":"p","amount":"1","source_asset":"USD","target_asset":"PYUSD","ref_id":"r","metadata":{"a":"b"}}"#,
];
const WORDS: &[&str] = &[
    r#""items":[],"#,
    r#""items":[null],"#,
    r#""amount":"1e3","#,
    r#""amount":"99999999999999999999999999999999999999.1","#,
    r#""created_at":"never","#,
    r#""ref_id":"a","#,
    r#""metadata":{"":""},"#,
    "\\ud83d",
    "\\u0000",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "1e999",
    "-0",
    "\0",
    "é",
    "💶",
];

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_two_bodies_are_judged(
        route in select(COMPARED.to_vec()), statuses in (select(vec![200_u16, 404, 500]), select(vec![200_u16, 404, 500])),
        one in mutated(INPUTS, WORDS), another in mutated(INPUTS, WORDS),
    ) {
        let judge = Comparator { route, ref_id_made: false, rules: &[], today: date(2026, 11, 21) };
        let (served, other) = (SideResponse::read(statuses.0, &one), SideResponse::read(statuses.1, &another));
        let judgement = judge.compare(&served, &other);
        let redactor = Redactor::new(Some("a key for the tests"));
        prop_assert_eq!(redactor.differences(&judgement.differences).len(), judgement.differences.len());
        let itself = judge.compare(&served, &served);
        prop_assert!(matches!(itself.verdict, Verdict::Match | Verdict::NotComparable), "{:?}", itself.differences);
        if let Ok(document) = Json::read(&one) {
            let _ = coverage::seen(&document);
            let _ = redactor.value("items[0].metadata", &document);
        }
    }

    #[test]
    fn a_tree_says_what_the_other_reader_reads(body in mutated(INPUTS, WORDS)) {
        // Equal keys have another meaning for each reader.
        if let (Ok(read), Some(expected)) = (Json::read(&body), by_serde(&body)) {
            let again = Json::read(read.to_string().as_bytes()).unwrap();
            prop_assert_eq!(&again, &read);
            prop_assert_eq!(by_serde(read.to_string().as_bytes()), Some(expected));
        }
    }

    #[test]
    fn a_dry_run_accepts_what_a_create_would(body in mutated([INPUTS[3]], WORDS)) {
        let result = dry_run::run(&body);
        let taken = CreateRequest::parse(&body);
        if result.response.status() == Some(200) {
            prop_assert!(taken.is_ok());
        }
        prop_assert_eq!(result.ref_id_made, taken.is_ok_and(|request| request.ref_id.is_none()));
    }
}
