//! Lists: pages as the shipped merge makes them, with creates in between. A listing that was read to its end is compared with what there was
//! when it began.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::reads::UNKNOWN_STATUS;
use super::send::query_of;
use super::under_way::{Happened, Listing, Promise};
use super::world::{World, reference_name};
use crate::config::Mode;
use crate::routes::create::events::ClaimState;
use crate::sandbox::DrivenCall;
use crate::translate::facts::Mirror;
use crate::translate::list::ListQuery;
use crate::translate::list::page::PageBuilder;
use crate::translate::list::rows::Rows;
use crate::translate::side::Side;

/// Most calls for one page.
pub(super) const CALLS_MAX: usize = 10;

#[derive(Deserialize)]
struct ShownPage {
    items: Vec<ShownRow>,
    next_page_cursor: Option<String>,
}

#[derive(Deserialize)]
struct ShownRow {
    id: String,
    ref_id: Option<String>,
    status: String,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Paging {
    pub(super) replica: usize,
    pub(super) limit: u8,
    pub(super) ascending: bool,
}

impl World {
    pub(super) fn page(&mut self, number: u8, paging: Paging) -> Option<Happened> {
        let replica = self.listings.get(&number).map_or(paging.replica, |listing| listing.replica);
        let sides: &'static [Side] = match self.replicas[replica].stage.modes().list {
            Mode::Both => &[Side::Legacy, Side::New],
            Mode::New => &[Side::New],
            _ => return None,
        };
        if !self.replicas[replica].has_ledger {
            return None;
        }
        // A listing that goes on over other sides shows others' records.
        let begun = self.listings.remove(&number);
        let mut listing = match begun.filter(|listing| listing.sides == sides) {
            Some(listing) => listing,
            None => self.begin(sides, paging),
        };
        self.counts.pages += 1;
        if self.lags != [None; 2] {
            listing.expected = None;
        }
        let words = format!("replica {replica} lists {sides:?} ({})", listing.query);
        let text = format!("{}&page_cursor={}", listing.query, listing.cursor);
        let Some(page) = self.read_page(sides, &text) else {
            return Some((words + ": no page", Ok(())));
        };
        let (shown, promise) = self.compare(number, listing, page);
        Some((words + &shown, promise))
    }

    fn begin(&self, sides: &'static [Side], paging: Paging) -> Listing {
        let Paging { replica, limit, ascending } = paging;
        let order = if ascending { "ASC" } else { "DESC" };
        Listing {
            replica,
            sides,
            query: format!("limit={limit}&order={order}"),
            cursor: String::new(),
            expected: Some(self.records_of(sides)),
            seen: BTreeSet::new(),
        }
    }

    /// The conversions that a listing over these sides has to show. One side alone also shows its mirrors.
    fn records_of(&self, sides: &[Side]) -> Vec<(String, String)> {
        let mut records = Vec::new();
        for reference in 0..self.setting.references {
            let name = reference_name(reference);
            for side in sides {
                let is_shown = self.vendor.made(*side, &name) > 0 || sides.len() == 1;
                let record = self.vendor.record(*side, &name).filter(|_| is_shown);
                // The withdrawal was never a conversion.
                let is_conversion = |record: &&serde_json::Map<String, serde_json::Value>| {
                    record.get("destination").is_none_or(|to| to.get("crypto").is_none())
                };
                let id = record.filter(is_conversion).and_then(|record| record.get("id")?.as_str());
                records.extend(id.map(|id| (id.to_owned(), name.clone())));
            }
        }
        records
    }

    /// One page, with the calls that it takes, as `routes::list` makes them.
    fn read_page(&mut self, sides: &[Side], text: &str) -> Option<ShownPage> {
        let query = ListQuery::parse(text).ok()?.with_facts(self.facts());
        let mut page = PageBuilder::new(&query, sides);
        let mut made = 0;
        loop {
            let calls = page.needs();
            if calls.is_empty() {
                break;
            }
            made += calls.len();
            if made > CALLS_MAX {
                if page.cut() {
                    break;
                }
                return None;
            }
            for call in calls {
                let path = query.path(&call);
                let reply = self.call(call.side, DrivenCall::List(query_of(&path)));
                if call.has_hint && reply.status == 400 && page.drop_hint(call.side) {
                    continue;
                }
                let rows = (reply.status == 200).then(|| self.rows(call.side, &reply.body, &query))??;
                if call.side == Side::New && sides.len() > 1 {
                    page.add_made_on_new(self.made_on_new(&rows));
                }
                page.add(call.side, self.without_mirrors(call.side, rows, sides));
            }
        }
        serde_json::from_slice(&page.finish().ok()?.body).ok()
    }

    fn rows(&self, side: Side, body: &[u8], query: &ListQuery) -> Option<Rows> {
        let rows = Rows::of(side, body, query).ok()?;
        if rows.hidden.is_empty() {
            return Some(rows);
        }
        Rows::with_own(side, body, query, &self.own_records()).ok()
    }

    fn made_on_new(&self, rows: &Rows) -> Vec<String> {
        if self.facts().mirror != Mirror::OtherId {
            return Vec::new();
        }
        let named: BTreeSet<_> = rows.references().collect();
        let claims = self.ledger.claims.iter();
        let on_new =
            claims.filter(|(_, claim)| claim.row.side == Side::New && claim.row.state != ClaimState::Refused);
        on_new
            .map(|(reference, _)| reference_name(*reference))
            .filter(|name| named.contains(name.as_str()))
            .collect()
    }

    fn without_mirrors(&self, side: Side, mut rows: Rows, sides: &[Side]) -> Rows {
        if sides.len() > 1 && side == Side::New && self.facts().mirror == Mirror::SameId {
            let claims = self.ledger.claims.values().filter(|claim| claim.row.side == Side::Legacy);
            rows.drop_mirrored(&claims.filter_map(|claim| claim.record_id.clone()).collect());
        }
        rows
    }

    /// No row twice, none missing at the end, and no unknown status that looks final.
    fn compare(&mut self, number: u8, mut listing: Listing, page: ShownPage) -> (String, Promise) {
        let ids: Vec<_> = page.items.iter().map(|row| row.id.as_str()).collect();
        let words = format!(": {}", ids.join(" "));
        for ShownRow { id, ref_id, status } in &page.items {
            let name = ref_id.as_deref().unwrap_or_default();
            let is_unknown =
                self.vendor.record(Side::New, name).and_then(|record| record.get("status")?.as_str());
            if is_unknown == Some(UNKNOWN_STATUS) && status != "CREATED" && listing.sides.len() == 1 {
                return (words, Err(format!("the status {UNKNOWN_STATUS} was listed as {status}")));
            }
            // By reference as well: a mirror and what it shows are one record under two ids.
            let is_new = listing.seen.insert(id.clone()) && listing.seen.insert(name.to_owned());
            if !is_new && listing.expected.is_some() {
                return (words, Err(format!("a listing showed {id} ({name}) twice")));
            }
            if !self.ids.contains(id) {
                self.ids.push(id.clone());
            }
        }
        let Some(cursor) = page.next_page_cursor else {
            self.counts.listings += 1;
            // Once claims were lost, a claim may name new for a record that is legacy's: then its mirror is the row that is shown.
            let is_shown =
                |(id, name): &&(String, String)| listing.seen.contains(if self.lost { name } else { id });
            let mut missing = listing.expected.iter().flatten().filter(|record| !is_shown(record));
            return match missing.next() {
                Some((id, _)) => (words, Err(format!("a listing that is at its end did not show {id}"))),
                None => (words, Ok(())),
            };
        };
        if page.items.is_empty() {
            return (words, Err("a page without rows says that there are more".into()));
        }
        listing.cursor = cursor;
        self.listings.insert(number, listing);
        (words, Ok(()))
    }
}
