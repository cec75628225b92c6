//! A side's list answer becomes the client's page.
//!
//! Held: rows that are read by the layout of the rows before them are the rows that are read one by one; the page is JSON with one item a row,
//! of the same values; legacy rows are passed on byte for byte; and what is no JSON is refused.

use conversion_shim::translate::list::ListQuery;
use conversion_shim::translate::list::page::PageBuilder;
use conversion_shim::translate::list::rows::{DroppedRows, Rows};
use conversion_shim::translate::side::Side;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// No part of UTF-8, so it separates the rows of an input.
const SEPARATOR: u8 = 0xFF;
/// With each of them twice, few enough that layouts are not given up.
const ROWS_MAX: usize = 6;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

/// What a list says: the page, and what is known beside it.
#[derive(Debug, Default, PartialEq)]
struct Listed {
    items: Vec<String>,
    ids: Vec<String>,
    references: Vec<String>,
    hidden: Vec<String>,
    dropped: DroppedRows,
}

impl Listed {
    fn add(&mut self, other: Self) {
        self.items.extend(other.items);
        self.ids.extend(other.ids);
        self.references.extend(other.references);
        self.hidden.extend(other.hidden);
        self.dropped.never_conversions += other.dropped.never_conversions;
        self.dropped.filtered += other.dropped.filtered;
        self.dropped.mirrored += other.dropped.mirrored;
        self.dropped.unknown_statuses.extend(other.dropped.unknown_statuses);
    }
}

fn answer(rows: &[&[u8]]) -> Vec<u8> {
    [br#"{"items":["#, rows.join(&b","[..]).as_slice(), b"]}"].concat()
}

/// `None` where the answer is refused.
fn listed(side: Side, answer: &[u8], query: &ListQuery) -> Option<Listed> {
    let rows = Rows::of(side, answer, query).ok()?;
    let texts = |texts: &mut dyn Iterator<Item = &str>| texts.map(str::to_owned).collect::<Vec<_>>();
    let (ids, references) = (texts(&mut rows.ids()), texts(&mut rows.references()));
    let hidden = rows.hidden.iter().map(|hidden| format!("{hidden:?}")).collect();
    let (count, dropped) = (rows.remaining(), rows.dropped.clone());
    let mut page = PageBuilder::new(query, &[side]);
    page.add(side, rows);
    let body = page.finish().expect("there is no cursor that may not fit").body;
    let page: Page<'_> = serde_json::from_slice(&body).expect("a page is JSON");
    assert_eq!(page.items.len(), count);
    let items = page.items.iter().map(|item| item.get().to_owned()).collect();
    Some(Listed { items, ids, references, hidden, dropped })
}

/// The values that the mapping leaves alone.
fn check_values(row: &[u8], item: &str) {
    // Half of a surrogate pair is passed on as it is, and serde_json reads none.
    let (Ok(row), Ok(item)) = (serde_json::from_slice::<Value>(row), serde_json::from_str::<Value>(item))
    else {
        return;
    };
    for (new, legacy) in [
        ("id", "id"),
        ("source_amount", "amount"),
        ("source_asset", "source_asset"),
        ("destination_asset", "target_asset"),
        ("ref_id", "ref_id"),
        ("created_at", "created_at"),
        ("updated_at", "updated_at"),
        ("metadata", "metadata"),
    ] {
        assert_eq!(row[new], item[legacy], "{new}");
    }
}

pub(crate) fn check(data: &[u8]) {
    let query = ListQuery::parse("limit=1000").expect("a good query");
    let rows: Vec<&[u8]> = data.split(|byte| *byte == SEPARATOR).take(ROWS_MAX).collect();
    // Each row comes again when all layouts are known.
    let rows = [rows.as_slice(), &rows].concat();
    let whole = answer(&rows);
    let is_json = serde_json::from_slice::<&RawValue>(&whole).is_ok();
    let is_separate = rows.iter().all(|row| serde_json::from_slice::<&RawValue>(row).is_ok());
    for side in [Side::New, Side::Legacy] {
        let found = listed(side, &whole, &query);
        assert!(is_json || found.is_none(), "a list that is no JSON was read");
        if !is_separate {
            continue;
        }
        let mut expected = Some(Listed::default());
        for row in &rows {
            let single = listed(side, &answer(&[row]), &query);
            if let Some([item]) = single.as_ref().map(|single| single.items.as_slice()) {
                match side {
                    Side::New => check_values(row, item),
                    Side::Legacy => assert_eq!(item.as_bytes(), row.trim_ascii()),
                }
            }
            expected = expected.zip(single).map(|(mut all, single)| {
                all.add(single);
                all
            });
        }
        assert_eq!(found, expected, "{side:?}");
    }
}
