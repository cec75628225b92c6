//! `status`: what a running proxy reports on its admin listener, as text or JSON.

use super::admin_client::{self, StatusArgs};
use super::output::{json_line, table};
use crate::admin::documents::{
    CompletenessDocument, DriftDocument, FactsDocument, FactsFileDocument, LedgerDocument, LogDocument,
    ReconcileDocument, Refused, ReloadDocument, ShadowDocument, StatusDocument, TripDocument, to_the_second,
};
use crate::upstream::rate_limit::{BudgetSnapshot, EndpointSnapshot};

/// Reloads in the text; `--json` has more.
const RELOADS_SHOWN: usize = 5;

pub(super) fn run(arguments: StatusArgs) -> u8 {
    admin_client::show_status(arguments, |answer, status| match answer {
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
    rows.push(("facts", facts(&status.facts)));
    rows.extend(drift(&status.drift));
    rows.extend(readiness(status));
    let health = status.ledger.as_ref().map_or("down", |ledger| ledger.health.as_str());
    rows.extend(status.trip.iter().flat_map(|found| trip(found, health)));
    let advisories = status.advisories.iter();
    rows.extend(
        advisories.map(|advisory| ("ADVISORY", format!("since {}: {}", advisory.since, advisory.detail))),
    );
    rows.extend(status.ledger.as_ref().map_or_else(|| vec![("ledger", "none".into())], ledger));
    rows.extend(status.reconcile.iter().map(reconcile));
    rows.extend(status.shadow.iter().flat_map(shadow));
    rows.extend(status.logs.iter().filter_map(log));
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

/// Names in the vendor's answers that somebody has to look at.
fn drift(drift: &DriftDocument) -> Option<(&'static str, String)> {
    let open = drift.names.iter().filter(|name| name.money && !name.known).map(|name| name.path.as_str());
    let open: Vec<_> = open.collect();
    (!open.is_empty()).then(|| ("UNKNOWN NAMES", open.join(", ")))
}

fn facts(FactsDocument { known, file }: &FactsDocument) -> String {
    let known: Vec<_> = known.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let known = if known.is_empty() { "none known".to_owned() } else { known.join(", ") };
    let Some(file) = file else { return known };
    let FactsFileDocument { path, found_at, hosts, in_use, old } = file;
    let use_of = match (in_use, old) {
        (false, _) => format!("NOT USED: about {}", hosts.join(", ")),
        (true, true) => format!("OLD: found {found_at}"),
        (true, false) => format!("found {found_at}"),
    };
    format!("{known}; {path}, {use_of}")
}

fn readiness(status: &StatusDocument) -> Vec<(&'static str, String)> {
    let ready = if status.readiness.ready { "yes" } else { "no" };
    if status.readiness.reasons.is_empty() {
        return vec![("ready", ready.into())];
    }
    let reasons = status.readiness.reasons.iter();
    reasons
        .map(|reason| {
            ("ready", format!("{ready}, {} since {}: {}", reason.kind, reason.since, reason.detail))
        })
        .collect()
}

/// The trip; every reason is named, because a reset ends them all.
fn trip(trip: &TripDocument, health: &str) -> Vec<(&'static str, String)> {
    let found = match trip.doubles {
        Some(doubles) => doubles.to_string(),
        // Only a ledger that is ready is asked.
        None if health != "ready" => format!("not known, the ledger is {health}"),
        None => "not known, no reconcile over both sides is on record".into(),
    };
    let (since, why) = (trip.since.as_deref().unwrap_or_default(), trip.why.as_deref().unwrap_or_default());
    let (state, total) = (trip.state.as_str(), trip.total.unwrap_or(1));
    let ends = "creates are on hold until `trip reset`";
    match state {
        "set" if total > 1 => {
            let more = total.saturating_sub(trip.trips.len() as u64);
            let more = (more > 0).then(|| format!("- and {more} more: `conversion-shim audit` has them"));
            let named = trip.trips.iter().map(|why| format!("- {why}")).chain(more);
            let first = ("TRIPPED", format!("since {since}, {total} trips; {ends}"));
            std::iter::once(first).chain(named.map(|line| ("", line))).collect()
        }
        "set" => vec![("TRIPPED", format!("since {since}: {why}; {ends}"))],
        "clear" => vec![("trip", format!("not set; doubles: {found}"))],
        _ => vec![("trip", format!("not known: the ledger does not answer; doubles: {found}"))],
    }
}

fn reconcile(reconcile: &ReconcileDocument) -> (&'static str, String) {
    let last = match (reconcile.clean, &reconcile.last_walk_at) {
        (Some(clean), Some(at)) => {
            let found: u64 = reconcile
                .findings
                .iter()
                .filter(|(kind, _)| *kind != "mirrored")
                .map(|(_, count)| count)
                .sum();
            if clean { format!("clean at {at}") } else { format!("{found} findings at {at}") }
        }
        _ => "no walk yet".into(),
    };
    let failed =
        reconcile.failed.as_ref().map(|why| format!("; could not finish: {why}")).unwrap_or_default();
    ("reconcile", format!("{last}{failed}"))
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
    let complete = ledger.completeness.iter().map(|(side, found)| completeness(side, found));
    [("ledger", state), ("new API", created)].into_iter().chain(complete).collect()
}

/// Whether creates need no lookup on a side, or why they do.
pub(super) fn completeness(side: &str, found: &CompletenessDocument) -> (&'static str, String) {
    let state = match (&found.missing, &found.until) {
        (Some(missing), _) => format!("is not: {missing}"),
        (None, until) => format!("until {}", until.as_deref().unwrap_or("withdrawn")),
    };
    ("complete", format!("{side} {state}"))
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

/// A log that lacks lines, or cannot be written.
fn log(log: &LogDocument) -> Option<(&'static str, String)> {
    let LogDocument { target, lines_lost, failed_seconds, failing_since, error, .. } = log;
    let failing = failing_since
        .as_ref()
        .map(|since| format!("; CANNOT BE WRITTEN since {since}: {}", error.as_deref().unwrap_or_default()));
    (*lines_lost > 0 || failing.is_some()).then(|| {
        let failing = failing.unwrap_or_default();
        ("log", format!("{target} lacks {lines_lost} lines, not written for {failed_seconds:.0} s{failing}"))
    })
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
