//! Warnings to read before the figures.

use super::document::{Check, Report, RuleState};
use crate::telemetry::format::{count, percent, share};

pub(super) fn of(report: &Report) -> Vec<String> {
    let lines = repeated(report).into_iter().chain(unnumbered(report)).chain(broken_lines(report));
    let lines = lines.chain(newer_lines(report)).chain(future(report));
    let running = no_heartbeats(report).into_iter().chain(missing(report)).chain(lost(report));
    let config = configs(report).into_iter().chain(expired(report)).chain(hiding_money(report));
    let running = unpaired(report).chain(running);
    running.chain(lines).chain(config).chain(left_out(report)).collect()
}

fn no_heartbeats(report: &Report) -> Option<String> {
    (report.running.heartbeats == 0).then(|| {
        "NO HEARTBEAT found: whether shadow ran and what it dropped is unknown. Is the log complete?".into()
    })
}

/// Refusals and empty pages can make a route GO although no record was compared.
fn unpaired(report: &Report) -> impl Iterator<Item = String> {
    let routes = report.routes.iter().filter(|route| route.judged > 0 && route.paired == 0);
    routes.map(|route| {
        format!(
            "NO RECORD ON BOTH SIDES in the {} comparisons of {}: no field was compared.",
            count(route.judged),
            route.route.as_str()
        )
    })
}

fn hiding_money(report: &Report) -> Option<String> {
    let rules = report.rules.iter().filter(|rule| rule.hides_money && rule.state != RuleState::Expired);
    let named: Vec<_> =
        rules.map(|rule| format!("{} ({}, {} hits)", rule.path, rule.owner, count(rule.hits))).collect();
    (!named.is_empty()).then(|| {
        format!("Ignore rules that HIDE MONEY DIFFERENCES, which no count includes: {}.", named.join(", "))
    })
}

fn missing(report: &Report) -> Option<String> {
    let (lost, done) = (report.running.missing, report.running.done);
    let failed = |check: &Check| check.name == "missing_lines" && !check.passed;
    report.routes.iter().flat_map(|route| &route.checks).any(failed).then(|| {
        let (done, lost, of) = (count(done), count(lost), percent(share(lost, done)));
        format!("The processes made {done} comparisons; {lost} of them ({of}) are missing from the input. Is a file missing?")
    })
}

/// Which lines the processes wrote and the input lacks, and what to do.
fn lost(report: &Report) -> Option<String> {
    let (lines, cut_off) = (report.running.lost_lines, report.running.cut_off);
    let lines = (lines > 0).then(|| format!("{} lines of the shadow log are missing", count(lines)));
    let cut_off = (cut_off > 0)
        .then(|| format!("{} processes end without the heartbeat that they announced", count(cut_off)));
    let not_followed = report.running.lines_not_followed;
    let not_followed = (not_followed > 0).then(|| {
        format!(
            "{} lines are of more processes than can be followed, so that more may be missing or repeated",
            count(not_followed)
        )
    });
    let found: Vec<_> = lines.into_iter().chain(cut_off).chain(not_followed).collect();
    (!found.is_empty()).then(|| {
        format!(
            "LOST LINES: {}. The log could not be written, a file is missing, or a process was killed. Name all files, or begin after it \
             with --since.",
            found.join("; ")
        )
    })
}

/// A log that was copied or collected twice proves no more than once.
fn repeated(report: &Report) -> Option<String> {
    let repeated = report.input.repeated;
    (repeated > 0).then(|| {
        format!("{} lines are in the input more than once and count once. Is a file a copy?", count(repeated))
    })
}

fn unnumbered(report: &Report) -> Option<String> {
    let unnumbered = report.input.unnumbered;
    (unnumbered > 0).then(|| {
        format!(
            "{} lines have no number (schema 1 or 2): one that is in the input more than once counts each time.",
            count(unnumbered)
        )
    })
}

fn broken_lines(report: &Report) -> Option<String> {
    let broken = report.input.broken;
    (broken > 0)
        .then(|| format!("{} shadow lines are truncated or malformed and not counted.", count(broken)))
}

fn newer_lines(report: &Report) -> Option<String> {
    let schema = report.input.newest_schema?;
    Some(format!(
        "{} lines are of schema {schema}, newer than this program reads. Make the report with the newer program.",
        count(report.input.newer)
    ))
}

fn future(report: &Report) -> Option<String> {
    let future = report.input.from_the_future;
    (future > 0).then(|| {
        format!(
            "{} records are later than this report: clocks differ. They count, except for freshness.",
            count(future)
        )
    })
}

fn configs(report: &Report) -> Option<String> {
    let compared = report.configs.iter().filter(|config| config.records > 0).count();
    (compared > 1).then(|| {
        format!(
            "The records were made under {compared} configs. --since leaves out those before the last change."
        )
    })
}

fn expired(report: &Report) -> Option<String> {
    let expired = report.rules.iter().filter(|rule| rule.state == RuleState::Expired).count();
    (expired > 0).then(|| format!("Expired ignore rules, which no longer apply: {expired}."))
}

fn left_out(report: &Report) -> Option<String> {
    let (signatures, pairs) = (report.signatures.left_out, report.coverage.pairs_left_out);
    (signatures > 0 || pairs > 0).then(|| {
        format!(
            "Too many names to count apart: the signatures of {} comparisons, the asset pairs of {}.",
            count(signatures),
            count(pairs)
        )
    })
}
