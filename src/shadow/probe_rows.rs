//! The conversions of `probe` in the lists that are compared. Each was made on one side alone, on purpose: what the other side's list lacks
//! of them is no difference between the APIs. They are set aside on both sides, and the record counts them.
//!
//! They are recognised by their reference, so that a config without a ledger, and a replica whose ledger cannot be read, set them aside too.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use super::json::Json;
use super::side_response::SideResponse;

/// How every reference of `probe` begins; words and [`DIGITS`] hex digits follow.
const BEGINNING: &str = "Probe";
const DIGITS: usize = 32;

const CURSOR: &str = "next_page_cursor";

/// Whether `probe` makes references of this form.
#[must_use]
pub fn is_probe_reference(ref_id: &str) -> bool {
    // It creates with other spellings of the same reference as well.
    let Some((words, digits)) = ref_id.trim().rsplit_once(['-', ' ']) else { return false };
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic());
    let mut words = words.split('-');
    words.next().is_some_and(|first| first.eq_ignore_ascii_case(BEGINNING))
        && words.all(is_word)
        && digits.len() == DIGITS
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Both pages without the rows of `probe`.
#[derive(Debug, PartialEq, Eq)]
pub struct WithoutProbes {
    /// The page that the client got, and the one that it is compared with.
    pub pages: [SideResponse; 2],
    /// Rows of `probe` that were set aside, on both pages.
    pub rows: u64,
}

/// Sets the rows of `probe` aside; `None` when there is none.
///
/// They take places on a page: behind a page that is cut, the other one may show as many rows more, and needs its cursor earlier or later.
/// Neither is compared then.
#[must_use]
pub fn set_aside(served: &SideResponse, other: &SideResponse) -> Option<WithoutProbes> {
    let holds_one = |page: &SideResponse| page.document().is_some_and(|it| rows(it).iter().any(is_probe));
    if !holds_one(served) && !holds_one(other) {
        return None;
    }
    // Where one side has no JSON object there are no rows to pair: the responses are compared as they are.
    let mut pages = [SidePage::of(served)?, SidePage::of(other)?];
    let rows = pages[0].set_aside + pages[1].set_aside;
    let [one, another] = &mut pages;
    one.end_with(another);
    another.end_with(one);
    if one.is_cut() != another.is_cut() {
        one.members.remove(CURSOR);
        another.members.remove(CURSOR);
    }
    Some(WithoutProbes { pages: pages.map(SidePage::response), rows: rows as u64 })
}

/// A document without the rows of `probe`.
#[must_use]
pub fn clients_rows(document: &Json) -> Cow<'_, Json> {
    match document {
        Json::Object(members) if rows(document).iter().any(is_probe) => {
            let mut members = members.clone();
            drop_probes(&mut members);
            Cow::Owned(Json::Object(members))
        }
        _ => Cow::Borrowed(document),
    }
}

fn rows(document: &Json) -> &[Json] {
    match document.get("items") {
        Some(Json::Array(rows)) => rows,
        _ => &[],
    }
}

fn is_probe(row: &Json) -> bool {
    row.text("ref_id").is_some_and(is_probe_reference)
}

/// Returns how many rows are dropped.
fn drop_probes(members: &mut BTreeMap<String, Json>) -> usize {
    let Some(Json::Array(rows)) = members.get_mut("items") else { return 0 };
    let all = rows.len();
    rows.retain(|row| !is_probe(row));
    all - rows.len()
}

/// A page without the rows of `probe`.
struct SidePage {
    status: u16,
    members: BTreeMap<String, Json>,
    set_aside: usize,
}

impl SidePage {
    fn of(response: &SideResponse) -> Option<Self> {
        let SideResponse::Document { status, document: Json::Object(members) } = response else {
            return None;
        };
        let mut page = Self { status: *status, members: members.clone(), set_aside: 0 };
        page.set_aside = drop_probes(&mut page.members);
        Some(page)
    }

    fn rows(&self) -> &[Json] {
        match self.members.get("items") {
            Some(Json::Array(rows)) => rows,
            _ => &[],
        }
    }

    /// Whether more rows follow on a next page.
    fn is_cut(&self) -> bool {
        self.members.get(CURSOR).is_some_and(|cursor| *cursor != Json::Null && cursor.as_text() != Some(""))
    }

    /// Drops the last rows for which the other page, which is cut, had no place.
    fn end_with(&mut self, other: &Self) {
        if !other.is_cut() {
            return;
        }
        let held: HashSet<_> = other.rows().iter().filter_map(name).collect();
        let beyond = |row: &&Json| name(row).is_none_or(|name| !held.contains(name));
        // From the end, and at most as many as probes took places: a row missing in the middle is still a difference.
        let beyond = self.rows().iter().rev().take(other.set_aside).take_while(beyond).count();
        if let Some(Json::Array(rows)) = self.members.get_mut("items") {
            rows.truncate(rows.len() - beyond);
        }
    }

    fn response(self) -> SideResponse {
        SideResponse::Document { status: self.status, document: Json::Object(self.members) }
    }
}

/// What rows of two pages are paired by.
fn name(row: &Json) -> Option<&str> {
    let named = |member| row.text(member).filter(|text| !text.is_empty());
    named("ref_id").or_else(|| named("id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(number: u8) -> String {
        format!("Probe-Old-{number:032x}")
    }

    fn page(ref_ids: &[&str], cursor: Option<&str>) -> SideResponse {
        let rows: Vec<_> = ref_ids.iter().map(|ref_id| format!(r#"{{"ref_id":"{ref_id}"}}"#)).collect();
        let cursor = cursor.map(|cursor| format!(r#","next_page_cursor":"{cursor}""#)).unwrap_or_default();
        SideResponse::read(200, format!(r#"{{"items":[{}]{cursor}}}"#, rows.join(",")).as_bytes())
    }

    #[test]
    fn only_references_of_that_form_are_probes() {
        let digits = "0123456789abcdef0123456789abcdef";
        for (ref_id, is) in [
            (format!("Probe-Old-{digits}"), true),
            (format!("Probe-Pair-New-{digits}"), true),
            (format!("Probe {digits}"), true),
            (format!(" probe-old-{digits} "), true),
            (format!("Probe--{digits}"), false),
            (format!("Probe-Old-{}", &digits[1..]), false),
            (format!("Prober-Old-{digits}"), false),
            (digits.into(), false),
            (format!("x-Probe-Old-{digits}"), false),
            (format!("Probe-Old1-{digits}"), false),
            ("Probe-Old".into(), false),
        ] {
            assert_eq!(is_probe_reference(&ref_id), is, "{ref_id}");
        }
    }

    #[test]
    fn a_page_is_compared_without_them_to_where_both_reach() {
        let [p, q] = [probe(1), probe(2)];
        let (p, q) = (p.as_str(), q.as_str());
        type Side<'a> = (&'a [&'a str], Option<&'a str>);
        let table: [([Side<'_>; 2], [Side<'_>; 2]); 6] = [
            ([(&["a", p], None), (&[q, "a"], None)], [(&["a"], None), (&["a"], None)]),
            // The probe took the place of b.
            ([(&[p, "a"], Some("c")), (&["a", "b"], None)], [(&["a"], None), (&["a"], None)]),
            ([(&["a", "b"], Some("c")), (&[q, "a"], Some("d"))], [(&["a"], Some("c")), (&["a"], Some("d"))]),
            // It took one place, not two.
            (
                [(&[p, "a"], Some("c")), (&["a", "b", "x"], Some("d"))],
                [(&["a"], Some("c")), (&["a", "b"], Some("d"))],
            ),
            // A row that is missing in the middle, or before the end of the list, is missing.
            (
                [(&[p, "b"], Some("c")), (&["a", "b"], Some("d"))],
                [(&["b"], Some("c")), (&["a", "b"], Some("d"))],
            ),
            ([(&[p, "a"], None), (&["a", "b"], None)], [(&["a"], None), (&["a", "b"], None)]),
        ];
        for ([served, other], expected) in table {
            let found = set_aside(&page(served.0, served.1), &page(other.0, other.1)).unwrap();
            assert_eq!(
                found.pages,
                expected.map(|(rows, cursor)| page(rows, cursor)),
                "{served:?} {other:?}"
            );
        }
        assert_eq!(set_aside(&page(&["a"], None), &page(&["b"], None)), None);
    }
}
