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
mod properties;
mod world;

use conversion_shim::routes::create::rules::Rules;

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
    excluded: Excluded::NOTHING,
    rules: Rules::ALL,
};

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
        ("creates through the new API's own path", Bounds { native: true, ..short }),
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
        ("two stage changes, two lost writes", Bounds { stage_changes: 2, lost_writes: 2, ..short }),
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
    ]
}

/// Worlds of a quarter of a million states and more. An unoptimised build takes up to minutes for each, so they are explored when
/// `PROTOCOL_STATES` is set, as `.ci/run` does.
const LARGE: [&str; 7] = [
    "creates through the new API's own path",
    "rows deleted by hand",
    "replicas in two stages",
    "lists of new show legacy's conversions",
    "lists of legacy show new's conversions",
    "two stage changes, two lost writes",
    "three requests, one with another amount",
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
