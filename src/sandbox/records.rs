//! The records of one API, in order of creation. Rules about money and statuses live in `state`.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::balances::Account;
use super::variants::{RefMatch, TieOrder};

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
    /// Whether it only shows a conversion of the old API.
    pub(super) is_mirror: bool,
    /// The id of its mirror on the new API.
    pub(super) mirror: Option<String>,
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
            is_mirror: false,
            mirror: None,
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

    pub(super) fn has_ref(&self, ref_id: &str, matching: RefMatch) -> bool {
        self.text("ref_id").is_some_and(|own| matching.same(own, ref_id))
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
    /// Only records made before this are shown.
    pub(super) made_before: Option<Timestamp>,
}

/// A record's position in lists: creation time, then what its vendor orders by, then id.
pub(super) type Position = (Timestamp, u64, String);

fn loosest(ref_id: &str) -> String {
    ref_id.trim().to_lowercase()
}

/// All records of one API, of every customer. Records are never removed.
#[derive(Default)]
pub(super) struct RecordStore {
    records: HashMap<String, Record>,
    order: BTreeSet<Position>,
    /// (customer, `ref_id` in its loosest form) → positions, oldest first.
    refs: HashMap<(String, String), Vec<Position>>,
}

impl RecordStore {
    pub(super) fn insert(&mut self, id: &str, mut record: Record, tie_order: TieOrder) {
        record.sequence = self.records.len();
        let position = (record.created, tie_order.key(id, record.sequence), id.to_owned());
        self.order.insert(position.clone());
        if let Some(ref_id) = record.text("ref_id").filter(|ref_id| !ref_id.is_empty()) {
            let key = (record.customer.clone(), loosest(ref_id));
            self.refs.entry(key).or_default().push(position);
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

    /// The first record that was made here with this reference.
    pub(super) fn by_ref(&self, customer: &str, ref_id: &str, matching: RefMatch) -> Option<&Record> {
        let records = self.similar(customer, ref_id).filter_map(|(_, _, id)| self.get(id));
        records.filter(|record| !record.is_mirror).find(|record| record.has_ref(ref_id, matching))
    }

    /// The positions of all records whose reference is the same under any [`RefMatch`].
    pub(super) fn similar(&self, customer: &str, ref_id: &str) -> impl Iterator<Item = &Position> {
        self.refs.get(&(customer.to_owned(), loosest(ref_id))).into_iter().flatten()
    }

    /// Every record that was made here.
    pub(super) fn made(&self) -> impl Iterator<Item = &Record> {
        self.records.values().filter(|record| !record.is_mirror)
    }

    /// Records by position, strictly after `after` in that direction; `among` are the only ones, if there are any.
    pub(super) fn ordered<'a>(
        &'a self,
        descending: bool,
        after: Option<Position>,
        among: Option<BTreeSet<&'a Position>>,
    ) -> Box<dyn Iterator<Item = (&'a Position, &'a Record)> + 'a> {
        use std::ops::Bound::{Excluded, Unbounded};
        let record = |position: &'a Position| self.records.get(&position.2).map(|found| (position, found));
        let bound = after.as_ref().map_or(Unbounded, Excluded);
        let range = if descending { (Unbounded, bound) } else { (bound, Unbounded) };
        // An index, or a lookup in a long run would read every record.
        let positions: Box<dyn DoubleEndedIterator<Item = &'a Position> + 'a> = match among {
            None => Box::new(self.order.range(range)),
            Some(among) => {
                let found: Vec<_> = among.range::<Position, _>(range).copied().collect();
                Box::new(found.into_iter())
            }
        };
        if descending {
            Box::new(positions.rev().filter_map(record))
        } else {
            Box::new(positions.filter_map(record))
        }
    }

    pub(super) fn shows(&self, record: &Record, view: &ReadView) -> bool {
        view.made_before.is_none_or(|until| record.created < until)
            && !view.hidden.iter().any(|hidden| match *hidden {
                HiddenRecords::Newest(count) => record.sequence.saturating_add(count) >= self.records.len(),
                HiddenRecords::YoungerThan(age) => record.inserted.elapsed() < age,
            })
    }
}
