//! The stages of the proxies, and how they change.

use conversion_shim::sandbox::SECOND_PROFILE;

use super::{TIMES, World};
use crate::support::test_bed::{BACK, Keys};

/// A stage that an operator may choose.
pub(super) struct Stage {
    pub(super) keys: Keys<'static>,
    pub(super) creates_on_new: bool,
    pub(super) sees_only_legacy: bool,
    pub(super) sealed: bool,
}

const fn stage(keys: Keys<'static>, creates_on_new: bool) -> Stage {
    Stage { keys, creates_on_new, sees_only_legacy: false, sealed: false }
}

pub(super) static STAGES: [Stage; 9] = [
    Stage { sees_only_legacy: true, ..stage(&[("stage", "observe")], false) },
    stage(BACK, false),
    stage(BACK, false),
    stage(&[("stage", "hold")], false),
    stage(&[("stage", "canary"), ("canary.profiles", SECOND_PROFILE)], true),
    stage(&[("stage", "canary"), ("canary.percent", "50"), ("canary.salt", "salt")], true),
    stage(&[("stage", "live")], true),
    stage(&[("stage", "live")], true),
    Stage { sealed: true, ..stage(&[("stage", "sealed")], true) },
];

impl World {
    /// Turns the wheel on one proxy after the other, perhaps; only in ways that the loader and the operator's rules allow.
    pub(super) async fn maybe_flip(&mut self, chance: u64, may_seal: bool) {
        for which in [0, 1] {
            if !self.dice.percent(chance) {
                continue;
            }
            let to = &STAGES[self.dice.index(STAGES.len())];
            let other = self.stages[1 - which];
            let blind = to.sees_only_legacy && (self.opened || other.creates_on_new);
            let early = to.creates_on_new && other.sees_only_legacy;
            if blind || early || (to.sealed && (!may_seal || self.files.has_lost || self.dice.percent(60))) {
                continue;
            }
            if self.proxies[which].try_go(&[to.keys, TIMES].concat()).await.is_ok() {
                self.stages[which] = to;
                self.opened |= to.creates_on_new;
                self.counts.flips += 1;
                self.counts.steps += 1;
            }
        }
    }
}
