//! The look-up by reference: what to ask of a side, and what its answer proves.

use form_urlencoded::Serializer;

use super::ListQuery;
use super::rows::Rows;
use crate::translate::orchestration::Unreadable;
use crate::translate::paths;
use crate::translate::side::Side;

/// What an answer proves.
#[derive(Debug)]
pub enum Seen {
    /// The side holds no conversion with this reference.
    Nothing,
    /// The side holds one.
    Record(Record),
    /// Neither: other records came back, or more are to come.
    NoProof(&'static str),
}

/// A conversion that was found.
#[derive(Debug)]
pub struct Record {
    /// The vendor's id.
    pub id: String,
    /// The conversion in the legacy shape.
    pub json: Vec<u8>,
}

/// The path and query, under the side's base URL.
#[must_use]
pub fn path(side: Side, ref_id: &str) -> String {
    let collection = paths::collection(side);
    format!("{collection}?{}", Serializer::new(String::new()).append_pair("ref_id", ref_id).finish())
}

/// Reads the answer to a look-up.
///
/// # Errors
/// When it is not a list.
pub fn answer(side: Side, body: &[u8], ref_id: &str) -> Result<Seen, Unreadable> {
    let query = ListQuery { ref_id: Some(ref_id.to_owned()), ..ListQuery::default() };
    let mut rows = Rows::of(side, body, &query)?;
    let (filtered, hidden, more) =
        (rows.dropped.filtered, rows.dropped.never_conversions, rows.next.is_some());
    Ok(match rows.pop() {
        Some(row) => Seen::Record(Record { id: row.id.to_owned(), json: row.json.to_vec() }),
        None if filtered > 0 => Seen::NoProof("the filter by ref_id was ignored"),
        None if hidden > 0 => Seen::NoProof("a record that was never a conversion came back"),
        None if more => Seen::NoProof("an empty page that is not the last"),
        None => Seen::Nothing,
    })
}
