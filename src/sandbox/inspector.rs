//! The books: what a test or an operator may look at and arrange behind the two APIs. Rules live in `state`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::CUSTOMER;
use super::money::Amount;
use super::records::Account;
use super::requests::{Operation, ReceivedRequest, Requests};
use super::state::{State, Terms};
use crate::translate::side::Side;

/// How many records were ever made with one `ref_id`, cancelled and failed ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Conversions.
    pub legacy: usize,
    /// Orchestrations.
    pub new: usize,
}

/// What becomes of the orchestrations that are created from a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OrchestrationOutcome {
    /// PROCESSING, then COMPLETED.
    #[default]
    Complete,
    /// PENDING until [`Inspector::approve`] or [`Inspector::reject`].
    AwaitApproval,
    /// PENDING, then REJECTED; the funds come back.
    Reject,
    /// PROCESSING, then FAILED with this detail; the funds come back.
    Fail(String),
}

/// Records, balances and requests of one sandbox. Cheap, synchronous, and safe to use from any thread.
pub struct Inspector {
    state: Mutex<State>,
    pub(super) requests: Requests,
}

impl Inspector {
    pub(super) fn new(terms: Terms) -> Self {
        Self { state: Mutex::new(State::new(terms)), requests: Requests::new() }
    }

    /// Works on the state as it is now: what has come due is done first.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.catch_up();
        work(&mut state)
    }

    /// Gives a profile to a customer. A customer's first profile is its default one.
    pub fn open_profile(&self, customer: &str, profile: &str) {
        self.with(|state| state.vault.open(customer, profile));
    }

    /// Adds money; a profile that nobody has becomes the demo customer's. False if `amount` is not an amount.
    pub fn credit(&self, profile: &str, asset: &str, amount: &str) -> bool {
        let Some(amount) = Amount::parse(amount) else { return false };
        self.with(|state| {
            if !state.vault.is_open(profile) {
                state.vault.open(CUSTOMER, profile);
            }
            let pot = Account { profile: profile.to_owned(), asset: asset.to_owned() };
            state.vault.credit(pot, amount);
            true
        })
    }

    /// The money that a profile can spend, as a plain decimal without trailing zeros.
    #[must_use]
    pub fn balance(&self, profile: &str, asset: &str) -> String {
        let pot = Account { profile: profile.to_owned(), asset: asset.to_owned() };
        self.with(|state| state.vault.balance(&pot).to_string())
    }

    /// Every balance: profile → asset → amount.
    #[must_use]
    pub fn balances(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        self.with(|state| {
            let mut all: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
            for (pot, amount) in state.vault.balances() {
                all.entry(pot.profile.clone()).or_default().insert(pot.asset.clone(), amount.to_string());
            }
            all
        })
    }

    /// Puts a conversion there as it is and answers its id. `id`, `created_at` and `updated_at` are added when missing;
    /// no money moves.
    pub fn seed_conversion(&self, conversion: Value) -> String {
        self.seed(Side::Legacy, CUSTOMER, conversion)
    }

    /// Puts any orchestration there as it is, like [`Inspector::seed_conversion`]; it belongs to its `customer_id`, if any.
    pub fn seed_orchestration(&self, orchestration: Value) -> String {
        let customer = orchestration["customer_id"].as_str().unwrap_or(CUSTOMER).to_owned();
        self.seed(Side::New, &customer, orchestration)
    }

    fn seed(&self, side: Side, customer: &str, record: Value) -> String {
        let body = match record {
            Value::Object(body) => body,
            _ => Map::new(),
        };
        self.with(|state| state.seed(side, customer, body))
    }

    /// Records ever made by the demo customer, by `ref_id`: the oracle of "never convert twice".
    #[must_use]
    pub fn conversions_by_ref(&self) -> BTreeMap<String, Tally> {
        self.conversions_by_ref_of(CUSTOMER)
    }

    /// [`Inspector::conversions_by_ref`] for another customer.
    #[must_use]
    pub fn conversions_by_ref_of(&self, customer: &str) -> BTreeMap<String, Tally> {
        self.with(|state| {
            let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
            for side in [Side::Legacy, Side::New] {
                let records = state.shelf(side).records().filter(|record| record.customer == customer);
                for ref_id in
                    records.filter_map(|record| record.text("ref_id")).filter(|text| !text.is_empty())
                {
                    let tally = tallies.entry(ref_id.to_owned()).or_default();
                    match side {
                        Side::Legacy => tally.legacy += 1,
                        Side::New => tally.new += 1,
                    }
                }
            }
            tallies
        })
    }

    /// How many records a side holds, of every customer.
    #[must_use]
    pub fn records(&self, side: Side) -> usize {
        self.with(|state| state.shelf(side).records().count())
    }

    /// A record as its API would show it now.
    #[must_use]
    pub fn record(&self, side: Side, id: &str) -> Option<Value> {
        self.with(|state| state.shelf(side).get(id).map(super::records::Record::to_json))
    }

    /// Decides what becomes of orchestrations created from this profile from now on.
    pub fn set_outcome(&self, profile: &str, outcome: OrchestrationOutcome) {
        self.with(|state| state.outcomes.insert(profile.to_owned(), outcome));
    }

    /// Lets a PENDING orchestration go on to PROCESSING; it completes `settle_after` from now. False if it is not PENDING.
    pub fn approve(&self, id: &str) -> bool {
        self.with(|state| {
            let pending =
                state.shelf(Side::New).get(id).is_some_and(|record| record.text("status") == Some("PENDING"));
            if pending {
                let now = state.stamp();
                state.change(Side::New, id, "PROCESSING", now);
                state.plan(Side::New, id, now, "COMPLETED");
            }
            pending
        })
    }

    /// Ends an orchestration as REJECTED; the funds come back.
    pub fn reject(&self, id: &str) -> bool {
        self.set_status(id, "REJECTED")
    }

    /// Ends an orchestration as FAILED with that reason; the funds come back.
    pub fn fail(&self, id: &str, detail: &str) -> bool {
        let reason = Some(detail.to_owned());
        self.with(|state| state.edit(id, |record| record.reason = reason)) && self.set_status(id, "FAILED")
    }

    /// Gives a record of either side any status, known or not, and stops its own progress. Final statuses move the money:
    /// SETTLED and COMPLETED to the destination, CANCELLED, FAILED and REJECTED back. False if there is no such record.
    pub fn set_status(&self, id: &str, status: &str) -> bool {
        self.with(|state| {
            let now: Timestamp = state.stamp();
            state.side_of(id).is_some_and(|side| state.change(side, id, status, now))
        })
    }

    /// The requests that arrived, oldest first; only the last 10 000 are remembered.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.requests.all()
    }

    /// How many requests arrived, whatever became of them. Tokens and unknown paths have no side.
    pub fn arrived(&self, side: impl Into<Option<Side>>, operation: Operation) -> u64 {
        self.requests.arrived((side.into(), operation))
    }

    /// How many writes (creates, cancels) took effect, whatever the client was told.
    #[must_use]
    pub fn applied(&self, side: Side, operation: Operation) -> u64 {
        self.requests.applied((Some(side), operation))
    }

    /// Resolves once so many requests have arrived in all. Unbounded: give it a deadline.
    pub async fn wait_arrived(&self, side: impl Into<Option<Side>>, operation: Operation, count: u64) {
        self.requests.wait((side.into(), operation), count).await;
    }
}
