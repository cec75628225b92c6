//! List: what the client asks for, and the calls that answer it.
//!
//! `cursor` is where a listing stands, `rows` reads an upstream's answer, `page` puts the client's page together, `lookup` asks
//! for one record by reference.

pub mod cursor;
pub mod lookup;
pub mod page;
pub mod rows;

use std::borrow::Cow;

use form_urlencoded::Serializer;
use jiff::{Timestamp, Unit};
use percent_encoding::percent_decode_str;

use self::cursor::{Cursor, Order, PageCursor};
use super::invalid::Invalid;
use super::timestamp;
use crate::translate::paths;
use crate::translate::side::Side;

/// Rows per page when the client does not say.
pub const LIMIT_DEFAULT: u16 = 100;
/// The most rows per page, on both sides.
pub const LIMIT_MAX: u16 = 1000;

/// A legacy list request, checked. Parameters that the old API never had are ignored, as it did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Only this profile's conversions.
    pub profile_id: Option<String>,
    /// Only the conversion with this reference.
    pub ref_id: Option<String>,
    /// Bounds on `created_at`, inclusive.
    pub created: Range,
    /// Bounds on `updated_at`, inclusive.
    pub updated: Range,
    /// The order asked for; newest first when the client does not say.
    pub order: Option<Order>,
    /// Rows per page; [`LIMIT_DEFAULT`] when the client does not say.
    pub limit: Option<u16>,
    /// Where to go on.
    pub page_cursor: PageCursor,
}

/// Two optional bounds, inclusive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// From this instant on.
    pub begin: Option<Bound>,
    /// Up to this instant.
    pub end: Option<Bound>,
}

impl Range {
    /// Whether an instant lies within the bounds.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.begin.as_ref().is_none_or(|begin| at >= begin.at)
            && self.end.as_ref().is_none_or(|end| at <= end.at)
    }

    /// Whether there is no bound at all.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.begin.is_none() && self.end.is_none()
    }
}

/// One bound: the instant, and the client's own way to write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// As the client wrote it; forwarded verbatim.
    pub text: String,
    /// What it means.
    pub at: Timestamp,
}

impl From<Timestamp> for Bound {
    fn from(at: Timestamp) -> Self {
        Self { text: at.to_string(), at }
    }
}

impl ListQuery {
    /// Reads a query string, as strictly as the old API.
    ///
    /// # Errors
    /// Every parameter that is wrong, by its legacy name.
    pub fn parse(query: &str) -> Result<Self, Invalid> {
        let mut wrong = Invalid::default();
        let mut given: [Option<String>; PARAMETERS.len()] = [const { None }; PARAMETERS.len()];
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(key) = decode(key) else { continue };
            let Some(at) = PARAMETERS.iter().position(|name| *name == key) else { continue };
            match decode(value) {
                Some(value) if given[at].is_none() => given[at] = Some(value.into_owned()),
                Some(_) => wrong.add(PARAMETERS[at], "is given more than once"),
                None => wrong.add(PARAMETERS[at], "is not percent-encoded UTF-8"),
            }
        }
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
            profile_id: profile_id.filter(|value| !value.is_empty()),
            ref_id: ref_id.filter(|value| !value.is_empty()),
            created: Range {
                begin: bound(created_begin, "created_at.begin", &mut wrong),
                end: bound(created_end, "created_at.end", &mut wrong),
            },
            updated: Range {
                begin: bound(updated_begin, "updated_at.begin", &mut wrong),
                end: bound(updated_end, "updated_at.end", &mut wrong),
            },
            order: parse_order(order, &mut wrong),
            limit: parse_limit(limit, &mut wrong),
            page_cursor: parse_cursor(cursor, &mut wrong),
        };
        query.check_cursor(&mut wrong);
        if wrong.is_empty() { Ok(query) } else { Err(wrong) }
    }

    fn check_cursor(&self, wrong: &mut Invalid) {
        if let (Some(order), PageCursor::Ours(cursor)) = (self.order, &self.page_cursor)
            && order != cursor.order
        {
            wrong.add("page_cursor", "was made for the other order");
        }
    }

    /// Whether a query string goes on from a cursor that the proxy handed out.
    #[must_use]
    pub fn goes_on_from_ours(query: &str) -> bool {
        // Most queries need no closer look. The parameter's name may be written with escapes.
        let may_hold_one = query.contains("page_cursor=") || query.contains('%');
        may_hold_one && matches!(Self::parse(query), Ok(query) if query.cursor().is_some())
    }

    /// The order of the listing: what the client says, else what its cursor says, else newest first.
    #[must_use]
    pub fn order(&self) -> Order {
        match (self.order, &self.page_cursor) {
            (Some(order), _) => order,
            (None, PageCursor::Ours(cursor)) => cursor.order,
            (None, PageCursor::Start | PageCursor::Foreign) => Order::Descending,
        }
    }

    /// Rows per page.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT_DEFAULT).into()
    }

    /// How many rows to ask of a side at once: a page, one more to know whether it is the last, and those that the
    /// widened bound brings again. A refill asks for ten times as much: where rows were dropped, more will be.
    #[must_use]
    pub fn ask(&self, refill: bool) -> u16 {
        let again = self.cursor().map_or(0, |cursor| cursor.handed_out().len());
        let rows = (self.limit() + 1 + again) * if refill { 10 } else { 1 };
        u16::try_from(rows).unwrap_or(LIMIT_MAX).min(LIMIT_MAX)
    }

    /// The cursor that the proxy itself handed out, if the listing goes on from one.
    #[must_use]
    pub const fn cursor(&self) -> Option<&Cursor> {
        match &self.page_cursor {
            PageCursor::Ours(cursor) => Some(cursor),
            PageCursor::Start | PageCursor::Foreign => None,
        }
    }

    /// The path and query that ask a side for this list, under the side's base URL. `limit` is how many rows to ask for,
    /// `after` a cursor of that side's own from an earlier call for the same page.
    #[must_use]
    pub fn path(&self, side: Side, limit: u16, after: Option<&str>) -> String {
        let query = match side {
            Side::Legacy => self.to_conversions(limit, after),
            Side::New => self.to_orchestrations(Some(limit), after),
        };
        format!("{}?{query}", paths::collection(side))
    }

    /// The same list in the new API's words. `updated_at` has no counterpart there: the proxy filters, and since nothing
    /// is updated before it is created, `updated_at.end` also bounds `created_at`.
    #[must_use]
    pub fn to_orchestrations(&self, limit: Option<u16>, after: Option<&str>) -> String {
        self.query(["created_at.gte", "created_at.lte"], &[], limit, after)
    }

    /// The same list in the old API's words, at the proxy's own place in it.
    fn to_conversions(&self, limit: u16, after: Option<&str>) -> String {
        let updated = [("updated_at.begin", &self.updated.begin), ("updated_at.end", &self.updated.end)];
        self.query(["created_at.begin", "created_at.end"], &updated, Some(limit), after)
    }

    fn query(
        &self,
        created: [&str; 2],
        further: &[(&str, &Option<Bound>)],
        limit: Option<u16>,
        after: Option<&str>,
    ) -> String {
        let (begin, end) = self.bounds();
        let order = self.order.or_else(|| self.cursor().map(|cursor| cursor.order));
        let limit = limit.map(|limit| limit.to_string());
        let mut out = Serializer::new(String::new());
        let mut add = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                out.append_pair(key, value);
            }
        };
        add("profile_id", self.profile_id.as_deref());
        add("ref_id", self.ref_id.as_deref());
        add(created[0], begin.as_ref().map(|bound| bound.text.as_str()));
        add(created[1], end.as_ref().map(|bound| bound.text.as_str()));
        for (key, bound) in further {
            add(key, bound.as_ref().map(|bound| bound.text.as_str()));
        }
        add("order", order.map(Order::as_str));
        add("limit", limit.as_deref());
        add("page_cursor", after);
        out.finish().replace("%3A", ":")
    }

    /// The tightest bounds on `created_at` that lose no row. A cursor's bound is widened to the whole second, in case a
    /// side keeps fewer digits in its index than in its answers.
    fn bounds(&self) -> (Option<Cow<'_, Bound>>, Option<Cow<'_, Bound>>) {
        let mut begin = self.created.begin.as_ref().map(Cow::Borrowed);
        let ends = [&self.created.end, &self.updated.end];
        let mut end = ends.into_iter().flatten().min_by_key(|bound| bound.at).map(Cow::Borrowed);
        if let Some(cursor) = self.cursor() {
            let (floor, ceiling) = whole_seconds(cursor.at);
            match cursor.order {
                Order::Ascending if begin.as_ref().is_none_or(|bound| bound.at < floor) => {
                    begin = Some(Cow::Owned(floor.into()));
                }
                Order::Descending if end.as_ref().is_none_or(|bound| bound.at > ceiling) => {
                    end = Some(Cow::Owned(ceiling.into()));
                }
                Order::Ascending | Order::Descending => {}
            }
        }
        (begin, end)
    }
}

fn whole_seconds(at: Timestamp) -> (Timestamp, Timestamp) {
    let rounded =
        |mode| at.round(jiff::TimestampRound::new().smallest(Unit::Second).mode(mode)).unwrap_or(at);
    (rounded(jiff::RoundMode::Floor), rounded(jiff::RoundMode::Ceil))
}

/// The parameters that the old API knows.
pub const PARAMETERS: [&str; 9] = [
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

/// One key or value of a query: `+` is a space, every `%` begins an escape, the result is UTF-8.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    let spaced = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    let escapes = spaced.match_indices('%').all(|(at, _)| {
        spaced.as_bytes().get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    });
    let decode = || percent_decode_str(&spaced).decode_utf8().ok().map(|text| text.into_owned().into());
    escapes.then(decode).flatten()
}

fn bound(value: Option<String>, name: &'static str, wrong: &mut Invalid) -> Option<Bound> {
    let text = value?;
    let at = timestamp::parse(&text);
    if at.is_none() {
        wrong.add(name, "must be an RFC 3339 timestamp, such as 2006-01-02T15:04:05Z");
    }
    at.map(|at| Bound { text, at })
}

fn parse_order(value: Option<String>, wrong: &mut Invalid) -> Option<Order> {
    match value?.as_str() {
        "" => None,
        "ASC" => Some(Order::Ascending),
        "DESC" => Some(Order::Descending),
        _ => {
            wrong.add("order", "must be ASC or DESC");
            None
        }
    }
}

fn parse_limit(value: Option<String>, wrong: &mut Invalid) -> Option<u16> {
    let text = value?;
    let limit = Some(&text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let limit = limit.and_then(|text| text.parse().ok()).filter(|limit| (1..=LIMIT_MAX).contains(limit));
    if limit.is_none() {
        wrong.add("limit", "must be a whole number from 1 to 1000");
    }
    limit
}

fn parse_cursor(value: Option<String>, wrong: &mut Invalid) -> PageCursor {
    PageCursor::parse(value.as_deref().unwrap_or_default()).unwrap_or_else(|| {
        wrong.add("page_cursor", "is damaged; start the listing again");
        PageCursor::Start
    })
}
