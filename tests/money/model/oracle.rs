//! What must hold, whatever happened.

use conversion_shim::sandbox::RefMatch;
use conversion_shim::translate::side::Side;
use serde_json::Value;

use crate::support::test_bed::{Answer, TestBed};

/// For every reference: conversions on legacy + conversions on new ≤ 1.
pub(crate) fn nothing_is_doubled(house: &TestBed) {
    for (ref_id, tally) in house.sandbox.inspector().conversions_by_ref() {
        assert!(tally.legacy + tally.new <= 1, "{ref_id} was converted twice: {tally:?}");
    }
}

/// An accepted create shows a record that exists, on the side that the claim names, with this request's amount and, as far as the proxy
/// knows what the vendor takes for one, its reference. Answers its id.
pub(crate) async fn accepted(
    house: &TestBed,
    (ref_id, amount): (&str, &str),
    known: RefMatch,
    answer: &Answer,
) -> String {
    let shown = answer.json();
    let id = shown["id"].as_str().unwrap().to_owned();
    let is_own = |record: &Value, key: &str| {
        known.same(record["ref_id"].as_str().unwrap(), ref_id) && record[key] == amount
    };
    assert!(is_own(&shown, "amount"), "{ref_id} {amount}: {shown}");
    let side = house.claim(ref_id).await.expect("an accepted create was claimed").side;
    let record = house.sandbox.inspector().record(side, &id);
    let record =
        record.unwrap_or_else(|| panic!("{ref_id} is claimed for {side}, where {id} does not exist"));
    let key = if side == Side::Legacy { "amount" } else { "source_amount" };
    assert!(is_own(&record, key), "{ref_id} {amount}: {record}");
    id
}

/// A conflict shows, if anything, a record that exists with that reference. Answers its id, unless it is a mirror, which lists may not
/// show.
pub(crate) fn conflict(house: &TestBed, ref_id: &str, answer: &Answer) -> Option<String> {
    let problem: Value = serde_json::from_slice(&answer.body).ok()?;
    let id = problem["meta"]["existing"]["id"].as_str()?.to_owned();
    let inspector = house.sandbox.inspector();
    let record = |side| inspector.record(side, &id).map(|record| (side, record));
    let (side, record) = record(Side::Legacy)
        .or_else(|| record(Side::New))
        .unwrap_or_else(|| panic!("the 409 for {ref_id} shows {id}, which does not exist"));
    let shown = record["ref_id"].as_str().unwrap();
    assert!(inspector.variants().ref_match.same(shown, ref_id), "{problem}");
    let made = house.made(shown);
    let is_mirror = if side == Side::New { made.new == 0 } else { made.legacy == 0 };
    (!is_mirror).then_some(id)
}
