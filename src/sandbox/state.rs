//! The vendor's state and the rules that both APIs share: time, balances, and what a change of status does to money.
//! Field names of one API live in `legacy` and `orchestrations`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::balances::Balances;
use super::money::Amount;
use super::problem::Problem;
use super::records::{Account, Accounts, Funds, Plan, Record};
use super::{Options, OrchestrationOutcome, ProfileFilter};
use crate::translate::side::Side;

/// The options that shape what the sandbox says, once it runs.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) settle_after: Duration,
    pub(super) list_shape: super::ListShape,
    pub(super) profile_filter: ProfileFilter,
    pub(super) maximum: Option<Amount>,
    pub(super) completed_at: bool,
    pub(super) empty_rule_id: bool,
}

impl Terms {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            settle_after: options.settle_after,
            list_shape: options.list_shape,
            profile_filter: options.profile_filter,
            maximum: options.maximum.as_deref().and_then(Amount::parse),
            completed_at: options.completed_at,
            empty_rule_id: options.empty_rule_id,
        }
    }
}

/// Everything that a lock protects.
pub(super) struct State {
    pub(super) terms: Terms,
    pub(super) vault: Balances,
    pub(super) outcomes: BTreeMap<String, OrchestrationOutcome>,
    legacy: Accounts,
    new: Accounts,
    plans: BTreeSet<(Timestamp, Side, String)>,
    last_stamp: Timestamp,
}

/// A timestamp as the vendor writes it on read: UTC with microseconds.
pub(super) fn written(at: Timestamp) -> String {
    format!("{at:.6}")
}

impl State {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            vault: Balances::default(),
            outcomes: BTreeMap::new(),
            legacy: Accounts::default(),
            new: Accounts::default(),
            plans: BTreeSet::new(),
            last_stamp: Timestamp::UNIX_EPOCH,
        }
    }

    pub(super) const fn shelf(&self, side: Side) -> &Accounts {
        match side {
            Side::Legacy => &self.legacy,
            Side::New => &self.new,
        }
    }

    const fn shelf_mut(&mut self, side: Side) -> &mut Accounts {
        match side {
            Side::Legacy => &mut self.legacy,
            Side::New => &mut self.new,
        }
    }

    /// Now, in whole microseconds, and later than every stamp before.
    pub(super) fn stamp(&mut self) -> Timestamp {
        let micro = |at: Timestamp| at.as_microsecond();
        let next = micro(Timestamp::now()).max(micro(self.last_stamp) + 1);
        self.last_stamp = Timestamp::from_microsecond(next).unwrap_or(self.last_stamp);
        self.last_stamp
    }

    /// Puts a new record on its shelf, stamped, and answers it as it is at this moment.
    pub(super) fn file(&mut self, side: Side, mut record: Record, next: Option<&'static str>) -> Value {
        let id = Uuid::new_v4().to_string();
        record.body.shift_insert(0, "id".to_owned(), json!(id));
        let answer = record.to_json();
        let created = record.created;
        self.shelf_mut(side).put(&id, record);
        if let Some(status) = next {
            self.plan(side, &id, created, status);
        }
        answer
    }

    /// Puts a record there as it is, with an id and a creation time if it has none, and answers its id.
    pub(super) fn seed(&mut self, side: Side, customer: &str, mut body: Map<String, Value>) -> String {
        let id = match body.get("id").and_then(Value::as_str) {
            Some(id) => id.to_owned(),
            None => Uuid::new_v4().to_string(),
        };
        let given = body.get("created_at").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let created = given.unwrap_or_else(|| self.stamp());
        body.entry("id").or_insert_with(|| json!(id));
        body.entry("created_at").or_insert_with(|| json!(written(created)));
        body.entry("updated_at").or_insert_with(|| json!(written(created)));
        self.shelf_mut(side).put(&id, Record::new(customer, created, body));
        id
    }

    /// Takes the source amount out of its profile, or refuses.
    pub(super) fn take(
        &mut self,
        from: Account,
        to: Option<Account>,
        amount: Amount,
    ) -> Result<Funds, Problem> {
        match self.vault.debit(&from, amount) {
            Ok(()) => Ok(Funds { amount, from, to }),
            Err(available) => {
                let (available, needed) = (available.to_string(), amount.to_string());
                Err(Problem::insufficient_funds(&from.profile, &from.asset, &available, &needed))
            }
        }
    }

    /// The status that a record takes by itself, `settle_after` from `start` on (never, if that is beyond all time).
    pub(super) fn plan(&mut self, side: Side, id: &str, start: Timestamp, status: &'static str) {
        let Ok(at) = start.checked_add(self.terms.settle_after) else { return };
        if let Some(record) = self.shelf_mut(side).get_mut(id) {
            record.plan = Some(Plan { at, status });
            self.plans.insert((at, side, id.to_owned()));
        }
    }

    /// Carries out every plan whose time has come. Called before anything is read or written, so no task is needed.
    pub(super) fn catch_up(&mut self) {
        let now = Timestamp::now().max(self.last_stamp);
        while let Some((at, side, id)) = self.plans.first().cloned() {
            if at > now {
                return;
            }
            self.plans.pop_first();
            let planned = self.shelf(side).get(&id).and_then(|record| record.plan);
            if let Some(plan) = planned.filter(|plan| plan.at == at) {
                self.change(side, &id, plan.status, at);
            }
        }
    }

    /// Gives a record a status at a time, with what that means for its times and its money.
    pub(super) fn change(&mut self, side: Side, id: &str, status: &str, at: Timestamp) -> bool {
        let completed_at = self.terms.completed_at;
        let Some(record) = self.shelf_mut(side).get_mut(id) else { return false };
        let at = json!(written(at));
        record.plan = None;
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
                let reason = record.reason.take().unwrap_or_else(|| "the transfer failed".to_owned());
                record.set("fail_reason", json!({ "detail": reason }));
            }
            _ => {}
        }
        let arrives = match status {
            "SETTLED" | "COMPLETED" => true,
            "CANCELLED" | "FAILED" | "REJECTED" => false,
            _ => return true,
        };
        if let Some(funds) = record.funds.take() {
            let pot = if arrives { funds.to } else { Some(funds.from) };
            if let Some(pot) = pot {
                self.vault.credit(pot, funds.amount);
            }
        }
        true
    }

    /// The side that holds the record; ids are unique over both.
    pub(super) fn side_of(&self, id: &str) -> Option<Side> {
        [Side::Legacy, Side::New].into_iter().find(|side| self.shelf(*side).get(id).is_some())
    }

    /// Changes a record before it is read again; false if there is none.
    pub(super) fn edit(&mut self, id: &str, edit: impl FnOnce(&mut Record)) -> bool {
        let Some(side) = self.side_of(id) else { return false };
        self.shelf_mut(side).get_mut(id).map(edit).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::{Options, State, Terms};

    #[test]
    fn no_two_stamps_are_equal_however_fast_they_come() {
        let mut state = State::new(Terms::new(&Options::default()));
        let stamps: Vec<_> = (0..10_000).map(|_| state.stamp()).collect();
        assert!(stamps.is_sorted_by(|one, next| one < next));
    }
}
