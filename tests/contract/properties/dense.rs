//! Paging through instants and seconds that hold more records than a cursor can name, while hints expire, records are added and the mode
//! changes. The oracle is a walk of its own: what each side held all the time, each once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use conversion_shim::translate::list::page::PageBuilder;
use conversion_shim::translate::list::progress::Progress;
use conversion_shim::translate::list::rows::Rows;
use conversion_shim::translate::list::{Call, ListQuery};
use conversion_shim::translate::side::Side;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

const START: i64 = 1_776_688_200;
/// The order in which a vendor lists records of one instant.
#[derive(Clone, Copy, Debug)]
enum Ties {
    ById,
    Inserted,
    Hashed,
}

/// What a vendor does with a cursor that is too old.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stale {
    Refused,
    Ignored,
    Empty,
}

#[derive(Clone, Copy, Debug)]
struct Manners {
    ties: Ties,
    stale: Stale,
    /// Cursors are numbers of rows, so that records added before them shift them.
    counts_rows: bool,
    /// The most rows of one answer.
    page: usize,
    /// A cursor follows the last row too.
    has_empty_end: bool,
}

#[derive(Clone, Debug)]
struct Record {
    id: String,
    /// In microseconds from the start.
    at: i64,
    is_conversion: bool,
    number: usize,
    /// Its place among the records of its instant.
    tie: u128,
}

struct Vendor {
    manners: Manners,
    legacy: Vec<Record>,
    new: Vec<Record>,
    epoch: usize,
    calls: usize,
}

fn hash(text: &str) -> u64 {
    text.bytes().fold(11, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
    })
}

fn time(at: i64) -> String {
    Timestamp::from_microsecond(START * 1_000_000 + at).unwrap().to_string()
}

impl Record {
    fn new(ties: Ties, side: Side, number: usize, at: i64) -> Self {
        let id = uuid::Uuid::from_u128(u128::from(hash(&format!("{number}{side}"))) << 64 | number as u128);
        let tie = match ties {
            Ties::ById => id.as_u128(),
            Ties::Inserted => number as u128,
            Ties::Hashed => hash(&id.to_string()).into(),
        };
        Self { id: id.to_string(), at, is_conversion: true, number, tie }
    }
}

impl Vendor {
    fn sort(&mut self) {
        for records in [&mut self.legacy, &mut self.new] {
            records.sort_by_key(|record| (record.at, record.tie));
        }
    }

    const fn records(&mut self, side: Side) -> &mut Vec<Record> {
        match side {
            Side::Legacy => &mut self.legacy,
            Side::New => &mut self.new,
        }
    }

    fn row(side: Side, record: &Record) -> Value {
        let (at, id) = (time(record.at), &record.id);
        match side {
            Side::Legacy => json!({
                "id": id, "profile_id": "p", "amount": "1", "source_asset": "USD", "target_asset": "PYUSD",
                "status": "CREATED", "ref_id": format!("r{}", record.number), "created_at": at, "updated_at": at,
            }),
            Side::New => json!({
                "id": id, "profile_id": "p", "source_amount": "1", "source_asset": "USD",
                "destination_asset": if record.is_conversion { "PYUSD" } else { "USD" }, "status": "PROCESSING",
                "ref_id": format!("r{}", record.number), "created_at": at, "updated_at": at,
            }),
        }
    }

    /// `None`: the cursor is refused.
    fn answer(&mut self, call: &Call, path: &str) -> Option<Vec<u8>> {
        self.calls += 1;
        let query = path.split_once('?').unwrap().1;
        let asked: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let bound = |names: [&str; 2]| {
            let text = names.into_iter().find_map(|name| asked.get(name))?;
            Some(text.parse::<Timestamp>().unwrap().as_microsecond() - START * 1_000_000)
        };
        let (begin, end) =
            (bound(["created_at.begin", "created_at.gte"]), bound(["created_at.end", "created_at.lte"]));
        let manners = self.manners;
        let epoch = self.epoch;
        let mut found: Vec<_> = self.records(call.side).iter().collect();
        found.retain(|record| {
            begin.is_none_or(|begin| record.at >= begin) && end.is_none_or(|end| record.at <= end)
        });
        if asked.get("order").is_none_or(|order| order == "DESC") {
            found.reverse();
        }
        let mut from = 0;
        if let Some((made, after)) = asked.get("page_cursor").map(|cursor| cursor.split_once('!').unwrap()) {
            match manners.stale {
                _ if made.parse::<usize>().unwrap() == epoch => {
                    from = if manners.counts_rows {
                        after.parse().unwrap()
                    } else {
                        found.iter().position(|record| record.id == after).unwrap() + 1
                    };
                }
                Stale::Refused => return None,
                Stale::Ignored => {}
                Stale::Empty => from = found.len(),
            }
        }
        let limit: usize = asked["limit"].parse().unwrap();
        assert!((1..=1000).contains(&limit));
        let rows: Vec<_> = found.iter().skip(from).take(limit.min(manners.page)).collect();
        let items: Vec<_> = rows.iter().map(|record| Self::row(call.side, record)).collect();
        let mut body = json!({ "items": items });
        let next = from + items.len();
        if let Some(last) = rows.last().filter(|_| next < found.len() || manners.has_empty_end) {
            let after = if manners.counts_rows { next.to_string() } else { last.id.clone() };
            body["next_page_cursor"] = format!("{epoch}!{after}").into();
        }
        Some(body.to_string().into_bytes())
    }
}

/// How a page ended.
enum Outcome {
    Page(Value),
    /// The cursor does not fit what is there now.
    Lost,
    /// Too few calls, and how far they came.
    OutOfReach(Option<Progress>),
}

/// One page, put together as `routes::list` does.
fn page(
    vendor: &mut Vendor,
    query: &ListQuery,
    (sides, progress): (&[Side], Option<&Progress>),
    most: usize,
) -> Outcome {
    let begin = || PageBuilder::new(query, sides);
    let mut page = progress.map_or_else(begin, |progress| PageBuilder::resume(query, sides, progress));
    let mut made = 0;
    loop {
        page.save_calls(most - made);
        let calls = page.needs();
        if calls.is_empty() {
            break;
        }
        if made + calls.len() > most {
            if page.cut() {
                break;
            }
            return Outcome::OutOfReach(page.progress());
        }
        made += calls.len();
        for call in calls {
            let Some(answer) = vendor.answer(&call, &query.path(&call)) else {
                assert!(call.has_hint && page.drop_hint(call.side), "a fresh cursor was refused: {call:?}");
                continue;
            };
            page.add(call.side, Rows::of(call.side, &answer, query).unwrap());
        }
    }
    match page.finish() {
        Ok(page) => Outcome::Page(serde_json::from_slice(&page.body).unwrap()),
        Err(_) => Outcome::Lost,
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Nothing,
    Expire,
    /// New records at instants that the walk is at or has passed.
    Insert(usize),
    New,
    Both,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => Just(Event::Nothing),
        1 => Just(Event::Expire),
        2 => (0..INSTANTS.len()).prop_map(Event::Insert),
        1 => Just(Event::New),
        2 => Just(Event::Both),
    ];
    prop::collection::vec(event, 60)
}

fn manners() -> impl Strategy<Value = Manners> {
    let ties = prop::sample::select(vec![Ties::ById, Ties::Inserted, Ties::Hashed]);
    let stale = prop::sample::select(vec![Stale::Refused, Stale::Ignored, Stale::Empty]);
    let page = prop_oneof![Just(1000_usize), 20..200_usize];
    (ties, stale, any::<bool>(), page, any::<bool>()).prop_map(
        |(ties, stale, counts_rows, page, has_empty_end)| Manners {
            ties,
            stale,
            counts_rows,
            page,
            has_empty_end,
        },
    )
}

/// Instants of the groups, in microseconds: two are in one second, and a group may be spread over its second.
const INSTANTS: [i64; 4] = [0, 400_000, 2_000_000, 9_000_000];

fn vendor(manners: Manners, groups: &[(usize, usize, bool, bool)]) -> Vendor {
    let (mut legacy, mut new, mut number) = (Vec::new(), Vec::new(), 0);
    for ((on_legacy, on_new, is_spread, has_deposits), instant) in groups.iter().zip(INSTANTS) {
        for (side, count) in [(Side::Legacy, *on_legacy), (Side::New, *on_new)] {
            for nth in 0..count {
                number += 1;
                let at = instant + if *is_spread { (nth * 31 % 300) as i64 * 1000 } else { 0 };
                let mut record = Record::new(manners.ties, side, number, at);
                record.is_conversion = side == Side::Legacy || !*has_deposits || nth % 100 >= 40;
                match side {
                    Side::Legacy => legacy.push(record),
                    Side::New => new.push(record),
                }
            }
        }
    }
    let mut vendor = Vendor { manners, legacy, new, epoch: 0, calls: 0 };
    vendor.sort();
    vendor
}

fn groups() -> impl Strategy<Value = Vec<(usize, usize, bool, bool)>> {
    let count = || prop_oneof![2 => 0..5_usize, 3 => 0..200_usize];
    prop::collection::vec((count(), count(), any::<bool>(), any::<bool>()), 1..=INSTANTS.len())
}

fn shown(records: &[Record]) -> impl Iterator<Item = &Record> {
    records.iter().filter(|record| record.is_conversion)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 300, ..super::cases(60) })]

    #[test]
    fn every_record_comes_once_whatever_becomes_of_the_cursors(
        manners in manners(),
        groups in groups(),
        events in events(),
        limit in prop_oneof![1 => 1..5_usize, 4 => 5..40_usize, 4 => 40..300_usize, 2 => Just(1000_usize)],
        ascending in any::<bool>(),
        most in prop_oneof![Just(10_usize), 2..5_usize],
    ) {
        let mut vendor = vendor(manners, &groups);
        // Before the walk, and so throughout.
        let on_new: HashSet<_> = shown(&vendor.new).map(|record| record.id.clone()).collect();
        let always: BTreeMap<_, _> =
            shown(&vendor.legacy).chain(shown(&vendor.new)).map(|record| (record.id.clone(), record.at)).collect();
        let mut expected: BTreeSet<_> = always.keys().cloned().collect();
        let base = format!("limit={limit}&order={}", if ascending { "ASC" } else { "DESC" });
        let (mut query, mut seen, mut last) = (base.clone(), HashSet::new(), None);
        let (mut sides, mut was_disturbed): (&[Side], _) = (&[Side::Legacy, Side::New], false);
        let mut events = events.into_iter();
        let mut cursors = HashSet::new();
        let (mut progress, mut retries) = (HashMap::new(), 0);
        for turn in 0.. {
            prop_assert!(turn < 4000, "a listing that does not end");
            match events.next().unwrap_or(Event::Nothing) {
                Event::Nothing => {}
                Event::Expire => {
                    vendor.epoch += 1;
                    was_disturbed = true;
                }
                Event::Insert(group) => {
                    for side in [Side::Legacy, Side::New] {
                        let record = Record::new(manners.ties, side, 100_000 + turn, INSTANTS[group]);
                        vendor.records(side).push(record);
                    }
                    vendor.sort();
                }
                Event::New => sides = &[Side::New],
                Event::Both => sides = &[Side::Legacy, Side::New],
            }
            let parsed = ListQuery::parse(&query).unwrap();
            vendor.calls = 0;
            let asked = (query.clone(), sides.len());
            let page = match page(&mut vendor, &parsed, (sides, progress.get(&asked)), most) {
                Outcome::Page(page) => page,
                Outcome::OutOfReach(Some(come)) if retries < 20 => {
                    prop_assert!(vendor.calls <= most);
                    (retries, _) = (retries + 1, progress.insert(asked, come));
                    continue;
                }
                // Without the sides' cursors a page may be out of reach, and says so.
                Outcome::Lost => { prop_assert!(was_disturbed, "lost"); return Ok(()) }
                Outcome::OutOfReach(_) => {
                    prop_assert!(was_disturbed || most < 10 || manners.page < 1000, "out of reach: {}", query);
                    return Ok(());
                }
            };
            retries = 0;
            prop_assert!(vendor.calls <= most);
            let items = page["items"].as_array().unwrap();
            for item in items {
                let id = item["id"].as_str().unwrap().to_owned();
                let at: Timestamp = item["created_at"].as_str().unwrap().parse().unwrap();
                prop_assert!(last.is_none_or(|last| if ascending { last <= at } else { last >= at }), "order");
                last = Some(at);
                prop_assert!(seen.insert(id.clone()), "twice: {} in {}", id, query);
                expected.remove(&id);
            }
            if sides.len() == 1 {
                // What legacy has up to here was not asked for.
                let passed = last.map(|at: Timestamp| at.as_microsecond() - START * 1_000_000);
                expected.retain(|id| {
                    on_new.contains(id) || passed.is_some_and(|at| if ascending { always[id] >= at } else { always[id] <= at })
                });
            }
            let Some(cursor) = page["next_page_cursor"].as_str() else { break };
            prop_assert!(!items.is_empty(), "an empty page that is not the last");
            prop_assert!(cursor.len() < 2048, "{} bytes", cursor.len());
            prop_assert!(cursors.insert(cursor.to_owned()), "a cursor that repeats");
            query = format!("{base}&page_cursor={cursor}");
        }
        if sides.len() == 2 {
            prop_assert_eq!(expected, BTreeSet::new());
        } else {
            prop_assert!(expected.iter().all(|id| !on_new.contains(id)), "{:?}", expected);
        }
    }
}
