//! Every threshold of `[shadow.go]`, met at its edge and missed just past it, each for its own reason only.

use conversion_shim::shadow::heartbeat_record::{DroppedJobs, HeartbeatRecord};
use conversion_shim::shadow::record::{ComparisonRecord, EndRecord, SCHEMA, ShadowLine, TARGET};
use conversion_shim::shadow::types::{ComparisonKind, Severity, Verdict};
use conversion_shim::translate::route::Route;
use serde_json::Value;

use super::{json, report};
use crate::support::story::{ago, differing, enough, green, heartbeat, heartbeat_line, lines, record, seen};

/// The route's verdict, and the names of the thresholds that it misses.
fn judged(log: &str, route: &str, more: &[&str]) -> (String, Vec<String>) {
    let report = json(more, log);
    let routes = report["routes"].as_array().unwrap();
    let found = routes.iter().find(|it| it["route"] == route).unwrap();
    let checks = found["checks"].as_array().unwrap();
    let missed = checks.iter().filter(|check| check["passed"] == Value::Bool(false));
    let missed = missed.map(|check| check["name"].as_str().unwrap().to_owned()).collect();
    (found["verdict"].as_str().unwrap().to_owned(), missed)
}

/// So many of that verdict, in one record.
fn many(verdict: Verdict, severity: Option<Severity>, count: u64) -> ComparisonRecord {
    ComparisonRecord { suppressed: count - 1, ..differing(Route::Get, verdict, severity) }
}

/// 1000 comparisons of which so many came to that.
fn of_thousand(verdict: Verdict, severity: Option<Severity>, count: u64) -> String {
    let matches = ComparisonRecord { suppressed: 999 - count, ..record(Route::Get) };
    lines([matches, many(verdict, severity, count)]) + &heartbeat_line(heartbeat())
}

fn edge(
    name: &'static str,
    verdict: Verdict,
    severity: Option<Severity>,
    most: u64,
) -> (&'static str, String, String) {
    (name, of_thousand(verdict, severity, most), of_thousand(verdict, severity, most + 1))
}

/// Name, a log that meets it at its edge, and one that misses it.
fn table() -> Vec<(&'static str, String, String)> {
    use Severity::{Contract, Cosmetic, Money};
    use Verdict::{ErrorDisagreement, Mismatch, NotComparable, Progress, ShadowFailed, Transient};
    let matches = |count: u64| lines([ComparisonRecord { suppressed: count - 1, ..record(Route::Get) }]);
    let at = |minutes| {
        lines([ComparisonRecord { time: ago(minutes), ..enough(Route::Get) }]) + &heartbeat_line(heartbeat())
    };
    let beating = |change: fn(&mut HeartbeatRecord, u64), number| {
        let mut heartbeat = heartbeat();
        change(&mut heartbeat, number);
        lines([ComparisonRecord { suppressed: 7999, ..record(Route::Get) }]) + &heartbeat_line(heartbeat)
    };
    let dropping = |heartbeat: &mut HeartbeatRecord, count| {
        heartbeat.dropped = vec![DroppedJobs { route: Route::Get, reason: "jobs".into(), count }];
    };
    let idling = |heartbeat: &mut HeartbeatRecord, seconds: u64| heartbeat.idle_seconds = seconds as f64;
    let newer = green(Route::Get).lines().next().unwrap().replace("\"schema\":3", "\"schema\":4") + "\n";
    vec![
        (
            "judged_min",
            matches(1000) + &heartbeat_line(heartbeat()),
            matches(999) + &heartbeat_line(heartbeat()),
        ),
        ("freshness_max", at(24 * 60), at(24 * 60 + 1)),
        ("money_max", of_thousand(Transient, Some(Money), 1), of_thousand(Mismatch, Some(Money), 1)),
        ("money_max", of_thousand(Progress, Some(Money), 1), of_thousand(Mismatch, None, 1)),
        edge("contract_share_max", Mismatch, Some(Contract), 1),
        edge("cosmetic_share_max", Mismatch, Some(Cosmetic), 50),
        edge("error_disagreement_share_max", ErrorDisagreement, Some(Contract), 1),
        (
            "failed_share_max",
            green(Route::Get) + &lines([many(ShadowFailed, None, 105)]),
            green(Route::Get) + &lines([many(ShadowFailed, None, 106)]),
        ),
        (
            "not_comparable_share_max",
            green(Route::Get) + &lines([many(NotComparable, None, 222)]),
            green(Route::Get) + &lines([many(NotComparable, None, 223)]),
        ),
        ("dropped_share_max", beating(dropping, 2000), beating(dropping, 2001)),
        ("idle_share_max", beating(idling, 180), beating(idling, 181)),
        ("newer_lines", green(Route::Get), newer + &green(Route::Get)),
        ("pairs_end", green(Route::Get) + &pair(true), green(Route::Get) + &pair(false)),
        (
            "pairs_end",
            green(Route::Get) + &pair(true),
            green(Route::Get) + &pair(true)[..pair(true).len() - 9],
        ),
        ("lost_lines", green(Route::Get) + &pair(true), green(Route::Get) + &without_second(&pair(true))),
    ]
}

/// A log of `probe --pairs`, to its end or not.
fn pair(has_end: bool) -> String {
    let line = |sequence| ComparisonRecord {
        kind: ComparisonKind::Pair,
        process: "aaaabbbbcccc".into(),
        sequence,
        ..record(Route::Get)
    };
    let end = EndRecord {
        schema: SCHEMA,
        target: TARGET.into(),
        time: ago(1),
        process: "aaaabbbbcccc".into(),
        sequence: 4,
    };
    let end = serde_json::to_string(&ShadowLine::End(end)).unwrap() + "\n";
    lines([line(1), line(2), line(3)]) + if has_end { &end } else { "" }
}

fn without_second(log: &str) -> String {
    log.lines().enumerate().filter(|(at, _)| *at != 1).map(|(_, line)| line.to_owned() + "\n").collect()
}

#[test]
fn a_replica_whose_log_is_not_there_leaves_it_unproven() {
    let log = green(Route::Get);
    let three = ["--set", "replicas=3"];
    assert_eq!(judged(&log, "get", &three), ("not_proven".into(), vec!["processes".into()]));
    let others = ["one", "two"]
        .map(|process| heartbeat_line(HeartbeatRecord { process: process.into(), ..heartbeat() }));
    assert_eq!(judged(&(log.clone() + &others.concat()), "get", &three).0, "go");
    // One that was started anew twice is one.
    let restarted = [("one", 90), ("two", 180)].map(|(process, minutes)| {
        heartbeat_line(HeartbeatRecord { process: process.into(), time: ago(minutes), ..heartbeat() })
    });
    assert_eq!(judged(&(log + &restarted.concat()), "get", &three).1, ["processes"]);
}

#[test]
fn each_threshold_turns_go_into_no_go_and_says_which_it_is() {
    for (name, met, missed) in table() {
        assert_eq!(judged(&met, "get", &[]), ("go".into(), vec![]), "{name}, met");
        assert_eq!(judged(&missed, "get", &[]), ("no_go".into(), vec![name.into()]), "{name}, missed");
    }
}

#[test]
fn thresholds_come_from_the_config() {
    let log = of_thousand(Verdict::NoCounterpart, None, 900);
    let counterparts = ["--set", "shadow.go.counterparts_min=101"];
    assert_eq!(judged(&log, "get", &counterparts).1, ["counterparts_min"]);
    assert_eq!(judged(&log, "get", &["--set", "shadow.go.counterparts_min=100"]).0, "go");
    let one = of_thousand(Verdict::Mismatch, Some(Severity::Money), 1);
    assert_eq!(judged(&one, "get", &["--set", "shadow.go.money_max=1"]).0, "go");
}

#[test]
fn a_refusal_on_one_side_with_money_in_it_counts_as_money() {
    let log = of_thousand(Verdict::ErrorDisagreement, Some(Severity::Money), 1);
    assert_eq!(judged(&log, "get", &[]).1, ["money_max"]);
}

#[test]
fn without_heartbeats_there_is_no_proof_that_shadow_ran() {
    let log = lines([enough(Route::Get)]);
    let missed = judged(&log, "get", &[]).1;
    assert_eq!(missed, ["heartbeats", "dropped_share_max", "idle_share_max"]);
    let notes = json(&[], &log)["notes"].to_string();
    assert!(notes.contains("NO HEARTBEAT"), "{notes}");
    assert_eq!(judged(&log, "list", &[]), ("not_known".into(), vec![]), "nor that it was not to");
}

#[test]
fn a_route_without_records_is_no_go_only_if_it_was_to_be_compared() {
    let log = green(Route::Get);
    assert_eq!(judged(&log, "list", &[]).0, "no_go");
    let missed = judged(&log, "list", &[]).1;
    assert_eq!(missed, ["records", "judged_min", "counterparts_min", "freshness_max"]);
    let mut alone = heartbeat();
    alone.routes.retain(|sampled| sampled.route != Route::Create);
    alone.routes.iter_mut().filter(|sampled| sampled.route == Route::List).for_each(|list| list.share = 0.0);
    let log = lines([enough(Route::Get)]) + &heartbeat_line(alone.clone());
    assert_eq!(judged(&log, "list", &[]).0, "no_go", "in mode shadow, and nothing of it compared");
    alone.routes.retain(|sampled| sampled.route == Route::Get);
    let log = lines([enough(Route::Get)]) + &heartbeat_line(alone);
    assert_eq!(judged(&log, "list", &[]), ("not_in_shadow".into(), vec![]));
    assert_eq!(json(&[], &log)["verdict"], "go");
    assert_eq!(
        json(&["--route", "list"], &log)["verdict"],
        "no_go",
        "nothing was asked about that can be GO"
    );
}

#[test]
fn what_neither_side_holds_is_no_counterpart_and_said_aloud() {
    let refused = ComparisonRecord { both_held: false, ..enough(Route::Get) };
    let log = lines([refused]) + &heartbeat_line(heartbeat());
    assert_eq!(judged(&log, "get", &["--set", "shadow.go.counterparts_min=1"]).1, ["counterparts_min"]);
    let notes = json(&["--route", "get"], &log)["notes"].to_string();
    assert!(notes.contains("NO RECORD ON BOTH SIDES in the 2,000 comparisons of get"), "{notes}");
    let notes = json(&["--route", "get"], &green(Route::Get))["notes"].to_string();
    assert!(!notes.contains("NO RECORD ON BOTH SIDES"), "{notes}");
}

#[test]
fn a_rule_that_hides_money_is_said_aloud() {
    let mut beating = heartbeat();
    let rule = |path: &str| conversion_shim::shadow::heartbeat_record::RuleHits {
        path: path.into(),
        reason: "known".into(),
        owner: "somebody".into(),
        expires: "2027-01-31".into(),
        expired: false,
        hits: 3,
    };
    beating.rules = vec![rule("items[*].amount"), rule("updated_at")];
    let notes = json(&[], &(lines([enough(Route::Get)]) + &heartbeat_line(beating)))["notes"].to_string();
    assert!(
        notes.contains("HIDE MONEY DIFFERENCES") && notes.contains("items[*].amount (somebody, 3 hits)"),
        "{notes}"
    );
    assert!(!notes.contains("updated_at"), "{notes}");
}

#[test]
fn comparisons_that_are_not_in_the_files_are_no_evidence() {
    let mut beating = heartbeat();
    beating.done = 2040;
    let log = |beating| lines([enough(Route::Get)]) + &heartbeat_line(beating);
    assert_eq!(judged(&log(beating.clone()), "get", &[]).0, "go");
    beating.done = 2050;
    assert_eq!(judged(&log(beating), "get", &[]).1, ["missing_lines"]);
}

#[test]
fn records_that_were_not_written_count_wherever_they_are_reported() {
    let mut reported = heartbeat();
    let money = differing(Route::Get, Verdict::Mismatch, Some(Severity::Money));
    reported.suppressed = vec![conversion_shim::shadow::heartbeat_record::Suppressed {
        route: Route::Get,
        verdict: money.verdict,
        severity: money.severity,
        both_held: true,
        signature: money.signature,
        count: 7,
    }];
    let report = json(&["--route", "get"], &(lines([enough(Route::Get)]) + &heartbeat_line(reported)));
    let route = &report["routes"][0];
    assert_eq!((route["records"].as_u64(), route["written"].as_u64()), (Some(2007), Some(1)));
    assert_eq!(report["signatures"]["top"][0]["count"], 7);
    let money = route["checks"].as_array().unwrap().iter().find(|check| check["name"] == "money_max");
    assert_eq!(money.unwrap()["found"], 7.0);
}

/// So many comparisons with a record on both sides, and a thousand with one on one side.
fn with_counterparts(count: u64) -> String {
    let paired = ComparisonRecord { suppressed: count - 1, ..record(Route::Get) };
    lines([many(Verdict::NoCounterpart, None, 1000), paired]) + &heartbeat_line(heartbeat())
}

#[test]
fn what_was_never_compared_on_both_sides_is_not_proven_whatever_its_shares() {
    assert_eq!(judged(&with_counterparts(20), "get", &[]), ("go".into(), vec![]));
    let few = with_counterparts(19);
    assert_eq!(judged(&few, "get", &[]), ("not_proven".into(), vec!["counterparts_min".into()]));
    let none = lines([many(Verdict::NoCounterpart, None, 1000)]) + &heartbeat_line(heartbeat());
    assert_eq!(judged(&none, "get", &[]).0, "not_proven", "a dead path looks clean");
    let ended = report(&["--route", "get"], &few);
    assert_eq!(ended.code, 7, "{}", ended.out);
    assert!(
        ended.out.contains(": NOT PROVEN") && ended.out.contains("counterparts_min: 19 with a record"),
        "{}",
        ended.out
    );
    // NO-GO wins, in a route and over the routes.
    let money = few.clone() + &lines([differing(Route::Get, Verdict::Mismatch, Some(Severity::Money))]);
    assert_eq!(judged(&money, "get", &["--set", "shadow.go.counterparts_min=21"]).0, "no_go");
    let both = green(Route::Create) + &few;
    assert_eq!(json(&["--route", "create", "--route", "get"], &both)["verdict"], "not_proven");
    let list = lines([differing(Route::List, Verdict::Mismatch, Some(Severity::Money))]);
    assert_eq!(report(&[], &(both + &list)).code, 6);
}

#[test]
fn what_clients_used_and_was_never_compared_is_named_and_can_be_required() {
    let used = |pair: &str, status: &str, parameter: &str| ComparisonRecord {
        query: vec![parameter.into()],
        asset_pair: Some(pair.into()),
        seen: vec![seen(pair, status)],
        ..differing(Route::List, Verdict::NoCounterpart, None)
    };
    let compared = ComparisonRecord { query: vec!["limit".into()], ..enough(Route::List) };
    let log =
        lines([compared, used("USD/PYUSD", "SETTLED", "limit"), used("EUR/PYUSD", "CANCELLED", "order")])
            + &heartbeat_line(heartbeat());
    let uncovered = json(&[], &log)["coverage"]["uncovered"].clone();
    let name = |kind: &str, name: &str| serde_json::json!({"route": "list", "kind": kind, "name": name});
    let expected = [name("asset pair", "EUR/PYUSD"), name("parameter", "order"), name("status", "CANCELLED")];
    assert_eq!(uncovered, serde_json::json!(expected));
    assert_eq!(judged(&log, "list", &[]), ("go".into(), vec![]), "named only");
    let seen = ["--set", "shadow.go.cover=seen"];
    assert_eq!(judged(&log, "list", &seen), ("not_proven".into(), vec!["cover".into()]));
    let text = report(&[&seen[..], &["--route", "list"]].concat(), &log).out;
    assert!(
        text.contains("cover: 3 never compared on both sides, at most 0: asset pair EUR/PYUSD"),
        "{text}"
    );
    let reported = text.split("used by clients, and never compared").nth(1).expect("a table");
    assert!(
        reported.contains("EUR/PYUSD") && reported.contains("CANCELLED") && reported.contains("order"),
        "{text}"
    );
    // A refusal of both sides compares nothing, and one comparison of each is enough.
    let refused = ComparisonRecord {
        both_held: false,
        verdict: Verdict::Match,
        ..used("EUR/PYUSD", "CANCELLED", "order")
    };
    assert_eq!(judged(&(log.clone() + &lines([refused])), "list", &seen).0, "not_proven");
    let now = ComparisonRecord {
        both_held: true,
        verdict: Verdict::Match,
        ..used("EUR/PYUSD", "CANCELLED", "order")
    };
    assert_eq!(judged(&(log + &lines([now])), "list", &seen), ("go".into(), vec![]));
}
