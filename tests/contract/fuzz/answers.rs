//! Answers of the vendor. What counts: "there is nothing" is said only of an answer that says so to every reader, a record that is
//! shown is the one that was asked for, and nothing of the new API's shape leaks out.

use conversion_shim::translate::evidence::{self, Finding, Reply};
use conversion_shim::translate::facts::{EmptyList, Facts, RefMatch};
use conversion_shim::translate::list::ListQuery;
use conversion_shim::translate::list::page::PageBuilder;
use conversion_shim::translate::list::rows::Rows;
use conversion_shim::translate::mapping::Origin;
use conversion_shim::translate::side::Side;
use conversion_shim::translate::{create, get, problem};
use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;
use serde_json::Value;

use super::mutation::mutated;
use super::{by_serde, cases};

const RECORD: &str = r#"{"id":"1","profile_id":"p","ref_id":"r-1","source_asset":"USD","destination_asset":"PYUSD","source_amount":"1.5","status":"COMPLETED","source":{"profile":{"profile_id":"p"}},"destination":{"profile":{"profile_id":"q"}},"orchestration_rule_id":"","created_at":"2026-04-20T12:30:01.397730Z","updated_at":"2026-04-20T12:30:02Z","metadata":{"a":"1"}}"#;
const CONVERSION: &str = r#"{"id":"2","profile_id":"p","ref_id":"r-1","source_asset":"USD","target_asset":"PYUSD","amount":"1.5","status":"SETTLED","created_at":"2026-04-20T12:30:01.397730Z","updated_at":"2026-04-20T12:30:02Z"}"#;
const WORDS: &[&str] = &[
    r#""items":[],"#,
    r#""items":null,"#,
    r#""orchestrations":[],"#,
    r#""next_page_cursor":"x","#,
    r#""id":"","#,
    r#""ref_id":"r-2","#,
    r#""status":"UNHEARD_OF","#,
    r#""source":{"crypto":{}},"#,
    r#""rule":1,"#,
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
    "\0",
    "é",
    "[]",
    "{}",
];
/// Whatever an old client may see in a conversion.
const LEGACY: [&str; 15] = [
    "id",
    "profile_id",
    "amount",
    "source_asset",
    "target_asset",
    "status",
    "ref_id",
    "identity_id",
    "account_id",
    "created_at",
    "updated_at",
    "settled_at",
    "cancelled_at",
    "metadata",
    "recipient_profile_id",
];

fn lists() -> Vec<String> {
    [RECORD, CONVERSION]
        .iter()
        .flat_map(|row| {
            [
                format!(r#"{{"items":[{row}]}}"#),
                format!(r#"{{"items":[{row},{row}],"next_page_cursor":"c"}}"#),
                format!(r#"{{"orchestrations":[{row}]}}"#),
                format!(r#"{{"items":[{row}],"orchestrations":[{row}]}}"#),
                r#"{"items":[]}"#.to_owned(),
                r#"{"items":null,"orchestrations":[],"next_page_cursor":""}"#.to_owned(),
            ]
        })
        .collect()
}

fn has_rows(document: &Value) -> bool {
    ["items", "orchestrations"]
        .iter()
        .any(|name| document[name].as_array().is_some_and(|rows| !rows.is_empty()))
}

/// A conversion as an old client reads it; half of a surrogate pair is carried as written, and read by nobody.
fn assert_legacy(json: &[u8], input: &[u8]) {
    match by_serde(json) {
        Some(Value::Object(shown)) => {
            let leaked: Vec<_> = shown.keys().filter(|name| !LEGACY.contains(&name.as_str())).collect();
            assert!(leaked.is_empty(), "{leaked:?}");
        }
        other => assert!(by_serde(input).is_none(), "{other:?}"),
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn nothing_is_found_only_where_nothing_is(
        body in mutated(lists(), WORDS),
        absent in any::<bool>(),
        null in any::<bool>(),
        ref_match in prop::sample::select(vec![RefMatch::Unknown, RefMatch::Exact, RefMatch::Case, RefMatch::Trimmed]),
    ) {
        let facts = Facts { empty_list: EmptyList { array: false, absent, null }, ref_match, ..Facts::default() };
        for side in [Side::Legacy, Side::New] {
            let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let headers = HeaderMap::from_iter([json]);
            let reply = Reply { status: 200, headers: &headers, body: &body, unknown_digests: None };
            match evidence::read(side, &reply, "r-1", Origin::Unknown, facts) {
                Finding::Absent => {
                    if let Some(document) = by_serde(&body) {
                        prop_assert!(!has_rows(&document), "{} {}", side, document);
                        let lists = ["items", "orchestrations"].map(|list| document.get(list));
                        let is_known = if lists.iter().flatten().any(|list| list.is_array()) {
                            true
                        } else if lists.iter().flatten().any(|list| list.is_null()) {
                            null
                        } else {
                            absent
                        };
                        prop_assert!(is_known, "{} {:?}", document, facts);
                        prop_assert!(document["next_page_cursor"].as_str().is_none_or(str::is_empty), "{}", document);
                    }
                }
                Finding::Found(record) => {
                    if let Some(shown) = by_serde(&record.json) {
                        let ref_id = shown["ref_id"].as_str().unwrap_or_default();
                        let read = match ref_match {
                            RefMatch::Unknown | RefMatch::Exact => ref_id.to_owned(),
                            RefMatch::Case => ref_id.to_lowercase(),
                            RefMatch::Trimmed => ref_id.trim().to_owned(),
                        };
                        prop_assert_eq!(read, "r-1", "{}", shown);
                        // As written; in the old API every field is optional.
                        let id: String = serde_json::from_str(&format!("\"{}\"", record.id)).unwrap();
                        prop_assert_eq!(shown["id"].as_str().unwrap_or(""), id);
                    }
                }
                Finding::OtherKind
                | Finding::Unauthorized
                | Finding::Forbidden
                | Finding::Throttled
                | Finding::Nothing(_) => {}
            }
        }
    }

    #[test]
    fn a_page_is_whole_and_speaks_the_old_language(body in mutated(lists(), WORDS)) {
        let query = ListQuery::default();
        let nothing = || Rows::of(Side::Legacy, br#"{"items":[]}"#, &query).unwrap();
        let mut pages = Vec::new();
        for sides in [&[Side::New][..], &[Side::Legacy, Side::New]] {
            let Ok(rows) = Rows::of(Side::New, &body, &query) else { return Ok(()) };
            let count = rows.remaining();
            let mut page = PageBuilder::new(&query, sides);
            page.add(Side::New, rows);
            if sides.len() > 1 {
                page.add(Side::Legacy, nothing());
            }
            // What a further call would bring is none of this test's.
            let asks_on = !page.needs().is_empty();
            prop_assert!(!asks_on || page.cut() || count == 0);
            // Without a further row at hand the last one waits for the next page.
            let held_back = usize::from(asks_on && count > 1);
            let finished = page.finish().unwrap();
            match by_serde(&finished.body) {
                Some(page) => {
                    let items = page["items"].as_array().unwrap();
                    prop_assert_eq!(items.len(), count - held_back);
                    items.iter().for_each(|row| assert_legacy(row.to_string().as_bytes(), &body));
                }
                None => prop_assert!(by_serde(&body).is_none(), "{}", String::from_utf8_lossy(&finished.body)),
            }
            pages.push(finished.body);
        }
        prop_assert_eq!(&pages[0], &pages[1], "one side alone, or beside one that has nothing");
    }

    #[test]
    fn a_record_is_shown_in_the_old_language_or_not_at_all(body in mutated([RECORD, CONVERSION], WORDS)) {
        let mut shown = Vec::new();
        if let Ok(mapped) = create::answer(&body) {
            mapped.conversion.write(&mut shown);
            assert_legacy(&shown, &body);
        }
        if let Ok(Ok(mapped)) = get::answer(&body) {
            shown.clear();
            mapped.conversion.write(&mut shown);
            assert_legacy(&shown, &body);
        }
    }

    #[test]
    fn a_problem_is_a_problem_whatever_it_was(
        status in 400..600_u16,
        body in mutated([
            format!(r#"{{"type":"about:blank","title":"Forbidden","status":403,"detail":"an orchestration","meta":{{"existing":{RECORD}}}}}"#),
            r#"{"type":"https://developer.paxos.com/docs/v2/problems/insufficient-funds","meta":{"available":"1"}}"#.to_owned(),
        ], WORDS),
    ) {
        let shown = problem::from_orchestrations(status, &body).to_json();
        match by_serde(&shown) {
            Some(shown) => {
                prop_assert_eq!(&shown["status"], &Value::from(status));
                prop_assert!(shown["type"].is_string() && shown["title"].is_string(), "{}", shown);
                if let Some(existing) = shown["meta"]["existing"].as_object() {
                    prop_assert!(existing.keys().all(|name| LEGACY.contains(&name.as_str())), "{:?}", existing);
                }
            }
            None => prop_assert!(by_serde(&body).is_none(), "{}", String::from_utf8_lossy(&shown)),
        }
        let _ = problem::says_insufficient_scopes(status, &body);
    }
}
