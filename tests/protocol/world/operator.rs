//! What operators may do as far as the documents and the loader let them, and creates through the new API's own path.

use conversion_shim::routes::create::events::ClaimState;
use conversion_shim::translate::side::Side;

use super::bounds::Stage;
use super::successors::Successors;
use super::{Body, Progress, Request, Vendor};
use crate::ledger::Row;

impl Successors<'_> {
    pub(super) fn of_operator(&mut self) {
        let (ledger, rules) = (self.world.ledger, self.bounds.rules);
        if self.world.stage_changes > 0 {
            for (replica, stage) in [0, 1].into_iter().flat_map(|at| Stage::ALL.map(|stage| (at, stage))) {
                if self.world.stages[replica] != stage && self.may_enter(stage) {
                    self.add(
                        || format!("replica {replica} moves to {stage:?}"),
                        |world| {
                            world.stage_changes -= 1;
                            world.stages[replica] = stage;
                        },
                    );
                }
            }
        }
        if !ledger.opened_new && !ledger.hold {
            self.add(|| "the operator opens new".into(), |world| world.ledger.opened_new = true);
        }
        let creates_on_new =
            self.world.stages.iter().any(|stage| matches!(stage, Stage::Live | Stage::Sealed));
        if creates_on_new && !ledger.other_on_new && !ledger.hold {
            self.add(
                || "another reference is claimed for new".into(),
                |world| world.ledger.other_on_new = true,
            );
        }
        let quiet = self.world.is_quiet() || self.bounds.excluded.accept_before_quiet;
        let unsealed = !self.world.stages.contains(&Stage::Sealed) || self.bounds.excluded.seal_after_loss;
        if ledger.hold && quiet && unsealed {
            // The config says whether new is in use; where rows were deleted, it was forgotten there too.
            let in_use = creates_on_new && !self.bounds.rows_deleted;
            self.add(
                || "the operator accepts the ledger as it is".into(),
                |world| {
                    world.ledger.accept(in_use, rules);
                    world.lost = true;
                },
            );
        }
        if let Some(row) = ledger.row
            && self.bounds.released
            && row.state != ClaimState::Refused
            && self.may_release()
        {
            self.add(
                || "the operator releases the claim".into(),
                |world| world.ledger.row = Some(Row { state: ClaimState::Refused, ..row }),
            );
        }
        if self.bounds.native {
            self.native();
        }
    }

    /// Neither side shows the reference, and every attempt is an hour old.
    fn may_release(&self) -> bool {
        let over = |request: &Request| {
            !matches!(request.progress, Progress::Running(..)) && request.in_flight.is_none()
        };
        self.world.requests.iter().all(over) && self.world.legacy.made.or(self.world.new.made).is_none()
    }

    /// What the loader lets pass.
    fn may_enter(&self, stage: Stage) -> bool {
        let (ledger, rules) = (&self.world.ledger, self.bounds.rules);
        match stage {
            // An operator who forgot that new is in use at least stays in stages that read it, unless a claim says so.
            Stage::Observe => {
                let forgotten = self.bounds.rows_deleted && self.world.lost && !ledger.other_on_new;
                !ledger.created_on_new(rules) && !ledger.hold && !forgotten
            }
            Stage::Ready => true,
            Stage::Live => ledger.opened_new && self.world.has_no_unclaimed_create_under_way(),
            Stage::Sealed => {
                let unclaimed = self.bounds.older || self.world.unclaimed.sent;
                ledger.opened_new
                    && self.world.has_no_unclaimed_create_under_way()
                    && (!unclaimed || ledger.complete[Side::Legacy as usize])
                    && !ledger.hold
                    && (!self.world.lost || self.bounds.excluded.seal_after_loss)
            }
        }
    }

    /// A create through the new API's own path: recorded beside the claims, refused when the reference is claimed for legacy.
    fn native(&mut self) {
        let claimed = self
            .world
            .ledger
            .row
            .is_some_and(|row| row.side == Side::Legacy && row.state != ClaimState::Refused);
        let at_once = self.bounds.excluded.native_at_once;
        if (self.world.lost || self.world.ledger.hold) && !self.bounds.excluded.native_after_loss {
            return;
        }
        if self.world.new.made.is_none() && (!claimed || at_once) && !self.world.ledger.native {
            self.add(
                || "a native create uses the reference on new".into(),
                |world| {
                    world.ledger.native = true;
                    world.new = Vendor { made: Some(Body::Native), listed: !at_once, mirrored: !at_once };
                },
            );
        }
    }
}
