//! What must hold, whatever happened.

use conversion_shim::translate::side::Side;

use crate::support::test_bed::{Answer, TestBed};

/// For every reference: conversions on legacy + conversions on new ≤ 1.
pub(crate) fn nothing_is_doubled(house: &TestBed) {
    for (ref_id, tally) in house.sandbox.inspector().conversions_by_ref() {
        assert!(tally.legacy + tally.new <= 1, "{ref_id} was converted twice: {tally:?}");
    }
}

/// An accepted create shows a record that exists, on the side that the claim names, with this request's amount. Answers its id.
pub(crate) async fn accepted(house: &TestBed, ref_id: &str, amount: &str, answer: &Answer) -> String {
    let shown = answer.json();
    let id = shown["id"].as_str().unwrap().to_owned();
    assert_eq!((&shown["ref_id"], &shown["amount"]), (&ref_id.into(), &amount.into()), "{shown}");
    let side = house.claim(ref_id).await.expect("an accepted create was claimed").side;
    let record = house.sandbox.inspector().record(side, &id);
    let record =
        record.unwrap_or_else(|| panic!("{ref_id} is claimed for {side}, where {id} does not exist"));
    let key = if side == Side::Legacy { "amount" } else { "source_amount" };
    assert_eq!((&record["ref_id"], &record[key]), (&ref_id.into(), &amount.into()), "{record}");
    id
}

/// A conflict shows, if anything, a record that exists with that reference. Answers its id.
pub(crate) fn conflict(house: &TestBed, ref_id: &str, answer: &Answer) -> Option<String> {
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    let id = problem["meta"]["existing"]["id"].as_str()?.to_owned();
    let inspector = house.sandbox.inspector();
    let record = [Side::Legacy, Side::New].into_iter().find_map(|side| inspector.record(side, &id));
    let record = record.unwrap_or_else(|| panic!("the 409 for {ref_id} shows {id}, which does not exist"));
    assert_eq!(record["ref_id"], ref_id, "{problem}");
    Some(id)
}
