//! One row a kind of difference: what is changed, and what is found.

use conversion_shim::shadow::compare::{self, difference::Difference};
use conversion_shim::shadow::types::DiffKind::{self, Extra, Missing, Order, Precision, Type};
use conversion_shim::shadow::types::Severity::{self, Contract, Cosmetic, Money};
use serde_json::{Value, json};

use super::{problem, read, record, record_with, row, with};

type Found<'a> = (&'a str, DiffKind, Severity);

fn check(name: &str, found: &[Difference], expected: &[Found<'_>]) {
    let found: Vec<Found<'_>> = found.iter().map(|it| (it.path.as_str(), it.kind, it.severity)).collect();
    assert_eq!(found, expected, "{name}");
}

/// The served record with changes, the other with changes, what is found.
type Case<'a> = (Value, Value, &'a [Found<'a>]);

fn check_records(cases: &[Case<'_>]) {
    for (served, other, expected) in cases {
        let (one, another) = (record_with(served.clone()), record_with(other.clone()));
        let found = compare::record(&read(&one), &read(&another), &["id"]);
        check(&format!("{served} against {other}"), &found, expected);
    }
}

const VALUE: DiffKind = DiffKind::Value;

#[test]
fn amounts_are_compared_as_decimals() {
    check_records(&[
        (json!({ "amount": "100.5" }), json!({}), &[("amount", Precision, Cosmetic)]),
        (json!({ "amount": "0100.500" }), json!({}), &[("amount", Precision, Cosmetic)]),
        (json!({ "amount": "100.51" }), json!({}), &[("amount", VALUE, Money)]),
        (json!({ "amount": "1005.0" }), json!({}), &[("amount", VALUE, Money)]),
        // As floats these two are one number.
        (
            json!({ "amount": "0.1" }),
            json!({ "amount": "0.10000000000000000001" }),
            &[("amount", VALUE, Money)],
        ),
        (json!({ "amount": "NaN" }), json!({}), &[("amount", VALUE, Money)]),
        (json!({ "amount": 100.5 }), json!({}), &[("amount", Type, Money)]),
        (json!({ "amount": "(absent)" }), json!({}), &[("amount", Extra, Money)]),
        (json!({}), json!({ "amount": "(absent)" }), &[("amount", Missing, Money)]),
        (json!({}), json!({ "amount": null }), &[("amount", Type, Money)]),
    ]);
}

#[test]
fn json_numbers_are_compared_by_their_digits() {
    let table = [
        (r#"{"amount":0.1}"#, r#"{"amount":0.10000000000000000001}"#, Some((VALUE, Money))),
        (r#"{"amount":1.0}"#, r#"{"amount":1.00}"#, Some((Precision, Cosmetic))),
        (r#"{"amount":9007199254740993}"#, r#"{"amount":9007199254740992}"#, Some((VALUE, Money))),
        (r#"{"amount":1e400}"#, r#"{"amount":1e400}"#, None),
    ];
    for (served, other, expected) in table {
        let [one, another] = [served, other].map(|text| super::Json::read(text.as_bytes()).unwrap());
        let found = compare::record(&one, &another, &[]);
        let found = found.first().map(|it| (it.kind, it.severity));
        assert_eq!(found, expected, "{served} {other}");
    }
}

#[test]
fn timestamps_are_compared_to_the_digits_that_both_have() {
    let at = |text: &str| json!({ "updated_at": text });
    let precision: &[Found<'_>] = &[("updated_at", Precision, Cosmetic)];
    let value: &[Found<'_>] = &[("updated_at", VALUE, Cosmetic)];
    check_records(&[
        (at("2026-04-20T12:30:01.397730123Z"), json!({}), precision),
        (at("2026-04-20T12:30:01.397Z"), json!({}), precision),
        // Cut off, not rounded.
        (at("2026-04-20T12:30:01.397730999Z"), json!({}), precision),
        (at("2026-04-20T12:30:01Z"), json!({}), precision),
        (at("2026-04-20T14:30:01.397730+02:00"), json!({}), precision),
        (at("2026-04-20T12:30:01.397731Z"), json!({}), value),
        (at("2026-04-20T12:30:02Z"), json!({}), value),
        (at("2026-04-20T12:30:01.397730+02:00"), json!({}), value),
        // A client that reads one may fail on the other.
        (at("yesterday"), json!({}), &[("updated_at", VALUE, Contract)]),
        (json!({ "updated_at": 1_776_682_800 }), json!({}), &[("updated_at", Type, Contract)]),
        (json!({ "settled_at": "2026-04-20T12:30:02Z" }), json!({}), &[("settled_at", Missing, Contract)]),
    ]);
}

#[test]
fn what_money_hangs_on_is_grave_in_every_way() {
    for name in ["source_asset", "target_asset", "profile_id", "recipient_profile_id", "ref_id", "status"] {
        check_records(&[
            (json!({ name: "X" }), json!({}), &[(name, VALUE, Money)]),
            (json!({ name: 1 }), json!({}), &[(name, Type, Money)]),
            (json!({ name: null }), json!({ name: "(absent)" }), &[(name, Missing, Money)]),
            (json!({ name: "(absent)" }), json!({}), &[(name, Extra, Money)]),
        ]);
    }
}

#[test]
fn an_id_differs_by_nature_but_is_there_and_a_string() {
    check_records(&[
        (json!({ "id": "another" }), json!({}), &[]),
        (json!({ "id": "(absent)" }), json!({}), &[("id", Extra, Money)]),
        (json!({}), json!({ "id": 7 }), &[("id", Type, Money)]),
    ]);
}

#[test]
fn no_identity_is_no_identity_however_it_is_said() {
    let nil = "00000000-0000-0000-0000-000000000000";
    for name in ["identity_id", "account_id"] {
        let absent = json!({ name: "(absent)" });
        check_records(&[
            (json!({ name: nil }), absent.clone(), &[(name, Missing, Cosmetic)]),
            (absent.clone(), json!({ name: "" }), &[(name, Extra, Cosmetic)]),
            (json!({ name: null }), absent.clone(), &[(name, Missing, Cosmetic)]),
            (json!({ name: nil }), json!({ name: "" }), &[(name, VALUE, Cosmetic)]),
            (json!({ name: nil }), json!({ name: null }), &[(name, Type, Cosmetic)]),
            (json!({}), absent, &[(name, Missing, Contract)]),
            (json!({}), json!({ name: nil }), &[(name, VALUE, Contract)]),
            (json!({ name: nil }), json!({}), &[(name, VALUE, Contract)]),
        ]);
    }
}

#[test]
fn metadata_is_compared_key_by_key() {
    let metadata = |it: Value| json!({ "metadata": it });
    check_records(&[
        (metadata(json!({ "order": "8", "shop": "x" })), json!({}), &[("metadata.order", VALUE, Contract)]),
        (metadata(json!({ "order": "7" })), json!({}), &[("metadata.shop", Extra, Contract)]),
        (metadata(json!({ "shop": "x", "order": "7" })), json!({}), &[]),
        (metadata(json!({})), json!({ "metadata": "(absent)" }), &[("metadata", Missing, Contract)]),
        (metadata(json!("x")), json!({}), &[("metadata", Type, Contract)]),
        // What means something in a path is escaped in a key.
        (
            metadata(json!({ "a.b[0]%": "1" })),
            metadata(json!({})),
            &[("metadata.a%2Eb%5B0%5D%25", Missing, Contract)],
        ),
    ]);
}

#[test]
fn what_the_old_api_never_had_is_of_the_contract() {
    check_records(&[
        (json!({}), json!({ "customer_id": "c" }), &[("customer_id", Extra, Contract)]),
        (json!({ "fee": { "a": 1, "b": 2 } }), json!({ "fee": { "b": 2, "a": 1 } }), &[]),
        (json!({ "fee": { "a": 1 } }), json!({ "fee": { "a": 2 } }), &[("fee", VALUE, Contract)]),
        (json!({ "items[0].amount": "1" }), json!({}), &[("items%5B0%5D%2Eamount", Missing, Contract)]),
    ]);
    let not_a_record = compare::record(&read(&record()), &read(&json!([])), &[]);
    check("a record and an array", &not_a_record, &[("body", Type, Contract)]);
}

fn check_pages(name: &str, served: &[&Value], other: &[&Value], expected: &[Found<'_>]) {
    let [one, another] = [served, other].map(|rows| read(&json!({ "items": rows })));
    let listed = compare::list(&one, &another);
    check(name, &listed.differences, expected);
    assert_eq!((listed.served, listed.other), (served.len(), other.len()), "{name}");
}

fn changed(row: &Value) -> Value {
    with(row.clone(), json!({ "amount": "1" }))
}

#[test]
fn rows_are_paired_by_reference() {
    let [a, b] = &["a", "b"].map(row);
    check_pages("the same", &[a, b], &[a, b], &[]);
    check_pages("ids differ", &[a], &[&with(a.clone(), json!({ "id": "x" }))], &[]);
    let [id_of_b, id_of_a] = &[(a, b), (b, a)].map(|(row, of)| with(row.clone(), json!({ "id": of["id"] })));
    check_pages("ids lead elsewhere", &[a, b], &[id_of_b, id_of_a], &[]);
    let expected = [("items[0]", Missing, Money), ("items[1].amount", VALUE, Money)];
    check_pages("a changed row after one that is missing", &[a, b], &[&changed(b)], &expected);
    check_pages("an extra row, counted where it stands", &[b], &[a, b], &[("items[0]", Extra, Money)]);
    let twice = [("items[2]", Extra, Money)];
    check_pages(
        "a reference twice is paired in order",
        &[a, &changed(a), b],
        &[a, &changed(a), &changed(a), b],
        &twice,
    );
}

#[test]
fn rows_without_a_partner_by_reference_are_paired_by_id() {
    let [one, two] = &["1", "2"].map(|id| record_with(json!({ "ref_id": "(absent)", "id": id })));
    check_pages("no reference, same ids", &[one, two], &[one, two], &[]);
    let alone = [("items[0]", Missing, Money), ("items[0]", Extra, Money)];
    check_pages("no reference, other ids", &[one], &[two], &alone);
    let a = &row("a");
    let renamed = with(a.clone(), json!({ "ref_id": "b" }));
    check_pages("same id, another reference", &[a], &[&renamed], &[("items[0].ref_id", VALUE, Money)]);
    let (number, text) = (&json!(1), &json!("x"));
    check_pages("rows without any name", &[number, text], &[number, text], &[]);
}

#[test]
fn the_order_of_the_rows_that_both_have_is_compared() {
    let made = |name, at| with(row(name), json!({ "created_at": at }));
    let [a, b, c] = &[("a", "01"), ("b", "02"), ("c", "03")]
        .map(|(name, at)| made(name, format!("2026-04-20T11:00:{at}Z")));
    check_pages("another order", &[a, b, c], &[b, a, c], &[("items", Order, Contract)]);
    check_pages("the last one first", &[a, b, c], &[c, a, b], &[("items", Order, Contract)]);
    let [d, e] = &["d", "e"].map(|name| made(name, "2026-04-20T11:00:02Z".into()));
    check_pages("any order at one instant", &[a, d, b, e, c], &[a, e, b, d, c], &[]);
    check_pages("but not beyond it", &[a, d, b, c], &[d, a, b, c], &[("items", Order, Contract)]);
    check_pages("a hole is not another order", &[a, b, c], &[a, c], &[("items[1]", Missing, Money)]);
}

#[test]
fn of_cursors_only_presence_is_compared() {
    let page = |cursor: Value| with(json!({ "items": [] }), json!({ "next_page_cursor": cursor }));
    let table: &[(Value, Value, &[Found<'_>])] = &[
        (json!("one"), json!("another"), &[]),
        (json!(""), json!("(absent)"), &[]),
        (json!(null), json!(""), &[]),
        (json!("one"), json!("(absent)"), &[("next_page_cursor", Missing, Contract)]),
        (json!(""), json!("one"), &[("next_page_cursor", Extra, Contract)]),
        (json!("one"), json!(1), &[("next_page_cursor", Type, Contract)]),
    ];
    for (served, other, expected) in table {
        let listed = compare::list(&read(&page(served.clone())), &read(&page(other.clone())));
        check(&format!("{served} against {other}"), &listed.differences, expected);
    }
}

#[test]
fn the_shape_of_a_page_is_of_the_contract() {
    let table: &[(Value, Value, &[Found<'_>])] = &[
        (json!({ "items": [] }), json!({}), &[("items", Missing, Contract)]),
        (json!({ "items": [] }), json!({ "items": null }), &[("items", Type, Contract)]),
        (json!({ "items": [] }), json!({ "items": [], "total": 0 }), &[("total", Extra, Contract)]),
        (json!({ "items": [] }), json!([]), &[("body", Type, Contract)]),
    ];
    for (served, other, expected) in table {
        let listed = compare::list(&read(served), &read(other));
        check(&format!("{served} against {other}"), &listed.differences, expected);
    }
}

#[test]
fn of_problems_the_kind_counts_and_the_occasion_does_not() {
    let base = || problem(403, "about:blank");
    let table: &[(Value, &[Found<'_>])] = &[
        (json!({}), &[]),
        (json!({ "detail": "orchestration 8 was refused" }), &[]),
        (json!({ "type": "https://x/insufficient-funds" }), &[("type", VALUE, Contract)]),
        (json!({ "title": "Other" }), &[("title", VALUE, Cosmetic)]),
        (json!({ "title": "(absent)" }), &[("title", Missing, Contract)]),
        (json!({ "detail": "(absent)" }), &[("detail", Missing, Contract)]),
        (json!({ "meta": { "a": 1 } }), &[("meta", Extra, Contract)]),
        (json!({ "status": 404 }), &[("status", VALUE, Contract)]),
        (json!({ "status": "403" }), &[("status", Type, Contract)]),
    ];
    for (changes, expected) in table {
        let other = with(base(), changes.clone());
        check(&changes.to_string(), &compare::problem(&read(&base()), &read(&other)), expected);
    }
    let metas =
        [json!({ "meta": { "a": 1 } }), json!({ "meta": { "b": 2 } })].map(|meta| read(&with(base(), meta)));
    check("two metas", &compare::problem(&metas[0], &metas[1]), &[]);
}
