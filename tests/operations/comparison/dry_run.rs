//! Dry runs of creates: every request among the fixtures, the rules of the new API, and the verdicts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use conversion_shim::shadow::dry_run::{self, DryRun};
use conversion_shim::shadow::side_response::SideResponse;
use conversion_shim::shadow::types::Verdict::{ErrorDisagreement, Match, Mismatch, NotComparable};
use conversion_shim::shadow::types::{Severity, Verdict};
use conversion_shim::shadow::verdict::{Comparator, ComparisonResult};
use conversion_shim::translate::route::Route;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{TODAY, answer, ok, problem, with};

fn compare(served: &SideResponse, result: &DryRun) -> ComparisonResult {
    let judge =
        Comparator { route: Route::Create, ref_id_made: result.ref_id_made, rules: &[], today: TODAY };
    judge.compare(served, &result.response)
}

fn request() -> Value {
    json!({
        "ref_id": "r-1",
        "profile_id": "7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c",
        "amount": "100",
        "source_asset": "USD",
        "target_asset": "PYUSD",
        "metadata": { "my_id": "4" },
    })
}

fn dry_run_with(changes: Value) -> DryRun {
    dry_run::run(with(request(), changes).to_string().as_bytes())
}

/// What the old API answers to a request that it takes.
fn legacy_answer(request: &Value) -> Value {
    let known = [
        "profile_id",
        "amount",
        "source_asset",
        "target_asset",
        "ref_id",
        "identity_id",
        "account_id",
        "recipient_profile_id",
        "metadata",
    ];
    let given = |name: &&str| request.get(*name).is_some_and(|value| !value.is_null() && value != "");
    let shown = |name: &&str| *name != "recipient_profile_id" || request[*name] != request["profile_id"];
    let mut answer = json!({
        "id": "3d7a1e5b-9c2f-4d8a-a6b3-0e4f2c8d1a9b",
        "status": "CREATED",
        "created_at": "2026-04-20T12:30:01.397730123Z",
        "updated_at": "2026-04-20T12:30:01.397730123Z",
    });
    for name in known.into_iter().filter(given).filter(shown) {
        answer[name] = request[name].clone();
    }
    answer
}

/// The fixtures whose request the proxy takes and the new API's own rules refuse.
const REFUSED_THERE: [&str; 1] = ["amount_verbatim.json"];

/// A body that is not JSON, or has to be exact.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verbatim {
    text: String,
}

#[test]
fn every_fixture_of_a_create_is_rehearsed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/create");
    let (mut taken, mut refused) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // As the file has it: not all of it is JSON that a tree can hold.
        let fixture: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let Some(body) = fixture.get("legacy_request") else { continue };
        let verbatim = serde_json::from_str::<Verbatim>(body.get());
        let bytes = verbatim.map_or_else(|_| body.get().to_owned(), |verbatim| verbatim.text);
        let result = dry_run::run(bytes.as_bytes());
        if let Some(invalid) = fixture.get("invalid") {
            let detail = result.response.document().unwrap().text("detail");
            let invalid: String = serde_json::from_str(invalid.get()).unwrap();
            assert_eq!((result.response.status(), detail), (Some(400), Some(invalid.as_str())), "{name}");
            refused += 1;
        } else if REFUSED_THERE.contains(&name.as_str()) {
            assert_eq!(result.response.status(), Some(400), "{name}");
        } else {
            let request: Value = serde_json::from_str(&bytes).unwrap();
            let comparison = compare(&ok(&legacy_answer(&request)), &result);
            assert_eq!(comparison.verdict, Match, "{name}: {comparison:?}");
            taken += 1;
        }
    }
    assert!(taken > 10 && refused > 10, "{taken} taken, {refused} refused");
}

#[test]
fn the_guides_own_example_matches_its_own_answer() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/create/guide_example.json");
    let fixture: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let result = dry_run::run(fixture["legacy_request"].to_string().as_bytes());
    assert_eq!(compare(&ok(&fixture["legacy_answer"]), &result).verdict, Match);
}

#[test]
fn what_the_new_api_refuses_is_refused() {
    let table = [
        (json!({ "amount": "0" }), "greater than 0"),
        (json!({ "amount": "0.00" }), "greater than 0"),
        (json!({ "amount": "1.001" }), "at most 2 decimals"),
        (
            json!({ "amount": "1.1234567", "source_asset": "PYUSD", "target_asset": "USDG" }),
            "at most 6 decimals",
        ),
        (
            json!({ "amount": "1.123456789", "source_asset": "USDP", "target_asset": "NEW" }),
            "at most 8 decimals",
        ),
        (json!({ "amount": "x" }), "amount"),
        (json!({ "metadata": { "a": 1 } }), "metadata"),
        (json!({ "target_asset": "USD" }), "target_asset"),
    ];
    for (changes, why) in table {
        let result = dry_run_with(changes.clone());
        let detail = result.response.document().unwrap().text("detail").unwrap_or_default();
        assert!(result.response.status() == Some(400) && detail.contains(why), "{changes}: {result:?}");
    }
    for changes in [
        json!({ "amount": "1.10000" }),
        json!({ "amount": "1.123456789", "source_asset": "A", "target_asset": "B" }),
    ] {
        assert_eq!(dry_run_with(changes.clone()).response.status(), Some(200), "{changes}");
    }
}

#[test]
fn a_dry_run_is_compared_by_what_can_be_known() {
    let taken = || dry_run_with(json!({}));
    let refused = || dry_run_with(json!({ "amount": "0" }));
    let served = ok(&legacy_answer(&request()));
    let refusal = |status| answer(status, &problem(status, "about:blank"));
    let other_status = ok(&with(legacy_answer(&request()), json!({ "status": "SETTLED" })));
    let mut table: Vec<(&str, SideResponse, DryRun, Verdict)> = vec![
        ("both take it", served.clone(), taken(), Match),
        ("only legacy takes it", served, refused(), ErrorDisagreement),
        ("only the new API takes it", refusal(400), taken(), ErrorDisagreement),
        ("both refuse it", refusal(400), refused(), Match),
        ("both refuse it, in other words", SideResponse::read(400, b"<html>"), refused(), Match),
        ("another status", other_status, taken(), Mismatch),
        (
            "too big",
            SideResponse::NotComparable { status: Some(200), reason: "too_big" },
            taken(),
            NotComparable,
        ),
    ];
    for status in [401, 403, 404, 409, 422, 429, 500, 502, 503, 504] {
        table.push(("depends on state", refusal(status), taken(), NotComparable));
        table.push(("depends on state", refusal(status), refused(), NotComparable));
    }
    for (name, served, result, verdict) in table {
        let comparison = compare(&served, &result);
        assert_eq!(comparison.verdict, verdict, "{name}: {served:?}");
        let on_state = name == "depends on state";
        assert_eq!(comparison.skip_reason == Some("depends_on_state"), on_state, "{name}: {served:?}");
    }
}

#[test]
fn ids_and_times_of_a_create_are_there_and_nothing_more() {
    let result = dry_run_with(json!({}));
    for (changes, path) in [
        (json!({ "id": "(absent)" }), "id"),
        (json!({ "created_at": 1 }), "created_at"),
        (json!({ "updated_at": "(absent)" }), "updated_at"),
        (json!({ "ref_id": "r-2" }), "ref_id"),
    ] {
        let comparison = compare(&ok(&with(legacy_answer(&request()), changes)), &result);
        assert_eq!(comparison.verdict, Mismatch);
        assert_eq!(comparison.differences[0].path, path);
    }
}

#[test]
fn a_reference_that_was_made_up_is_not_held_against_either_side() {
    let anonymous = dry_run_with(json!({ "ref_id": "(absent)" }));
    assert!(anonymous.ref_id_made && !dry_run_with(json!({})).ref_id_made);
    let base = || legacy_answer(&with(request(), json!({ "ref_id": "(absent)" })));
    for (ref_id, verdict) in
        [(json!("(absent)"), Match), (json!("made by legacy"), Match), (json!(7), Mismatch)]
    {
        let served = ok(&with(base(), json!({ "ref_id": ref_id })));
        let comparison = compare(&served, &anonymous);
        assert_eq!(comparison.verdict, verdict, "{ref_id}");
        assert!(verdict == Match || comparison.severity == Some(Severity::Money));
    }
}
