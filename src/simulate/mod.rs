//! A whole cutover by chance, in virtual time: the shipped translation, create protocol, decisions of get and cancel, and list merge, around
//! the sandbox's vendor and a ledger in memory. After every step the promises of `docs/money-safety.md` are checked. The same seed gives the
//! same trace on every machine.
//!
//! A run is a row of small worlds, each with a setting of its own (`setting`): what is rare needs few references and a short history. In a
//! world, `choose` draws an event, `play` lets it happen, and what breaks a promise is shrunk (`shrink`) and shown in words.

mod choose;
pub mod claim_row;
mod event;
mod ledger;
mod listing;
mod play;
mod reads;
mod request;
mod send;
mod setting;
mod settle;
mod shrink;
mod trace_hash;
mod under_way;
mod world;

pub use trace_hash::TraceHash;
pub use world::Counts;

use event::WorldEvent;
use setting::Setting;
use world::World;

use crate::routes::create::rules::Rules;
use crate::sandbox::Dice;

/// Bounds of the number of events in one world.
const EVENTS_MIN: u64 = 40;
const EVENTS_MAX: u64 = 120;

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// Events that happened.
    pub steps: u64,
    /// Worlds in which they happened.
    pub worlds: u64,
    pub(crate) counts: Counts,
    /// The hash over all of them, in words.
    pub hash: TraceHash,
    /// The first broken promise; the run ends there.
    pub violation: Option<Violation>,
}

/// A broken promise and a short way to it.
#[derive(Debug)]
pub struct Violation {
    /// The promise, in words.
    pub broken: String,
    /// How the world began.
    pub setting: String,
    /// What happened, the last of it breaking the promise.
    pub trace: Vec<String>,
    /// How long the trace was before it was shrunk.
    pub found_after: usize,
}

/// Runs `steps` steps, or a few more to the end of a world.
#[must_use]
pub fn run(seed: u64, steps: u64, rules: Rules) -> Outcome {
    let mut outcome = Outcome {
        steps: 0,
        worlds: 0,
        counts: Counts::default(),
        hash: TraceHash::default(),
        violation: None,
    };
    while outcome.steps < steps && outcome.violation.is_none() {
        let mut dice = Dice::of(seed, outcome.worlds);
        outcome.worlds += 1;
        run_world(&mut dice, rules, &mut outcome);
    }
    outcome
}

fn run_world(dice: &mut Dice, rules: Rules, outcome: &mut Outcome) {
    let setting = Setting::draw(dice);
    outcome.hash.add(setting.words().as_bytes());
    let mut world = World::new(setting, rules);
    let (mut events, mut requests) = (Vec::new(), 0);
    let length = EVENTS_MIN + dice.below(EVENTS_MAX - EVENTS_MIN);
    for number in 0..=length {
        let event =
            if number == length { WorldEvent::Settle } else { choose::choose(&world, dice, &mut requests) };
        let Some((words, promise)) = world.play(event) else { continue };
        events.push(event);
        outcome.steps += 1;
        outcome.hash.add(words.as_bytes());
        if promise.is_err() {
            outcome.violation = violation(setting, rules, events);
            break;
        }
    }
    outcome.counts.add(&world.counts);
}

fn violation(setting: Setting, rules: Rules, events: Vec<WorldEvent>) -> Option<Violation> {
    let found_after = events.len();
    let short = shrink::shrink(setting, rules, events);
    let shrink::Replayed { words, broken } = shrink::replay(setting, rules, &short);
    Some(Violation { broken: broken?, setting: setting.words(), trace: words, found_after })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Sources, load};

    #[test]
    fn the_bounds_of_a_create_and_a_page_are_the_defaults_of_the_config() {
        let config = load(&Sources::default()).unwrap().config;
        assert_eq!(i128::from(request::TIMEOUT), config.timeouts.create.as_micros().try_into().unwrap());
        assert_eq!(listing::CALLS_MAX, config.list.upstream_calls_max);
    }
}
