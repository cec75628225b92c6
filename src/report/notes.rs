//! What a reader must know before believing the numbers.

use super::document::{Check, Report, RuleState};
use super::figures::{count, percent, share};

pub(super) fn of(report: &Report) -> Vec<String> {
    let lines = broken_lines(report).into_iter().chain(newer_lines(report)).chain(future(report));
    let running = no_heartbeats(report).into_iter().chain(missing(report));
    let config = configs(report).into_iter().chain(expired(report)).chain(hiding(report));
    let running = unpaired(report).chain(running);
    running.chain(lines).chain(config).chain(left_out(report)).collect()
}

fn no_heartbeats(report: &Report) -> Option<String> {
    (report.running.heartbeats == 0).then(|| {
        "NO HEARTBEAT was found: nothing says that shadow ran, or what it dropped. Is this the whole log?"
            .into()
    })
}

/// A route may be GO before the new API holds anything. It is then not the records that agree.
fn unpaired(report: &Report) -> impl Iterator<Item = String> {
    let routes = report.routes.iter().filter(|route| route.judged > 0 && route.paired == 0);
    routes.map(|route| {
        format!(
            "NOTHING WAS HELD ON BOTH SIDES in the {} comparisons of {}: not one field was compared.",
            count(route.judged),
            route.route.as_str()
        )
    })
}

fn hiding(report: &Report) -> Option<String> {
    let hiding = report.rules.iter().filter(|rule| rule.hides_money && rule.state != RuleState::Expired);
    let named: Vec<_> =
        hiding.map(|rule| format!("{} ({}, {} hits)", rule.path, rule.owner, count(rule.hits))).collect();
    (!named.is_empty()).then(|| {
        format!(
            "Ignore rules that HIDE DIFFERENCES IN MONEY, none of which counts above: {}.",
            named.join(", ")
        )
    })
}

fn missing(report: &Report) -> Option<String> {
    let (lost, done) = (report.running.missing, report.running.done);
    let failed = |check: &Check| check.name == "missing_lines" && !check.passed;
    report.routes.iter().flat_map(|route| &route.checks).any(failed).then(|| {
        let (done, lost, of) = (count(done), count(lost), percent(share(lost, done)));
        format!("The processes made {done} comparisons; {lost} of them ({of}) are not in what was read. Is a file missing?")
    })
}

fn broken_lines(report: &Report) -> Option<String> {
    let broken = report.input.broken;
    (broken > 0).then(|| {
        format!(
            "{} of shadow's lines could not be read: torn or cut. What they said is not in here.",
            count(broken)
        )
    })
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
            "{} records are from the future: clocks are apart. They count, but for freshness.",
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
    (expired > 0)
        .then(|| format!("Ignore rules past their last day, which accept nothing any more: {expired}."))
}

fn left_out(report: &Report) -> Option<String> {
    let (signatures, pairs) = (report.signatures.left_out, report.coverage.pairs_left_out);
    (signatures > 0 || pairs > 0).then(|| {
        format!(
            "There was no room to tell apart the signatures of {} comparisons and the asset pairs of {}.",
            count(signatures),
            count(pairs)
        )
    })
}
