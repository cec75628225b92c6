//! The vendor's state and the rules that both APIs share: time, balances, and what a status means for the money.
//! Field names that only one API has live in `legacy` and `orchestrations`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::amount;
use super::balances::{Account, Balances};
use super::mirror;
use super::options::Options;
use super::problem::VendorProblem;
use super::records::{Funds, Record, RecordStore, ScheduledStatus};
use super::source::TimeSource;
use super::variants::{Mirror, Variants};
use crate::translate::side::Side;

/// What becomes of the orchestrations that are created from a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OrchestrationOutcome {
    /// PROCESSING, then COMPLETED.
    #[default]
    Complete,
    /// PENDING until [`Inspector::approve`](super::Inspector::approve).
    AwaitApproval,
    /// PENDING, then REJECTED; the funds come back.
    Reject,
    /// PROCESSING, then FAILED with this detail; the funds come back.
    Fail(String),
}

/// Everything that one lock protects.
pub(super) struct VendorState {
    pub(super) variants: Variants,
    pub(super) balances: Balances,
    pub(super) outcomes: BTreeMap<String, OrchestrationOutcome>,
    /// The largest amount of one create.
    pub(super) maximum: Option<Decimal>,
    settle_after: Duration,
    legacy: RecordStore,
    new: RecordStore,
    scheduled: BTreeSet<(Timestamp, Side, String)>,
    last_time: Timestamp,
    pub(super) source: TimeSource,
}

/// A timestamp as the vendor formats it: UTC with microseconds.
pub(super) fn format_time(at: Timestamp) -> String {
    format!("{at:.6}")
}

impl VendorState {
    pub(super) fn new(options: &Options) -> Self {
        Self::with_source(options, TimeSource::System)
    }

    pub(super) fn with_source(options: &Options, source: TimeSource) -> Self {
        Self {
            source,
            variants: options.variants.clone(),
            balances: Balances::default(),
            outcomes: BTreeMap::new(),
            maximum: options.maximum.as_deref().and_then(amount::parse),
            settle_after: options.settle_after,
            legacy: RecordStore::default(),
            new: RecordStore::default(),
            scheduled: BTreeSet::new(),
            last_time: Timestamp::UNIX_EPOCH,
        }
    }

    pub(super) const fn records(&self, side: Side) -> &RecordStore {
        match side {
            Side::Legacy => &self.legacy,
            Side::New => &self.new,
        }
    }

    const fn records_mut(&mut self, side: Side) -> &mut RecordStore {
        match side {
            Side::Legacy => &mut self.legacy,
            Side::New => &mut self.new,
        }
    }

    /// The current time in whole microseconds, and later than every time returned before: creation order is unambiguous.
    pub(super) fn now(&mut self) -> Timestamp {
        let micro = |at: Timestamp| at.as_microsecond();
        let next = micro(self.source.now()).max(micro(self.last_time) + 1);
        self.last_time = Timestamp::from_microsecond(next).unwrap_or(self.last_time);
        self.last_time
    }

    /// Inserts a new record under a new id and returns its JSON of this moment. `next` is the status that it gets by itself.
    pub(super) fn insert(&mut self, side: Side, mut record: Record, next: Option<&'static str>) -> Value {
        let id = self.source.id();
        record.body.shift_insert(0, "id".to_owned(), json!(id));
        let answer = record.to_json();
        let created = record.created;
        self.add(side, &id, record);
        if let Some(status) = next {
            self.schedule(side, &id, created, status);
        }
        answer
    }

    /// Inserts a record as given and returns its id. Adds an id and times where it has none.
    pub(super) fn seed(&mut self, side: Side, customer: &str, mut body: Map<String, Value>) -> String {
        let id = match body.get("id").and_then(Value::as_str) {
            Some(id) => id.to_owned(),
            None => self.source.id(),
        };
        let given = body.get("created_at").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let created = given.unwrap_or_else(|| self.now());
        body.entry("id").or_insert_with(|| json!(id));
        body.entry("created_at").or_insert_with(|| json!(format_time(created)));
        body.entry("updated_at").or_insert_with(|| json!(format_time(created)));
        self.add(side, &id, Record::new(customer, created, body));
        id
    }

    fn add(&mut self, side: Side, id: &str, mut record: Record) {
        record.mirror = self.add_mirror(side, id, &record);
        let tie_order = self.variants.tie_order;
        self.records_mut(side).insert(id, record, tie_order);
    }

    /// Adds what the other API shows of a conversion, if it does, and returns its id.
    fn add_mirror(&mut self, side: Side, id: &str, made: &Record) -> Option<String> {
        let mirror = match side {
            Side::Legacy => self.variants.mirror,
            // The old API has no shape for the other kinds of orchestration.
            Side::New if is_conversion(made) => self.variants.mirror_back,
            Side::New => Mirror::Off,
        };
        let id = match mirror {
            Mirror::Off => return None,
            Mirror::SameId => id.to_owned(),
            Mirror::OtherId => self.source.id(),
        };
        let own = self.variants.mirror_own_created_at;
        let created = if own { self.now() } else { made.created };
        let mut record = Record::new(&made.customer, created, mirror::of(side, &made.body));
        record.is_mirror = true;
        record.set("id", id.as_str());
        if own {
            record.set("created_at", format_time(created));
        }
        let tie_order = self.variants.tie_order;
        self.records_mut(side.other()).insert(&id, record, tie_order);
        Some(id)
    }

    /// The record for which a side refuses this reference, as that side shows it.
    pub(super) fn holder(&self, side: Side, customer: &str, ref_id: &str) -> Option<Value> {
        let on = |side| self.records(side).by_ref(customer, ref_id, self.variants.ref_match);
        let shared = || on(side.other()).filter(|_| self.variants.shared_refs);
        on(side)
            .map(Record::to_json)
            .or_else(|| Some(Value::Object(mirror::of(side.other(), &shared()?.body))))
    }

    /// Debits the source account, or refuses.
    pub(super) fn withdraw(
        &mut self,
        from: Account,
        to: Option<Account>,
        amount: Decimal,
    ) -> Result<Funds, VendorProblem> {
        match self.balances.debit(&from, amount) {
            Ok(()) => Ok(Funds { amount, from, to }),
            Err(available) => Err(VendorProblem::insufficient_funds(&from, available, amount)),
        }
    }

    /// Schedules a status for `settle_after` from `start` on; never, if that time is out of range.
    pub(super) fn schedule(&mut self, side: Side, id: &str, start: Timestamp, status: &'static str) {
        let Ok(at) = start.checked_add(self.settle_after) else { return };
        if let Some(record) = self.records_mut(side).get_mut(id) {
            record.scheduled = Some(ScheduledStatus { at, status });
            self.scheduled.insert((at, side, id.to_owned()));
        }
    }

    /// Applies every scheduled status that is due. Runs before each read and write, so no timer is needed.
    pub(super) fn apply_due(&mut self) {
        let now = self.source.now().max(self.last_time);
        while let Some((at, side, id)) = self.scheduled.first().cloned() {
            if at > now {
                return;
            }
            self.scheduled.pop_first();
            let scheduled = self.records(side).get(&id).and_then(|record| record.scheduled);
            // A record that changed meanwhile has another schedule, or none.
            if let Some(due) = scheduled.filter(|scheduled| scheduled.at == at) {
                self.set_status(side, &id, due.status, at);
            }
        }
    }

    /// Sets a record's status at a time, with its times and its money. False if there is no such record.
    pub(super) fn set_status(&mut self, side: Side, id: &str, status: &str, at: Timestamp) -> bool {
        let completed_at = self.variants.completed_at;
        let Some(record) = self.records_mut(side).get_mut(id) else { return false };
        record.scheduled = None;
        set_status_fields(record, status, at, completed_at);
        let mirror = record.mirror.clone();
        let succeeded = match status {
            "SETTLED" | "COMPLETED" => Some(true),
            "CANCELLED" | "FAILED" | "REJECTED" => Some(false),
            _ => None,
        };
        if let Some(succeeded) = succeeded
            && let Some(funds) = record.funds.take()
            && let Some(account) = if succeeded { funds.to } else { Some(funds.from) }
        {
            self.balances.credit(account, funds.amount);
        }
        if let Some(mirror) = mirror {
            self.set_status(side.other(), &mirror, mirror::status_on(side.other(), status), at);
        }
        true
    }

    /// The side on which the record was made, or else one that shows it; apart from mirrors, ids are unique over both.
    pub(super) fn side_of(&self, id: &str) -> Option<Side> {
        let on = |side: &Side| self.records(*side).get(id);
        let sides = [Side::Legacy, Side::New];
        let made = sides.iter().find(|side| on(side).is_some_and(|record| !record.is_mirror));
        made.or_else(|| sides.iter().find(|side| on(side).is_some())).copied()
    }
}

/// Whether an orchestration goes to a profile: the old API has no other conversions.
fn is_conversion(orchestration: &Record) -> bool {
    orchestration.body.get("destination").is_some_and(|to| to.pointer("/profile/profile_id").is_some())
}

fn set_status_fields(record: &mut Record, status: &str, at: Timestamp, completed_at: bool) {
    let at = json!(format_time(at));
    record.set("status", status);
    record.set("updated_at", at.clone());
    match status {
        "SETTLED" => record.set("settled_at", at),
        "CANCELLED" => record.set("cancelled_at", at),
        "COMPLETED" if completed_at => {
            let amount = record.body.get("source_amount").cloned().unwrap_or_default();
            record.set("destination_amount", amount);
            record.set("completed_at", at);
        }
        "FAILED" => {
            let reason = record.fail_reason.take().unwrap_or_else(|| "the transfer failed".to_owned());
            record.set("fail_reason", json!({ "detail": reason }));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Options, VendorState};

    #[test]
    fn times_are_strictly_increasing() {
        let mut state = VendorState::new(&Options::default());
        let times: Vec<_> = (0..10_000).map(|_| state.now()).collect();
        assert!(times.is_sorted_by(|one, next| one < next));
    }
}
