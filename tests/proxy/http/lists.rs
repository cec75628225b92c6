//! Lists from the new side: pages that are full where they can be, and walks that meet every conversion once.

use std::collections::BTreeSet;

use conversion_shim::sandbox::{
    Fault, FaultKind, ListShape, Operation, Options, PROFILE, SECOND_PROFILE, Variants,
};
use conversion_shim::translate::side::Side;
use serde_json::{Value, json};

use crate::support::wire::{LEGACY, TestBed, bed, before, vendor_with};

/// Puts a conversion there, or what never was one.
fn seed(bed: &TestBed, at: &str, shown: bool) -> String {
    bed.sandbox.inspector().seed_orchestration(json!({
        "profile_id": PROFILE, "source_asset": "USD", "destination_asset": if shown { "PYUSD" } else { "USD" },
        "source_amount": "1", "status": "COMPLETED", "created_at": at, "updated_at": at,
    }))
}

fn ids(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// Pages through everything.
async fn walk(bed: &TestBed, query: &str) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    for _ in 0..200 {
        let answer = bed.client.get(&format!("{LEGACY}?{query}{cursor}")).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let page = answer.json();
        all.extend(ids(&page));
        let Some(next) = page["next_page_cursor"].as_str() else { return all };
        assert!(!ids(&page).is_empty(), "an empty page while there are more: a client would stop");
        assert_ne!(cursor, format!("&page_cursor={next}"), "a cursor that repeats: a client would stop");
        cursor = format!("&page_cursor={next}");
    }
    panic!("a listing without an end");
}

#[tokio::test]
async fn a_walk_meets_every_conversion_once_in_any_page_size_and_order_while_times_are_equal() {
    let bed = bed("sealed", &[]).await;
    let mut shown = BTreeSet::new();
    for at in 0..36 {
        // Three instants; two of them in one second, and written with different digits.
        let instants = ["2026-05-01T10:00:00.25Z", "2026-05-01T10:00:00.250001Z", "2026-05-01T10:00:07Z"];
        let id = seed(&bed, instants[at % 3], at % 4 == 0);
        if at % 4 == 0 {
            shown.insert(id);
        }
    }
    for order in ["ASC", "DESC"] {
        let whole = walk(&bed, &format!("order={order}")).await;
        assert_eq!(whole.iter().cloned().collect::<BTreeSet<_>>(), shown);
        for limit in 1..=shown.len() + 1 {
            let paged = walk(&bed, &format!("order={order}&limit={limit}")).await;
            assert_eq!(paged, whole, "{order} {limit}");
        }
    }
}

#[tokio::test]
async fn a_page_is_refilled_past_hidden_rows() {
    let bed = bed("sealed", &[]).await;
    let oldest = seed(&bed, "2026-05-01T00:00:00Z", true);
    for at in 0..50 {
        seed(&bed, &format!("2026-05-01T00:01:{at:02}Z"), false);
    }
    let newest = seed(&bed, "2026-05-01T00:02:00Z", true);
    let page = bed.client.get(&format!("{LEGACY}?limit=2")).await.json();
    assert_eq!(ids(&page), [newest, oldest]);
    assert_eq!(page.get("next_page_cursor"), None, "there are no more, whatever the other side hides");
    assert!(bed.sandbox.inspector().arrived(Side::New, Operation::List) > 1);
}

#[tokio::test]
async fn a_page_costs_no_more_upstream_calls_than_configured() {
    let bed = bed("sealed", &[("list.upstream_calls_max", "2")]).await;
    let oldest = seed(&bed, "2026-05-01T00:00:00Z", true);
    for at in 0..60 {
        seed(&bed, &format!("2026-05-01T00:01:{at:02}Z"), false);
    }
    let newest = seed(&bed, "2026-05-01T00:02:00Z", true);
    let page = bed.client.get(&format!("{LEGACY}?limit=2")).await.json();
    assert_eq!(ids(&page), [newest], "short, because the page was cut");
    assert!(page["next_page_cursor"].is_string(), "and says that there may be more");
    assert_eq!(bed.sandbox.inspector().arrived(Side::New, Operation::List), 2);

    let empty = bed.client.get(&format!("{LEGACY}?limit=1&created_at.end=2026-05-01T00:01:59Z")).await;
    let problem = empty.problem(400);
    assert!(problem["detail"].as_str().unwrap().contains("narrow the filter"), "{problem}");
    assert_eq!(bed.sandbox.inspector().arrived(Side::New, Operation::List), 4);
    assert_eq!(walk(&bed, "limit=10").await.last(), Some(&oldest), "a larger page reaches further");
}

#[tokio::test]
async fn what_is_not_a_valid_list_is_a_400_that_names_the_parameter() {
    let bed = bed("sealed", &[]).await;
    for (query, parameter) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("order=asc", "order"),
        ("created_at.begin=yesterday", "created_at.begin"),
        ("updated_at.end=2026-13-01T00:00:00Z", "updated_at.end"),
        ("ref_id=a&ref_id=b", "ref_id"),
        ("profile_id=a&profile_id=b", "profile_id"),
        ("page_cursor=cs1.damaged", "page_cursor"),
        ("page_cursor=from-the-old-api", "page_cursor"),
    ] {
        let problem = bed.client.get(&format!("{LEGACY}?{query}")).await.problem(400);
        assert!(problem["detail"].as_str().unwrap().contains(parameter), "{query}: {problem}");
    }
    assert!(bed.sandbox.inspector().requests().is_empty());
    let ignored = bed.client.get(&format!("{LEGACY}?cursor=x&status=SETTLED&status=CREATED")).await;
    assert_eq!((ignored.status, ignored.json()), (200, json!({ "items": [] })));
}

#[tokio::test]
async fn a_cursor_that_was_cut_short_or_turned_round_is_a_400() {
    let bed = bed("sealed", &[]).await;
    for at in 0..3 {
        seed(&bed, &format!("2026-05-01T00:00:0{at}Z"), true);
    }
    let page = bed.client.get(&format!("{LEGACY}?limit=1&order=ASC")).await.json();
    let cursor = page["next_page_cursor"].as_str().unwrap();
    for bad in [&cursor[..cursor.len() - 1], &cursor[..5]] {
        bed.client.get(&format!("{LEGACY}?limit=1&page_cursor={bad}")).await.problem(400);
    }
    bed.client.get(&format!("{LEGACY}?limit=1&order=DESC&page_cursor={cursor}")).await.problem(400);
}

#[tokio::test]
async fn filters_hold_even_when_the_vendor_ignores_them() {
    let bed = bed("sealed", &[]).await;
    let wanted = bed.client.id_of_new("wanted").await;
    bed.client.id_of_new("other").await;
    bed.sandbox.faults().arm(Fault::new(FaultKind::IgnoreFilters));
    let page = bed.client.get(&format!("{LEGACY}?ref_id=wanted")).await.json();
    assert_eq!(ids(&page), [wanted]);
    let page = bed.client.get(&format!("{LEGACY}?profile_id={SECOND_PROFILE}")).await.json();
    assert_eq!(page, json!({ "items": [] }));
}

#[tokio::test]
async fn updated_at_is_filtered_though_the_new_api_has_no_such_filter() {
    let bed = bed("sealed", &[]).await;
    let early = seed(&bed, "2026-05-01T00:00:00Z", true);
    let late = seed(&bed, "2026-05-02T00:00:00Z", true);
    for (query, expected) in [
        ("updated_at.begin=2026-05-01T12:00:00Z", &late),
        ("updated_at.end=2026-05-01T12:00:00Z", &early),
        ("updated_at.begin=2026-05-02T00:00:00Z&updated_at.end=2026-05-02T00:00:00Z", &late),
    ] {
        let page = bed.client.get(&format!("{LEGACY}?{query}")).await.json();
        assert_eq!(ids(&page), std::slice::from_ref(expected), "{query}");
    }
    assert!(
        bed.sandbox.inspector().requests().iter().all(|seen| !seen.path_and_query.contains("updated_at"))
    );
}

#[tokio::test]
async fn both_names_of_the_array_are_read_and_no_row_comes_twice() {
    for list_shape in [ListShape::Items, ListShape::Orchestrations, ListShape::Both] {
        let sandbox = vendor_with(Options {
            variants: Variants { list_shape, ..Variants::default() },
            ..Options::default()
        })
        .await;
        let bed = before(sandbox, "sealed", &[]).await;
        let id = seed(&bed, "2026-05-01T00:00:00Z", true);
        assert_eq!(walk(&bed, "").await, [id], "{list_shape:?}");
    }
}
