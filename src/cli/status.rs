//! `status`: what a running proxy reports on its admin listener, as text or JSON.

use super::admin_client::{self, StatusArgs};
use super::output::{json_line, table};
use crate::admin::documents::{
    LedgerDocument, Refused, ReloadDocument, ShadowDocument, StatusDocument, to_the_second,
};
use crate::upstream::rate_limit::{BudgetSnapshot, EndpointSnapshot};

/// Reloads in the text; `--json` has more.
const RELOADS_SHOWN: usize = 5;

pub(super) fn run(arguments: StatusArgs) -> u8 {
    admin_client::show(arguments, |answer, status| match answer {
        Some(answer) => json_line(answer),
        None => table(&rows(status)),
    })
}

fn rows(status: &StatusDocument) -> Vec<(&'static str, String)> {
    let modes = &status.modes;
    let mut rows = vec![
        ("stage", status.stage.clone()),
        (
            "modes",
            format!(
                "create {}, get {}, list {}, cancel {}",
                modes.create, modes.get, modes.list, modes.cancel
            ),
        ),
        (
            "canary",
            format!("{}% and {} listed profiles", status.canary.percent, status.canary.profiles_listed),
        ),
    ];
    rows.extend(readiness(status));
    let advisories = status.advisories.iter();
    rows.extend(
        advisories.map(|advisory| ("ADVISORY", format!("since {}: {}", advisory.since, advisory.detail))),
    );
    rows.extend(status.ledger.as_ref().map_or_else(|| vec![("ledger", "none".into())], ledger));
    rows.extend(status.shadow.iter().flat_map(shadow));
    rows.extend(budget(&status.budget));
    rows.push(("config", format!("{}, in force since {}", status.config.hash, status.config.loaded_at)));
    let accepted = status.config.reload_accepted_at.as_ref();
    rows.push((
        "last reload",
        accepted.map_or_else(|| "none accepted since start".into(), |at| format!("accepted {at}")),
    ));
    rows.extend(status.config.reload_refused.iter().flat_map(refused));
    let reloads = status.config.reloads.iter().take(RELOADS_SHOWN).map(one_reload);
    rows.extend(reloads.enumerate().map(|(index, line)| (if index == 0 { "reloads" } else { "" }, line)));
    rows.push(("replicas", status.replicas.to_string()));
    rows.push(("in flight", format!("{} writes", status.writes_in_flight)));
    rows.push(("running", format!("version {}, for {} s", status.version, status.uptime_seconds)));
    rows
}

fn readiness(status: &StatusDocument) -> Vec<(&'static str, String)> {
    if status.readiness.ready {
        return vec![("ready", "yes".into())];
    }
    let reasons = status.readiness.reasons.iter();
    reasons
        .map(|reason| ("ready", format!("no, {} since {}: {}", reason.kind, reason.since, reason.detail)))
        .collect()
}

fn ledger(ledger: &LedgerDocument) -> Vec<(&'static str, String)> {
    let down = ledger.down_since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
    let error = ledger.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    let state = format!("{}, {}{down}{error}; tenant {}", ledger.kind, ledger.health, ledger.tenant);
    let created = match (&ledger.first_new_create_at, ledger.created_on_new) {
        (Some(since), _) => format!("creates since {since}"),
        (None, Some(false)) => "no create yet".into(),
        (None, _) => "unknown: the ledger does not answer".into(),
    };
    vec![("ledger", state), ("new API", created)]
}

fn shadow(shadow: &ShadowDocument) -> Vec<(&'static str, String)> {
    let dropped: u64 = shadow.dropped.iter().map(|dropped| dropped.count).sum();
    let state = match (shadow.active, &shadow.idle_reason) {
        (true, _) => "comparing".to_owned(),
        (false, Some(reason)) => format!("NOT RUNNING: {reason}"),
        (false, None) => "off".to_owned(),
    };
    let counts = format!("{state}; {} due, {} compared, {dropped} dropped", shadow.due, shadow.done);
    let mut rows = vec![("shadow", counts)];
    rows.extend(shadow.verdicts.iter().map(|counted| {
        let severity =
            counted.severity.map(|severity| format!(" ({})", severity.as_str())).unwrap_or_default();
        let (route, verdict) = (counted.route.as_str(), counted.verdict.as_str());
        ("", format!("{route}: {} {verdict}{severity}", counted.count))
    }));
    rows
}

/// The back-off, then one row for each endpoint that was called.
fn budget(budget: &BudgetSnapshot) -> Vec<(&'static str, String)> {
    let refused: u64 = budget.endpoints.iter().map(|endpoint| endpoint.refused).sum();
    let pace = match budget.cooldown_seconds_left {
        Some(left) => format!("SLOWED for {left} s after a 429"),
        None => "as configured".into(),
    };
    let state = if refused == 0 { pace } else { format!("{pace}; {refused} calls REFUSED since start") };
    let called = budget.endpoints.iter().filter(|endpoint| endpoint.calls + endpoint.refused > 0);
    let rows = called.map(|endpoint| ("", one_endpoint(endpoint)));
    std::iter::once(("budget", state)).chain(rows).collect()
}

fn one_endpoint(endpoint: &EndpointSnapshot) -> String {
    let EndpointSnapshot { endpoint, per_second, calls, calls_by, waiting, refused, last_429 } = endpoint;
    let allowed = per_second.map(|rate| format!("{rate:.1}/s; ")).unwrap_or_default();
    let others = [(calls_by.lookup, "lookup"), (calls_by.shadow, "shadow")]
        .into_iter()
        .filter(|(calls, _)| *calls > 0);
    let others: Vec<_> = others.map(|(calls, class)| format!("{calls} by {class}")).collect();
    let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
    let last_429 = last_429.as_ref().map(|at| format!(", last 429 at {at}")).unwrap_or_default();
    format!("{endpoint}: {allowed}{calls} calls{others}, {waiting} waiting, {refused} refused{last_429}")
}

fn refused(refused: &Refused) -> Vec<(&'static str, String)> {
    let now = if refused.active {
        "still refused: the configured values are not in force"
    } else {
        "resolved since"
    };
    let mut rows = vec![("refused", format!("{}, {now}", refused.at))];
    rows.extend(refused.problems.iter().map(|problem| ("", format!("- {problem}"))));
    let more = refused.problems_total.saturating_sub(refused.problems.len());
    rows.extend((more > 0).then(|| ("", format!("- and {more} more"))));
    rows
}

/// One reload on one line. All problems of the last refusal are in its own rows.
fn one_reload(reload: &ReloadDocument) -> String {
    let at = to_the_second(&reload.at);
    if reload.result == "accepted" {
        let changed = reload.changes.iter().chain(&reload.other_keys).map(String::as_str);
        return format!("{at} accepted: {}", changed.collect::<Vec<_>>().join(", "));
    }
    let end = reload
        .ended_at
        .as_ref()
        .map_or_else(|| "still active".into(), |end| format!("until {}", to_the_second(end)));
    let more = reload.problems_total.saturating_sub(1);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{at} refused, {end}: {}{more}", reload.problems.first().map(String::as_str).unwrap_or_default())
}
