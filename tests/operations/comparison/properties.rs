//! What holds for every pair of documents.

use std::collections::BTreeMap;

use conversion_shim::config::IgnoreRule;
use conversion_shim::shadow::compare::difference::Difference;
use conversion_shim::shadow::coverage;
use conversion_shim::shadow::dry_run;
use conversion_shim::shadow::json::Json;
use conversion_shim::shadow::redact::Redactor;
use conversion_shim::shadow::types::{COMPARED, DiffKind, Verdict};
use conversion_shim::translate::route::Route;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::{answer, comparator, read, rule};

fn cases() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}

const NAMES: [&str; 15] = [
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
    "recipient_profile_id",
    "metadata",
    "unknown",
];

/// Few values, so that two documents often agree.
fn value() -> impl Strategy<Value = Value> {
    let texts = [
        "",
        "a",
        "b",
        "1",
        "1.0",
        "2",
        "CREATED",
        "SETTLED",
        "2026-04-20T12:30:01Z",
        "2026-04-20T12:30:01.5Z",
        "00000000-0000-0000-0000-000000000000",
    ];
    prop_oneof![
        8 => select(texts.to_vec()).prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => select(vec![json!(null), json!(1), json!(1.0), json!(true), json!({}), json!({ "k": "v" }), json!([1])]),
    ]
}

fn row() -> impl Strategy<Value = Value> {
    let members = prop::collection::btree_map(select(NAMES.to_vec()).prop_map(str::to_owned), value(), 0..8);
    let metadata = prop::option::of(prop::collection::btree_map("[ab.%]{0,2}", value(), 0..3));
    // Mostly a reference, so that rows of two pages meet.
    let ref_id = prop::option::weighted(0.7, select(vec!["a", "b", "c"]));
    (members, metadata, ref_id).prop_map(|(members, metadata, ref_id)| {
        let mut row: Map<String, Value> = members.into_iter().collect();
        if let Some(ref_id) = ref_id {
            row.insert("ref_id".into(), ref_id.into());
        }
        if let Some(metadata) = metadata {
            row.insert("metadata".into(), json!(metadata));
        }
        row.into()
    })
}

fn page() -> impl Strategy<Value = Value> {
    let rows = prop::collection::vec(prop_oneof![9 => row().boxed(), 1 => value().boxed()], 0..6);
    (rows, prop::option::of(value())).prop_map(|(rows, cursor)| match cursor {
        Some(cursor) => json!({ "items": rows, "next_page_cursor": cursor }),
        None => json!({ "items": rows }),
    })
}

fn problem() -> impl Strategy<Value = Value> {
    let names = ["type", "title", "status", "detail", "meta"];
    prop::collection::btree_map(select(names.to_vec()).prop_map(str::to_owned), value(), 0..5)
        .prop_map(|members| json!(members))
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = value();
    leaf.prop_recursive(4, 32, 5, |inner| {
        let key = prop_oneof![
            select(NAMES.to_vec()).prop_map(str::to_owned),
            select(vec!["items", "meta"]).prop_map(str::to_owned),
            any::<String>(),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..5).prop_map(|members| json!(members)),
        ]
    })
}

fn document() -> impl Strategy<Value = Value> {
    prop_oneof![3 => row().boxed(), 3 => page().boxed(), 1 => problem().boxed(), 2 => any_json().boxed()]
}

fn route() -> impl Strategy<Value = Route> {
    select(COMPARED.to_vec())
}

fn status() -> impl Strategy<Value = u16> {
    select(vec![200, 200, 200, 201, 400, 404, 500])
}

fn any_rule() -> impl Strategy<Value = IgnoreRule> {
    let paths = [
        "amount",
        "status",
        "*",
        "items",
        "items[*]",
        "items[*].*",
        "items[0].amount",
        "items[*].metadata.*",
        "items[*].metadata",
        "metadata",
        "metadata.*",
        "status_code",
        "next_page_cursor",
        "body",
    ];
    select(paths.to_vec()).prop_map(rule)
}

/// How often each kind of difference is found, row numbers aside.
fn kinds(differences: &[Difference]) -> BTreeMap<(String, DiffKind), usize> {
    let mut counted = BTreeMap::new();
    for difference in differences {
        let mut path = difference.path.clone();
        if let (Some(from), Some(to)) = (path.find('['), path.find(']')) {
            path.replace_range(from..=to, "[*]");
        }
        *counted.entry((path, difference.kind)).or_default() += 1;
    }
    counted
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn an_answer_matches_itself(route in route(), document in document()) {
        let answer = answer(200, &document);
        let result = comparator(route, &[]).compare(&answer, &answer);
        prop_assert_eq!(result.verdict, Verdict::Match, "{:?}", result.differences);
    }

    #[test]
    fn seen_from_the_other_side_the_same_differs(
        route in route(), status in status(), one in document(), another in document(),
    ) {
        let (one, another) = (answer(status, &one), answer(status, &another));
        let here = comparator(route, &[]).compare(&one, &another);
        let there = comparator(route, &[]).compare(&another, &one);
        prop_assume!(here.verdict != Verdict::NoCounterpart && there.verdict != Verdict::NoCounterpart);
        let turned = here.differences.iter().map(|difference| Difference {
            kind: match difference.kind {
                DiffKind::Missing => DiffKind::Extra,
                DiffKind::Extra => DiffKind::Missing,
                same => same,
            },
            served: difference.other.clone(),
            other: difference.served.clone(),
            ..difference.clone()
        });
        prop_assert_eq!(kinds(&turned.collect::<Vec<_>>()), kinds(&there.differences));
    }

    #[test]
    fn a_rule_takes_its_own_paths_and_no_other(
        route in route(), statuses in (status(), status()), one in document(), another in document(),
        rules in prop::collection::vec(any_rule(), 0..3),
    ) {
        let (one, another) = (answer(statuses.0, &one), answer(statuses.1, &another));
        let open = comparator(route, &[]).compare(&one, &another);
        let ruled = comparator(route, &rules).compare(&one, &another);
        let hidden = |it: &Difference| rules.iter().any(|rule| rule.path.matches(&it.path));
        let (expected_ignored, expected_left): (Vec<_>, Vec<_>) =
            open.differences.iter().cloned().partition(hidden);
        prop_assert_eq!(&ruled.differences, &expected_left);
        prop_assert_eq!(ruled.ignored.len(), expected_ignored.len());
        prop_assert!(ruled.ignored.iter().all(|(it, at)| rules[*at].path.matches(&it.path)));
    }

    #[test]
    fn nothing_panics(
        route in route(), statuses in (status(), status()), one in any_json(), another in any_json(),
        query in any::<String>(), path in any::<String>(),
    ) {
        let redactor = Redactor::new(Some("k"));
        let result = comparator(route, &[]).compare(&answer(statuses.0, &one), &answer(statuses.1, &another));
        let diffs = redactor.differences(&result.differences);
        prop_assert_eq!(diffs.len(), result.differences.len());
        prop_assert_eq!(result.severity.is_some(), !diffs.is_empty() && result.verdict != Verdict::Progress);
        let _ = redactor.value(&path, &read(&one));
        let _ = redactor.path(&path);
        let _ = coverage::seen(&read(&one));
        let _ = coverage::known_query(&query);
        let _ = dry_run::run(one.to_string().as_bytes());
    }

    #[test]
    fn a_tree_says_what_it_was_read_from(document in any_json()) {
        let read = read(&document);
        prop_assert_eq!(serde_json::from_str::<Value>(&read.to_string()).unwrap(), document);
        prop_assert_eq!(Json::read(read.to_string().as_bytes()).unwrap(), read);
    }
}
