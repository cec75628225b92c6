//! The list cursor, which clients keep and send back.
//!
//! Held: what is read of a cursor is written and read again as the same cursor, by itself and in a query; a dense one that was changed in any
//! character or cut is refused; text with neither prefix is the vendor's own; and a page from any cursor that is read can be made and finished.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use conversion_shim::translate::list::ListQuery;
use conversion_shim::translate::list::cursor::{Cursor, PageCursor};
use conversion_shim::translate::list::page::PageBuilder;
use conversion_shim::translate::list::rows::Rows;
use conversion_shim::translate::side::Side;

const PREFIXES: [&str; 2] = ["cs1.", "cs2."];
const SIDES: [Side; 2] = [Side::Legacy, Side::New];
const CALLS_MAX: usize = 6;

/// A cursor of these bytes; a dense one gets the checksum that it must end with.
fn text(kind: u8, bytes: &[u8]) -> String {
    match kind % 3 {
        0 => format!("cs1.{}", URL_SAFE_NO_PAD.encode(bytes)),
        1 => {
            let sum = hash(&URL_SAFE_NO_PAD.encode(bytes)).to_be_bytes();
            format!("cs2.{}", URL_SAFE_NO_PAD.encode([bytes, &sum[..4]].concat()))
        }
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// FNV-1a, mixed as SplitMix64 does. Cursors are kept over versions, so it is part of their format.
fn hash(text: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

fn check_damage(text: &str, seed: u8) {
    let at = PREFIXES[1].len() + usize::from(seed) % (text.len() - PREFIXES[1].len());
    let mut changed = text.as_bytes().to_vec();
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).expect("ASCII stays ASCII");
    assert_eq!(PageCursor::parse(&changed), None, "changed at {at}: {text}");
    assert_eq!(PageCursor::parse(&text[..at]), None, "cut at {at}: {text}");
}

fn check_again(cursor: &Cursor) -> ListQuery {
    let again = cursor.encode();
    assert!(again.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{again}");
    assert_eq!(PageCursor::parse(&again), Some(PageCursor::Ours(Box::new(cursor.clone()))), "{again}");
    let query =
        ListQuery::parse(&format!("limit=2&page_cursor={again}")).expect("a cursor is a good parameter");
    assert_eq!(query.cursor(), Some(cursor));
    query
}

/// Rows of some instants; those of the cursor's may be among them.
fn rows(side: Side, ids: &[&str], at: &str, query: &ListQuery, next: &str) -> Rows {
    let items = ids.iter().map(|id| {
        format!(
            r#"{{"id":"{id}","created_at":"{at}","updated_at":"{at}","source_asset":"USD","destination_asset":"USDP","status":"PENDING"}}"#
        )
    });
    let items = items.collect::<Vec<_>>().join(",");
    let answer = format!(r#"{{"items":[{items}],"next_page_cursor":"{next}"}}"#);
    Rows::of(side, answer.as_bytes(), query).expect("good rows")
}

fn check_page(query: &ListQuery, at: &str, seed: u8) {
    let mut page = PageBuilder::new(query, &SIDES);
    page.save_calls(usize::from(seed % 4));
    for number in 0..CALLS_MAX {
        let calls = page.needs();
        if calls.is_empty() {
            break;
        }
        for call in calls {
            assert!(query.path(&call).parse::<http::Uri>().is_ok(), "{call:?}");
            let next = if seed.rotate_left(number as u32).is_multiple_of(2) { "" } else { "n" };
            page.add(call.side, rows(call.side, &["a", "b", "c"], at, query, next));
        }
    }
    let page = if seed.is_multiple_of(2) { page } else { finish_early(page) };
    if let Ok(page) = page.finish() {
        serde_json::from_slice::<serde_json::Value>(&page.body).expect("a page is JSON");
    }
}

fn finish_early(mut page: PageBuilder<'_>) -> PageBuilder<'_> {
    let _ = page.cut();
    page
}

pub(crate) fn check(data: &[u8]) {
    let [kind, seed, bytes @ ..] = data else { return };
    let text = text(*kind, bytes);
    let is_prefixed = PREFIXES.iter().any(|prefix| text.starts_with(prefix));
    match PageCursor::parse(&text) {
        None => assert!(is_prefixed, "{text}"),
        Some(PageCursor::Start) => assert!(text.is_empty()),
        Some(PageCursor::Foreign) => assert!(!is_prefixed && !text.is_empty(), "{text}"),
        Some(PageCursor::Ours(cursor)) => {
            assert!(is_prefixed, "{text}");
            let query = check_again(&cursor);
            for at in ["2026-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
                check_page(&query, at, *seed);
            }
            for text in [text, cursor.encode()].iter().filter(|text| text.starts_with(PREFIXES[1])) {
                check_damage(text, *seed);
            }
        }
    }
}
