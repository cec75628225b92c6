//! Paging through a simulated vendor: every conversion that matches comes exactly once, in order, whatever the page size.

use std::collections::BTreeMap;

use conversion_shim::translate::list::ListQuery;
use conversion_shim::translate::list::page::PageBuilder;
use conversion_shim::translate::list::rows::Rows;
use conversion_shim::translate::side::Side;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

/// 2026-04-20T12:30:00Z, in nanoseconds.
const START: i128 = 1_776_688_200_000_000_000;
const SECOND: i128 = 1_000_000_000;
/// Few instants, so that many records share one; some lie within one second.
const OFFSETS: [i128; 9] =
    [0, 1, 397_730_000, SECOND - 1, SECOND, SECOND + 5, 2 * SECOND, 2 * SECOND + 500_000_000, 7 * SECOND];

#[derive(Clone, Debug)]
struct Record {
    id: String,
    created: i128,
    updated: i128,
    profile: &'static str,
    /// 0..=5 are conversions, the rest in different ways not.
    kind: u8,
}

impl Record {
    fn json(&self) -> Value {
        let mut it = json!({
            "id": self.id, "profile_id": self.profile, "ref_id": format!("r-{}", self.id), "status": "COMPLETED",
            "source_amount": "1", "source_asset": "USD", "destination_asset": "PYUSD",
            "created_at": text(self.created), "updated_at": text(self.updated),
            "source": {"profile": {"profile_id": self.profile}}, "destination": {"profile": {"profile_id": "q"}},
        });
        match self.kind {
            6 => it["source"] = json!({"crypto": {"address": "a"}}),
            7 => it["destination_asset"] = "USD".into(),
            8 => it["orchestration_rule_id"] = "rule".into(),
            _ => {}
        }
        it
    }
}

fn text(nanosecond: i128) -> String {
    Timestamp::from_nanosecond(nanosecond).unwrap().to_string()
}

fn nanosecond(text: &str) -> i128 {
    text.parse::<Timestamp>().unwrap().as_nanosecond()
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let offset = || prop::sample::select(OFFSETS.to_vec());
    let record = (offset(), offset(), prop::sample::select(vec!["p", "o"]), 0..9_u8, any::<bool>());
    prop::collection::vec(record, 0..45).prop_map(|records| {
        let record =
            |(at, (created, later, profile, kind, uuid)): (usize, (i128, i128, _, _, bool))| Record {
                // Neither in the order of time nor of one kind.
                id: if uuid {
                    uuid::Uuid::from_u128((at as u128) << 64).to_string()
                } else {
                    format!("id-{at}")
                },
                created: START + created,
                updated: START + created + later,
                profile,
                kind,
            };
        records.into_iter().enumerate().map(record).collect()
    })
}

/// How the vendor behaves where its documents are silent.
#[derive(Clone, Copy, Debug)]
struct Manners {
    /// Bounds on `created_at` lose their fraction, and so does what they are compared with.
    truncates: bool,
    /// `profile_id` has no effect.
    ignores_profile: bool,
    /// The most rows of one answer; `0`: an empty answer with a cursor before each one with rows.
    page: usize,
    /// Which of the arrays holds the rows.
    array: &'static str,
}

fn manners() -> impl Strategy<Value = Manners> {
    let array = prop::sample::select(vec!["items", "orchestrations", "both"]);
    (any::<bool>(), any::<bool>(), prop_oneof![Just(1000), 0..7_usize], array).prop_map(
        |(truncates, ignores_profile, page, array)| Manners { truncates, ignores_profile, page, array },
    )
}

/// The vendor's answer to a query, as a pure function. `salt` changes the order among records of one instant.
fn vendor(records: &[Record], manners: Manners, query: &str, salt: usize) -> Vec<u8> {
    let asked: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let coarse = |at: i128| if manners.truncates { at.div_euclid(SECOND) } else { at };
    let bound = |name: &str| asked.get(name).map(|text| coarse(nanosecond(text)));
    let mut found: Vec<_> = records
        .iter()
        .filter(|record| {
            (manners.ignores_profile
                || asked.get("profile_id").is_none_or(|profile| profile == record.profile))
                && asked.get("ref_id").is_none_or(|ref_id| *ref_id == format!("r-{}", record.id))
                && bound("created_at.gte").is_none_or(|bound| coarse(record.created) >= bound)
                && bound("created_at.lte").is_none_or(|bound| coarse(record.created) <= bound)
        })
        .collect();
    let tie =
        |id: &str| id.bytes().fold(salt, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into())) % 97;
    found.sort_by_key(|record| (record.created, tie(&record.id), record.id.clone()));
    if asked.get("order").is_none_or(|order| order == "DESC") {
        found.reverse();
    }
    let limit: usize = asked.get("limit").map_or(100, |limit| limit.parse().unwrap());
    assert!((1..=1000).contains(&limit), "the vendor would refuse limit={limit}");
    answer(&found, manners, limit, asked.get("page_cursor").map(String::as_str))
}

/// The vendor's own cursor: how many rows have gone out, and whether its next answer is an empty one.
fn answer(found: &[&Record], manners: Manners, limit: usize, cursor: Option<&str>) -> Vec<u8> {
    let (at, empty) = cursor.map_or((0, true), |cursor| {
        let (at, empty) = cursor.split_once('!').expect("the vendor's own cursor");
        (at.parse().unwrap(), empty == "empty")
    });
    let rows = match manners.page {
        0 if empty => 0,
        0 => limit.min(3),
        page => limit.min(page),
    };
    let rows: Vec<_> = found.iter().skip(at).take(rows).map(|record| record.json()).collect();
    let next = at + rows.len();
    let mut body = match manners.array {
        "both" => json!({"items": rows, "orchestrations": rows}),
        array => json!({array: rows}),
    };
    if next < found.len() {
        body["next_page_cursor"] =
            format!("{next}!{}", if rows.is_empty() { "full" } else { "empty" }).into();
    }
    body.to_string().into_bytes()
}

/// What a client asks for, apart from page size and order.
#[derive(Clone, Debug)]
struct Filters {
    profile: bool,
    created: [Option<i128>; 2],
    updated: [Option<i128>; 2],
}

fn filters() -> impl Strategy<Value = Filters> {
    let bound = || {
        prop::option::weighted(0.3, prop::sample::select(OFFSETS.to_vec()).prop_map(|offset| START + offset))
    };
    (any::<bool>(), [bound(), bound()], [bound(), bound()]).prop_map(|(profile, created, updated)| Filters {
        profile,
        created,
        updated,
    })
}

impl Filters {
    /// A vendor that keeps whole seconds cannot tell finer bounds of the client's apart; neither could the old API.
    fn coarsened_like(mut self, manners: Manners) -> Self {
        if manners.truncates {
            for bound in self.created.iter_mut().chain(&mut self.updated).flatten() {
                *bound = bound.div_euclid(SECOND) * SECOND;
            }
        }
        self
    }

    fn query(&self) -> String {
        let mut query = String::new();
        if self.profile {
            query.push_str("&profile_id=p");
        }
        for (name, [begin, end]) in [("created_at", self.created), ("updated_at", self.updated)] {
            for (name, bound) in [(format!("{name}.begin"), begin), (format!("{name}.end"), end)] {
                query.extend(bound.map(|bound| format!("&{name}={}", text(bound))));
            }
        }
        query
    }

    fn want(&self, record: &Record) -> bool {
        let within = |at: i128, [begin, end]: [Option<i128>; 2]| {
            begin.is_none_or(|begin| at >= begin) && end.is_none_or(|end| at <= end)
        };
        record.kind <= 5
            && (!self.profile || record.profile == "p")
            && within(record.created, self.created)
            && within(record.updated, self.updated)
    }
}

/// One page, as the flow in front of the real upstream puts it together.
fn page(query: &str, records: &[Record], manners: Manners, salt: usize) -> Value {
    let query = ListQuery::parse(query).unwrap_or_else(|invalid| panic!("{query}: {invalid}"));
    let mut page = PageBuilder::new(&query, &[Side::New]);
    for _ in 0..500 {
        let calls = page.needs();
        let Some(call) = calls.first() else {
            return serde_json::from_slice(&page.finish().unwrap().body).unwrap();
        };
        let path = query.path(call);
        let answer = vendor(records, manners, path.split_once('?').unwrap().1, salt);
        page.add(call.side, Rows::of(Side::New, &answer, &query).unwrap());
    }
    panic!("a page that never ends");
}

proptest! {
    #![proptest_config(super::cases(500))]

    #[test]
    fn every_conversion_comes_exactly_once_and_in_order(
        records in records(),
        manners in manners(),
        filters in filters(),
        limit in 1..12_usize,
        ascending in any::<bool>(),
        repeats_order in any::<bool>(),
    ) {
        let filters = filters.coarsened_like(manners);
        let mut left: BTreeMap<_, _> =
            records.iter().filter(|record| filters.want(record)).map(|record| (record.id.clone(), record.created)).collect();
        let base = format!("limit={limit}{}", filters.query());
        let order = if ascending { "&order=ASC" } else { "" };
        let mut query = format!("{base}{order}");
        let mut last = None;
        for salt in 0.. {
            let page = page(&query, &records, manners, salt);
            let items = page["items"].as_array().unwrap();
            prop_assert_eq!(items.len(), limit.min(left.len()), "a page is as full as it can be");
            for item in items {
                let created = left.remove(item["id"].as_str().unwrap());
                let created = created.ok_or_else(|| TestCaseError::fail(format!("twice, or not asked for: {item}")))?;
                prop_assert_eq!(nanosecond(item["created_at"].as_str().unwrap()), created);
                prop_assert!(last.is_none_or(|last| if ascending { last <= created } else { last >= created }), "order");
                last = Some(created);
            }
            let cursor = page["next_page_cursor"].as_str();
            prop_assert_eq!(cursor.is_some(), !left.is_empty(), "a cursor exactly when there are more");
            let Some(cursor) = cursor else { break };
            query = format!("{base}{}&page_cursor={cursor}", if repeats_order { order } else { "" });
        }
    }
}
