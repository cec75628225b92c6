//! Breadth-first exploration to the end of the bounds. Breadth first, so that the first violation has the shortest trace.
//!
//! Own code: `stateright` reduces by symmetry only depth first, where a trace is not the shortest. A state is kept as a 128-bit
//! fingerprint with its parent's; a trace is found again by replaying it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash as _, Hasher as _};

use crate::properties;
use crate::world::{Bounds, World};

type Fingerprint = u128;

/// One state in so many is also run to its end without faults.
const RECOVERY_SAMPLE: Fingerprint = 16;

fn fingerprint(world: &World) -> Fingerprint {
    let half = |salt: u64| {
        let mut hasher = BuildHasherDefault::<DefaultHasher>::default().build_hasher();
        salt.hash(&mut hasher);
        world.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

/// What an exploration came to.
pub(crate) struct Explored {
    pub(crate) states: usize,
    pub(crate) depth: usize,
    /// The broken promise and the shortest way to it, in words.
    pub(crate) violation: Option<(String, Vec<String>)>,
    /// Whether every state within the bounds was seen.
    pub(crate) complete: bool,
}

/// Explores until the end, the first violation, or `states_max`.
pub(crate) fn explore(bounds: &Bounds, states_max: usize) -> Explored {
    let first = World::first(bounds).canonical(bounds).0;
    let mut parents: HashMap<Fingerprint, Fingerprint> = HashMap::new();
    parents.insert(fingerprint(&first), 0);
    let mut level = vec![first];
    let mut depth = 0;
    while !level.is_empty() {
        let mut next_level = Vec::new();
        for world in &level {
            for (_, next) in world.successors(bounds, false) {
                let print = fingerprint(&next);
                if parents.contains_key(&print) {
                    continue;
                }
                parents.insert(print, fingerprint(world));
                let broken = properties::check(&next, bounds).and_then(|()| match print % RECOVERY_SAMPLE {
                    0 => properties::recovers(&next, bounds),
                    _ => Ok(()),
                });
                if let Err(broken) = broken {
                    let trace = trace(bounds, &parents, print);
                    return Explored {
                        states: parents.len(),
                        depth: depth + 1,
                        violation: Some((broken, trace)),
                        complete: false,
                    };
                }
                next_level.push(next);
            }
            if parents.len() > states_max {
                return Explored { states: parents.len(), depth, violation: None, complete: false };
            }
        }
        level = next_level;
        depth += 1;
    }
    Explored { states: parents.len(), depth, violation: None, complete: true }
}

fn trace(bounds: &Bounds, parents: &HashMap<Fingerprint, Fingerprint>, last: Fingerprint) -> Vec<String> {
    let mut path = vec![last];
    while let Some(parent) = parents.get(path.last().unwrap()).filter(|parent| **parent != 0) {
        path.push(*parent);
    }
    let mut world = World::first(bounds).canonical(bounds).0;
    let mut words = Vec::new();
    // Interchangeable requests are sorted on the way; a reader follows them by letter.
    let mut letters = ['A', 'B', 'C'];
    for print in path.iter().rev().skip(1) {
        let (happening, next) = world
            .successors(bounds, true)
            .into_iter()
            .find(|(_, next)| fingerprint(next) == *print)
            .expect("a state that was reached once is reached again");
        let named = (0..letters.len()).fold(happening.words, |words, at| {
            words.replace(&format!("request {at}"), &format!("request {}", letters[at]))
        });
        words.push(named);
        if happening.swapped {
            letters.swap(0, 1);
        }
        world = next;
    }
    words
}
