//! Query strings of lists, and the cursors in them. What counts: they reach a side as one query, with the values that the client
//! gave, and a cursor goes on where it ended or is refused.

use conversion_shim::translate::list::cursor::{Cursor, PageCursor, SortOrder};
use conversion_shim::translate::list::{Call, ListQuery};
use conversion_shim::translate::side::Side;
use jiff::Timestamp;
use proptest::prelude::*;

use super::cases;
use super::mutation::mutated;

const WORDS: &[&str] = &[
    "&",
    "=",
    "%",
    "%00",
    "%0d%0a",
    "%26",
    "%3D",
    "#",
    "?",
    "/../",
    "profile_id=",
    "ref_id=x",
    "limit=",
    "order=ASC",
    "page_cursor=",
    "page%5Fcursor=",
    "cs1.",
    "cs2.",
    "created_at.begin=2026-04-20T11:00:00Z",
    "+",
    ";",
    "é",
    "\u{0}",
    "A",
    "-",
    "_",
];

/// What the proxy's own cursors begin with.
const OURS: [&str; 2] = ["cs1.", "cs2."];

fn cursors() -> Vec<String> {
    let at: Timestamp = "2026-04-20T12:30:01.397730001Z".parse().unwrap();
    let uuid = "3d7a1e5b-9c2f-4d8a-a6b3-0e4f2c8d1a9b".to_owned();
    let ids = [vec![], vec![uuid.clone()], vec!["x".to_owned(), uuid, String::new(), "y".repeat(300)]];
    let all = ids.into_iter().flat_map(|ids| {
        [SortOrder::Ascending, SortOrder::Descending].map(|order| Cursor::new(order, at, ids.clone()))
    });
    all.map(|cursor| cursor.encode()).collect()
}

fn queries() -> Vec<String> {
    let cursor = cursors().remove(3);
    vec![
        "profile_id=p&ref_id=r-1&order=ASC&limit=50".to_owned(),
        "created_at.begin=2026-04-20T11:00:00Z&created_at.end=2026-04-21T11:00:00%2B02:00&updated_at.begin=2026-04-20T11:00:00Z".to_owned(),
        format!("order=DESC&page_cursor={cursor}"),
        format!("limit=1&page_cursor={cursor}&created_at.begin=2026-04-20T11:00:00Z"),
        format!("page%5Fcursor={cursor}"),
        "page_cursor=of-the-old-api&status=CREATED".to_owned(),
    ]
}

fn value(query: &str, name: &str) -> Option<String> {
    let found = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_query_that_is_taken_reaches_each_side_as_one_query(bytes in mutated(queries(), WORDS)) {
        let text = String::from_utf8_lossy(&bytes);
        let Ok(query) = ListQuery::parse(&text) else { return Ok(()) };
        for side in [Side::Legacy, Side::New] {
            let path = query.path(&Call { after: Some("after & more".to_owned()), ..Call::first(side, 100) });
            prop_assert!(path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{}", path);
            let uri: http::Uri = path.parse().unwrap();
            prop_assert!(["/conversion/stablecoins", "/orchestration/orchestrations"].contains(&uri.path()), "{}", path);
            let sent = uri.query().unwrap();
            for name in ["profile_id", "ref_id"] {
                prop_assert_eq!(value(sent, name), value(&text, name), "{} {}", side, path);
            }
            prop_assert_eq!(value(sent, "page_cursor"), Some("after & more".to_owned()));
        }
    }

    #[test]
    fn who_goes_on_from_a_cursor_of_ours_is_known_by_every_route(bytes in mutated(queries(), WORDS)) {
        let text = String::from_utf8_lossy(&bytes);
        let goes_on = ListQuery::parse(&text).is_ok_and(|query| query.cursor().is_some());
        prop_assert_eq!(ListQuery::has_own_cursor(&text), goes_on, "{}", text);
    }

    #[test]
    fn a_cursor_is_read_as_it_is_written_or_refused(bytes in mutated(cursors(), WORDS)) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match PageCursor::parse(&text) {
            Some(PageCursor::Ours(cursor)) => {
                prop_assert!(OURS.iter().any(|tag| text.starts_with(tag)));
                prop_assert_eq!(PageCursor::parse(&cursor.encode()), Some(PageCursor::Ours(cursor)));
            }
            Some(PageCursor::Foreign) => prop_assert!(!OURS.iter().any(|tag| text.starts_with(tag)) && !text.is_empty()),
            Some(PageCursor::Start) => prop_assert!(text.is_empty()),
            None => prop_assert!(OURS.iter().any(|tag| text.starts_with(tag))),
        }
    }
}
