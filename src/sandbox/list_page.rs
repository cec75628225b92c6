//! One page of a list: order, limit and cursor, and the JSON around the rows. Which rows match is decided by `legacy` and
//! `orchestrations`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::list_query::QueryParameters;
use super::problem::VendorProblem;
use super::records::{Position, ReadView, Record, RecordStore};
use super::state::VendorState;
use super::variants::{ListOrder, RefMatch, StaleCursor, Variants};
use crate::translate::side::Side;

const DEFAULT_LIMIT: usize = 100;
const MAXIMUM_LIMIT: usize = 1000;

/// The page that a query asks for.
pub(super) struct PageRequest {
    descending: bool,
    limit: usize,
    after: Option<Position>,
    /// A stale cursor that is answered an empty list, or an API whose lists have no rows.
    is_empty: bool,
    /// The rows of the page come by id.
    by_id: bool,
    cursor_epoch: u32,
    now: Timestamp,
}

/// Whose records a list shows, and with which references; none are any.
pub(super) struct RecordFilter<'a> {
    pub(super) customer: &'a str,
    pub(super) view: &'a ReadView,
    pub(super) refs: Vec<&'a str>,
    pub(super) matching: RefMatch,
}

/// The rows of a page, and the cursor of the next one, if there are more rows.
pub(super) struct ListPage {
    rows: Vec<Value>,
    next: Option<String>,
}

impl PageRequest {
    pub(super) fn parse(
        query: &QueryParameters,
        state: &VendorState,
        side: Side,
    ) -> Result<Self, VendorProblem> {
        let (variants, now) = (&state.variants, state.source.now());
        let descending = match query.single("order")? {
            None => variants.list_order != ListOrder::Oldest,
            Some("DESC") => true,
            // Descending all the same: this vendor ignores the parameter.
            Some("ASC") => variants.list_order == ListOrder::Fixed,
            Some(order) => {
                return Err(VendorProblem::bad_request(format!("order {order} is neither ASC nor DESC")));
            }
        };
        let limit = match query.single("limit")? {
            None => DEFAULT_LIMIT,
            Some(text) => {
                text.parse().ok().filter(|limit| (1..=MAXIMUM_LIMIT).contains(limit)).ok_or_else(|| {
                    VendorProblem::bad_request(format!("limit must be from 1 to {MAXIMUM_LIMIT}"))
                })?
            }
        };
        let cursor_epoch = variants.cursor_epoch;
        let mut request = Self {
            descending,
            limit,
            after: None,
            is_empty: variants.lists_nothing.applies_to(side),
            by_id: variants.list_order == ListOrder::Unsorted,
            cursor_epoch,
            now,
        };
        let invalid = || VendorProblem::bad_request("page_cursor is invalid");
        if let Some(text) = query.single("page_cursor")? {
            let cursor = ListCursor::read(text).ok_or_else(invalid)?;
            match variants.stale_cursor {
                _ if cursor.is_fresh(variants, now) => request.after = Some(cursor.after),
                StaleCursor::Refused => return Err(invalid()),
                StaleCursor::Ignored => {}
                StaleCursor::Empty => request.is_empty = true,
            }
        }
        Ok(request)
    }

    /// The selected records that `keep` accepts, as far as the view shows them.
    pub(super) fn read(
        &self,
        records: &RecordStore,
        filter: &RecordFilter<'_>,
        keep: impl Fn(&Record) -> bool,
    ) -> ListPage {
        let RecordFilter { customer, view, ref refs, matching } = *filter;
        let by_ref = !refs.is_empty() && !view.ignore_filters;
        let similar =
            by_ref.then(|| refs.iter().flat_map(|ref_id| records.similar(customer, ref_id)).collect());
        let has_ref = |record: &Record| refs.iter().any(|ref_id| record.has_ref(ref_id, matching));
        let ordered = records.ordered(self.descending, self.after.clone(), similar);
        let mut matching = ordered.filter(|(_, record)| {
            !self.is_empty
                && record.customer == customer
                && records.shows(record, view)
                && (view.ignore_filters || keep(record) && (refs.is_empty() || has_ref(record)))
        });
        let mut rows = Vec::new();
        let mut last = None;
        for (position, record) in matching.by_ref().take(self.limit) {
            rows.push(record.to_json());
            last = Some(position);
        }
        let more = matching.next().is_some();
        if self.by_id {
            rows.sort_by(|one, other| one["id"].as_str().cmp(&other["id"].as_str()));
        }
        let cursor =
            |last: &Position| ListCursor { epoch: self.cursor_epoch, made: self.now, after: last.clone() };
        ListPage { rows, next: last.filter(|_| more).map(|last| cursor(last).write()) }
    }
}

impl ListPage {
    /// The page with its rows under each of these names, and empty arrays under the others.
    pub(super) fn into_json(self, names: &[&str], empty: &[&str]) -> Value {
        let rows = names.iter().map(|name| ((*name).to_owned(), json!(self.rows)));
        let none = empty.iter().map(|name| ((*name).to_owned(), json!([])));
        let mut page: Map<_, _> = rows.chain(none).collect();
        page.extend(self.next.map(|next| ("next_page_cursor".to_owned(), json!(next))));
        Value::Object(page)
    }
}

/// Where the next page begins, and when and under which number the cursor was made.
struct ListCursor {
    epoch: u32,
    made: Timestamp,
    after: Position,
}

impl ListCursor {
    fn write(&self) -> String {
        let (at, key, id) = &self.after;
        let (epoch, made, at) = (self.epoch, self.made.as_nanosecond(), at.as_nanosecond());
        URL_SAFE_NO_PAD.encode(format!("{epoch}/{made}/{at}/{key}/{id}"))
    }

    fn read(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut parts = text.splitn(5, '/');
        let mut next = || parts.next();
        let (epoch, made, at, key, id) = (next()?, next()?, next()?, next()?, next()?);
        let time = |text: &str| Timestamp::from_nanosecond(text.parse().ok()?).ok();
        let after = (time(at)?, key.parse().ok()?, id.to_owned());
        Some(Self { epoch: epoch.parse().ok()?, made: time(made)?, after })
    }

    fn is_fresh(&self, variants: &Variants, now: Timestamp) -> bool {
        let age = now.duration_since(self.made).unsigned_abs().as_millis();
        self.epoch == variants.cursor_epoch
            && (variants.cursor_life_ms == 0 || age <= u128::from(variants.cursor_life_ms))
    }
}
