//! One row a verdict: two answers, and what they come to.

use conversion_shim::shadow::record::RowCounts;
use conversion_shim::shadow::side_response::SideResponse;
use conversion_shim::shadow::types::Severity::{Contract, Cosmetic, Money};
use conversion_shim::shadow::types::Verdict::{
    ErrorDisagreement, Match, MatchAfterRules, Mismatch, NoCounterpart, NotComparable, Progress, ShadowFailed,
};
use conversion_shim::shadow::types::{Severity, Verdict};
use conversion_shim::shadow::verdict::{ComparisonResult, signature};
use conversion_shim::translate::route::Route;
use serde_json::{Value, json};

use super::{TODAY, answer, comparator, ok, page, problem, record, record_with, row, rule, rule_until, with};

fn paths(result: &ComparisonResult) -> Vec<&str> {
    result.differences.iter().map(|it| it.path.as_str()).collect()
}

#[test]
fn every_pair_of_answers_has_its_verdict() {
    let same = || ok(&record());
    let cosmetic = || ok(&record_with(json!({ "amount": "100.5" })));
    let other_amount = || ok(&record_with(json!({ "amount": "1" })));
    let refused = |status| answer(status, &problem(status, "about:blank"));
    let too_big = || SideResponse::NotComparable { status: Some(200), reason: "too_big" };
    let html = |status| SideResponse::read(status, b"<html>");
    let table: Vec<(&str, SideResponse, SideResponse, Verdict, Option<Severity>)> = vec![
        ("the same", same(), same(), Match, None),
        ("written otherwise", same(), cosmetic(), Mismatch, Some(Cosmetic)),
        ("another amount", same(), other_amount(), Mismatch, Some(Money)),
        ("another success", same(), answer(201, &record()), Mismatch, Some(Contract)),
        ("not there", same(), SideResponse::NoCounterpart, NoCounterpart, None),
        ("neither has it", refused(404), SideResponse::NoCounterpart, Match, None),
        ("both say 404", refused(404), refused(404), Match, None),
        (
            "refused there, not there here",
            refused(403),
            SideResponse::NoCounterpart,
            ErrorDisagreement,
            Some(Contract),
        ),
        ("only served refused", refused(404), same(), ErrorDisagreement, Some(Contract)),
        ("only the other refused", same(), refused(403), ErrorDisagreement, Some(Contract)),
        ("refused differently", refused(400), refused(403), ErrorDisagreement, Some(Contract)),
        ("refused with a page of text", html(502), same(), ErrorDisagreement, Some(Contract)),
        ("both refused with a page of text", html(502), html(502), NotComparable, None),
        (
            "another kind of refusal",
            refused(403),
            answer(403, &problem(403, "urn:x")),
            Mismatch,
            Some(Contract),
        ),
        ("too big", too_big(), same(), NotComparable, None),
        ("too big, and not there", too_big(), SideResponse::NoCounterpart, NotComparable, None),
        ("not JSON", same(), html(200), NotComparable, None),
        ("could not ask", same(), SideResponse::Failed("timeout"), ShadowFailed, None),
    ];
    for (name, served, other, verdict, severity) in table {
        let result = comparator(Route::Get, &[]).compare(&served, &other);
        assert_eq!((result.verdict, result.severity), (verdict, severity), "{name}: {result:?}");
        let disagrees = verdict == ErrorDisagreement;
        assert!(!disagrees || paths(&result) == ["status_code"], "{name}: {result:?}");
        let skipped = matches!(verdict, NotComparable | ShadowFailed);
        assert_eq!(result.skip_reason.is_some(), skipped, "{name}");
    }
}

/// `CREATED` served, and what the later reader saw.
fn later(changes: Value) -> ComparisonResult {
    comparator(Route::Get, &[]).compare(&ok(&record()), &ok(&record_with(changes)))
}

#[test]
fn a_later_status_is_progress_and_an_earlier_one_is_not() {
    let at = "2026-04-20T13:00:00Z";
    let settled = json!({ "status": "SETTLED", "updated_at": at, "settled_at": at });
    let cancelled = json!({ "status": "CANCELLED", "updated_at": at, "cancelled_at": at });
    let progress = [&settled, &cancelled, &json!({ "status": "SETTLED" })];
    for changes in progress {
        let result = later(changes.clone());
        assert_eq!((result.verdict, result.severity), (Progress, None), "{changes}");
        assert!(!result.differences.is_empty(), "what moved is reported");
    }
    let mismatches = [
        json!({ "status": "FROZEN" }),
        json!({ "settled_at": at }),
        json!({ "updated_at": at }),
        with(settled.clone(), json!({ "amount": "1" })),
        with(settled.clone(), json!({ "created_at": at })),
        json!({ "status": "SETTLED", "updated_at": "(absent)", "settled_at": at }),
        with(cancelled, json!({ "cancelled_at": "(absent)", "settled_at": at })),
    ];
    for changes in mismatches {
        assert_eq!(later(changes.clone()).verdict, Mismatch, "{changes}");
    }
    let created = |status: &str| ok(&record_with(json!({ "metadata": { "status": status } })));
    let metadata = comparator(Route::Get, &[]).compare(&created("CREATED"), &created("SETTLED"));
    assert_eq!(metadata.verdict, Mismatch, "the client's own words");
    let refusal = |status: &str| answer(403, &json!({ "status": status }));
    let refusals = comparator(Route::Get, &[]).compare(&refusal("CREATED"), &refusal("SETTLED"));
    assert_eq!(refusals.verdict, Mismatch, "a refusal does not move on");
    let [settled_before, cancelled_now] =
        ["SETTLED", "CANCELLED"].map(|it| ok(&record_with(json!({ "status": it }))));
    let undone = comparator(Route::Get, &[]).compare(&settled_before, &cancelled_now);
    assert_eq!(undone.verdict, Mismatch, "what is final stays");
    let back = comparator(Route::Get, &[]).compare(&ok(&record_with(settled)), &ok(&record()));
    assert_eq!((back.verdict, back.severity), (Mismatch, Some(Money)), "going back");
}

#[test]
fn progress_is_found_row_by_row() {
    let settled = |ref_id: &str| {
        with(row(ref_id), json!({ "status": "SETTLED", "settled_at": "2026-04-20T13:00:00Z" }))
    };
    let served = ok(&page(&[row("a"), row("b")]));
    let moved = comparator(Route::List, &[]).compare(&served, &ok(&page(&[settled("a"), settled("b")])));
    assert_eq!(moved.verdict, Progress);
    // The time of one row is not explained by the status of another.
    let wrong_row = with(row("b"), json!({ "settled_at": "2026-04-20T13:00:00Z" }));
    let mixed = comparator(Route::List, &[]).compare(&served, &ok(&page(&[settled("a"), wrong_row])));
    assert_eq!(mixed.verdict, Mismatch);
    let own_words = |status: &str| ok(&page(&[with(row("a"), json!({ "metadata": { "status": status } }))]));
    let metadata = comparator(Route::List, &[]).compare(&own_words("CREATED"), &own_words("SETTLED"));
    assert_eq!(metadata.verdict, Mismatch, "the client's own words");
}

#[test]
fn a_page_without_any_counterpart_is_distinct_from_one_with_gaps() {
    let rows = |names: &[&str]| ok(&page(&names.iter().map(|name| row(name)).collect::<Vec<_>>()));
    let table: [(&[&str], &[&str], Verdict); 6] = [
        (&[], &[], Match),
        (&["a", "b"], &["a", "b"], Match),
        (&["a", "b"], &[], NoCounterpart),
        (&["a", "b"], &["b"], Mismatch),
        (&["a"], &["b"], Mismatch),
        (&[], &["a"], Mismatch),
    ];
    for (served, other, verdict) in table {
        let result = comparator(Route::List, &[]).compare(&rows(served), &rows(other));
        assert_eq!(result.verdict, verdict, "{served:?} {other:?}");
        let (served_rows, other_rows) = (served.len() as u64, other.len() as u64);
        let counts = RowCounts { served: served_rows, other: other_rows, ..RowCounts::default() };
        assert_eq!(result.counts, Some(counts), "{served:?} {other:?}");
    }
}

#[test]
fn a_rule_hides_its_own_path_until_it_expires() {
    let served = ok(&page(&[row("a"), row("b")]));
    let changed = with(row("b"), json!({ "updated_at": "2026-04-20T13:00:00Z" }));
    let other = ok(&page(&[row("a"), changed.clone()]));
    let rules = [rule("items[*].created_at"), rule("items[*].updated_at")];
    let hidden = comparator(Route::List, &rules).compare(&served, &other);
    assert_eq!((hidden.verdict, hidden.severity), (MatchAfterRules, None));
    let ignored: Vec<_> = hidden.ignored.iter().map(|(it, at)| (it.path.as_str(), *at)).collect();
    assert_eq!(ignored, [("items[1].updated_at", 1)], "the path is of one row, the rule of all");

    let worse = ok(&page(&[row("a"), with(changed, json!({ "amount": "1" }))]));
    let left = comparator(Route::List, &rules).compare(&served, &worse);
    assert_eq!((left.verdict, left.severity, paths(&left)), (Mismatch, Some(Money), vec!["items[1].amount"]));

    let of_the_row = [rule("items"), rule("items[*]"), rule("updated_at"), rule("*.updated_at")];
    let elsewhere = comparator(Route::List, &of_the_row).compare(&served, &other);
    assert_eq!((elsewhere.verdict, elsewhere.ignored), (Mismatch, vec![]), "not what is within, nor without");

    let expired = [rule_until("items[*].updated_at", TODAY.yesterday().unwrap())];
    let back = comparator(Route::List, &expired).compare(&served, &other);
    assert_eq!((back.verdict, back.expired), (Mismatch, vec![0]));
    let both = [expired[0].clone(), rules[1].clone()];
    let renewed = comparator(Route::List, &both).compare(&served, &other);
    assert_eq!((renewed.verdict, renewed.ignored[0].1, renewed.expired), (MatchAfterRules, 1, vec![]));
}

#[test]
fn rules_come_before_progress_and_reach_the_status_code() {
    let moved = record_with(json!({ "status": "SETTLED", "amount": "100.5" }));
    let rules = [rule("amount"), rule("status_code")];
    let result = comparator(Route::Get, &rules).compare(&ok(&record()), &ok(&moved));
    assert_eq!((result.verdict, result.ignored.len()), (Progress, 1));
    let refused = answer(403, &problem(403, "about:blank"));
    let accepted = comparator(Route::Get, &rules).compare(&ok(&record()), &refused);
    assert_eq!(accepted.verdict, MatchAfterRules);
}

#[test]
fn the_gravest_difference_comes_first() {
    let changes = json!({ "created_at": "2026-04-20T13:00:00Z", "fee": "1", "target_asset": "USDG" });
    assert_eq!(paths(&later(changes)), ["target_asset", "fee", "created_at"]);
}

#[test]
fn a_signature_knows_places_and_kinds_and_no_values() {
    let get = |changes: Value| later(changes).signature;
    let amount = get(json!({ "amount": "1" }));
    assert!(amount.len() == 16 && amount.bytes().all(|byte| byte.is_ascii_hexdigit()), "{amount}");
    assert_eq!(amount, get(json!({ "amount": "2" })), "values do not count");
    assert_ne!(amount, get(json!({ "amount": "(absent)" })), "kinds do");
    assert_ne!(amount, get(json!({ "amount": "1", "fee": "1" })), "places do");
    assert_eq!(
        get(json!({ "metadata": { "order": "1", "shop": "x" } })),
        get(json!({ "metadata": { "order": "7", "shop": "y" } })),
        "the client's keys do not count"
    );
    let second = |names: [&str; 2]| {
        let rows = names.map(row);
        let changed = with(rows[1].clone(), json!({ "amount": "1" }));
        let other = ok(&page(&[rows[0].clone(), changed]));
        comparator(Route::List, &[]).compare(&ok(&page(&rows)), &other)
    };
    let first = comparator(Route::List, &[])
        .compare(&ok(&page(&[row("a")])), &ok(&page(&[with(row("a"), json!({ "amount": "1" }))])));
    assert_eq!(first.signature, second(["a", "b"]).signature, "row numbers do not count");
    let differences = &first.differences;
    assert_eq!(first.signature, signature(Route::List, Mismatch, differences));
    assert_ne!(first.signature, signature(Route::Get, Mismatch, differences), "the route counts");
    assert_ne!(
        first.signature,
        signature(Route::List, Verdict::Transient, differences),
        "the verdict counts"
    );
    assert_eq!(
        signature(Route::Get, Mismatch, &[]),
        "2d9d1e2e259f282f",
        "stable from release to release, so that reports can be compared"
    );
}
