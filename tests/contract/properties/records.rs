//! Requests, records, problems and cursors.

use conversion_shim::translate::conversion::Conversion;
use conversion_shim::translate::create::{self, CreateRequest};
use conversion_shim::translate::json::Text;
use conversion_shim::translate::list::ListQuery;
use conversion_shim::translate::list::cursor::{Cursor, PageCursor, SortOrder};
use conversion_shim::translate::list::rows::Rows;
use conversion_shim::translate::side::Side;
use conversion_shim::translate::{get, problem, timestamp};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A non-empty string without U+0000, which a `ref_id` must not hold.
fn word() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9-]{1,12}", any::<String>()]
        .prop_map(|text| text.replace('\0', "0"))
        .prop_filter("not empty", |text| !text.is_empty())
}

fn optional() -> impl Strategy<Value = Option<String>> {
    prop_oneof![Just(None), Just(Some(String::new())), word().prop_map(Some)]
}

fn legacy_request() -> impl Strategy<Value = Value> {
    let required = (word(), "[0-9]{0,30}\\.?[0-9]{1,30}", word(), word());
    let others = [optional().boxed(), optional().boxed(), optional().boxed(), optional().boxed()];
    let metadata = prop::option::of(prop::collection::btree_map(any::<String>(), any::<String>(), 0..5));
    (required, others, metadata).prop_map(|((profile, amount, source, target), others, metadata)| {
        let mut request = json!({
            "profile_id": profile, "amount": amount, "source_asset": source, "target_asset": target,
        });
        let names = ["ref_id", "identity_id", "account_id", "recipient_profile_id"];
        for (name, value) in names.into_iter().zip(others) {
            if let Some(value) = value {
                request[name] = value.into();
            }
        }
        if let Some(metadata) = metadata {
            request["metadata"] = json!(metadata);
        }
        request
    })
}

/// Names that mean something to the translation, so that arbitrary JSON is not only skipped.
const NAMES: [&str; 25] = [
    "id",
    "profile_id",
    "ref_id",
    "identity_id",
    "account_id",
    "source_asset",
    "destination_asset",
    "source_amount",
    "status",
    "orchestration_rule_id",
    "created_at",
    "updated_at",
    "completed_at",
    "metadata",
    "source",
    "destination",
    "profile",
    "crypto",
    "fiat",
    "items",
    "orchestrations",
    "next_page_cursor",
    "existing",
    "meta",
    "detail",
];

fn any_json() -> impl Strategy<Value = Value> {
    let name =
        prop_oneof![6 => prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    let leaf = prop_oneof![
        3 => prop::sample::select(vec!["", "p", "USD", "PYUSD", "COMPLETED", "x", "2026-04-20T11:00:00Z"]).prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i32>().prop_map(Value::from)],
    ];
    leaf.prop_recursive(4, 80, 12, move |inner| {
        prop_oneof![
            3 => prop::collection::btree_map(name.clone(), inner.clone(), 0..12)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
            1 => prop::collection::vec(inner, 0..4).prop_map(Value::from),
        ]
    })
}

/// An orchestration as it should be, then a few members replaced by anything.
fn nearly_an_orchestration() -> impl Strategy<Value = Value> {
    let changes = prop::collection::btree_map(prop::sample::select(NAMES.to_vec()), any_json(), 0..4);
    changes.prop_map(|changes| {
        let mut it = json!({
            "id": "1", "profile_id": "p", "source_asset": "USD", "destination_asset": "PYUSD", "source_amount": "1",
            "status": "COMPLETED", "created_at": "2026-04-20T11:00:00Z", "updated_at": "2026-04-20T11:00:00Z",
            "source": {"profile": {"profile_id": "p"}}, "destination": {"profile": {"profile_id": "q"}},
        });
        for (name, value) in changes {
            it[name] = value;
        }
        it
    })
}

/// Whatever comes in, what goes out is JSON of the legacy shape: known fields, and a status that a client knows.
fn assert_legacy(conversion: &Conversion<'_>) {
    let mut out = Vec::new();
    conversion.write(&mut out);
    let written: Value = serde_json::from_slice(&out).expect("JSON");
    let written = written.as_object().expect("an object");
    for (name, value) in written {
        assert!(value.is_string() || name == "metadata" && value.is_object(), "{name}: {value}");
    }
    assert!(!written["id"].as_str().unwrap().is_empty());
    let status = written["status"].as_str().unwrap();
    assert!(["CREATED", "SETTLED", "CANCELLED"].contains(&status), "{status}");
    assert!(!written.contains_key("cancelled_at") || status == "CANCELLED");
    assert!(!written.contains_key("settled_at") || status == "SETTLED");
}

fn translate_everything(body: &[u8]) {
    if let Ok(mapped) = create::answer(body) {
        assert_legacy_if_readable(&mapped.conversion);
    }
    if let Ok(Ok(mapped)) = get::answer(body) {
        assert_legacy_if_readable(&mapped.conversion);
    }
    let _ = CreateRequest::parse(body).map(|request| request.to_orchestration("made"));
    let _ = Rows::of(Side::New, body, &ListQuery::default());
    let problem = problem::from_orchestrations(400, body).to_json();
    assert!(!problem.is_empty());
}

/// Half of a surrogate pair is carried as written; `serde_json` cannot look into such an answer.
fn assert_legacy_if_readable(conversion: &Conversion<'_>) {
    let mut out = Vec::new();
    conversion.write(&mut out);
    if serde_json::from_slice::<Value>(&out).is_ok() {
        assert_legacy(conversion);
    }
}

proptest! {
    #![proptest_config(super::cases(600))]

    #[test]
    fn a_request_there_and_back_keeps_every_field(request in legacy_request(), pretty in any::<bool>()) {
        // Nothing is converted into itself.
        prop_assume!(request["source_asset"] != request["target_asset"]);
        let body = if pretty { serde_json::to_vec_pretty(&request) } else { serde_json::to_vec(&request) }.unwrap();
        let new = CreateRequest::parse(&body).expect("valid").to_orchestration("made-1");
        // What the vendor would answer: the same fields, an id and a status.
        let answer = new.replacen('{', r#"{"id":"1","status":"PROCESSING","#, 1);
        let mapped = create::answer(answer.as_bytes()).expect("readable");
        let mut out = Vec::new();
        mapped.conversion.write(&mut out);
        let found: Value = serde_json::from_slice(&out).unwrap();
        let mut expected = request;
        expected.as_object_mut().unwrap().retain(|_, value| value != "");
        if expected.get("recipient_profile_id") == expected.get("profile_id") {
            expected.as_object_mut().unwrap().remove("recipient_profile_id");
        }
        if expected.get("ref_id").is_none() {
            expected["ref_id"] = "made-1".into();
        }
        expected["id"] = "1".into();
        expected["status"] = "CREATED".into();
        prop_assert_eq!(found, expected);
        // And the record that came of a request is the one that it asks for.
        prop_assert!(CreateRequest::parse(&body).unwrap().asks_for(&mapped.conversion));
    }

    #[test]
    fn any_json_maps_or_fails_cleanly(value in any_json()) {
        translate_everything(value.to_string().as_bytes());
    }

    #[test]
    fn what_is_nearly_an_orchestration_maps_or_fails_cleanly(value in nearly_an_orchestration()) {
        let body = value.to_string();
        translate_everything(body.as_bytes());
        translate_everything(json!({"items": [value.clone()], "meta": {"existing": value}}).to_string().as_bytes());
        if let Ok(mapped) = create::answer(body.as_bytes()) {
            assert_legacy(&mapped.conversion);
        }
    }

    #[test]
    fn any_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        translate_everything(&body);
    }

    #[test]
    fn a_broken_off_or_damaged_answer_never_panics(value in nearly_an_orchestration(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut body = json!({"items": [value], "next_page_cursor": "x"}).to_string().into_bytes();
        let at = at.index(body.len());
        prop_assert!(Rows::of(Side::New, &body[..at], &ListQuery::default()).is_err(), "a part is never a whole");
        body[at] = byte;
        translate_everything(&body);
    }

    #[test]
    fn any_detail_can_be_put_in_legacy_words(detail in any::<String>()) {
        let _ = problem::legacy_words(&detail);
    }

    #[test]
    fn a_detail_keeps_all_but_the_nouns(parts in prop::collection::vec(prop::sample::select(vec![
        "orchestration", "orchestrations", "Orchestration", "an ", "An ", " ", "'", "\"", "`", "é", "💶", ".", ":", "_",
        "source_amount", "x", "\u{301}", "orchestration:read_orchestration",
    ]), 0..12)) {
        let detail = parts.concat();
        let words = problem::legacy_words(&detail);
        let strip = |text: &str| {
            ["orchestration", "Orchestration", "conversion", "Conversion", "source_amount", "amount", "n "]
                .iter().fold(text.to_owned(), |text, word| text.replace(word, "")).replace(' ', "")
        };
        prop_assert_eq!(strip(&words), strip(&detail), "{} → {}", detail, words);
    }

    #[test]
    fn any_query_string_is_taken_or_refused(query in any::<String>()) {
        judge_query(&query);
    }

    #[test]
    fn nearly_right_query_strings_are_taken_or_refused(pairs in prop::collection::vec(
        (prop::sample::select(PARAMETERS.to_vec()), prop_oneof![
            prop::sample::select(vec!["", "ASC", "DESC", "5", "1000", "2026-04-20T11:00:00Z", "2026-04-20T11:00:00%2B02:00", "cs1.", "cs1.AA", "%", "%4", "+"]).prop_map(str::to_owned),
            any::<String>(),
        ]), 0..6)) {
        judge_query(&pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&"));
    }

    #[test]
    fn any_cursor_text_is_read_or_refused(body in "[A-Za-z0-9_-]{0,60}") {
        judge_query(&format!("page_cursor=cs1.{body}"));
        judge_query(&format!("page_cursor=cs2.{body}"));
    }

    #[test]
    fn a_cursor_comes_back_as_it_was(descending in any::<bool>(), at in any_instant(), ids in prop::collection::vec(any_id(), 0..20)) {
        let order = if descending { SortOrder::Descending } else { SortOrder::Ascending };
        let cursor = Cursor::new(order, at, ids);
        let text = cursor.encode();
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{}", text);
        prop_assert_eq!(PageCursor::parse(&text), Some(PageCursor::Ours(Box::new(cursor))));
    }

    #[test]
    fn any_text_is_a_timestamp_or_is_not(text in prop_oneof![any::<String>(), "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,10})?(Z|[+-][0-9]{2}:[0-9]{2})"]) {
        if let Some(at) = timestamp::parse(&text) {
            prop_assert!(at == Timestamp::MAX || text.parse().is_ok_and(|parsed: Timestamp| parsed == at));
        }
    }
}

const PARAMETERS: [&str; 9] = [
    "profile_id",
    "ref_id",
    "created_at.begin",
    "created_at.end",
    "updated_at.begin",
    "updated_at.end",
    "order",
    "limit",
    "page_cursor",
];

fn judge_query(text: &str) {
    match ListQuery::parse(text) {
        Ok(query) => {
            assert!((1..=1000).contains(&query.limit()));
            let new = query.to_orchestrations(query.limit, Some("a&b"));
            let names =
                ["profile_id", "ref_id", "created_at.gte", "created_at.lte", "order", "limit", "page_cursor"];
            for (name, _) in form_urlencoded::parse(new.as_bytes()) {
                assert!(names.contains(&&*name), "{new}");
            }
        }
        Err(invalid) => {
            let message = invalid.to_string();
            assert!(PARAMETERS.iter().any(|name| message.starts_with(name)), "{message}");
        }
    }
}

fn any_instant() -> impl Strategy<Value = Timestamp> {
    let (first, last) = (Timestamp::MIN.as_nanosecond(), Timestamp::MAX.as_nanosecond());
    (first..=last).prop_map(|nanosecond| Timestamp::from_nanosecond(nanosecond).unwrap())
}

fn any_id() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<u128>().prop_map(|bits| uuid::Uuid::from_u128(bits).hyphenated().to_string()),
        any::<u128>().prop_map(|bits| uuid::Uuid::from_u128(bits).simple().to_string()),
        any::<u128>().prop_map(|bits| uuid::Uuid::from_u128(bits).hyphenated().to_string().to_uppercase()),
        any::<String>(),
        (0..600_usize).prop_map(|length| "x".repeat(length)),
    ]
}

#[test]
fn texts_are_equal_when_they_say_the_same() {
    let read = |json: &'static str| -> Text<'static> {
        conversion_shim::translate::json::JsonReader::new(json.as_bytes())
            .unwrap()
            .value()
            .unwrap()
            .as_text()
            .unwrap()
    };
    assert_eq!(read(r#""a\u0062""#), read(r#""\u0061b""#));
    assert_ne!(read(r#""a\\u0062""#), read(r#""ab""#));
    assert_eq!(read(r#""\ud83d""#), read(r#""\ud83d""#));
    assert_ne!(read(r#""\ud83d""#), read(r#""\uD83D""#), "what cannot be read is equal only to itself");
}
