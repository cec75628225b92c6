//! What both lists share: reading the query, order, limit, and the cursor. Which rows match is the callers' business.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;

use super::problem::Problem;
use super::records::{Accounts, Record, View};

const DEFAULT_LIMIT: usize = 100;
const MAXIMUM_LIMIT: usize = 1000;
/// How many values a repeatable filter takes.
const MAXIMUM_VALUES: usize = 100;

/// A parsed query string. Parameters that nobody asks for are ignored, as the vendor does.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    fn values(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    /// A parameter that may be there once; empty means absent.
    pub(super) fn single(&self, name: &str) -> Result<Option<&str>, Problem> {
        match self.values(name)[..] {
            [] | [""] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(Problem::bad_request(format!("{name} must not be repeated"))),
        }
    }

    /// A parameter that may repeat; none means that it does not filter.
    pub(super) fn repeated(&self, name: &str) -> Result<Vec<&str>, Problem> {
        let mut values = self.values(name);
        values.retain(|value| !value.is_empty());
        if values.len() > MAXIMUM_VALUES {
            return Err(Problem::bad_request(format!("{name} has more than {MAXIMUM_VALUES} values")));
        }
        Ok(values)
    }

    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.single(name)? else { return Ok(None) };
        let time =
            text.parse().map_err(|_| Problem::bad_request(format!("{name} is not an RFC 3339 time")))?;
        Ok(Some(time))
    }
}

/// Which page of a list: order, length, and where it starts.
pub(super) struct Listing {
    descending: bool,
    limit: usize,
    after: Option<(Timestamp, String)>,
}

impl Listing {
    pub(super) fn asked_by(query: &Query) -> Result<Self, Problem> {
        let descending = match query.single("order")? {
            None | Some("DESC") => true,
            Some("ASC") => false,
            Some(order) => {
                return Err(Problem::bad_request(format!("order {order} is neither ASC nor DESC")));
            }
        };
        let limit = match query.single("limit")? {
            None => DEFAULT_LIMIT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=MAXIMUM_LIMIT).contains(limit))
                .ok_or_else(|| Problem::bad_request(format!("limit must be from 1 to {MAXIMUM_LIMIT}")))?,
        };
        let after = match query.single("page_cursor")? {
            None => None,
            Some(text) => {
                Some(read_cursor(text).ok_or_else(|| Problem::bad_request("page_cursor is invalid"))?)
            }
        };
        Ok(Self { descending, limit, after })
    }

    /// The page's rows, and a cursor if there are more.
    pub(super) fn page(
        &self,
        shelf: &Accounts,
        customer: &str,
        view: &View,
        keep: impl Fn(&Record) -> bool,
    ) -> (Vec<Value>, Option<String>) {
        let mut matching = shelf.ordered(self.descending, self.after.as_ref()).filter(|(_, record)| {
            record.customer == customer && shelf.shows(record, view) && (view.ignore_filters || keep(record))
        });
        let mut rows = Vec::new();
        let mut last = None;
        for (key, record) in matching.by_ref().take(self.limit) {
            rows.push(record.to_json());
            last = Some(key);
        }
        let more = matching.next().is_some();
        (rows, last.filter(|_| more).map(write_cursor))
    }
}

fn write_cursor((at, id): &(Timestamp, String)) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}/{id}", at.as_nanosecond()))
}

fn read_cursor(text: &str) -> Option<(Timestamp, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (at, id) = text.split_once('/')?;
    Some((Timestamp::from_nanosecond(at.parse().ok()?).ok()?, id.to_owned()))
}
