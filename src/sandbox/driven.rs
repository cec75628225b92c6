//! The vendor without a network: one call at a time, at a time that the caller sets, with the same ids in every run. `simulate` uses it.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::balances::Account;
use super::list_query::QueryParameters;
use super::operation::Operation;
use super::options::{CUSTOMER, Options, PROFILE, SECOND_PROFILE};
use super::presentation::present;
use super::problem::VendorProblem;
use super::records::{ReadView, Record};
use super::source::TimeSource;
use super::state::VendorState;
use super::variants::Variants;
use super::{legacy, orchestrations};
use crate::translate::side::Side;

/// A call to one API.
#[derive(Clone, Copy, Debug)]
pub enum DrivenCall<'a> {
    /// The body of a create.
    Create(&'a [u8]),
    /// A get of the record with this id.
    Get(&'a str),
    /// A list with this query string.
    List(&'a str),
    /// A cancel of the record with this id.
    Cancel(&'a str),
}

/// An answer before it is put on the wire.
#[derive(Clone, Debug)]
pub struct DrivenReply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

/// One vendor with one customer, two funded profiles and a clock that stands until it is set.
pub struct DrivenVendor(VendorState);

impl DrivenVendor {
    /// A vendor with these variants whose records are settled after `settle_after`.
    #[must_use]
    pub fn new(variants: Variants, settle_after: Duration, now: Timestamp) -> Self {
        let options = Options { variants, settle_after, ..Options::default() };
        let mut state = VendorState::with_source(&options, TimeSource::Given { now, ids: 0 });
        for profile in [PROFILE, SECOND_PROFILE] {
            state.balances.open(CUSTOMER, profile);
            state.balances.credit(Account::new(profile, "USD"), Decimal::from(1_000_000_000));
        }
        Self(state)
    }

    /// The clock stands at `now` until the next call.
    pub fn set_now(&mut self, now: Timestamp) {
        if let TimeSource::Given { now: current, .. } = &mut self.0.source {
            *current = now;
        }
    }

    /// Answers a call. Reads show only what was made before `listed_before`, as from a replica that lags behind.
    pub fn call(
        &mut self,
        side: Side,
        call: DrivenCall<'_>,
        listed_before: Option<Timestamp>,
    ) -> DrivenReply {
        self.0.apply_due();
        let view = ReadView { made_before: listed_before, ..ReadView::default() };
        let (operation, result) = match call {
            DrivenCall::Create(body) => (Operation::Create, self.create(side, body)),
            DrivenCall::Get(id) => (Operation::Get, self.get(side, id, &view)),
            DrivenCall::List(query) => (Operation::List, self.list(side, query, &view)),
            DrivenCall::Cancel(id) => (Operation::Cancel, legacy::cancel(&mut self.0, CUSTOMER, id)),
        };
        let (status, content_type, body) = present(&self.0.variants, side, operation, result).into_parts();
        DrivenReply { status, content_type, body }
    }

    fn create(&mut self, side: Side, body: &[u8]) -> Result<Value, VendorProblem> {
        match side {
            Side::Legacy => legacy::create(&mut self.0, CUSTOMER, body),
            Side::New => orchestrations::create(&mut self.0, CUSTOMER, body),
        }
    }

    fn get(&self, side: Side, id: &str, view: &ReadView) -> Result<Value, VendorProblem> {
        match side {
            Side::Legacy => legacy::get(&self.0, CUSTOMER, id, view),
            Side::New => orchestrations::get(&self.0, CUSTOMER, id, view),
        }
    }

    fn list(&self, side: Side, query: &str, view: &ReadView) -> Result<Value, VendorProblem> {
        let query = QueryParameters::parse(query, self.0.variants.plus_is_literal);
        match side {
            Side::Legacy => legacy::list(&self.0, CUSTOMER, &query, view),
            Side::New => orchestrations::list(&self.0, CUSTOMER, &query, view),
        }
    }

    /// Inserts an orchestration as given.
    pub fn insert(&mut self, body: Map<String, Value>) -> String {
        self.0.seed(Side::New, CUSTOMER, body)
    }

    /// Sets the status of a record, known to the API or not.
    pub fn set_status(&mut self, side: Side, id: &str, status: &str) {
        let now = self.0.now();
        self.0.set_status(side, id, status, now);
    }

    /// How many records a side made with this reference; a mirror is none.
    #[must_use]
    pub fn made(&self, side: Side, ref_id: &str) -> usize {
        self.records(side, ref_id).filter(|record| !record.is_mirror).count()
    }

    /// The first record with this reference that a side made, else one that it only shows.
    #[must_use]
    pub fn record(&self, side: Side, ref_id: &str) -> Option<&Map<String, Value>> {
        let records = || self.records(side, ref_id);
        let own = records().find(|record| !record.is_mirror);
        own.or_else(|| records().next()).map(|record| &record.body)
    }

    /// The record with this id on a side, if it is no mirror.
    #[must_use]
    pub fn by_id(&self, side: Side, id: &str) -> Option<&Map<String, Value>> {
        self.0.records(side).get(id).filter(|record| !record.is_mirror).map(|record| &record.body)
    }

    fn records(&self, side: Side, ref_id: &str) -> impl Iterator<Item = &Record> {
        let store = self.0.records(side);
        store.similar(CUSTOMER, ref_id).filter_map(|(_, _, id)| store.get(id))
    }
}
