//! The shortest trace that still breaks a promise: delta debugging (Zeller and Hildebrandt, 2002) over the list of events.

use super::event::WorldEvent;
use super::setting::Setting;
use super::world::World;
use crate::routes::create::rules::Rules;

/// Replays of one shrinking, at most.
const REPLAYS_MAX: usize = 20_000;

/// What a trace came to.
pub(super) struct Replayed {
    pub(super) words: Vec<String>,
    pub(super) broken: Option<String>,
}

/// Plays events in a new world until a promise breaks.
pub(super) fn replay(setting: Setting, rules: Rules, events: &[WorldEvent]) -> Replayed {
    let mut world = World::new(setting, rules);
    let mut words = Vec::new();
    for event in events {
        let Some((happened, promise)) = world.play(*event) else { continue };
        words.push(happened);
        if let Err(broken) = promise {
            return Replayed { words, broken: Some(broken) };
        }
    }
    Replayed { words, broken: None }
}

/// Leaves out every event without which a promise still breaks.
pub(super) fn shrink(setting: Setting, rules: Rules, mut events: Vec<WorldEvent>) -> Vec<WorldEvent> {
    let breaks = |events: &[WorldEvent]| replay(setting, rules, events).broken.is_some();
    let mut replays = 0;
    let mut size = events.len().div_ceil(2);
    while size > 0 && replays < REPLAYS_MAX {
        let mut at = 0;
        let mut is_shorter = false;
        while at < events.len() {
            let end = (at + size).min(events.len());
            let rest: Vec<_> = events[..at].iter().chain(&events[end..]).copied().collect();
            replays += 1;
            if breaks(&rest) {
                (events, is_shorter) = (rest, true);
            } else {
                at = end;
            }
        }
        // Of single events, until none can be left out.
        size = match (size, is_shorter) {
            (1, true) => 1,
            (1, false) => 0,
            (size, _) => size.div_ceil(2),
        };
    }
    events
}
