//! What logs are really like: rotated, torn, mixed with others, and written by people who mean harm.

use conversion_shim::shadow::record::ComparisonRecord;
use conversion_shim::shadow::types::{DiffKind, Severity, Verdict};
use conversion_shim::translate::route::Route;

use super::{json, report, write};
use crate::support::story::{
    ago, diff, differing, enough, green, heartbeat, heartbeat_line, lines, record, seen,
};

#[test]
fn files_may_come_in_any_order_and_standard_input_among_them() {
    let dir = tempfile::tempdir().unwrap();
    let early = lines([ComparisonRecord { time: ago(600), ..enough(Route::Get) }]);
    let late = lines([record(Route::Get)]) + &heartbeat_line(heartbeat());
    let first = write(dir.path(), "shadow.log.1", &early);
    let second = write(dir.path(), "shadow.log", &late);
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    let whole = json(&[], &(early.clone() + &late));
    for (arguments, input) in [
        (vec![first, second], ""),
        (vec![second, first], ""),
        (vec![first, "-"], &late),
        (vec!["-"], &(early + &late)),
    ] {
        let parts = json(&arguments, input);
        assert_eq!(parts["routes"], whole["routes"], "{arguments:?}");
        assert_eq!(parts["window"]["first"], "2026-11-21T02:00:00Z");
        assert_eq!(parts["window"]["last"], "2026-11-21T11:55:00Z");
    }
    let twice = json(&[first, first, second, &format!("{}/./shadow.log", dir.path().display())], "");
    assert_eq!(twice["routes"], whole["routes"], "a file that is named twice counts once");
}

#[test]
fn lines_of_others_and_torn_lines_are_counted_and_change_nothing() {
    let clean = json(&[], &green(Route::Get));
    let torn = &lines([record(Route::Get)])[..200];
    let noise = format!("starting\n{{\"target\":\"access\",\"mode\":\"shadow\"}}\n\u{0}\u{1}\n{torn}\n");
    let log = format!("{noise}{}{torn}", green(Route::Get));
    let noisy = json(&[], &log);
    assert_eq!(noisy["routes"], clean["routes"]);
    assert_eq!((&noisy["input"]["other"], &noisy["input"]["broken"]), (&3.into(), &2.into()));
    assert!(noisy["notes"].to_string().contains("truncated or malformed"), "{}", noisy["notes"]);
    let dated = json(&[], &green(Route::Get).replace("2026-11-21T", "yesterday "));
    assert_eq!(dated["input"]["broken"], 2, "a time that cannot be read");
}

#[test]
fn a_newer_line_is_named_and_not_guessed_at() {
    let newer = lines([record(Route::Get)]).replace("\"schema\":3", "\"schema\":7");
    let ended = report(&[], &(green(Route::Get) + &newer));
    assert_eq!(ended.code, 6);
    assert!(ended.out.contains("schema 7, newer than this program reads"), "{}", ended.out);
}

#[test]
fn since_leaves_out_what_is_older() {
    let old = ComparisonRecord {
        time: ago(3000),
        ..differing(Route::Get, Verdict::Mismatch, Some(Severity::Money))
    };
    let log = lines([old]) + &green(Route::Get);
    let get = ["--route", "get"];
    assert_eq!(json(&get, &log)["verdict"], "no_go");
    for since in ["24h", "1d", "2026-11-21T00:00:00Z"] {
        let late = json(&[&get[..], &["--since", since]].concat(), &log);
        assert_eq!((&late["verdict"], &late["input"]["before_since"]), (&"go".into(), &1.into()), "{since}");
    }
}

#[test]
fn a_record_from_the_future_counts_and_does_not_hide_staleness() {
    let old = lines([ComparisonRecord { time: ago(3000), ..enough(Route::Get) }]);
    let future = ComparisonRecord {
        time: ago(-3000),
        ..differing(Route::Get, Verdict::Mismatch, Some(Severity::Money))
    };
    let report = json(&["--route", "get"], &(old + &lines([future]) + &heartbeat_line(heartbeat())));
    let missed: Vec<_> = report["routes"][0]["checks"].as_array().unwrap().iter().collect();
    let missed: Vec<_> =
        missed.iter().filter(|check| check["passed"] == false).map(|it| &it["name"]).collect();
    assert_eq!(missed, ["freshness_max", "money_max"]);
    let ahead =
        lines([ComparisonRecord { time: ago(-3000), ..enough(Route::Get) }]) + &heartbeat_line(heartbeat());
    let report = json(&["--route", "get"], &ahead);
    let freshness =
        report["routes"][0]["checks"].as_array().unwrap().iter().find(|it| it["name"] == "freshness_max");
    assert_eq!(freshness.unwrap()["text"], "every record is dated ahead of the clock, at most 1d");
}

/// Every text of a record, as somebody would write it who can choose request ids, or write to the log.
fn hostile(text: &str) -> String {
    let text = || text.to_owned();
    let mut record = differing(Route::Get, Verdict::Mismatch, Some(Severity::Money));
    record.request_id = text();
    record.trace_id = Some(text());
    record.config_hash = text();
    record.stage = text();
    record.signature = text();
    record.asset_pair = Some(text());
    record.seen = vec![seen(&text(), &text())];
    record.query = vec![text()];
    record.diffs = vec![diff(&text(), DiffKind::Value, Severity::Money, &text(), &text())];
    record.diffs[0].rule = Some(text());
    record.other.skip_reason = Some(text());
    let mut heartbeat = heartbeat();
    heartbeat.process = text();
    heartbeat.idle_seconds = 1.0;
    heartbeat.idle_reason = Some(text());
    heartbeat.rules = vec![conversion_shim::shadow::heartbeat_record::RuleHits {
        path: text(),
        reason: text(),
        owner: text(),
        expires: text(),
        expired: false,
        hits: 1,
    }];
    heartbeat.dropped = vec![conversion_shim::shadow::heartbeat_record::DroppedJobs {
        route: Route::Get,
        reason: text(),
        count: 1,
    }];
    lines([record]) + &heartbeat_line(heartbeat)
}

#[test]
fn nothing_from_a_log_acts_on_a_terminal_or_in_a_browser() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("report.html");
    let text = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\r\n</style></title><script>alert(1)</script><b a=\"' onload='x'\">&";
    let ended = report(&["--html", page.to_str().unwrap()], &hostile(text));
    assert_eq!(ended.code, 6);
    let page = std::fs::read_to_string(page).unwrap();
    for shown in [&ended.out, &page] {
        let acting = |char: char| (char.is_control() && char != '\n') || char == '\u{202e}';
        assert!(!shown.contains(acting), "{shown}");
        assert!(shown.contains("\\u{1b}]0;owned"), "it is shown for what it is: {shown}");
    }
    assert!(
        !page.contains("<script") && !page.contains("<b ") && page.matches("</style>").count() == 1,
        "{page}"
    );
    assert!(page.contains("&lt;script&gt;"), "{page}");
}

#[test]
fn numbers_that_make_no_sense_do_no_harm() {
    let mut record = record(Route::Get);
    record.suppressed = u64::MAX;
    record.served.latency_ms = Some(f64::MAX);
    record.other.latency_ms = Some(-1.0);
    record.served.status = Some(u16::MAX);
    let mut heartbeat = heartbeat();
    (heartbeat.seconds, heartbeat.idle_seconds) = (-1.0, 1e300);
    (heartbeat.due, heartbeat.done) = (u64::MAX, u64::MAX);
    let log =
        lines([record.clone(), record]) + &heartbeat_line(heartbeat.clone()) + &heartbeat_line(heartbeat);
    for format in ["text", "json"] {
        let ended = report(&["--format", format], &log);
        assert_eq!((ended.code, ended.complaint.as_str()), (6, ""), "{}", ended.out);
    }
}

#[test]
fn a_flood_of_names_is_bounded_and_counted() {
    let flood = (0..10_100).map(|number| ComparisonRecord {
        signature: format!("{number:016x}"),
        seen: vec![seen(&format!("A{number}/B"), "SETTLED")],
        ..differing(Route::Get, Verdict::Mismatch, Some(Severity::Cosmetic))
    });
    let report = json(&["--top", "3"], &lines(flood));
    assert_eq!(report["signatures"]["total"], 10_000);
    assert_eq!(report["signatures"]["left_out"], 100);
    assert_eq!(report["signatures"]["top"].as_array().unwrap().len(), 3);
    assert_eq!(report["coverage"]["pairs_left_out"], 10_000);
    assert_eq!(report["routes"][1]["records"], 10_100, "the totals leave out nothing");
}
