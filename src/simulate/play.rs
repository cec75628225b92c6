//! What each event does to the world.

use std::collections::BTreeMap;

use super::event::{BodyKind, WorldEvent};
use super::ledger::SimulatedLedger;
use super::listing::Paging;
use super::reads::UNKNOWN_STATUS;
use super::send::{as_reply, query_of};
use super::setting::Special;
use super::under_way::{Happened, Post, Replica};
use super::world::{LAG, World, creates_on_new, reference_name, timestamp};
use crate::config::Stage;
use crate::routes::RecordSideCache;
use crate::routes::create::events::Reads;
use crate::routes::create::reads;
use crate::sandbox::DrivenCall;
use crate::translate::evidence::{WalkPage, read_walk_page};
use crate::translate::list::Call;
use crate::translate::list::ListQuery;
use crate::translate::side::Side;

/// Most rows of a page of a walk.
const WALK_ROWS: u16 = 5;

impl World {
    /// Plays one event; `None`: it does not apply. Every promise is checked.
    pub(super) fn play(&mut self, event: WorldEvent) -> Option<Happened> {
        let (words, promise) = self.happen(event)?;
        // Nothing else passes time: a trace is the same without the events that did not apply.
        self.pass_a_moment(1);
        Some((words, promise.and_then(|()| self.at_most_one())))
    }

    fn happen(&mut self, event: WorldEvent) -> Option<Happened> {
        let words = match event {
            WorldEvent::Start { request, replica, reference, body } => {
                return self.start(request, (replica, reference), body);
            }
            WorldEvent::Go { request, how } => return self.go(request, how),
            WorldEvent::Get { replica, record, page_from } => return self.get(replica, record, page_from),
            WorldEvent::Cancel { replica, record } => return self.cancel(replica, record),
            WorldEvent::Page { listing, replica, limit, ascending } => {
                return self.page(listing, Paging { replica, limit, ascending });
            }
            WorldEvent::Settle => return Some(("faults end".into(), self.settle())),
            WorldEvent::Post { number, takes_effect } => self.post_ends(number, takes_effect),
            WorldEvent::LateStatement { written } => self.late_ends(written),
            WorldEvent::Lag(side) => self.lag(side),
            WorldEvent::CatchUp(side) => self.catch_up(side),
            WorldEvent::UnknownStatus { record } => self.show_unknown_status(record),
            WorldEvent::Wait { minutes, takes_effect } => Some(self.wait(minutes, takes_effect)),
            WorldEvent::Crash { replica } => self.crash(replica),
            WorldEvent::Native { reference } => self.native(reference),
            WorldEvent::Unclaimed { reference } => self.unclaimed(reference),
            operator => self.operate(operator),
        };
        Some((words?, Ok(())))
    }

    fn operate(&mut self, event: WorldEvent) -> Option<String> {
        match event {
            WorldEvent::Stage { replica, stage } => self.change_stage(replica, stage),
            WorldEvent::Restore { writes } => self.restore(writes),
            WorldEvent::DeleteRows { reference } => self.delete_rows(reference),
            WorldEvent::OpenNew => {
                let may = !self.ledger.opened_new && !self.ledger.hold;
                may.then(|| self.ledger.opened_new = true)?;
                Some("the operator opens new".into())
            }
            WorldEvent::Accept => self.accept(),
            WorldEvent::Trip => {
                (!self.ledger.trip).then(|| self.ledger.trip = true)?;
                Some("the trip is set".into())
            }
            WorldEvent::TripReset => {
                self.ledger.trip.then(|| self.ledger.trip = false)?;
                Some("the trip is reset".into())
            }
            WorldEvent::Release { reference } => {
                let may = self.setting.special == Special::Released && self.may_release(reference);
                may.then(|| self.ledger.release(reference))?;
                Some(format!("the operator releases the claim of {}", reference_name(reference)))
            }
            WorldEvent::StartWithLedger => {
                (!self.replicas[1].has_ledger).then(|| self.replicas[1].has_ledger = true)?;
                let (now, rules) = (self.now, self.rules);
                // It created without claims until now, so nothing on record covers what it sent.
                self.write(|ledger| ledger.withdraw(now, rules));
                Some("replica 1 starts with the ledger".into())
            }
            WorldEvent::Walk => self.walk(),
            // Apart from `WorldEvent::Walk`, so that creates and losses may come between what a walk read and what it records.
            WorldEvent::WalkEnds => {
                let side = self.setting.special.walks()?;
                (self.ledger.is_walking() && !self.ledger.hold).then_some(())?;
                self.counts.walks += 1;
                let (now, rules) = (self.now, self.rules);
                self.write(|ledger| ledger.walk_ends(side, now, rules));
                let complete = self.ledger.is_complete(side, now);
                Some(format!("the walk over {side} is recorded; complete: {complete}"))
            }
            _ => None,
        }
    }
}

/// What the vendor and the time do.
impl World {
    fn post_ends(&mut self, number: u32, takes_effect: bool) -> Option<String> {
        let post = self.posts.remove(&number)?;
        let what = match post.request {
            Some(request) => format!("the POST of request {request}"),
            None => format!("the create without a claim for {}", reference_name(post.reference)),
        };
        if takes_effect {
            self.arrives(post);
            Some(format!("{} takes {what}", post.side))
        } else {
            Some(format!("{what} to {} is lost", post.side))
        }
    }

    fn late_ends(&mut self, written: bool) -> Option<String> {
        let late = self.late.take()?;
        let effect = late.effect;
        if !written {
            return Some(format!("the late {effect:?} is lost"));
        }
        let (now, rules) = (self.now, self.rules);
        self.write(|ledger| ledger.execute(&late, now, rules));
        Some(format!("the late {effect:?} is written"))
    }

    fn lag(&mut self, side: Side) -> Option<String> {
        self.lags[side as usize].is_none().then(|| self.lags[side as usize] = Some(self.now + 1))?;
        Some(format!("reads of {side} do not show what is made from now on"))
    }

    fn catch_up(&mut self, side: Side) -> Option<String> {
        self.lags[side as usize].take()?;
        Some(format!("reads of {side} show everything"))
    }

    fn show_unknown_status(&mut self, record: usize) -> Option<String> {
        let id = self.ids.get(record)?.clone();
        self.vendor.by_id(Side::New, &id)?;
        self.vendor.set_status(Side::New, &id, UNKNOWN_STATUS);
        Some(format!("new gives {id} the status {UNKNOWN_STATUS}"))
    }

    /// Requests that still run end with their time.
    fn wait(&mut self, minutes: u16, takes_effect: bool) -> String {
        self.end_everything(takes_effect);
        self.pass(i64::from(minutes) * 60 * 1_000_000);
        format!("{minutes} minutes pass; what was under way takes effect: {takes_effect}")
    }

    pub(super) fn end_everything(&mut self, takes_effect: bool) {
        for number in self.posts.keys().copied().collect::<Vec<_>>() {
            self.post_ends(number, takes_effect);
        }
        self.late_ends(takes_effect);
        self.requests.clear();
    }

    fn crash(&mut self, replica: usize) -> Option<String> {
        self.replicas[replica].has_ledger.then_some(())?;
        self.counts.crashes += 1;
        self.requests.retain(|_, request| request.replica != replica);
        self.replicas[replica].record_sides = RecordSideCache::default();
        let (now, rules) = (self.now, self.rules);
        self.write(|ledger| ledger.withdraw(now, rules));
        Some(format!("replica {replica} is killed and starts again"))
    }

    fn native(&mut self, reference: usize) -> Option<String> {
        let may = self.setting.special.has_native() && reference < self.setting.references;
        (may && self.may_use_natively(reference)).then_some(())?;
        self.create_natively(reference);
        Some(format!("a native create uses {} on new", reference_name(reference)))
    }

    fn unclaimed(&mut self, reference: usize) -> Option<String> {
        let may = !self.replicas[1].has_ledger && reference < self.setting.references && !self.unclaimed_sent;
        may.then_some(())?;
        (self.unclaimed_sent, self.asked[reference]) = (true, true);
        let body = BodyKind::Usual;
        self.put_under_way(Post { request: None, side: Side::Legacy, reference, body, sent_at: self.now });
        Some(format!("replica 1 sends a create for {} to legacy without a claim", reference_name(reference)))
    }
}

/// What the operator and the ledger do.
impl World {
    fn change_stage(&mut self, replica: usize, stage: Stage) -> Option<String> {
        let may = self.replicas[replica].stage != stage && self.may_enter(stage);
        may.then(|| self.replicas[replica].stage = stage)?;
        self.counts.stages += 1;
        Some(format!("replica {replica} moves to {stage}"))
    }

    /// A loss is noticed, and puts creates on hold.
    fn restore(&mut self, writes: usize) -> Option<String> {
        let older = self.past.get(writes)?.clone();
        self.counts.restores += 1;
        self.ledger = SimulatedLedger { hold: true, ..older };
        self.past.clear();
        self.late = None;
        Some(format!("the ledger is restored from before its last {} writes", writes + 1))
    }

    fn delete_rows(&mut self, reference: usize) -> Option<String> {
        // Excluded: the mark is forgotten while a replica does not read new.
        let reads_new = |replica: &Replica| reads(&replica.stage.modes()) != Reads::LegacyOnly;
        let may = self.setting.special == Special::RowsDeleted && self.replicas.iter().all(reads_new);
        may.then_some(())?;
        self.ledger.claims.remove(&reference)?;
        (self.ledger.opened_new, self.ledger.hold) = (false, true);
        Some(format!("the claim of {} and the mark are deleted by hand", reference_name(reference)))
    }

    /// While everything is quiet, and never in `sealed`.
    fn accept(&mut self) -> Option<String> {
        let stages = self.replicas.each_ref().map(|replica| replica.stage);
        let may = self.ledger.hold && self.is_quiet() && !stages.contains(&Stage::Sealed);
        may.then_some(())?;
        self.accept_now();
        Some("the operator accepts the ledger as it is".into())
    }

    pub(super) fn accept_now(&mut self) {
        // The config says whether new is in use; where rows were deleted, it was forgotten there too.
        let in_use = self.replicas.iter().any(|replica| creates_on_new(replica.stage));
        self.ledger.opened_new |= in_use && self.setting.special != Special::RowsDeleted;
        (self.ledger.hold, self.lost) = (false, true);
        self.ledger.forget(self.now, self.rules);
        self.past.clear();
    }

    /// Reads a side's whole list and writes claims for what was made long enough ago.
    fn walk(&mut self) -> Option<String> {
        let side = self.setting.special.walks()?;
        (!self.ledger.hold && !self.ledger.is_walking()).then_some(())?;
        // Lists may lag: that a younger record is not among the rows proves nothing.
        let end = self.now - LAG;
        let names: BTreeMap<_, _> =
            (0..self.setting.references).map(|reference| (reference_name(reference), reference)).collect();
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.walk_page(side, after)?;
            for record in page.records {
                let made = record.created_at.as_microsecond();
                let reference = record.ref_id.and_then(|name| names.get(&name).copied());
                let is_conversion = record.other_kind.is_none();
                if let Some(reference) = reference.filter(|_| made < end && is_conversion) {
                    found.push((reference, record.id, made));
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let count = found.len();
        self.write(|ledger| ledger.walk(side, end, found));
        Some(format!("a walk reads the list of {side} up to ten minutes ago: {count} records"))
    }

    fn walk_page(&mut self, side: Side, after: Option<String>) -> Option<WalkPage> {
        let query = ListQuery::ascending(timestamp(0), timestamp(self.now)).with_facts(self.facts());
        let path = query.path(&Call { after, ..Call::first(side, WALK_ROWS) });
        let reply = self.call(side, DrivenCall::List(query_of(&path)));
        read_walk_page(side, &as_reply(&reply), self.facts()).ok()
    }
}
