//! The end of a world: with faults over, a few retries of each reference reach an answer that is final.

use super::event::{BodyKind, How};
use super::setting::Special;
use super::under_way::Promise;
use super::world::{World, creates_on_new, reference_name};
use crate::config::Stage;
use crate::routes::create::events::CreateDecision;

const RETRIES: u32 = 4;
/// Effects of one request, at most.
const EFFECTS: usize = 128;
/// Requests that the settling makes are numbered from here on.
const FIRST_REQUEST: u32 = 1_000_000;

impl World {
    pub(super) fn settle(&mut self) -> Promise {
        self.end_everything(true);
        self.lags = [None; 2];
        // As `Event::StartWithLedger`.
        if !self.replicas[1].has_ledger {
            self.replicas[1].has_ledger = true;
            self.ledger.withdraw(self.now, self.rules);
        }
        self.ledger.trip = false;
        if self.ledger.hold {
            let in_use = self.replicas.iter().any(|replica| creates_on_new(replica.stage));
            self.ledger.opened_new |= in_use;
            self.accept_now();
        }
        let stage = match self.replicas[0].stage {
            // Claims were lost, and what tells where a reference was used is a lookup on the old API, which `sealed` never asks.
            Stage::Sealed if self.lost => Stage::Live,
            // A held create gets no answer that is final.
            Stage::Hold => Stage::Ready,
            stage => stage,
        };
        self.replicas[0].stage = stage;
        for reference in 0..self.setting.references {
            if self.asked[reference] {
                self.retry_to_the_end(reference)?;
            }
        }
        Ok(())
    }

    fn retry_to_the_end(&mut self, reference: usize) -> Promise {
        let name = reference_name(reference);
        let mut last = None;
        for retry in 0..RETRIES {
            let decision = self.retry(reference, FIRST_REQUEST + retry)?;
            self.at_most_one()
                .map_err(|broken| format!("then a retry of {name} without faults: {broken}"))?;
            let is_final = match decision {
                Some(CreateDecision::Accepted { .. } | CreateDecision::AlreadyExists { .. }) => true,
                // It is the withdrawal's for good.
                Some(CreateDecision::UsedByAnotherKind { .. }) => {
                    self.setting.special == Special::Withdrawal && reference == 0
                }
                // The old API is gone: nobody can say what became of the reference there.
                Some(CreateDecision::UsedOnRetiredApi { .. }) => true,
                _ => false,
            };
            if is_final {
                return Ok(());
            }
            last = decision;
        }
        Err(format!("{RETRIES} retries of {name} without faults did not end: {last:?}"))
    }

    fn retry(&mut self, reference: usize, number: u32) -> Result<Option<CreateDecision>, String> {
        self.start(number, (0, reference), BodyKind::Usual);
        for _ in 0..EFFECTS {
            let Some((_, kept)) = self.go(number, How::Usual) else { break };
            kept.map_err(|broken| format!("then a retry without faults: {broken}"))?;
        }
        self.requests.remove(&number);
        Ok(self.decided.take())
    }
}
