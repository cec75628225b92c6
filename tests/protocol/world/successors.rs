//! Everything that may happen next, and what may happen at the vendor and to the ledger while no request waits for it.

use conversion_shim::translate::side::Side;

use super::bounds::{Bounds, Mirror};
use super::{Happening, LOST_WRITES_MAX, Looking, World};
use crate::ledger::Ledger;

/// Everything that may happen next.
pub(super) struct Successors<'a> {
    pub(super) world: World,
    pub(super) bounds: &'a Bounds,
    found: Vec<(Happening, World)>,
    /// Words are made only when a trace is written.
    in_words: bool,
    /// Whether interchangeable requests are put in order.
    sorted: bool,
}

impl World {
    pub(crate) fn successors(self, bounds: &Bounds, in_words: bool) -> Vec<(Happening, Self)> {
        let mut all = Successors { world: self, bounds, found: Vec::new(), in_words, sorted: true };
        for at in 0..bounds.requests {
            all.of_request(at);
        }
        all.of_vendor();
        if bounds.outages {
            all.of_index();
        }
        all.of_ledger();
        all.of_operator();
        if !bounds.walks.is_empty() {
            all.of_walks();
        }
        all.found
    }

    /// What may happen next to one request, without sorting the requests; the usual course comes first.
    pub(crate) fn successors_of(self, at: usize, bounds: &Bounds) -> Vec<(Happening, Self)> {
        let mut all = Successors { world: self, bounds, found: Vec::new(), in_words: false, sorted: false };
        all.of_request(at);
        all.found
    }
}

impl Successors<'_> {
    pub(super) fn add(&mut self, words: impl Fn() -> String, change: impl FnOnce(&mut World)) {
        let mut world = self.world;
        change(&mut world);
        // What no fail-over can bring back makes no difference.
        world.older[self.bounds.lost_writes..].fill(None);
        let words = if self.in_words { words() } else { String::new() };
        let (world, swapped) = if self.sorted { world.canonical(self.bounds) } else { (world, false) };
        self.found.push((Happening { words, swapped }, world));
    }

    /// Adds what costs a fault, while there are any left.
    pub(super) fn fault(&mut self, words: impl Fn() -> String, change: impl FnOnce(&mut World)) {
        if self.world.faults > 0 {
            self.add(words, |world| {
                world.faults -= 1;
                change(world);
            });
        }
    }

    fn of_vendor(&mut self) {
        for at in 0..self.bounds.requests {
            let Some(side) = self.world.requests[at].in_flight else { continue };
            self.add(
                || format!("{side} takes the POST of request {at}"),
                |world| world.apply(at, side, true),
            );
            self.add(
                || format!("the POST of request {at} to {side} is lost"),
                |world| world.requests[at].in_flight = None,
            );
        }
        let mirror = self.bounds.mirror;
        for side in [Side::Legacy, Side::New] {
            let vendor = self.world.vendor(side);
            if vendor.made.is_some() && !vendor.mirrored && self.bounds.mirror != Mirror::Neither {
                let words = || format!("lists of {} show the record of {side}", side.other());
                self.add(words, |world| world.vendor_mut(side).mirrored = true);
            }
            if vendor.made.is_some() && !vendor.listed {
                self.add(
                    || format!("lists of {side} show the record"),
                    |world| {
                        let vendor = world.vendor_mut(side);
                        vendor.listed = true;
                        vendor.mirrored |= mirror == Mirror::Neither;
                    },
                );
            }
        }
    }

    /// Legacy's index is empty for a while.
    fn of_index(&mut self) {
        if self.world.emptied {
            self.add(|| "the index of legacy is whole again".into(), |world| world.emptied = false);
        }
        let again = self.world.requests.iter().any(|request| request.looking == Looking::Again);
        if !self.world.emptied && (!again || self.bounds.excluded.outage_after_control) {
            self.fault(|| "the index of legacy is empty".into(), |world| world.emptied = true);
        }
    }

    fn of_ledger(&mut self) {
        let rules = self.bounds.rules;
        if let Some(statement) = self.world.late {
            let effect = statement.effect;
            self.add(
                || format!("the late {effect:?} is written"),
                |world| {
                    world.late = None;
                    world.write(statement, rules);
                },
            );
            self.add(|| format!("the late {effect:?} is lost"), |world| world.late = None);
        }
        if self.bounds.rows_deleted && self.world.ledger.row.is_some() {
            self.fault(
                || "the claim and the mark are deleted".into(),
                |world| world.ledger = Ledger { row: None, opened_new: false, hold: true, ..world.ledger },
            );
        }
        for lost in 0..self.bounds.lost_writes {
            let Some(older) = self.world.older[lost] else { continue };
            let noticed = !self.bounds.excluded.unnoticed_loss;
            self.fault(
                || format!("a fail-over loses the last {} writes", lost + 1),
                |world| {
                    world.ledger = Ledger { hold: noticed, ..older };
                    world.older = [None; LOST_WRITES_MAX];
                    world.late = None;
                },
            );
        }
    }
}
