//! The header of the report, line by line, for the terminal and the page.

use super::document::{ConfigSeen, Report, RunningSummary};
use crate::telemetry::format::{count, percent, span};

/// Most configs that are listed.
const CONFIGS_SHOWN: usize = 4;
/// Most reasons that are listed.
const REASONS_SHOWN: usize = 4;

/// Name and text of each line.
pub(super) fn lines(report: &Report) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("window", window(report)),
        ("records", records(report)),
        ("input", input(report)),
        ("configs", configs(&report.configs)),
    ];
    lines.extend(running(&report.running));
    lines
}

fn window(report: &Report) -> String {
    let window = &report.window;
    let since = window.since.as_ref().map(|since| format!("; since {since}")).unwrap_or_default();
    let (Some(first), Some(last), Some(age)) = (&window.first, &window.last, window.age_seconds) else {
        return format!("no records{since}");
    };
    format!("{first} to {last}, {}; last {} ago{since}", span(window.seconds), span(age))
}

fn records(report: &Report) -> String {
    let sum = |of: fn(&super::document::RouteReport) -> u64| {
        report.routes.iter().map(of).fold(0, u64::saturating_add)
    };
    let (all, written) = (sum(|route| route.records), sum(|route| route.written));
    format!("{} comparisons, {} of them written", count(all), count(written))
}

fn input(report: &Report) -> String {
    let input = &report.input;
    let files = if input.files == 1 { "file" } else { "files" };
    let all = [
        (input.comparisons, "records"),
        (input.heartbeats, "heartbeats"),
        (input.other, "other lines"),
        (input.repeated, "repeated"),
        (input.broken, "malformed"),
        (input.newer, "of a newer schema"),
        (input.before_since, "before --since"),
        (input.of_other_routes, "of other routes"),
        (input.from_the_future, "later than this report"),
    ];
    let parts = all.iter().enumerate().filter(|(at, (number, _))| *at < 3 || *number > 0);
    let parts: Vec<_> = parts.map(|(_, (number, what))| format!("{} {what}", count(*number))).collect();
    format!("{} lines in {} {files}: {}", count(input.lines), count(input.files), parts.join(", "))
}

fn configs(configs: &[ConfigSeen]) -> String {
    let one = |config: &ConfigSeen| format!("{} ({}, {})", config.hash, config.stage, count(config.records));
    let mut shown: Vec<_> = configs.iter().take(CONFIGS_SHOWN).map(one).collect();
    match configs.len() {
        0 => return "none".into(),
        number if number > CONFIGS_SHOWN => shown.push(format!("and {} more", number - CONFIGS_SHOWN)),
        _ => {}
    }
    shown.join(", ")
}

fn running(running: &RunningSummary) -> impl Iterator<Item = (&'static str, String)> {
    let idle = running.idle_share.map_or_else(
        || "UNKNOWN: no heartbeat".to_owned(),
        |share| {
            let reasons = running.idle.iter().take(REASONS_SHOWN);
            let reasons: Vec<_> =
                reasons.map(|idle| format!("{} {}", idle.reason, span(idle.seconds as i64))).collect();
            format!(
                "idle {} of {} in {} processes{}",
                percent(share),
                span(running.seconds as i64),
                count(running.processes),
                listed(&reasons)
            )
        },
    );
    let dropped = running.dropped_share.map_or_else(
        || "UNKNOWN: no heartbeat".to_owned(),
        |share| {
            let reasons = running.dropped_by.iter().take(REASONS_SHOWN);
            let reasons: Vec<_> = reasons
                .map(|by| format!("{} {} {}", by.route.as_str(), by.reason, count(by.count)))
                .collect();
            format!(
                "{} of {} due, {}{}",
                count(running.dropped),
                count(running.due),
                percent(share),
                listed(&reasons)
            )
        },
    );
    let sampled = running.sampled.iter().map(|sampled| {
        let (lowest, highest) = (percent(sampled.lowest), percent(sampled.highest));
        let share = if lowest == highest { lowest } else { format!("{lowest} to {highest}") };
        format!("{} {share}", sampled.route.as_str())
    });
    let sampled: Vec<_> = sampled.collect();
    let sampled = if sampled.is_empty() { "nothing".to_owned() } else { sampled.join(", ") };
    [("running", idle), ("dropped", dropped), ("sampled", sampled)].into_iter()
}

fn listed(reasons: &[String]) -> String {
    if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) }
}
