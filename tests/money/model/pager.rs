//! A client that reads one listing page by page while everything else happens.

use conversion_shim::sandbox::Dice;
use std::collections::BTreeSet;

use crate::support::test_bed::{Caller, LEGACY};

pub(crate) struct Pager {
    query: String,
    cursor: String,
    /// What existed when it began, and therefore all the time.
    expected: BTreeSet<String>,
    seen: BTreeSet<String>,
    /// Both sides list some records under one id.
    repeats: bool,
}

impl Pager {
    pub(crate) fn begin(dice: &mut Dice, expected: BTreeSet<String>, repeats: bool) -> Self {
        let order = dice.pick(["order=ASC", "order=DESC", ""]);
        let query = format!("{order}&limit={}", 1 + dice.below(25));
        Self { query, cursor: String::new(), expected, seen: BTreeSet::new(), repeats }
    }

    /// Reads one page; an error is tried again another time. True at the end.
    pub(crate) async fn page(&mut self, client: &Caller) -> bool {
        let path = format!("{LEGACY}?{}{}", self.query, self.cursor);
        let Ok(answer) = client.try_ask(reqwest::Method::GET, &path, String::new()).await else {
            return false;
        };
        let Ok(page) = serde_json::from_slice::<serde_json::Value>(&answer.body) else { return false };
        let Some(rows) = page["items"].as_array().filter(|_| answer.status == 200) else { return false };
        // What passes through in `observe` may be as broken as the vendor made it.
        let ids: Option<Vec<_>> = rows.iter().map(|row| row["id"].as_str()).collect();
        let Some(ids) = ids else { return false };
        for id in ids {
            let is_new = self.seen.insert(id.to_owned());
            assert!(is_new || self.repeats, "{id} came twice in {}", self.query);
        }
        match page["next_page_cursor"].as_str() {
            Some(next) => {
                assert!(!rows.is_empty(), "an empty page that is not the last");
                self.cursor = format!("&page_cursor={next}");
                false
            }
            None => {
                let missed: Vec<_> = self.expected.difference(&self.seen).collect();
                assert!(missed.is_empty(), "{} never showed {missed:?}", self.query);
                true
            }
        }
    }
}
