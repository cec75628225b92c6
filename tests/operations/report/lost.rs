//! Lines that a process wrote and that never reached the input: a disk that was full, a file that was rotated away, a process that was
//! killed. What was not seen is no evidence, and the report says how much of it there is and where.

use conversion_shim::shadow::heartbeat_record::{DroppedJobs, HeartbeatRecord};
use conversion_shim::shadow::record::ComparisonRecord;
use conversion_shim::translate::route::Route;
use serde_json::Value;

use super::json;
use crate::support::story::{ago, heartbeat, heartbeat_line, lines, record};

/// Comparisons between two heartbeats.
const EACH: u64 = 400;

/// The lines of a process: a comparison of 400 every minute, each followed by a heartbeat that announces the next.
struct Process {
    name: &'static str,
    lines: Vec<String>,
}

impl Process {
    /// `minutes` ago it began; so many minutes later it ends, in order or not at all.
    fn new(name: &'static str, began: i64, minutes: i64, ends: bool) -> Self {
        let mut process = Self { name, lines: Vec::new() };
        for minute in 0..minutes {
            let done = EACH * (minute as u64 + 1);
            let compared = ComparisonRecord {
                time: ago(began - minute),
                process: name.into(),
                sequence: process.next(),
                suppressed: EACH - 1,
                ..record(Route::Get)
            };
            process.lines.push(lines([compared]));
            let is_last = ends && minute + 1 == minutes;
            let beat = HeartbeatRecord {
                time: ago(began - minute),
                process: name.into(),
                sequence: process.next(),
                next_seconds: (!is_last).then_some(60.0),
                seconds: (60 * (minute + 1)) as f64,
                due: done + 3,
                done,
                dropped: vec![DroppedJobs { route: Route::Get, reason: "jobs".into(), count: done / EACH }],
                ..heartbeat()
            };
            process.lines.push(heartbeat_line(beat));
        }
        process
    }

    fn next(&self) -> u64 {
        self.lines.len() as u64 + 1
    }

    fn without(mut self, lost: impl std::ops::RangeBounds<usize>) -> Self {
        assert!(!self.name.is_empty());
        drop(self.lines.drain(lost));
        self
    }

    fn text(&self) -> String {
        self.lines.concat()
    }
}

/// The verdict on get, and the thresholds that it misses with their texts.
fn judged(log: &str, more: &[&str]) -> (String, Vec<(String, String)>) {
    let report = json(&[&["--route", "get"], more].concat(), log);
    let route = &report["routes"][0];
    let missed = route["checks"].as_array().unwrap().iter().filter(|check| check["passed"] == false);
    let text = |check: &Value, name: &str| check[name].as_str().unwrap().to_owned();
    let missed = missed.map(|check| (text(check, "name"), text(check, "text"))).collect();
    (route["verdict"].as_str().unwrap().to_owned(), missed)
}

/// NO-GO for that reason, with that number.
#[track_caller]
fn is_missed(log: &str, name: &str, number: &str) {
    let (verdict, missed) = judged(log, &[]);
    let found = missed.iter().find(|(missed, _)| missed == name);
    assert!(verdict == "no_go" && found.is_some_and(|(_, text)| text.starts_with(number)), "{missed:?}");
}

#[track_caller]
fn is_go(log: &str, more: &[&str]) {
    assert_eq!(judged(log, more), ("go".into(), vec![]));
}

#[test]
fn a_whole_log_is_go() {
    is_go(&Process::new("one", 60, 60, true).text(), &[]);
    is_go(&Process::new("one", 60, 60, false).text(), &[]);
    let two = [Process::new("one", 60, 60, false), Process::new("two", 50, 50, false)];
    let interleaved: String =
        (0..120).flat_map(|at| two.iter().filter_map(move |it| it.lines.get(at))).cloned().collect();
    is_go(&interleaved, &[]);
    let restarted = Process::new("one", 60, 30, true).text() + &Process::new("two", 29, 29, false).text();
    is_go(&restarted, &[]);
}

#[test]
fn a_line_that_is_lost_anywhere_is_no_go() {
    let process = || Process::new("one", 60, 60, true);
    is_missed(&process().without(50..51).text(), "lost_lines", "1 lines lost between 2026");
    is_missed(&process().without(50..70).text(), "lost_lines", "20 lines lost between 2026");
    is_missed(&process().without(..1).text(), "lost_lines", "1 lines lost between the first line and 2026");
    is_missed(&process().without(..40).text(), "lost_lines", "40 lines lost");
    // A heartbeat alone.
    is_missed(&process().without(51..52).text(), "lost_lines", "1 lines lost");
    // Of one of two replicas.
    let other = Process::new("two", 60, 60, true).text();
    is_missed(&(process().without(50..53).text() + &other), "lost_lines", "3 lines lost");
    // What was lost of both.
    let both = process().without(50..53).text() + &Process::new("two", 60, 60, true).without(7..9).text();
    is_missed(&both, "lost_lines", "5 lines lost");
}

#[test]
fn an_end_that_is_lost_is_no_go() {
    // The process ran on, and nothing of it could be written.
    is_missed(&Process::new("one", 60, 60, true).without(60..).text(), "cut_off", "1 processes without");
    // A restart within the gap.
    let restarted = Process::new("one", 60, 30, true).without(40..).text()
        + &Process::new("two", 29, 29, false).without(..4).text();
    is_missed(&restarted, "cut_off", "1 processes without");
    is_missed(&restarted, "lost_lines", "4 lines lost");
    let page = json(&[], &restarted);
    assert_eq!((&page["running"]["cut_off"], &page["running"]["lost_lines"]), (&1.into(), &4.into()));
    let notes = page["notes"].to_string();
    assert!(notes.contains("4 lines") && notes.contains("could not be written"), "{notes}");
}

#[test]
fn since_leaves_out_a_gap_before_it_and_none_after_it() {
    let gap = || Process::new("one", 60, 60, true).without(20..40).text();
    is_go(&gap(), &["--since", "30m"]);
    assert_eq!(judged(&gap(), &["--since", "45m"]).0, "no_go", "the gap begins before and ends after");
    assert_eq!(judged(&gap(), &["--since", "55m"]).0, "no_go");
    // The file of before is gone, and since leaves out what it held.
    is_go(&Process::new("one", 60, 60, true).without(..20).text(), &["--since", "40m"]);
    let killed = Process::new("one", 60, 20, false).text() + &Process::new("two", 35, 35, false).text();
    is_missed(&killed, "cut_off", "1 processes without");
    is_go(&killed, &["--since", "30m"]);
}

#[test]
fn what_was_counted_while_nothing_could_be_written_is_counted_by_the_next_heartbeat() {
    let report =
        |log: &str, more: &[&str]| json(&[&["--route", "get"], more].concat(), log)["running"].clone();
    let process = || Process::new("one", 60, 60, true);
    let (whole, holed) = (report(&process().text(), &[]), report(&process().without(50..70).text(), &[]));
    for name in ["due", "done", "dropped", "seconds", "dropped_by"] {
        assert_eq!(holed[name], whole[name], "{name}");
    }
    assert_eq!((&whole["dropped"], &whole["done"]), (&60.into(), &(60 * EACH).into()));
    assert_eq!((&whole["missing"], &holed["missing"]), (&0.into(), &(10 * EACH).into()));
    // Totals of before the window are none of it.
    let late = report(&process().text(), &["--since", "10m30s"]);
    assert_eq!((&late["dropped"], &late["done"]), (&10.into(), &(10 * EACH).into()));
    // A restart begins at zero again.
    let restarted = Process::new("one", 60, 30, true).text() + &Process::new("two", 29, 29, false).text();
    assert_eq!(report(&restarted, &[])["dropped"], 59);
}

#[test]
fn a_log_of_an_older_schema_counts_as_it_always_did() {
    let beat = |minutes, dropped| HeartbeatRecord {
        schema: 2,
        time: ago(minutes),
        done: 1000,
        due: 1010,
        idle_seconds: 36.0,
        idle_reason: Some("cooldown".into()),
        dropped: vec![DroppedJobs { route: Route::Get, reason: "jobs".into(), count: dropped }],
        ..heartbeat()
    };
    let compared = ComparisonRecord { schema: 2, suppressed: 1999, ..record(Route::Get) };
    let log = lines([compared]) + &heartbeat_line(beat(7, 10)) + &heartbeat_line(beat(6, 10));
    assert!(!log.contains("sequence") && !log.contains("next_seconds"), "{log}");
    let running = json(&["--route", "get"], &log)["running"].clone();
    assert_eq!((&running["done"], &running["dropped"]), (&2000.into(), &20.into()));
    assert_eq!((&running["seconds"], &running["idle_seconds"]), (&7200.0.into(), &72.0.into()));
    is_go(&log, &[]);
}
