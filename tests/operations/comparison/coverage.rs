//! What traffic was seen.

use conversion_shim::shadow::coverage::{known_query, seen};
use serde_json::json;

use super::{page, problem, read, record, record_with};

fn kinds(document: &serde_json::Value) -> (Option<String>, Vec<(String, String, u64)>) {
    let (pair, seen) = seen(&read(document));
    (pair, seen.into_iter().map(|it| (it.asset_pair, it.status, it.count)).collect())
}

fn kind(pair: &str, status: &str, count: u64) -> (String, String, u64) {
    (pair.into(), status.into(), count)
}

#[test]
fn only_pairs_and_statuses_are_recorded() {
    let settled = record_with(json!({ "status": "SETTLED" }));
    let strange = record_with(json!({ "source_asset": "alice@example.com", "status": "alice" }));
    let pair = || Some("USD/PYUSD".to_owned());
    assert_eq!(kinds(&record()), (pair(), vec![kind("USD/PYUSD", "CREATED", 1)]));
    assert_eq!(
        kinds(&page(&[settled.clone(), record(), settled])),
        (pair(), vec![kind("USD/PYUSD", "CREATED", 1), kind("USD/PYUSD", "SETTLED", 2)])
    );
    let mixed = kinds(&page(&[record(), strange]));
    assert_eq!(mixed, (None, vec![kind("USD/PYUSD", "CREATED", 1), kind("other", "other", 1)]));
    for nothing in [page(&[]), problem(404, "about:blank"), json!([]), json!("x")] {
        assert_eq!(kinds(&nothing), (None, vec![]), "{nothing}");
    }
}

#[test]
fn the_kinds_of_one_answer_are_bounded_and_none_is_lost() {
    let rows: Vec<_> = (0..100).map(|at| record_with(json!({ "source_asset": format!("A{at}") }))).collect();
    let (pair, kinds) = kinds(&page(&rows));
    assert_eq!((pair, kinds.len()), (None, 32));
    assert_eq!(kinds.iter().map(|(_, _, count)| count).sum::<u64>(), 100);
}

#[test]
fn of_a_query_only_known_parameter_names_are_recorded() {
    let table: [(&str, &[&str], bool); 6] = [
        ("", &[], false),
        ("limit=10&ref_id=secret&limit=20", &["limit", "ref_id"], true),
        ("ref_id=", &["ref_id"], false),
        ("created_at%2Ebegin=2026-01-01T00:00:00Z&order=ASC", &["created_at.begin", "order"], false),
        ("cursor=x&status=CREATED&secret=1", &[], false),
        ("%ff=%&&=&page_cursor", &["page_cursor"], false),
    ];
    for (query, names, ref_id) in table {
        assert_eq!(known_query(query), (names.iter().map(ToString::to_string).collect(), ref_id), "{query}");
    }
}
