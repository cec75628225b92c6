//! Logs that `report` adds up. What counts: every line is counted as something, nothing breaks it, and damage never makes a GO.

use conversion_shim::config::load::{Sources, load};
use conversion_shim::report::document::Decision;
use conversion_shim::report::{ReportBuilder, ReportScope, html, text};
use conversion_shim::shadow::types::{COMPARED, Severity, Verdict};
use conversion_shim::translate::route::Route;
use proptest::prelude::*;

use super::cases;
use super::mutation::mutated;
use crate::support::story;

const WORDS: &[&str] = &[
    "\n",
    "{",
    "}",
    "\"",
    ",",
    ":",
    "null",
    "1e999",
    "-1",
    "18446744073709551616",
    "\"schema\":2,",
    "\"target\":\"shadow\",",
    "\"verdict\":",
    "\"time\":\"9999-12-31T23:59:59Z\",",
    "\0",
    "é",
    "2026-11-21T11:00:00Z shim | ",
    "\"suppressed\":18446744073709551615,",
];

fn logs() -> Vec<String> {
    let differs = story::differing(Route::Get, Verdict::Mismatch, Some(Severity::Money));
    let lines = story::lines([story::record(Route::Create), differs, story::record(Route::List)]);
    vec![
        lines.clone(),
        story::heartbeat_line(story::heartbeat()),
        story::heartbeat_line(story::heartbeat()) + &lines,
        "another line\n".to_owned(),
    ]
}

fn read(log: &[u8]) -> ReportBuilder {
    let now = story::NOW.parse().unwrap();
    let mut tally = ReportBuilder::new(ReportScope { now, since: None, routes: COMPARED.to_vec(), top: 10 });
    tally.read(log).unwrap();
    tally
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn every_line_is_counted_and_none_breaks_the_report(log in mutated(logs(), WORDS)) {
        let go = load(&Sources::default()).unwrap().config.shadow.go;
        let report = read(&log).report(&go);
        let input = &report.input;
        let known = input.comparisons + input.heartbeats + input.other + input.broken + input.newer;
        prop_assert_eq!(known, input.lines);
        let lines = log.split_inclusive(|byte| *byte == b'\n').count() as u64;
        prop_assert_eq!(input.lines, lines);
        prop_assert_eq!(report.verdict, Decision::NoGo, "a handful of lines is no evidence");
        prop_assert!(!text::render(&report).is_empty() && html::render(&report).starts_with("<!DOCTYPE html>"));
        prop_assert!(serde_json::to_string(&report).is_ok());
    }
}
