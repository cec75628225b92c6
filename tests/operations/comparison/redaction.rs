//! What may be written of a difference.

use conversion_shim::shadow::redact::Redactor;
use conversion_shim::translate::route::Route;
use serde_json::{Value, json};

use super::{answer, comparator, ok, page, problem, read, record, rule, with};

const KEY: &str = "a key of sixteen letters or more";

#[test]
fn a_value_is_shown_where_place_and_shape_are_harmless() {
    let shown = [
        ("amount", json!("100.50")),
        ("items[3].amount", json!(".5")),
        ("source_asset", json!("USD")),
        ("target_asset", json!("PYUSD")),
        ("status", json!("CREATED")),
        ("status", json!(404)),
        ("status_code", json!(503)),
        ("created_at", json!("2026-04-20T12:30:01.397730Z")),
        ("items[0].cancelled_at", json!("2026-04-20T12:30:01+02:00")),
        ("profile_id", json!("7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c")),
        ("type", json!("about:blank")),
        ("type", json!("https://developer.paxos.com/docs/v2/problems/already-exists")),
        ("type", json!("urn:conversion-shim:problem:outcome-unknown")),
        ("amount", json!(null)),
        ("next_page_cursor", json!(true)),
    ];
    let redactor = Redactor::new(Some(KEY));
    for (path, value) in shown {
        let expected = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(redactor.value(path, &read(&value)), expected, "{path} {value}");
    }
}

#[test]
fn every_other_value_is_a_keyed_hash() {
    let hidden = [
        ("ref_id", json!("r-1")),
        ("ref_id", json!("7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c")),
        ("identity_id", json!("7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c")),
        ("account_id", json!("7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c")),
        ("metadata.amount", json!("100")),
        ("items[0].metadata.status", json!("CREATED")),
        ("metadata.on", json!(true)),
        ("metadata", json!({ "a": "b" })),
        ("amount", json!("one hundred")),
        ("amount", json!("1".repeat(65))),
        ("amount", json!(100)),
        ("source_asset", json!("alice@example.com")),
        ("source_asset", json!("ALICEINTHETOWN")),
        ("status", json!("Alice")),
        ("status", json!(31337)),
        ("created_at", json!("2026-04-20")),
        ("profile_id", json!("alice")),
        ("profile_id", json!("urn:uuid:7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c")),
        ("type", json!("https://x.example/alice?token=abc")),
        ("type", json!("https://user:password@x.example/a")),
        ("type", json!("https://x.example/7c4e8f2a1d3b4a5e")),
        ("type", json!("alice")),
        ("title", json!("Not Found")),
        ("detail", json!("about alice")),
        ("fee", json!("1")),
        ("fee", json!(1)),
        ("fee", json!(true)),
        ("fee.amount", json!("1")),
        ("items[0]", json!({ "amount": "1" })),
        ("items[0].items[0].amount", json!("1")),
        ("items[alice].amount", json!("1")),
        ("next_page_cursor", json!("abc")),
        ("body", json!("100")),
    ];
    let [redactor, same, other] =
        [KEY, KEY, "another key than the first"].map(|key| Redactor::new(Some(key)));
    for (path, value) in hidden {
        let text = redactor.value(path, &read(&value));
        let hash = text.strip_prefix("hash:").unwrap_or_else(|| panic!("{path} shows {text}"));
        assert!(hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
        assert_eq!(text, same.value(path, &read(&value)), "one key, one hash");
        assert_ne!(text, other.value(path, &read(&value)), "the key counts");
        let random = [Redactor::new(None), Redactor::new(None)].map(|it| it.value(path, &read(&value)));
        assert!(random[0] != random[1] && !random.contains(&text), "no key is a random key");
    }
}

#[test]
fn a_key_that_is_not_the_apis_own_is_a_hash_in_a_path() {
    let redactor = Redactor::new(Some(KEY));
    for path in ["amount", "items[3].updated_at", "items[7]", "status_code", "metadata", "items", "body"] {
        assert_eq!(redactor.path(path), path);
    }
    for (path, before) in [
        ("metadata.alice", "metadata.hash:"),
        ("metadata.amount", "metadata.hash:"),
        ("items[3].metadata.amount", "items[3].metadata.hash:"),
        ("alice", "hash:"),
        ("items[2].alice", "items[2].hash:"),
    ] {
        let written = redactor.path(path);
        let hash = written.strip_prefix(before).unwrap_or_else(|| panic!("{path} is written {written}"));
        assert!(hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{written}");
    }
}

#[test]
fn the_key_is_never_shown() {
    assert!(!format!("{:?}", Redactor::new(Some(KEY))).contains("sixteen"));
}

const SECRET: &str = "Secret7Mark";

/// A document with the secret in every value and in a key of every object.
fn marked(document: &Value, salt: &str) -> Value {
    match document {
        Value::Object(members) => {
            let marked = members.iter().map(|(key, value)| (key.clone(), marked(value, salt)));
            let key = (format!("{SECRET}{salt}"), json!(format!("{SECRET}{salt}")));
            Value::Object(marked.chain([key]).collect())
        }
        Value::Array(elements) => elements.iter().map(|element| marked(element, salt)).collect(),
        _ => json!(format!("{SECRET}{salt}")),
    }
}

/// All that a log line would tell of the comparison.
fn written(route: Route, served: &super::SideResponse, other: &super::SideResponse) -> String {
    let redactor = Redactor::new(Some(KEY));
    let rules = [rule("*"), rule("items[*].*")];
    let open = comparator(route, &[]).compare(served, other);
    let ruled = comparator(route, &rules).compare(served, other);
    let diffs = [redactor.differences(&open.differences), redactor.ignored(&ruled.ignored, &rules)].concat();
    assert!(!diffs.is_empty(), "{route:?}: there is something to write");
    let kinds = [redactor.problem_type(served), redactor.problem_type(other)];
    serde_json::to_string(&(diffs, kinds, open.signature)).unwrap()
}

#[test]
fn a_secret_in_any_field_or_key_is_never_written() {
    let (settled, refused) = (
        with(
            record(),
            json!({ "settled_at": "2026-04-20T12:30:01Z", "cancelled_at": "2026-04-20T12:30:01Z" }),
        ),
        with(problem(403, "about:blank"), json!({ "meta": { "existing": record() }, "instance": "/x" })),
    );
    let list = with(page(&[settled.clone(), record()]), json!({ "next_page_cursor": "c" }));
    for (route, status, document) in [
        (Route::Get, 200, &settled),
        (Route::Create, 200, &settled),
        (Route::List, 200, &list),
        (Route::Get, 403, &refused),
    ] {
        let clean = answer(status, document);
        let [one, another] = ["a", "b"].map(|salt| answer(status, &marked(document, salt)));
        for (served, other) in [(&one, &clean), (&clean, &one), (&one, &another)] {
            let line = written(route, served, other);
            assert!(!line.contains(SECRET), "{route:?}: {line}");
        }
    }
    let rows_alone = written(Route::List, &ok(&marked(&list, "a")), &ok(&page(&[super::row("other")])));
    assert!(!rows_alone.contains(SECRET), "{rows_alone}");
    let shapes = written(Route::Get, &ok(&json!([SECRET])), &ok(&json!(SECRET)));
    assert!(!shapes.contains(SECRET), "{shapes}");
}

#[test]
fn a_difference_keeps_what_is_harmless() {
    let (served, other) = (ok(&record()), ok(&with(record(), json!({ "amount": "1", "ref_id": "r-2" }))));
    let result = comparator(Route::Get, &[]).compare(&served, &other);
    let diffs = Redactor::new(Some(KEY)).differences(&result.differences);
    assert_eq!(diffs[0].path, "amount");
    assert_eq!((diffs[0].served.as_deref(), diffs[0].other.as_deref()), (Some("100.50"), Some("1")));
    let [one, another] = [&diffs[1].served, &diffs[1].other].map(|value| value.as_deref().unwrap());
    assert!(one.starts_with("hash:") && another.starts_with("hash:") && one != another, "{diffs:?}");
}
