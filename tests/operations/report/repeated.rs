//! Lines that are in the input more than once: a copied file, a rotated file beside its source, a log that was collected twice. Each
//! process numbers its lines, so that each counts once.

use conversion_shim::shadow::heartbeat_record::{HeartbeatRecord, Suppressed};
use conversion_shim::shadow::record::ComparisonRecord;
use conversion_shim::shadow::types::{Severity, Verdict};
use conversion_shim::translate::route::Route;
use serde_json::Value;

use super::{json, report, write};
use crate::support::story::{ago, differing, heartbeat, heartbeat_line, lines, record};

/// The lines of a process that compared too little: 24 gets, then a heartbeat that sums up two more.
fn short(process: &str) -> Vec<String> {
    let numbered = |sequence| ComparisonRecord {
        time: ago(40 - i64::try_from(sequence).unwrap()),
        process: process.into(),
        sequence,
        ..record(Route::Get)
    };
    let mut log: Vec<_> = (1..=24).map(|sequence| lines([numbered(sequence)])).collect();
    let suppressed = Suppressed {
        route: Route::Get,
        verdict: Verdict::Match,
        severity: None,
        both_held: true,
        signature: record(Route::Get).signature,
        count: 2,
    };
    log.push(heartbeat_line(HeartbeatRecord {
        process: process.into(),
        sequence: 25,
        due: 26,
        done: 26,
        suppressed: vec![suppressed],
        ..heartbeat()
    }));
    log
}

const GET: [&str; 2] = ["--route", "get"];

fn of_get(report: &Value) -> Value {
    report["routes"][0].clone()
}

#[test]
fn a_copied_log_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = short("one").concat();
    let once = json(&GET, &log);
    assert_eq!((&once["verdict"], &of_get(&once)["judged"]), (&"no_go".into(), &26.into()));
    let copies = ["a1", "a2", "a3"].map(|name| write(dir.path(), name, &log));
    let mut arguments = GET.to_vec();
    arguments.extend(copies.iter().map(|copy| copy.to_str().unwrap()));
    for repeated in [json(&arguments, ""), json(&GET, &log.repeat(3))] {
        assert_eq!(of_get(&repeated), of_get(&once));
        assert_eq!(repeated["running"], once["running"]);
        assert_eq!(repeated["configs"], once["configs"]);
        let input = &repeated["input"];
        assert_eq!(
            (&input["lines"], &input["comparisons"], &input["heartbeats"]),
            (&75.into(), &24.into(), &1.into())
        );
        assert_eq!(input["repeated"], 50);
    }
    assert_eq!(once["input"]["repeated"], 0);
}

#[test]
fn overlapping_parts_count_each_line_once_in_whatever_order() {
    let log = short("one");
    let whole = of_get(&json(&GET, &log.concat()));
    for parts in [[0..20, 5..25], [5..25, 0..20], [10..25, 0..25], [0..25, 3..4]] {
        let repeated: usize = parts.iter().map(ExactSizeIterator::len).sum::<usize>() - 25;
        let report = json(&GET, &parts.clone().map(|part| log[part].concat()).concat());
        assert_eq!(of_get(&report), whole, "{parts:?}");
        assert_eq!(report["input"]["repeated"], repeated, "{parts:?}");
    }
    // The same numbers of another process are other lines.
    let two = json(&GET, &(log.concat() + &short("two").concat()));
    assert_eq!((&of_get(&two)["judged"], &two["input"]["repeated"]), (&52.into(), &0.into()));
}

#[test]
fn a_difference_that_is_repeated_is_one_difference() {
    let money = ComparisonRecord {
        process: "one".into(),
        sequence: 1,
        ..differing(Route::Get, Verdict::Mismatch, Some(Severity::Money))
    };
    let report = json(&GET, &lines([money]).repeat(5));
    assert_eq!(report["signatures"]["top"][0]["count"], 1);
    assert_eq!(report["signatures"]["top"][0]["examples"].as_array().unwrap().len(), 1);
}

#[test]
fn the_repeats_are_named_for_people_and_on_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("report.html");
    let log = short("one").concat().repeat(2);
    let ended = report(&["--route", "get", "--html", page.to_str().unwrap()], &log);
    let page = std::fs::read_to_string(page).unwrap();
    for text in [&ended.out, &page] {
        assert!(text.contains("1 heartbeats, 0 other lines, 25 repeated"), "{text}");
        assert!(text.contains("25 lines are in the input more than once and count once"), "{text}");
    }
}

#[test]
fn lines_without_a_number_are_counted_and_what_cannot_be_known_about_them_is_said() {
    let old = ComparisonRecord { schema: 2, ..record(Route::Get) };
    let log = lines([old]) + &heartbeat_line(HeartbeatRecord { schema: 2, ..heartbeat() });
    let twice = json(&GET, &log.repeat(2));
    assert_eq!((&twice["input"]["comparisons"], &twice["input"]["repeated"]), (&2.into(), &0.into()));
    assert_eq!(twice["input"]["unnumbered"], 4);
    let notes = twice["notes"].to_string();
    assert!(notes.contains("4 lines have no number"), "{notes}");
    assert!(!json(&GET, &short("one").concat())["notes"].to_string().contains("no number"));
}

#[test]
fn what_cannot_be_followed_is_no_go() {
    // More processes than are followed one by one: whether their lines repeat, or are missing, is not known.
    let log: String = (0..1001).flat_map(|process| short(&format!("p{process}"))).collect();
    let report = json(&GET, &log);
    let checks = of_get(&report)["checks"].clone();
    let lost = checks.as_array().unwrap().iter().find(|check| check["name"] == "lost_lines").unwrap();
    assert_eq!(
        (&report["verdict"], &lost["passed"], &lost["found"]),
        (&"no_go".into(), &false.into(), &Value::Null)
    );
    // Gaps that there is no room for.
    let gaps = (1..=1500).map(|number| ComparisonRecord {
        process: "one".into(),
        sequence: 2 * number,
        ..record(Route::Get)
    });
    let gaps = lines(gaps);
    assert_eq!(json(&GET, &gaps.repeat(2))["verdict"], "no_go");
}
