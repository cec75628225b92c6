//! The records of one API, in order of creation. Rules about money and statuses live in `state`.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::balances::Account;

/// Money debited from `from` and not credited yet. Without `to` it leaves the platform.
#[derive(Debug)]
pub(super) struct Funds {
    pub(super) amount: Decimal,
    pub(super) from: Account,
    pub(super) to: Option<Account>,
}

/// The status that a record gets at a time, unless something changes it before.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScheduledStatus {
    pub(super) at: Timestamp,
    pub(super) status: &'static str,
}

/// A conversion or an orchestration: the JSON that readers get, and state that the JSON does not show.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) customer: String,
    pub(super) created: Timestamp,
    pub(super) body: Map<String, Value>,
    pub(super) funds: Option<Funds>,
    pub(super) scheduled: Option<ScheduledStatus>,
    /// Why it will fail; shown only once it has.
    pub(super) fail_reason: Option<String>,
    sequence: usize,
    inserted: Instant,
}

impl Record {
    pub(super) fn new(customer: &str, created: Timestamp, body: Map<String, Value>) -> Self {
        Self {
            customer: customer.to_owned(),
            created,
            body,
            funds: None,
            scheduled: None,
            fail_reason: None,
            sequence: 0,
            inserted: Instant::now(),
        }
    }

    /// A field's value, if it is a string.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.body.insert(name.to_owned(), value.into());
    }

    /// Sets the fields that have a value, in this order; JSON fields keep the order of insertion.
    pub(super) fn set_all<'a>(&mut self, fields: impl IntoIterator<Item = (&'static str, Option<&'a str>)>) {
        for (name, value) in fields {
            if let Some(value) = value {
                self.set(name, value);
            }
        }
    }

    pub(super) fn to_json(&self) -> Value {
        Value::Object(self.body.clone())
    }
}

/// Records that a read does not show yet, as from a replica that lags behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum HiddenRecords {
    /// That many of the newest records of the API; `usize::MAX` hides all.
    #[serde(rename = "newest")]
    Newest(usize),
    /// Records inserted less than this long ago.
    #[serde(rename = "younger_than_ms", deserialize_with = "milliseconds")]
    YoungerThan(Duration),
}

/// Reads a duration from a number of milliseconds.
pub(super) fn milliseconds<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_millis)
}

/// How faults distort a read; the default is not at all.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadView {
    pub(super) ignore_filters: bool,
    pub(super) hidden: Vec<HiddenRecords>,
}

/// A record's position in lists: creation time, then id.
pub(super) type Position = (Timestamp, String);

/// All records of one API, of every customer. Records are never removed.
#[derive(Default)]
pub(super) struct RecordStore {
    records: HashMap<String, Record>,
    order: BTreeSet<Position>,
    /// (customer, `ref_id`) → record id.
    refs: HashMap<(String, String), String>,
}

impl RecordStore {
    pub(super) fn insert(&mut self, id: &str, mut record: Record) {
        record.sequence = self.records.len();
        self.order.insert((record.created, id.to_owned()));
        if let Some(ref_id) = record.text("ref_id").filter(|ref_id| !ref_id.is_empty()) {
            // A seeded duplicate does not replace the record that creates conflict with.
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

    /// The record, if that customer may read it through this view.
    pub(super) fn visible(&self, id: &str, customer: &str, view: &ReadView) -> Option<&Record> {
        self.get(id).filter(|record| record.customer == customer && self.shows(record, view))
    }

    pub(super) fn by_ref(&self, customer: &str, ref_id: &str) -> Option<&Record> {
        self.refs.get(&(customer.to_owned(), ref_id.to_owned())).and_then(|id| self.get(id))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// Records by position, strictly after `after` in that direction.
    pub(super) fn ordered<'a>(
        &'a self,
        descending: bool,
        after: Option<&Position>,
    ) -> Box<dyn Iterator<Item = (&'a Position, &'a Record)> + 'a> {
        use std::ops::Bound::{Excluded, Unbounded};
        let bound = after.cloned().map_or(Unbounded, Excluded);
        let record = |position: &'a Position| self.records.get(&position.1).map(|found| (position, found));
        if descending {
            Box::new(self.order.range((Unbounded, bound)).rev().filter_map(record))
        } else {
            Box::new(self.order.range((bound, Unbounded)).filter_map(record))
        }
    }

    pub(super) fn shows(&self, record: &Record, view: &ReadView) -> bool {
        !view.hidden.iter().any(|hidden| match *hidden {
            HiddenRecords::Newest(count) => record.sequence.saturating_add(count) >= self.records.len(),
            HiddenRecords::YoungerThan(age) => record.inserted.elapsed() < age,
        })
    }
}
