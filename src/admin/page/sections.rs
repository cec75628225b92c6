//! Stage, modes, advisories, counters, clients, shadow and ledger.

use maud::{Markup, html};

use super::super::documents::{
    ClientDocument, ShadowDocument, StatusDocument, TripDocument, UsageDocument, to_the_second,
};
use super::elements::scrolling;
use crate::telemetry::format::count;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::family::Counters;
use crate::telemetry::metrics::label_set::LabelSet;
use crate::telemetry::metrics::labels::{DuplicateCheckResult, Resolution};
use crate::telemetry::sanitize::one_line;
use crate::translate::side::Side;

/// Maximum number of clients shown; `/status` has all.
const CLIENTS_SHOWN: usize = 50;
/// Maximum number of trips shown; `/status` has all.
const TRIPS_SHOWN: usize = 20;

/// Why the trip is set, each time.
fn trips(trip: &TripDocument) -> String {
    let total = trip.total.unwrap_or(1);
    if total <= 1 {
        return trip.why.clone().unwrap_or_default();
    }
    let named: Vec<_> = trip.trips.iter().take(TRIPS_SHOWN).map(String::as_str).collect();
    let more = total.saturating_sub(named.len() as u64);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{total} trips: {}{more}", named.join("; "))
}

pub(super) fn header(status: &StatusDocument, paused: bool) -> Markup {
    let refused = status.config.reload_refused.as_ref().filter(|refused| refused.active);
    html! {
        header {
            h1 { "conversion-shim " span.badge.stage { "stage " (status.stage) }
                " " @if status.readiness.ready { span.badge.good { "ready" } } @else { span.badge.bad { "not ready" } }
                @if refused.is_some() { " " span.badge.bad { "config refused" } }
                @if status.trip.as_ref().is_some_and(|trip| trip.state == "set") { " " span.badge.bad { "tripped" } } }
            nav { @if paused { a href="/" { "Resume refresh" } } @else { a href="/?paused" { "Pause refresh" } } }
        }
        @let tripped = status.trip.as_ref().filter(|trip| trip.state == "set");
        @if !status.readiness.reasons.is_empty() || refused.is_some() || tripped.is_some() || !status.advisories.is_empty() {
            ul.advisories {
                @if let Some(trip) = tripped {
                    li {
                        strong { "tripped" } " since " (to_the_second(trip.since.as_deref().unwrap_or_default())) ": "
                        bdi { (one_line(&trips(trip))) } "; creates are on hold until "
                        code { "conversion-shim trip reset --why" }
                    }
                }
                @for reason in &status.readiness.reasons {
                    li { strong { (reason.kind) } " since " (to_the_second(&reason.since)) ": " (reason.detail) }
                }
                @if let Some(refused) = refused {
                    li {
                        strong { "config" } " since " (to_the_second(&refused.at)) ": the reload was refused, so the configured values are not in force; "
                        a href="#config" { "problems" }
                    }
                }
                @for advisory in &status.advisories {
                    li { strong { (advisory.kind) } " since " (to_the_second(&advisory.since)) ": " (advisory.detail) }
                }
            }
        }
    }
}

pub(super) fn modes(status: &StatusDocument) -> Markup {
    let modes = &status.modes;
    let canary = &status.canary;
    html! {
        section id="modes" {
            h2 { "Modes" }
            dl.modes {
                @for (route, mode) in
                    [("create", &modes.create), ("get", &modes.get), ("list", &modes.list), ("cancel", &modes.cancel)] {
                    div { dt { (route) } dd { strong { (mode) } } }
                }
                @for (name, value) in &status.facts.known {
                    div { dt { "fact " (name) } dd { (value) } }
                }
                @if let Some(file) = status.facts.file.as_ref().filter(|file| file.old || !file.in_use) {
                    div { dt { "facts" } dd { strong { @if file.in_use { "older than 30 days" } @else { "not used: about other hosts" } } } }
                }
                @if modes.create == "canary" {
                    div { dt { "on new" } dd { (canary.percent) "% and " (canary.profiles_listed) " listed profiles" } }
                }
            }
        }
    }
}

fn all<L: LabelSet>(counters: &Counters<L>) -> u64 {
    counters.all().map(|(_, count)| count).sum()
}

const SIDES: [Side; 2] = [Side::Legacy, Side::New];

/// Counters since start that concern money or need attention.
pub(super) fn counts(status: &StatusDocument, metrics: &Metrics) -> Markup {
    html! {
        section id="counts" {
            h2 { "Since start" }
            div.tiles {
                @for (name, number, more) in tiles(status, metrics) {
                    div.tile {
                        p.name { (name) }
                        p.figure.is-zero[number == 0] { (count(number)) }
                        p.quiet { (more) }
                    }
                }
            }
        }
    }
}

fn tiles(status: &StatusDocument, metrics: &Metrics) -> [(&'static str, u64, String); 7] {
    let by_side = |counters: &Counters<(Side,)>| (counters.get((Side::Legacy,)), counters.get((Side::New,)));
    let (bare_legacy, bare_new) = by_side(&metrics.creates_without_ref_id);
    let of_both = |result| SIDES.map(|side| metrics.duplicate_checks.get((side, result))).iter().sum();
    let resolved = |how| SIDES.map(|side| metrics.unknown_outcome_resolutions.get((side, how))).iter().sum();
    let (found, checks): (u64, _) = (of_both(DuplicateCheckResult::Found), all(&metrics.duplicate_checks));
    let (unknown, unresolved): (_, u64) = (all(&metrics.unknown_outcomes), resolved(Resolution::Unresolved));
    [
        (
            "creates without ref_id",
            bare_legacy + bare_new,
            format!("{} legacy, {} new", count(bare_legacy), count(bare_new)),
        ),
        (
            "duplicates found",
            found,
            format!(
                "by {} duplicate checks; {} failed",
                count(checks),
                count(of_both(DuplicateCheckResult::Failed))
            ),
        ),
        ("unknown outcomes", unknown, format!("{} of them unresolved", count(unresolved))),
        (
            "429 from upstreams",
            all(&metrics.upstream_throttled),
            "affects every client of this address".into(),
        ),
        ("failed", metrics.failures_not_by_caller(), "requests, by an upstream or the proxy".into()),
        ("unknown statuses", all(&metrics.unknown_statuses), "answered as CREATED".into()),
        ("writes in flight", status.writes_in_flight as u64, "now".into()),
    ]
}

pub(super) fn usage(usage: &UsageDocument) -> Markup {
    html! {
        section id="usage" {
            h2 { "Clients of the old API" }
            @if usage.clients.is_empty() {
                p.quiet { "No accepted request to the four routes since start." }
            } @else {
                (scrolling("Clients", &html! {
                    table {
                        thead { tr {
                            th { "client" } th { "blocking requests" } th.number { "requests" } th { "last" } th { "identified by" }
                        } }
                        tbody { @for client in usage.clients.iter().take(CLIENTS_SHOWN) { (one_client(client)) } }
                    }
                }))
                @let more = usage.clients.len().saturating_sub(CLIENTS_SHOWN);
                @if more > 0 { p.quiet { "And " (more) " more: see " code { "conversion-shim usage" } "." } }
                @if usage.other_requests > 0 {
                    p.quiet { (count(usage.other_requests)) " requests of clients beyond the first " (usage.clients_max) "." }
                }
            }
        }
    }
}

fn one_client(client: &ClientDocument) -> Markup {
    let word = |feature: &str| match feature {
        "cancel" => "cancels",
        "change_filter" => "lists by updated_at",
        "no_reference" => "creates without ref_id",
        "legacy_record" => "gets of old records",
        _ => "others",
    };
    let blocking: Vec<_> = client
        .blocking
        .iter()
        .map(|(feature, times)| format!("{} {}", count(*times), word(feature)))
        .collect();
    html! {
        tr {
            // `bdi` keeps right-to-left text within its cell.
            td.name { bdi { (one_line(&client.client)) } }
            td.blocking { @if blocking.is_empty() { "none" } @else { (blocking.join(", ")) } }
            td.number { (count(client.requests)) }
            td.time { (to_the_second(&client.last_seen)) }
            td { (client.identified_by) }
        }
    }
}

pub(super) fn shadow(shadow: &ShadowDocument) -> Markup {
    let dropped: u64 = shadow.dropped.iter().map(|dropped| dropped.count).sum();
    let state = match (shadow.active, &shadow.idle_reason) {
        (true, _) => "comparing".to_owned(),
        (false, Some(reason)) => format!("not running: {reason}"),
        (false, None) => "off".to_owned(),
    };
    html! {
        section id="shadow" {
            h2 { "Shadow" }
            p { strong { (state) } "; " (count(shadow.done)) " of " (count(shadow.due)) " compared, " (count(dropped)) " dropped" }
            @if !shadow.verdicts.is_empty() {
                (scrolling("Verdicts", &html! {
                    table {
                        thead { tr { th { "route" } th { "verdict" } th { "severity" } th.number { "comparisons" } } }
                        tbody {
                            @for counted in &shadow.verdicts {
                                tr {
                                    td { (counted.route.as_str()) }
                                    td { (counted.verdict.as_str()) }
                                    td { (counted.severity.map_or("", |severity| severity.as_str())) }
                                    td.number { (count(counted.count)) }
                                }
                            }
                        }
                    }
                }))
            }
            @if !shadow.top.is_empty() { (differences(shadow)) }
        }
    }
}

fn differences(shadow: &ShadowDocument) -> Markup {
    html! {
        h3 { "Top differences" }
        (scrolling("Top differences", &html! {
            table {
                thead { tr {
                    th { "signature" } th { "route" } th { "verdict" } th { "severity" } th.number { "times" } th { "last" }
                } }
                tbody {
                    @for signature in &shadow.top {
                        tr {
                            td { code { (signature.signature) } }
                            td { (signature.route.as_str()) }
                            td { (signature.verdict.as_str()) }
                            td { (signature.severity.map_or("", |severity| severity.as_str())) }
                            td.number { (count(signature.count)) }
                            td.time { (to_the_second(&signature.last_seen)) }
                        }
                    }
                }
            }
        }))
        p.quiet { code { "conversion-shim report" } " shows the differences with examples." }
    }
}

pub(super) fn ledger(status: &StatusDocument) -> Markup {
    html! {
        section id="ledger" {
            h2 { "Ledger" }
            @match &status.ledger {
                None => p.quiet { "No ledger is configured." }
                Some(ledger) => {
                    dl {
                        dt { "state" }
                        dd {
                            @if ledger.health == "ready" { span.badge.good { "ready" } } @else { span.badge.bad { (ledger.health) } }
                            " " (ledger.kind) ", tenant " (ledger.tenant)
                            @if let (Some(since), Some(error)) = (&ledger.down_since, &ledger.error) { "; since " (to_the_second(since)) ": " (error) }
                        }
                        dt { "creates on new" }
                        dd { @match (&ledger.first_new_create_at, ledger.created_on_new) {
                            (Some(since), _) => { "since " (to_the_second(since)) }
                            (None, Some(false)) => { "none yet" }
                            (None, _) => { "unknown: the ledger does not answer" }
                        } }
                        @for (side, found) in &ledger.completeness {
                            dt { (side) " complete" }
                            dd { @match (&found.missing, &found.until) {
                                (None, Some(until)) => { span.badge.good { "complete" } " until " (to_the_second(until)) }
                                (None, None) => span.badge.good { "complete" },
                                (Some(missing), _) => { "no: " (missing) }
                            } }
                        }
                    }
                }
            }
        }
    }
}
