//! Walks, and the creates that only they find.

use conversion_shim::routes::create::rules::Rule;
use conversion_shim::translate::side::Side;

use super::successors::Successors;
use super::{Body, Vendor, World};

impl Successors<'_> {
    pub(super) fn of_walks(&mut self) {
        let rules = self.bounds.rules;
        for side in self.bounds.walks {
            self.walk(*side);
        }
        let unclaimed = self.world.unclaimed;
        if (unclaimed.running || self.bounds.excluded.other_door) && !unclaimed.sent {
            self.add(
                || "a create without a claim is sent to legacy".into(),
                |world| (world.unclaimed.sent, world.unclaimed.in_flight) = (true, true),
            );
        }
        if unclaimed.running {
            self.add(
                || "the replica without the ledger starts with it".into(),
                |world| {
                    world.unclaimed.running = false;
                    world.change_ledger(|ledger| ledger.withdraw(rules));
                },
            );
        }
        if unclaimed.in_flight {
            for listed in [true, false] {
                let take = |world: &mut World| {
                    world.unclaimed.in_flight = false;
                    if world.legacy.made.is_none() {
                        world.legacy = Vendor { made: Some(Body::Usual), listed, mirrored: listed };
                    }
                };
                let words = || format!("legacy takes the create without a claim; lists show it: {listed}");
                if listed { self.add(words, take) } else { self.fault(words, take) }
            }
            self.add(
                || "the create without a claim is lost".into(),
                |world| world.unclaimed.in_flight = false,
            );
        }
    }

    fn walk(&mut self, side: Side) {
        let World { ledger, unclaimed, .. } = self.world;
        let at = side as usize;
        if ledger.hold || ledger.complete[at] {
            return;
        }
        if ledger.walked[at] {
            self.add(
                || format!("the walk over {side} ends: it is complete"),
                |world| world.change_ledger(|ledger| ledger.complete[at] = true),
            );
            return;
        }
        // The ledger does not know of a replica that runs without it; from its start on, the longest create has to pass first.
        let is_late_enough = unclaimed.running || self.world.unclaimed_is_over();
        let counts = is_late_enough || !self.bounds.rules.keep(Rule::WalkEndsAfterLastUnclaimedCreate);
        let own = self.world.vendor(side);
        let shows = own.made.is_some() && own.listed;
        self.add(
            || format!("a walk reads the list of {side}"),
            |world| {
                world.change_ledger(|ledger| {
                    ledger.walked[at] = counts;
                    if shows {
                        ledger.adopt(side);
                    }
                });
            },
        );
    }
}
