//! Merging two sides that list each other's conversions: every record comes once, a double comes twice, whatever the page size, the order
//! and the vendor's own pages.

use std::collections::BTreeMap;

use conversion_shim::translate::facts::{Facts, Mirror};
use conversion_shim::translate::list::ListQuery;
use conversion_shim::translate::list::page::PageBuilder;
use conversion_shim::translate::list::rows::Rows;
use conversion_shim::translate::side::Side;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

/// What the sides hold of one reference.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Held {
    OnLegacy,
    OnNew,
    /// Legacy's, and listed by new as well.
    Mirrored,
    /// Two records that differ in their amount.
    Twice,
}

#[derive(Clone, Debug)]
struct Reference {
    held: Held,
    /// Few, so that many records share an instant.
    second: i64,
    /// The order of ids is another one than that of references, and another one on each side.
    shuffle: u8,
}

fn references(seconds: i64, count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Reference>> {
    let held =
        prop::sample::select(vec![Held::OnLegacy, Held::OnNew, Held::Mirrored, Held::Mirrored, Held::Twice]);
    let reference = (held, 0..seconds, any::<u8>());
    prop::collection::vec(
        reference.prop_map(|(held, second, shuffle)| Reference { held, second, shuffle }),
        count,
    )
}

#[derive(Clone, Copy, Debug)]
struct Vendor {
    /// Mirrors have the original's id.
    same_id: bool,
    /// The most rows of one answer.
    page: usize,
}

impl Vendor {
    /// The rows of a side in the order of the listing.
    fn rows(self, side: Side, references: &[Reference], ascending: bool) -> Vec<(i64, Value)> {
        let mut rows: Vec<_> = references
            .iter()
            .enumerate()
            .filter_map(|(number, reference)| Some((reference.second, self.row(side, number, reference)?)))
            .collect();
        rows.sort_by_key(|(second, row)| (*second, row["id"].to_string()));
        if !ascending {
            rows.reverse();
        }
        rows
    }

    fn row(self, side: Side, number: usize, reference: &Reference) -> Option<Value> {
        let Reference { held, second, shuffle } = *reference;
        let legacy_id = format!("{shuffle:03}-{number}-legacy");
        let new_id = format!("{:03}-{number}-new", shuffle.reverse_bits());
        let at = Timestamp::from_second(1_776_688_200 + second).unwrap().to_string();
        let ref_id = format!("r-{number}");
        match (side, held) {
            (Side::Legacy, Held::OnNew) | (Side::New, Held::OnLegacy) => None,
            (Side::Legacy, _) => Some(json!({
                "id": legacy_id, "profile_id": "p", "amount": "1.0", "source_asset": "USD", "target_asset": "PYUSD",
                "status": "CREATED", "ref_id": ref_id, "created_at": at, "updated_at": at,
            })),
            (Side::New, _) => Some(json!({
                "id": if self.same_id && held == Held::Mirrored { legacy_id } else { new_id }, "profile_id": "p",
                "source_amount": if held == Held::Twice { "2" } else { "1" }, "source_asset": "USD",
                "destination_asset": "PYUSD", "status": "PROCESSING", "ref_id": ref_id, "created_at": at,
                "updated_at": at,
            })),
        }
    }

    fn answer(self, rows: &[(i64, Value)], asked: &str) -> Vec<u8> {
        let query = asked.split_once('?').unwrap().1;
        let asked: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let bound = |names: [&str; 2]| {
            let text = names.into_iter().find_map(|name| asked.get(name))?;
            Some(text.parse::<Timestamp>().unwrap().as_second() - 1_776_688_200)
        };
        let (begin, end) =
            (bound(["created_at.begin", "created_at.gte"]), bound(["created_at.end", "created_at.lte"]));
        let found: Vec<_> = rows
            .iter()
            .filter(|(second, _)| {
                begin.is_none_or(|begin| *second >= begin) && end.is_none_or(|end| *second <= end)
            })
            .collect();
        let limit: usize = asked["limit"].parse().unwrap();
        let at: usize = asked.get("page_cursor").map_or(0, |cursor| cursor.parse().unwrap());
        let items: Vec<_> = found.iter().skip(at).take(limit.min(self.page)).map(|(_, row)| row).collect();
        let next = at + items.len();
        let mut body = json!({ "items": items });
        if next < found.len() {
            body["next_page_cursor"] = next.to_string().into();
        }
        body.to_string().into_bytes()
    }

    /// One page, and how many doubles it reports.
    fn page(self, query: &ListQuery, references: &[Reference], ascending: bool) -> (Value, usize) {
        let mut page = PageBuilder::new(query, &[Side::Legacy, Side::New]);
        for _ in 0..500 {
            let calls = page.needs();
            if calls.is_empty() {
                let page = page.finish().unwrap();
                return (serde_json::from_slice(&page.body).unwrap(), page.doubles.len());
            }
            for call in calls {
                let path = query.path(&call);
                let answer = self.answer(&self.rows(call.side, references, ascending), &path);
                page.add(call.side, Rows::of(call.side, &answer, query).unwrap());
            }
        }
        panic!("a page that never ends");
    }
}

/// How the listing is read.
#[derive(Clone, Copy, Debug)]
struct Listing {
    vendor: Vendor,
    limit: usize,
    ascending: bool,
    /// Legacy lists the records of new.
    back: bool,
}

fn listing(limit: impl Strategy<Value = usize>) -> impl Strategy<Value = Listing> {
    let page = prop_oneof![Just(1000), 1..6_usize];
    (any::<bool>(), page, limit, any::<bool>(), any::<bool>()).prop_map(
        |(same_id, page, limit, ascending, back)| {
            // A page of a thousand rows in answers of a few would take as long as all others.
            let page = if limit > 9 { 1000 } else { page };
            Listing { vendor: Vendor { same_id, page }, limit, ascending, back }
        },
    )
}

fn each_comes_as_often_as_it_is_held(
    references: &[Reference],
    listing: Listing,
) -> Result<(), TestCaseError> {
    let Listing { vendor, limit, ascending, back } = listing;
    let same_id = vendor.same_id;
    let shown = if same_id { Mirror::SameId } else { Mirror::OtherId };
    let facts = if back {
        Facts { mirror_back: shown, ..Facts::default() }
    } else {
        Facts { mirror: shown, ..Facts::default() }
    };
    let mut left: BTreeMap<String, usize> = BTreeMap::new();
    for (number, reference) in references.iter().enumerate() {
        left.insert(format!("r-{number}"), if reference.held == Held::Twice { 2 } else { 1 });
    }
    let (mut total, mut last) = (left.values().sum::<usize>(), None);
    let order = if ascending { "ASC" } else { "DESC" };
    let mut query = format!("limit={limit}&order={order}");
    loop {
        let parsed = ListQuery::parse(&query).unwrap().with_facts(facts);
        let (page, doubles) = vendor.page(&parsed, references, ascending);
        let items = page["items"].as_array().unwrap();
        prop_assert_eq!(items.len(), limit.min(total), "a page is as full as it can be");
        let mut on_page: BTreeMap<&str, usize> = BTreeMap::new();
        for item in items {
            let ref_id = item["ref_id"].as_str().unwrap();
            *on_page.entry(ref_id).or_default() += 1;
            let count = left.get_mut(ref_id).unwrap();
            prop_assert!(*count > 0, "more often than it is held: {}", item);
            *count -= 1;
            total -= 1;
            let number: usize = ref_id[2..].parse().unwrap();
            if references[number].held == Held::Mirrored && !same_id {
                let side = if back { "new" } else { "legacy" };
                prop_assert!(item["id"].as_str().unwrap().ends_with(side), "{}", item);
            }
            let at: Timestamp = item["created_at"].as_str().unwrap().parse().unwrap();
            prop_assert!(last.is_none_or(|last| if ascending { last <= at } else { last >= at }), "order");
            last = Some(at);
        }
        prop_assert_eq!(doubles, on_page.values().filter(|count| **count == 2).count());
        prop_assert_eq!(
            page["next_page_cursor"].is_string(),
            total > 0,
            "a cursor exactly when there are more"
        );
        let Some(cursor) = page["next_page_cursor"].as_str() else { break };
        prop_assert!(cursor.len() < 2048, "{} bytes", cursor.len());
        query = format!("limit={limit}&order={order}&page_cursor={cursor}");
    }
    prop_assert_eq!(total, 0);
    Ok(())
}

proptest! {
    #![proptest_config(super::cases(400))]

    #[test]
    fn every_record_comes_once_and_every_double_twice(references in references(4, 0..30), listing in listing(1..9_usize)) {
        each_comes_as_often_as_it_is_held(&references, listing)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..super::cases(25) })]

    /// More rows of one instant than a cursor names.
    #[test]
    fn records_of_a_crowded_instant_are_paired_across_pages(
        references in references(2, 100..250),
        listing in listing(10..200_usize),
    ) {
        each_comes_as_often_as_it_is_held(&references, listing)?;
    }
}
