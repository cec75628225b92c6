//! Records and how they are kept: one shelf for each API, ordered by creation. No rules about money or statuses here.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::money::Amount;

/// Whose balance, of what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Account {
    pub(super) profile: String,
    pub(super) asset: String,
}

/// Money taken from `from` that has not reached its end yet. Without a `to` it leaves the platform.
#[derive(Debug)]
pub(super) struct Funds {
    pub(super) amount: Amount,
    pub(super) from: Account,
    pub(super) to: Option<Account>,
}

/// The status a record takes by itself when its time has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) at: Timestamp,
    pub(super) status: &'static str,
}

/// A conversion or an orchestration: the JSON that readers get, and what the JSON does not say.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) customer: String,
    pub(super) created: Timestamp,
    pub(super) body: Map<String, Value>,
    pub(super) funds: Option<Funds>,
    pub(super) plan: Option<Plan>,
    /// Why it will fail, if it will; shown only then.
    pub(super) reason: Option<String>,
    sequence: usize,
    made: Instant,
}

impl Record {
    pub(super) fn new(customer: &str, created: Timestamp, body: Map<String, Value>) -> Self {
        let (funds, plan, reason) = (None, None, None);
        let customer = customer.to_owned();
        Self { customer, created, body, funds, plan, reason, sequence: 0, made: Instant::now() }
    }

    /// A field's text, if it is there and is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.body.insert(name.to_owned(), value.into());
    }

    pub(super) fn to_json(&self) -> Value {
        Value::Object(self.body.clone())
    }
}

/// Which records a reader does not see yet, because what it reads from lags behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HiddenRecords {
    /// The newest so many of that API (`usize::MAX` hides all).
    Newest(usize),
    /// Those made less than this long ago.
    YoungerThan(Duration),
}

/// How a read is distorted; by default not at all.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) ignore_filters: bool,
    pub(super) hidden: Vec<HiddenRecords>,
}

/// All records of one API, of every customer. Nothing is ever removed.
#[derive(Default)]
pub(super) struct Accounts {
    records: HashMap<String, Record>,
    order: BTreeSet<(Timestamp, String)>,
    refs: HashMap<(String, String), String>,
}

impl Accounts {
    pub(super) fn put(&mut self, id: &str, mut record: Record) {
        record.sequence = self.records.len();
        self.order.insert((record.created, id.to_owned()));
        if let Some(ref_id) = record.text("ref_id").filter(|ref_id| !ref_id.is_empty()) {
            // A seeded duplicate leaves the first record as the one that creates collide with.
            let key = (record.customer.clone(), ref_id.to_owned());
            self.refs.entry(key).or_insert_with(|| id.to_owned());
        }
        self.records.insert(id.to_owned(), record);
    }

    pub(super) fn get(&self, id: &str) -> Option<&Record> {
        self.records.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Record> {
        self.records.get_mut(id)
    }

    /// The record as that customer's reader sees it.
    pub(super) fn visible(&self, id: &str, customer: &str, view: &View) -> Option<&Record> {
        self.get(id).filter(|record| record.customer == customer && self.shows(record, view))
    }

    pub(super) fn by_ref(&self, customer: &str, ref_id: &str) -> Option<&Record> {
        self.refs.get(&(customer.to_owned(), ref_id.to_owned())).and_then(|id| self.get(id))
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// Records by creation, then id, strictly after `after` in the direction asked for.
    pub(super) fn ordered<'shelf>(
        &'shelf self,
        descending: bool,
        after: Option<&(Timestamp, String)>,
    ) -> Box<dyn Iterator<Item = (&'shelf (Timestamp, String), &'shelf Record)> + 'shelf> {
        use std::ops::Bound::{Excluded, Unbounded};
        let bound = after.cloned().map_or(Unbounded, Excluded);
        let record = |key: &'shelf (Timestamp, String)| self.records.get(&key.1).map(|found| (key, found));
        if descending {
            Box::new(self.order.range((Unbounded, bound)).rev().filter_map(record))
        } else {
            Box::new(self.order.range((bound, Unbounded)).filter_map(record))
        }
    }

    pub(super) fn shows(&self, record: &Record, view: &View) -> bool {
        !view.hidden.iter().any(|hidden| match *hidden {
            HiddenRecords::Newest(count) => record.sequence.saturating_add(count) >= self.records.len(),
            HiddenRecords::YoungerThan(age) => record.made.elapsed() < age,
        })
    }
}
