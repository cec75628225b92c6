//! Lists of bulk imports: ten thousand records a side at one instant, or within one second.

use std::collections::HashSet;

use conversion_shim::sandbox::{Operation, StaleCursor, TieOrder, Variants};
use conversion_shim::translate::side::Side;
use serde_json::Value;

use crate::support::test_bed::{Answer, TestBed, new_record, old_record};

const ROWS: usize = 10_000;
const CALLS_MAX: u64 = 10;

/// When each record is created.
#[derive(Clone, Copy)]
enum Import {
    AtOneInstant,
    WithinOneSecond,
}

impl Import {
    fn at(self, number: usize) -> String {
        match self {
            Self::AtOneInstant => "2026-01-01T00:00:00.25Z".to_owned(),
            Self::WithinOneSecond => format!("2026-01-01T00:00:00.{:06}Z", number * 7 % 10_000 * 100),
        }
    }
}

/// A test bed at that stage whose sides hold an import each; new has rows that were never conversions in between.
async fn imported(stage: &str, import: Import, tie_order: TieOrder) -> (TestBed, [HashSet<String>; 2]) {
    // The embedded vendor sorts an import anew for each call, which takes long in a build without optimisation.
    let bed = TestBed::with(&[("stage", stage), ("timeouts.list", "10m")]).await;
    let inspector = bed.sandbox.inspector();
    inspector.set_variants(Variants { tie_order, ..Variants::default() });
    let mut ids = [HashSet::new(), HashSet::new()];
    for number in 0..ROWS {
        let at = import.at(number);
        ids[0].insert(inspector.seed_conversion(old_record(&format!("old-{number}"), &at)));
        ids[1].insert(inspector.seed_orchestration(new_record(&format!("new-{number}"), &at)));
        if number % 1000 < 30 {
            let mut deposit = new_record("", &at);
            deposit["orchestration_rule_id"] = "rule".into();
            inspector.seed_orchestration(deposit);
        }
    }
    (bed, ids)
}

fn rows(page: &Value) -> Vec<(String, jiff::Timestamp)> {
    let row = |row: &Value| {
        (row["id"].as_str().unwrap().to_owned(), row["created_at"].as_str().unwrap().parse().unwrap())
    };
    page["items"].as_array().unwrap().iter().map(row).collect()
}

/// One listing on its way.
struct Walk<'a> {
    bed: &'a TestBed,
    query: String,
    cursor: String,
    seen: HashSet<String>,
    last: Option<jiff::Timestamp>,
    pages: u64,
    calls: u64,
    calls_max: u64,
    retries: usize,
    /// How often a page is asked for again after a 503.
    retries_max: usize,
}

impl<'a> Walk<'a> {
    fn new(bed: &'a TestBed, query: &str) -> Self {
        let (cursor, seen) = (String::new(), HashSet::new());
        Self {
            bed,
            query: query.to_owned(),
            cursor,
            seen,
            last: None,
            pages: 0,
            calls: 0,
            calls_max: CALLS_MAX,
            retries: 0,
            retries_max: 0,
        }
    }

    fn arrived(&self) -> u64 {
        let arrived = |side| self.bed.sandbox.inspector().arrived(side, Operation::List);
        arrived(Side::Legacy) + arrived(Side::New)
    }

    async fn ask(&self) -> Answer {
        self.bed.client.list(&format!("{}{}", self.query, self.cursor)).await
    }

    /// One request, within its calls.
    async fn turn(&mut self) -> Answer {
        let before = self.arrived();
        let answer = self.ask().await;
        let calls = self.arrived() - before;
        assert!(calls <= self.calls_max, "{calls} calls");
        self.calls += calls;
        answer
    }

    /// Reads one page; `false` at the end.
    async fn page(&mut self) -> bool {
        let mut answer = self.turn().await;
        for _ in 0..self.retries_max {
            if answer.status == 503 {
                assert!(answer.headers.contains_key("retry-after"), "{:?}", answer.body);
                (self.retries, answer) = (self.retries + 1, self.turn().await);
            }
        }
        self.take(&answer)
    }

    /// Adds a page's rows; `false` at the end.
    fn take(&mut self, answer: &Answer) -> bool {
        assert_eq!(answer.status, 200, "{:?} on page {}", answer.body, self.pages);
        self.pages += 1;
        let page = answer.json();
        let rows = rows(&page);
        for (id, at) in &rows {
            assert!(self.seen.insert(id.clone()), "{id} came twice in {}", self.query);
            let is_ordered =
                |last: jiff::Timestamp| if self.query.contains("ASC") { last <= *at } else { last >= *at };
            assert!(self.last.is_none_or(is_ordered));
            self.last = Some(*at);
        }
        let Some(next) = page["next_page_cursor"].as_str() else { return false };
        assert!(!rows.is_empty(), "an empty page that is not the last");
        assert!(next.len() < 2048, "a cursor of {} bytes", next.len());
        let cursor = format!("&page_cursor={next}");
        assert_ne!(cursor, self.cursor, "a cursor that repeats");
        self.cursor = cursor;
        true
    }

    async fn pages(&mut self, count: usize) {
        for _ in 0..count {
            assert!(self.page().await, "the end");
        }
    }

    /// Reads the rest, and compares it all with what there is.
    async fn finish(&mut self, expected: &[&HashSet<String>]) {
        while self.page().await {}
        self.finished(expected);
    }

    fn finished(&self, expected: &[&HashSet<String>]) {
        let count: usize = expected.iter().map(|ids| ids.len()).sum();
        assert_eq!(self.seen.len(), count);
        assert!(expected.iter().all(|ids| ids.is_subset(&self.seen)));
        println!("{}: {} calls for {} pages", self.query, self.calls, self.pages);
    }
}

/// Every row once, at these limits: the large ones through the whole listing, the small ones through a part of it.
async fn walks(stage: &str, import: Import, tie_order: TieOrder, order: &str) {
    let (bed, [old, new]) = imported(stage, import, tie_order).await;
    let both = [&old, &new];
    let expected = if stage == "sealed" { &both[1..] } else { &both[..] };
    let mut walk = Walk::new(&bed, &format!("order={order}&limit=1000"));
    walk.pages(3).await;
    let (middle, seen) = (walk.cursor.clone(), walk.seen.clone());
    walk.finish(expected).await;
    for limit in [1, 7, 100] {
        let mut walk = Walk::new(&bed, &format!("order={order}&limit={limit}"));
        // From the middle, and from the beginning.
        walk.pages(4).await;
        (walk.cursor, walk.seen, walk.last) = (middle.clone(), seen.clone(), None);
        walk.pages(4).await;
        println!("{}: {} calls for {} pages", walk.query, walk.calls, walk.pages);
    }
}

#[tokio::test]
async fn ten_thousand_records_a_side_at_one_instant_come_once() {
    walks("live", Import::AtOneInstant, TieOrder::Hashed, "ASC").await;
}

#[tokio::test]
async fn ten_thousand_records_a_side_at_one_instant_come_once_newest_first() {
    walks("live", Import::AtOneInstant, TieOrder::Id, "DESC").await;
}

#[tokio::test]
async fn ten_thousand_records_at_one_instant_come_once_in_the_translated_list() {
    walks("sealed", Import::AtOneInstant, TieOrder::Inserted, "DESC").await;
}

#[tokio::test]
async fn ten_thousand_records_a_side_within_one_second_come_once() {
    walks("live", Import::WithinOneSecond, TieOrder::Hashed, "DESC").await;
}

#[tokio::test]
async fn ten_thousand_records_within_one_second_come_once_in_the_translated_list() {
    walks("sealed", Import::WithinOneSecond, TieOrder::Id, "ASC").await;
}

/// Whatever a side does with an old cursor of its own, the page is right, or it is a 503 that says what to do.
#[tokio::test]
async fn a_walk_goes_on_after_the_sides_cursors_expired_and_rows_were_added() {
    let (bed, [old, new]) = imported("live", Import::AtOneInstant, TieOrder::Hashed).await;
    let mut walk = Walk::new(&bed, "order=ASC&limit=600");
    // Where the rows of one side are far ahead of the other's is chance.
    walk.retries_max = 5;
    let mut epoch = 0;
    let mut expire = |stale_cursor| {
        epoch += 1;
        let variants = bed.sandbox.inspector().variants();
        bed.sandbox.inspector().set_variants(Variants { cursor_epoch: epoch, stale_cursor, ..variants });
    };
    for stale_cursor in [StaleCursor::Refused, StaleCursor::Ignored, StaleCursor::Empty] {
        walk.pages(2).await;
        expire(stale_cursor);
    }
    walk.pages(9).await;
    expire(StaleCursor::Refused);
    walk.finish(&[&old, &new]).await;
}

/// A client that takes its time between pages, at a vendor whose cursors do not live that long.
async fn walks_without_hints(import: Import, stale_cursor: StaleCursor, order: &str) {
    let (bed, [old, new]) = imported("live", import, TieOrder::Hashed).await;
    let mut walk = Walk::new(&bed, &format!("order={order}&limit=1000"));
    walk.retries_max = 3;
    let mut epoch = 0;
    while walk.page().await {
        epoch += 1;
        let variants = bed.sandbox.inspector().variants();
        bed.sandbox.inspector().set_variants(Variants { cursor_epoch: epoch, stale_cursor, ..variants });
    }
    assert!(walk.retries > 0, "every page was in reach");
    println!("{} pages, {} retries, {} calls", walk.pages, walk.retries, walk.calls);
    walk.finished(&[&old, &new]);
}

#[tokio::test]
async fn ten_thousand_records_at_one_instant_come_once_where_each_pages_cursors_are_refused() {
    walks_without_hints(Import::AtOneInstant, StaleCursor::Refused, "ASC").await;
}

#[tokio::test]
async fn ten_thousand_records_at_one_instant_come_once_where_each_pages_cursors_begin_again() {
    walks_without_hints(Import::AtOneInstant, StaleCursor::Ignored, "DESC").await;
}

#[tokio::test]
async fn ten_thousand_records_within_one_second_come_once_where_each_pages_cursors_end_at_once() {
    walks_without_hints(Import::WithinOneSecond, StaleCursor::Empty, "ASC").await;
}

/// Cursors that do not outlive a single request: most pages are right all the same, and the others say what to do.
#[tokio::test]
async fn a_side_whose_cursors_die_between_two_requests_never_makes_a_wrong_page() {
    for stale_cursor in [StaleCursor::Refused, StaleCursor::Ignored, StaleCursor::Empty] {
        let (bed, [old, new]) = imported("live", Import::AtOneInstant, TieOrder::Hashed).await;
        let mut walk = Walk::new(&bed, "order=ASC&limit=900");
        let (mut epoch, mut refused) = (0, 0);
        while refused < 5 {
            epoch += 1;
            let variants = bed.sandbox.inspector().variants();
            bed.sandbox.inspector().set_variants(Variants { cursor_epoch: epoch, stale_cursor, ..variants });
            let answer = walk.turn().await;
            if answer.status == 503 {
                assert_eq!(answer.headers["retry-after"], "1");
                let problem = answer.problem(503);
                assert!(problem["detail"].as_str().unwrap().contains("send the request again"), "{problem}");
                refused += 1;
            } else {
                assert!(walk.take(&answer), "the end");
            }
        }
        assert!(!walk.seen.is_empty(), "the first pages were in reach");
        walk.retries_max = 3;
        while walk.page().await {}
        walk.finished(&[&old, &new]);
    }
}

/// A cursor that holds hints for both sides goes on with one, and then with both again.
#[tokio::test]
async fn a_walk_through_an_instant_survives_changes_of_mode_and_added_rows() {
    let (bed, [old, new]) = imported("live", Import::AtOneInstant, TieOrder::Hashed).await;
    let mut walk = Walk::new(&bed, "order=DESC&limit=700");
    for turn in 0..3 {
        walk.pages(3).await;
        bed.go(&[("stage", "sealed"), ("timeouts.list", "10m")]).await;
        for _ in 0..2 {
            if !walk.page().await {
                // Merged pages may have taken nearly all rows from this side. It ends only when all were seen.
                assert!(
                    new.is_subset(&walk.seen),
                    "{} of new were seen",
                    new.intersection(&walk.seen).count()
                );
                return;
            }
        }
        bed.go(&[("stage", "live"), ("timeouts.list", "10m")]).await;
        bed.sandbox
            .inspector()
            .seed_conversion(old_record(&format!("late-{turn}"), "2026-01-01T00:00:00.25Z"));
        bed.sandbox
            .inspector()
            .seed_orchestration(new_record(&format!("late-{turn}"), "2026-01-01T00:00:00.25Z"));
    }
    while walk.page().await {}
    assert!(old.is_subset(&walk.seen) && new.is_subset(&walk.seen));
}

#[tokio::test]
async fn a_damaged_cursor_is_refused() {
    let (bed, _) = imported("live", Import::AtOneInstant, TieOrder::Hashed).await;
    let mut walk = Walk::new(&bed, "limit=100");
    walk.pages(8).await;
    let cursor = walk.cursor.trim_start_matches("&page_cursor=").to_owned();
    assert!(cursor.starts_with("cs2."), "{cursor}");
    for at in (4..cursor.len()).step_by(7) {
        let mut damaged = cursor.clone().into_bytes();
        damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
        let damaged = String::from_utf8(damaged).unwrap();
        bed.client.list(&format!("limit=100&page_cursor={damaged}")).await.problem(400);
        bed.client.list(&format!("limit=100&page_cursor={}", &cursor[..at])).await.problem(400);
    }
    bed.client.list(&format!("limit=100&order=ASC&page_cursor={cursor}")).await.problem(400);
    // Its hints were made with other filters, so they are left aside.
    let other = bed.client.list(&format!("limit=10&ref_id=old-77&page_cursor={cursor}")).await;
    assert!([200, 400].contains(&other.status), "{:?}", other.body);
}

/// A full page needs to know only whether there is one more record.
#[tokio::test]
async fn a_full_page_costs_one_call_and_one_small_look_past_it() {
    let bed = TestBed::at("sealed").await;
    let inspector = bed.sandbox.inspector();
    for number in 0..2500 {
        let at = format!("2026-01-01T00:{:02}:{:02}Z", number / 60, number % 60);
        inspector.seed_orchestration(new_record(&format!("r-{number}"), &at));
    }
    for limit in [100, 1000] {
        let mut walk = Walk::new(&bed, &format!("limit={limit}"));
        let before = inspector.requests().len();
        while walk.page().await {}
        assert_eq!(walk.seen.len(), 2500);
        let requests = inspector.requests();
        let limits: Vec<u64> = requests[before..]
            .iter()
            .map(|request| {
                let query = request.path_and_query.split_once('?').unwrap().1;
                let limit = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "limit");
                limit.unwrap().1.parse().unwrap()
            })
            .collect();
        println!("limit={limit}: {} calls, {} rows asked for", limits.len(), limits.iter().sum::<u64>());
        let small = limits.iter().filter(|limit| **limit <= 10).count();
        assert_eq!(limits.len() - small, walk.pages as usize, "one call a page: {limits:?}");
        assert!(small <= walk.pages as usize, "and one look: {limits:?}");
    }
}
