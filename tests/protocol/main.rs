//! The create protocol, explored to the end of its bounds: the shipped machine inside a model of everything around it.
//!
//! `PROTOCOL_STATES=2000000 cargo test --release --test protocol` explores all worlds, `--features mutants` breaks every rule once and
//! must miss it, and `UPDATE_DOCS=1` then writes the traces into `docs/money-safety.md`. `.ci/run` does the first two.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test that cannot go on fails; the list of worlds is data"
)]

#[cfg(feature = "mutants")]
mod document;
mod explore;
mod ledger;
mod page;
mod properties;
mod simulation;
mod world;

use conversion_shim::routes::create::rules::Rules;
use conversion_shim::translate::side::Side;

use crate::explore::explore;
use crate::world::{Bounds, Excluded, Mirror, Stage};

/// What happens in every world unless it says otherwise.
pub(crate) const USUAL: Bounds = Bounds {
    stages: [Stage::Observe; 2],
    requests: 2,
    faults: 2,
    stage_changes: 1,
    crashes: 1,
    lost_writes: 1,
    mirror: Mirror::Neither,
    native: false,
    released: false,
    rows_deleted: false,
    strays: false,
    withdrawal: false,
    misread: None,
    generated: false,
    lookups_refused: false,
    walks: &[],
    without_ledger: false,
    older: false,
    outages: false,
    excluded: Excluded::NOTHING,
    rules: Rules::ALL,
};

/// A replica that runs without the ledger at first, and walks that make legacy complete.
const WALKS: Bounds =
    Bounds { walks: &[Side::Legacy], without_ledger: true, faults: 1, lost_writes: 0, crashes: 0, ..USUAL };

/// The worlds that are explored.
pub(crate) fn worlds() -> Vec<(&'static str, Bounds)> {
    let short = Bounds { faults: 1, ..USUAL };
    let apart = Bounds { stages: [Stage::Ready, Stage::Live], ..USUAL };
    vec![
        ("two replicas, a fail-over", short),
        ("replicas in two stages", apart),
        ("lists of new show legacy's conversions", Bounds { mirror: Mirror::NewShowsLegacy, ..apart }),
        ("lists of legacy show new's conversions", Bounds { mirror: Mirror::LegacyShowsNew, ..apart }),
        ("connections that answer twice", Bounds { strays: true, lost_writes: 0, stage_changes: 0, ..apart }),
        (
            "connections that answer twice, and lookups that are refused",
            Bounds {
                strays: true,
                lookups_refused: true,
                lost_writes: 0,
                stage_changes: 0,
                crashes: 0,
                ..apart
            },
        ),
        (
            "an index that is empty for a while",
            Bounds { outages: true, older: true, lost_writes: 0, stage_changes: 0, crashes: 0, ..apart },
        ),
        ("creates through the new API's own path", Bounds { native: true, ..short }),
        (
            "a body with two readings, of which the vendor takes the first",
            Bounds { misread: Some(1), ..short },
        ),
        (
            "a body with two readings, of which the vendor takes the second",
            Bounds { misread: Some(0), ..short },
        ),
        ("lookups that are refused", Bounds { lookups_refused: true, lost_writes: 0, ..short }),
        ("a withdrawal on new uses the reference", Bounds { withdrawal: true, ..apart }),
        (
            "lists of new show legacy's conversions first",
            Bounds {
                stages: [Stage::Observe, Stage::Ready],
                mirror: Mirror::NewShowsLegacy,
                stage_changes: 0,
                lost_writes: 0,
                ..USUAL
            },
        ),
        (
            "lists of new show a conversion that is older than the ledger",
            Bounds {
                stages: [Stage::Ready, Stage::Live],
                mirror: Mirror::NewShowsLegacy,
                older: true,
                lost_writes: 0,
                ..short
            },
        ),
        (
            "claims that are released",
            Bounds {
                stages: [Stage::Sealed, Stage::Ready],
                stage_changes: 0,
                faults: 3,
                released: true,
                lost_writes: 0,
                crashes: 0,
                ..USUAL
            },
        ),
        (
            "rows deleted by hand",
            Bounds {
                rows_deleted: true,
                stage_changes: 2,
                lost_writes: 0,
                crashes: 0,
                ..Bounds { faults: 1, ..apart }
            },
        ),
        ("walks while a replica runs without the ledger", Bounds { requests: 1, ..WALKS }),
        (
            "walks, and the reference is older than the ledger",
            Bounds {
                walks: &[Side::Legacy],
                older: true,
                stages: [Stage::Live, Stage::Ready],
                stage_changes: 0,
                lost_writes: 1,
                ..Bounds { faults: 1, ..USUAL }
            },
        ),
        (
            "walks, and creates through the new API's own path",
            Bounds {
                walks: &[Side::New],
                native: true,
                stages: [Stage::Live, Stage::Ready],
                stage_changes: 0,
                lost_writes: 0,
                crashes: 0,
                ..Bounds { faults: 1, ..USUAL }
            },
        ),
        ("two stage changes, two lost writes", Bounds { stage_changes: 2, lost_writes: 2, ..short }),
        (
            "a fail-over loses the choice of another side",
            Bounds { stage_changes: 0, crashes: 0, lost_writes: 4, ..apart },
        ),
        (
            "three requests, one with another amount",
            Bounds {
                requests: 3,
                crashes: 0,
                lost_writes: 0,
                stage_changes: 0,
                ..Bounds { faults: 1, ..apart }
            },
        ),
        ("walks while a replica runs without the ledger, two requests", WALKS),
        (
            "walks, and lists of legacy show new's conversions",
            Bounds {
                walks: &[Side::Legacy],
                mirror: Mirror::LegacyShowsNew,
                stages: [Stage::Live, Stage::Ready],
                stage_changes: 0,
                lost_writes: 0,
                ..USUAL
            },
        ),
        ("a reference that the proxy made", Bounds { generated: true, stage_changes: 2, ..apart }),
    ]
}

/// Worlds of a quarter of a million states and more. An unoptimised build takes up to minutes for each, so they are explored when
/// `PROTOCOL_STATES` is set, as `.ci/run` does.
const LARGE: [&str; 10] = [
    "creates through the new API's own path",
    "a body with two readings, of which the vendor takes the first",
    "a body with two readings, of which the vendor takes the second",
    "rows deleted by hand",
    "replicas in two stages",
    "lists of new show legacy's conversions",
    "lists of legacy show new's conversions",
    "two stage changes, two lost writes",
    "three requests, one with another amount",
    "walks while a replica runs without the ledger, two requests",
];

/// Most states of one world, if a bound is given. Every world ends by itself below 1.5 million.
fn given_bound() -> Option<usize> {
    std::env::var("PROTOCOL_STATES").ok().and_then(|states| states.parse().ok())
}

fn states_max() -> usize {
    given_bound().unwrap_or(1_500_000)
}

#[test]
fn no_reference_is_converted_twice_and_every_answer_is_true() {
    let mut states = 0;
    let all = given_bound().is_some();
    for (name, bounds) in worlds().into_iter().filter(|(name, _)| all || !LARGE.contains(name)) {
        let explored = explore(&bounds, states_max());
        let (count, depth, complete) = (explored.states, explored.depth, explored.complete);
        println!("{count:>9} states, depth {depth:>2}, complete: {complete:<5} {name}");
        assert!(explored.violation.is_some() || complete, "{name} was not explored to its end");
        if let Some((broken, trace)) = explored.violation {
            panic!("{name}: {broken}\n  {}", trace.join("\n  "));
        }
        states += count;
    }
    println!("{states:>9} states in all");
    assert!(!all || states >= 1_000_000, "{states} states are too few to say much");
}

#[test]
fn every_excluded_world_does_break_a_promise() {
    let nothing = Excluded::NOTHING;
    let worlds = [
        ("accept_before_quiet", Excluded { accept_before_quiet: true, ..nothing }, USUAL),
        (
            "seal_after_loss",
            Excluded { seal_after_loss: true, ..nothing },
            Bounds { stage_changes: 2, lost_writes: 2, ..USUAL },
        ),
        ("unnoticed_loss", Excluded { unnoticed_loss: true, ..nothing }, Bounds { lost_writes: 2, ..USUAL }),
        ("native_at_once", Excluded { native_at_once: true, ..nothing }, Bounds { native: true, ..USUAL }),
        (
            "native_after_loss",
            Excluded { native_after_loss: true, ..nothing },
            Bounds { native: true, ..USUAL },
        ),
        (
            "stray_before_effect",
            Excluded { stray_before_effect: true, ..nothing },
            Bounds { strays: true, ..USUAL },
        ),
        (
            "stray_denial",
            Excluded { stray_denial: true, ..nothing },
            Bounds { strays: true, lookups_refused: true, ..USUAL },
        ),
        (
            "outage_after_control",
            Excluded { outage_after_control: true, ..nothing },
            Bounds { outages: true, older: true, stages: [Stage::Live; 2], ..USUAL },
        ),
        (
            "other_door",
            Excluded { other_door: true, ..nothing },
            Bounds {
                walks: &[Side::Legacy],
                stages: [Stage::Live; 2],
                stage_changes: 0,
                requests: 1,
                ..USUAL
            },
        ),
    ];
    for (name, excluded, bounds) in worlds {
        let explored = explore(&Bounds { excluded, ..bounds }, states_max());
        let (broken, trace) =
            explored.violation.unwrap_or_else(|| panic!("{name} breaks nothing: why is it excluded?"));
        println!("{name}: {broken}\n  {}", trace.join("\n  "));
    }
}

#[cfg(feature = "mutants")]
#[test]
fn every_rule_is_missed_when_it_is_broken() {
    use conversion_shim::routes::create::rules::Rule;

    let found: Vec<_> =
        Rule::ALL.iter().map(|rule| (*rule, document::shortest(*rule, states_max()))).collect();
    let missed: Vec<_> = found.iter().filter(|(_, found)| found.is_none()).map(|(rule, _)| rule).collect();
    document::write_or_compare(&found);
    assert!(missed.is_empty(), "no violation without {missed:?}");
}
