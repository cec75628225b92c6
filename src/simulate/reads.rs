//! Get and cancel: the shipped decisions about who is asked and who may say 404, each request at one instant.

use super::send::as_reply;
use super::under_way::{Happened, Promise};
use super::world::{World, reference_name};
use crate::config::Mode;
use crate::routes::create::events::ClaimState;
use crate::routes::presence::{KnownSide, Presence, SideAnswer, conclude};
use crate::routes::record_side::RecordSide;
use crate::sandbox::{DrivenCall, DrivenReply};
use crate::translate::evidence::is_not_found;
use crate::translate::mapping::{self, Origin};
use crate::translate::orchestration::Orchestration;
use crate::translate::own_records::OwnRecords;
use crate::translate::side::Side;

impl World {
    fn known_side(&self, replica: usize, id: &str) -> KnownSide {
        let record_sides = &self.replicas[replica].record_sides;
        let on_record = self.ledger.side_of(id);
        let known = KnownSide::of(record_sides.of(id), on_record);
        if let Some(side) = on_record {
            record_sides.remember(id, RecordSide::MadeOn(side));
        }
        known
    }

    /// `page_from`: that side answers an HTML 404, as from a gateway.
    pub(super) fn get(&mut self, replica: usize, record: usize, page_from: Option<Side>) -> Option<Happened> {
        let modes = self.replicas[replica].stage.modes();
        let id = self.ids.get(record)?.clone();
        if !matches!(modes.get, Mode::Both | Mode::New) || !self.replicas[replica].has_ledger {
            return None;
        }
        self.counts.gets += 1;
        let words = format!("replica {replica} gets {id}");
        let known = self.known_side(replica, &id);
        let sealed = modes.get == Mode::New;
        if sealed && known == KnownSide::On(Side::Legacy) {
            return Some((words + ": gone", Ok(())));
        }
        let asked = known.asked_by_get(modes.create.creates_on(), sealed);
        let mut answers = Vec::new();
        let mut promise = Ok(());
        for side in &asked {
            let (answer, status) = match page_from {
                Some(from) if from == *side => (SideAnswer::Unclear, Ok(())),
                _ => self.ask(*side, &id, known),
            };
            promise = promise.and(status);
            answers.push((*side, answer));
            if answer == SideAnswer::Found {
                break;
            }
        }
        let presence = conclude(known, &answers);
        if let Presence::Found(side) = presence {
            self.replicas[replica].record_sides.remember(&id, RecordSide::SeenOn(side));
        }
        if presence == Presence::NotFound {
            promise = promise.and(self.is_absent(&asked, &id));
        }
        Some((format!("{words}: {presence:?}"), promise))
    }

    /// A 404 is true: no side that could be asked shows a conversion under this id.
    fn is_absent(&mut self, sides: &[Side], id: &str) -> Promise {
        for side in sides {
            let reply = self.call(*side, DrivenCall::Get(id));
            let is_shown = match side {
                Side::Legacy => reply.status == 200,
                Side::New => reply.status == 200 && self.is_visible(&reply, KnownSide::Nowhere),
            };
            if is_shown {
                return Err(format!("a client was answered 404 for {id}, which {side} shows"));
            }
        }
        match self.ledger.side_of(id) {
            Some(side) => {
                Err(format!("a client was answered 404 for {id}, which the ledger knows on {side}"))
            }
            None => Ok(()),
        }
    }

    fn ask(&mut self, side: Side, id: &str, known: KnownSide) -> (SideAnswer, Promise) {
        let reply = self.call(side, DrivenCall::Get(id));
        if is_not_found(&as_reply(&reply)) {
            return (SideAnswer::NotFound, Ok(()));
        }
        if reply.status != 200 {
            return (SideAnswer::Unclear, Ok(()));
        }
        if side == Side::Legacy {
            return (SideAnswer::Found, Ok(()));
        }
        if !self.is_visible(&reply, known) {
            return (SideAnswer::NotFound, Ok(()));
        }
        (SideAnswer::Found, status_is_true(&reply))
    }

    /// Whether a legacy client may see the record of new.
    fn is_visible(&self, reply: &DrivenReply, known: KnownSide) -> bool {
        let Ok(record) = Orchestration::parse(&reply.body) else { return false };
        if matches!(known, KnownSide::On(Side::New) | KnownSide::Seen(Side::New)) {
            return true;
        }
        let hidden = |origin| matches!(mapping::hidden(&record, origin), Ok(Some(_)) | Err(_));
        !hidden(Origin::Unknown) || !hidden(self.own_records().origin(&record))
    }

    /// What the ledger knows as created on new.
    pub(super) fn own_records(&self) -> OwnRecords {
        let mut own = OwnRecords::default();
        for (reference, claim) in &self.ledger.claims {
            if claim.row.side == Side::New && claim.row.state != ClaimState::Refused {
                own.add(reference_name(*reference), claim.record_id.clone());
            }
        }
        own
    }

    pub(super) fn cancel(&mut self, replica: usize, record: usize) -> Option<Happened> {
        let modes = self.replicas[replica].stage.modes();
        let id = self.ids.get(record)?.clone();
        if !matches!(modes.cancel, Mode::Both | Mode::New) || !self.replicas[replica].has_ledger {
            return None;
        }
        self.counts.gets += 1;
        let words = format!("replica {replica} cancels {id}");
        let known = self.known_side(replica, &id);
        let sealed = modes.cancel == Mode::New;
        if sealed && known == KnownSide::On(Side::Legacy) {
            return Some((words + ": gone", Ok(())));
        }
        let mut answers = Vec::new();
        if known.is_cancelled_on_legacy(self.facts().mirror, sealed) {
            let reply = self.call(Side::Legacy, DrivenCall::Cancel(&id));
            if !is_not_found(&as_reply(&reply)) {
                return Some((
                    format!("{words}: legacy answers {}", reply.status),
                    self.was_cancelled(&id, &reply),
                ));
            }
            if known == KnownSide::On(Side::Legacy) {
                return Some((words + ": legacy does not show it", Ok(())));
            }
            answers.push((Side::Legacy, SideAnswer::NotFound));
        }
        let (answer, status) = self.ask(Side::New, &id, known);
        answers.push((Side::New, answer));
        let presence = conclude(known, &answers);
        // Once claims were lost, a record that new mirrors under its id may have been claimed for new.
        let may_be_legacys = !sealed && !self.lost;
        let promise = status.and(match presence {
            Presence::Found(_) if may_be_legacys && self.vendor.by_id(Side::Legacy, &id).is_some() => {
                Err(format!("a client was answered that {id} cannot be cancelled, and it is legacy's"))
            }
            Presence::NotFound => {
                let asked: Vec<_> = answers.iter().map(|(side, _)| *side).collect();
                self.is_absent(&asked, &id)
            }
            _ => Ok(()),
        });
        Some((format!("{words}: {presence:?}"), promise))
    }

    fn was_cancelled(&self, id: &str, reply: &DrivenReply) -> Promise {
        let status = self.vendor.by_id(Side::Legacy, id).and_then(|record| record.get("status")?.as_str());
        if reply.status == 200 && status != Some("CANCELLED") {
            return Err(format!("a client was answered that {id} is cancelled, and it is {status:?}"));
        }
        Ok(())
    }
}

/// A status that this build does not know is shown as one that is not final.
fn status_is_true(reply: &DrivenReply) -> Promise {
    let Ok(record) = Orchestration::parse(&reply.body) else { return Ok(()) };
    let Ok(mapped) = mapping::conversion(&record) else { return Ok(()) };
    let shown = mapped.conversion.status;
    let is_unknown =
        record.status.and_then(crate::translate::json::Text::value).as_deref() == Some(UNKNOWN_STATUS);
    if is_unknown && shown != Some("CREATED") {
        return Err(format!("the status {UNKNOWN_STATUS} was shown as {shown:?}"));
    }
    Ok(())
}

/// A status that this build does not know.
pub(super) const UNKNOWN_STATUS: &str = "UNDER_REVIEW";
