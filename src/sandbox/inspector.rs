//! What tests and operators read and arrange behind the two APIs. Rules live in `state`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};

use super::amount;
use super::balances::Account;
use super::operation::Operation;
use super::options::{CUSTOMER, Options};
use super::records::Record;
use super::request_log::{ReceivedRequest, RequestLog};
use super::state::{OrchestrationOutcome, VendorState};
use super::variants::Variants;
use crate::translate::side::Side;

/// How many records were created with one `ref_id`, cancelled and failed ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Conversions.
    pub legacy: usize,
    /// Orchestrations.
    pub new: usize,
}

/// Records, balances and requests of one sandbox. Cheap, synchronous, and safe to use from any thread.
pub struct Inspector {
    state: Mutex<VendorState>,
    pub(super) requests: RequestLog,
}

impl Inspector {
    pub(super) fn new(options: &Options) -> Self {
        Self { state: Mutex::new(VendorState::new(options)), requests: RequestLog::new() }
    }

    /// Runs `work` on the state, after every scheduled status that is due.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut VendorState) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.apply_due();
        work(&mut state)
    }

    /// Gives a profile to a customer. A customer's first profile is its default one.
    pub fn open_profile(&self, customer: &str, profile: &str) {
        self.with(|state| state.balances.open(customer, profile));
    }

    /// Credits an account; an unknown profile is given to [`CUSTOMER`]. False if `amount` is not an amount.
    pub fn credit(&self, profile: &str, asset: &str, amount: &str) -> bool {
        let Some(amount) = amount::parse(amount) else { return false };
        self.with(|state| {
            if !state.balances.is_open(profile) {
                state.balances.open(CUSTOMER, profile);
            }
            state.balances.credit(Account::new(profile, asset), amount);
            true
        })
    }

    /// The available balance, as a plain decimal without trailing zeros.
    #[must_use]
    pub fn balance(&self, profile: &str, asset: &str) -> String {
        self.with(|state| amount::format(state.balances.balance(&Account::new(profile, asset))))
    }

    /// Every balance: profile → asset → amount.
    #[must_use]
    pub(crate) fn balances(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        self.with(|state| {
            let mut all: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
            for (account, balance) in state.balances.all() {
                let assets = all.entry(account.profile.clone()).or_default();
                assets.insert(account.asset.clone(), amount::format(balance));
            }
            all
        })
    }

    /// Inserts a conversion as given and returns its id. `id`, `created_at` and `updated_at` are added when missing; no money moves.
    pub fn seed_conversion(&self, conversion: Value) -> String {
        self.seed(Side::Legacy, CUSTOMER, conversion)
    }

    /// Inserts an orchestration as given, like [`Inspector::seed_conversion`]; it belongs to its `customer_id`, if it has one.
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

    /// Records created by [`CUSTOMER`], by `ref_id`: the test oracle of "never convert twice".
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
                let records = state.records(side).made().filter(|record| record.customer == customer);
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

    /// How many records a side holds, of every customer; without mirrors of the other side's.
    #[must_use]
    pub fn records(&self, side: Side) -> usize {
        self.with(|state| state.records(side).made().count())
    }

    /// A record as its API would show it now.
    #[must_use]
    pub fn record(&self, side: Side, id: &str) -> Option<Value> {
        self.with(|state| state.records(side).get(id).map(Record::to_json))
    }

    /// The side that holds a record.
    #[must_use]
    pub(crate) fn side_of(&self, id: &str) -> Option<Side> {
        self.with(|state| state.side_of(id))
    }

    /// Sets the outcome of orchestrations created from this profile from now on.
    pub fn set_outcome(&self, profile: &str, outcome: OrchestrationOutcome) {
        self.with(|state| state.outcomes.insert(profile.to_owned(), outcome));
    }

    /// Moves a PENDING orchestration to PROCESSING; it completes `settle_after` from now. False if it is not PENDING.
    pub fn approve(&self, id: &str) -> bool {
        self.with(|state| {
            let pending = state
                .records(Side::New)
                .get(id)
                .is_some_and(|record| record.text("status") == Some("PENDING"));
            if pending {
                let now = state.now();
                state.set_status(Side::New, id, "PROCESSING", now);
                state.schedule(Side::New, id, now, "COMPLETED");
            }
            pending
        })
    }

    /// Sets any status, known or not, on a record of either side, and cancels its scheduled one. Final statuses move the money:
    /// SETTLED and COMPLETED to the destination, CANCELLED, FAILED and REJECTED back. False if there is no such record.
    pub fn set_status(&self, id: &str, status: &str) -> bool {
        self.with(|state| {
            let now = state.now();
            state.side_of(id).is_some_and(|side| state.set_status(side, id, status, now))
        })
    }

    /// A copy of the variants in force.
    #[must_use]
    pub fn variants(&self) -> Variants {
        self.with(|state| state.variants.clone())
    }

    /// Changes the variants in force from the next request on.
    pub fn set_variants(&self, variants: Variants) {
        self.with(|state| state.variants = variants);
    }

    /// The requests that arrived, oldest first; only the last 10 000 are kept.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.requests.all()
    }

    /// How many requests arrived, whatever was answered. Tokens and unknown paths have no side.
    pub fn arrived(&self, side: impl Into<Option<Side>>, operation: Operation) -> u64 {
        self.requests.arrived((side.into(), operation))
    }

    /// How many writes (creates, cancels) took effect, whatever was answered.
    #[must_use]
    pub fn applied(&self, side: Side, operation: Operation) -> u64 {
        self.requests.applied((Some(side), operation))
    }

    /// Resolves once that many requests have arrived in all. Unbounded: give it a deadline.
    pub async fn wait_arrived(&self, side: impl Into<Option<Side>>, operation: Operation, count: u64) {
        self.requests.wait((side.into(), operation), count).await;
    }

    /// Resolves once no request is being handled: what has arrived has taken effect, or never will. Unbounded: give it a deadline.
    pub async fn wait_idle(&self) {
        self.requests.wait_idle().await;
    }
}
