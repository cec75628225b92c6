//! List: the client's query, and the queries to the sides that answer it.
//!
//! `cursor` is the position in a listing (`position`: on one side; `cursor_codec`: on the wire), `answer` parses a side's answer into
//! `rows`, `source` finds the position among them, `page` merges them into the client's page (`pairs`: rows of both sides that are one
//! record, by `same_record`), and `taken_rows` makes the next cursor of what the page took. `progress` is what a page learned whose calls
//! ran out.

mod answer;
pub mod cursor;
mod cursor_codec;
mod layout;
pub mod page;
mod pairs;
mod position;
pub mod progress;
pub mod rows;
pub(crate) mod same_record;
mod source;
mod taken_rows;

use std::borrow::Cow;

use form_urlencoded::Serializer;
use jiff::{Timestamp, Unit};
use percent_encoding::percent_decode_str;

use self::cursor::{Cursor, PageCursor, SortOrder};
use self::position::id_hash;
use super::facts::{Facts, ProfileFilter};
use super::invalid::Invalid;
use super::timestamp;
use crate::translate::paths;
use crate::translate::side::Side;

/// Rows per page without a `limit` parameter.
pub(crate) const LIMIT_DEFAULT: u16 = 100;
/// Maximum rows per page on both sides.
pub(crate) const LIMIT_MAX: u16 = 1000;

/// A validated legacy list query. Unknown parameters are ignored, as the legacy API does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    pub(crate) profile_id: Option<String>,
    pub(crate) ref_id: Option<String>,
    /// Bounds on `created_at`, inclusive.
    pub(crate) created: Range,
    /// Bounds on `updated_at`, inclusive.
    pub(crate) updated: Range,
    /// `None`: newest first.
    pub(crate) order: Option<SortOrder>,
    /// Rows per page; `None`: [`LIMIT_DEFAULT`].
    pub limit: Option<u16>,
    /// The position to continue from.
    pub(crate) page_cursor: PageCursor,
    /// What is known about the vendor.
    pub(crate) facts: Facts,
}

/// A call to a side for one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The side whose list is read.
    pub side: Side,
    /// The number of rows to request.
    pub limit: u16,
    /// That side's own cursor, from the call before or from an earlier page.
    pub after: Option<String>,
    /// The call asks for rows from this instant's second on.
    pub since: Option<Timestamp>,
    /// Whether `after` is from an earlier page, so the side may refuse it.
    pub has_hint: bool,
}

impl Call {
    /// A call for the first rows.
    #[must_use]
    pub const fn first(side: Side, limit: u16) -> Self {
        Self { side, limit, after: None, since: None, has_hint: false }
    }
}

/// Two optional bounds, inclusive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) begin: Option<TimeBound>,
    pub(crate) end: Option<TimeBound>,
}

impl Range {
    /// Whether an instant lies within the bounds.
    #[must_use]
    pub(crate) fn contains(&self, at: Timestamp) -> bool {
        self.begin.as_ref().is_none_or(|begin| at >= begin.at)
            && self.end.as_ref().is_none_or(|end| at <= end.at)
    }

    /// Whether there is no bound at all.
    #[must_use]
    pub(crate) const fn is_open(&self) -> bool {
        self.begin.is_none() && self.end.is_none()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimeBound {
    /// The client's text, forwarded verbatim where both sides read its form.
    pub(crate) text: String,
    pub(crate) at: Timestamp,
}

impl From<Timestamp> for TimeBound {
    fn from(at: Timestamp) -> Self {
        Self { text: at.to_string(), at }
    }
}

impl ListQuery {
    /// Parses a query string as strictly as the legacy API: an empty value is an absent one.
    ///
    /// # Errors
    /// All invalid parameters.
    pub fn parse(query: &str) -> Result<Self, Invalid> {
        let mut invalid = Invalid::default();
        let mut given: [Option<String>; PARAMETERS.len()] = [const { None }; PARAMETERS.len()];
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let key = decode(key);
            let Some(at) = PARAMETERS.iter().position(|name| *name == key) else { continue };
            match given[at] {
                None => given[at] = Some(decode(value)),
                // Servers take the first or the last of two; neither may be guessed.
                Some(_) => invalid.add(PARAMETERS[at], "is given more than once"),
            }
        }
        // An empty value is no value, for every parameter alike.
        let given = given.map(|value| value.filter(|value| !value.is_empty()));
        let [
            profile_id,
            ref_id,
            created_begin,
            created_end,
            updated_begin,
            updated_end,
            order,
            limit,
            cursor,
        ] = given;
        let query = Self {
            profile_id,
            ref_id,
            created: Range {
                begin: bound(created_begin, "created_at.begin", &mut invalid),
                end: bound(created_end, "created_at.end", &mut invalid),
            },
            updated: Range {
                begin: bound(updated_begin, "updated_at.begin", &mut invalid),
                end: bound(updated_end, "updated_at.end", &mut invalid),
            },
            order: parse_order(order, &mut invalid),
            limit: parse_limit(limit, &mut invalid),
            page_cursor: parse_cursor(cursor, &mut invalid),
            facts: Facts::default(),
        };
        query.check_cursor(&mut invalid);
        if invalid.is_empty() { Ok(query) } else { Err(invalid) }
    }

    /// Everything that was created between two times, both included, oldest first.
    #[must_use]
    pub(crate) fn ascending(begin: Timestamp, end: Timestamp) -> Self {
        let created = Range { begin: Some(begin.into()), end: Some(end.into()) };
        Self { created, order: Some(SortOrder::Ascending), ..Self::default() }
    }

    /// The same query to a vendor of whom this is known.
    #[must_use]
    pub fn with_facts(self, facts: Facts) -> Self {
        Self { facts, ..self }
    }

    fn check_cursor(&self, invalid: &mut Invalid) {
        if let (Some(order), PageCursor::Ours(cursor)) = (self.order, &self.page_cursor)
            && order != cursor.order
        {
            invalid.add("page_cursor", "was made for the other order");
        }
    }

    /// Whether a query string continues from a cursor of the proxy's own.
    #[must_use]
    pub fn has_own_cursor(query: &str) -> bool {
        // Skips the parsing for most queries. The parameter's name may be percent-encoded.
        let may_have_one = query.contains("page_cursor=") || query.contains('%');
        may_have_one && matches!(Self::parse(query), Ok(query) if query.cursor().is_some())
    }

    /// The order of the listing: the parameter's, else the cursor's, else newest first.
    #[must_use]
    pub(crate) fn order(&self) -> SortOrder {
        match (self.order, &self.page_cursor) {
            (Some(order), _) => order,
            (None, PageCursor::Ours(cursor)) => cursor.order,
            (None, PageCursor::Start | PageCursor::Foreign) => SortOrder::Descending,
        }
    }

    /// Rows per page; [`LIMIT_DEFAULT`] if the client named none.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT_DEFAULT).into()
    }

    /// The cursor of the proxy's own that the listing continues from.
    #[must_use]
    pub fn cursor(&self) -> Option<&Cursor> {
        match &self.page_cursor {
            PageCursor::Ours(cursor) => Some(cursor),
            PageCursor::Start | PageCursor::Foreign => None,
        }
    }

    /// A hash of everything that selects rows.
    pub(crate) fn filters_hash(&self) -> u64 {
        let bounds = [&self.created.begin, &self.created.end, &self.updated.begin, &self.updated.end];
        let bounds = bounds.map(|bound| bound.as_ref().map(|bound| &bound.text));
        id_hash(&format!("{:?}{:?}{bounds:?}", self.profile_id, self.ref_id))
    }

    /// The path and query of a call to a side, relative to its base URL.
    #[must_use]
    pub fn path(&self, call: &Call) -> String {
        let Call { side, limit, after, since, .. } = call;
        let query = self.query(*side, Some(*limit), (*since, after.as_deref()));
        format!("{}?{query}", paths::collection(*side))
    }

    /// The query for the new API, which has no filter by `updated_at`: the proxy filters the rows. No record is updated before it
    /// is created, so `updated_at.end` bounds `created_at` as well. Where `profile_id` filters by the destination, it would leave out
    /// conversions that credit another profile, so the proxy filters by it as well.
    #[must_use]
    pub fn to_orchestrations(&self, limit: Option<u16>, after: Option<&str>) -> String {
        self.query(Side::New, limit, (self.cursor().map(|cursor| cursor.at), after))
    }

    /// The query for a side, from the second of an instant on and after the side's own cursor.
    fn query(
        &self,
        side: Side,
        limit: Option<u16>,
        (since, after): (Option<Timestamp>, Option<&str>),
    ) -> String {
        let updated = [("updated_at.begin", &self.updated.begin), ("updated_at.end", &self.updated.end)];
        let (created, updated) = match side {
            Side::Legacy => (["created_at.begin", "created_at.end"], &updated[..]),
            Side::New => (["created_at.gte", "created_at.lte"], &[][..]),
        };
        // New filters by the destination then, so rows are selected by their source when they are read.
        let selects_here = side == Side::New && self.facts.profile_filter == ProfileFilter::Target;
        let profile_id = self.profile_id.as_deref().filter(|_| !selects_here);
        let (begin, end) = self.bounds(since);
        let order = self.order.or_else(|| self.cursor().map(|cursor| cursor.order));
        let limit = limit.map(|limit| limit.to_string());
        let mut out = Serializer::new(String::new());
        let mut add = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                out.append_pair(key, value);
            }
        };
        add("profile_id", profile_id);
        add("ref_id", self.ref_id.as_deref());
        add(created[0], begin.as_ref().map(|bound| bound.text.as_str()));
        add(created[1], end.as_ref().map(|bound| bound.text.as_str()));
        for (key, bound) in updated {
            add(key, bound.as_ref().map(|bound| bound.text.as_str()));
        }
        add("order", order.map(SortOrder::as_str));
        add("limit", limit.as_deref());
        add("page_cursor", after);
        // Some servers read a plus sign in a query literally. The form encoding writes a literal one as %2B, so each `+` is a space.
        out.finish().replace("%3A", ":").replace('+', "%20")
    }

    /// The tightest bounds on `created_at` that lose no row from an instant on. That instant is widened to the whole second, because a side may
    /// index fewer digits than it answers.
    fn bounds(&self, since: Option<Timestamp>) -> (Option<Cow<'_, TimeBound>>, Option<Cow<'_, TimeBound>>) {
        let mut begin = self.created.begin.as_ref().map(Cow::Borrowed);
        let ends = [&self.created.end, &self.updated.end];
        let mut end = ends.into_iter().flatten().min_by_key(|bound| bound.at).map(Cow::Borrowed);
        if let Some(since) = since.map(|since| second_of(self.order(), since)) {
            match self.order() {
                // The cursor only narrows: the client's own bound stays where it is stricter.
                SortOrder::Ascending if begin.as_ref().is_none_or(|bound| bound.at < since) => {
                    begin = Some(Cow::Owned(since.into()));
                }
                SortOrder::Descending if end.as_ref().is_none_or(|bound| bound.at > since) => {
                    end = Some(Cow::Owned(since.into()));
                }
                SortOrder::Ascending | SortOrder::Descending => {}
            }
        }
        (begin, end)
    }
}

/// The first instant, in that order, of an instant's second.
fn second_of(order: SortOrder, at: Timestamp) -> Timestamp {
    let mode = match order {
        SortOrder::Ascending => jiff::RoundMode::Floor,
        SortOrder::Descending => jiff::RoundMode::Ceil,
    };
    at.round(jiff::TimestampRound::new().smallest(Unit::Second).mode(mode)).unwrap_or(at)
}

/// The legacy API's list parameters.
pub(crate) const PARAMETERS: [&str; 9] = [
    "profile_id",
    "ref_id",
    "created_at.begin",
    "created_at.end",
    "updated_at.begin",
    "updated_at.end",
    "order",
    "limit",
    "page_cursor",
];

/// Decodes a key or a value as the URL standard does: `+` is a space, a `%` that begins no escape is itself, and bytes that are not UTF-8
/// become U+FFFD. So a filter that cannot be decoded finds nothing, and is no error.
fn decode(text: &str) -> String {
    let spaced = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

fn bound(value: Option<String>, name: &'static str, invalid: &mut Invalid) -> Option<TimeBound> {
    let text = value?;
    if let Some(at) = timestamp::parse(&text) {
        return Some(TimeBound { text, at });
    }
    // Written in a form that a side may not read, so both are asked in the usual one.
    let at = timestamp::parse_any_form(&text);
    if at.is_none() {
        invalid.add(name, "must be an RFC 3339 timestamp, such as 2006-01-02T15:04:05Z");
    }
    at.map(TimeBound::from)
}

fn parse_order(value: Option<String>, invalid: &mut Invalid) -> Option<SortOrder> {
    match value?.as_str() {
        "ASC" => Some(SortOrder::Ascending),
        "DESC" => Some(SortOrder::Descending),
        _ => {
            invalid.add("order", "must be ASC or DESC");
            None
        }
    }
}

fn parse_limit(value: Option<String>, invalid: &mut Invalid) -> Option<u16> {
    let text = value?;
    let limit = Some(&text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let limit = limit.and_then(|text| text.parse().ok()).filter(|limit| (1..=LIMIT_MAX).contains(limit));
    if limit.is_none() {
        invalid.add("limit", "must be a whole number from 1 to 1000");
    }
    limit
}

fn parse_cursor(value: Option<String>, invalid: &mut Invalid) -> PageCursor {
    PageCursor::parse(value.as_deref().unwrap_or_default()).unwrap_or_else(|| {
        invalid.add("page_cursor", "is damaged; start the listing again");
        PageCursor::Start
    })
}
