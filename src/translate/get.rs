//! Get, and the cancel of a record that only the new API holds.

use super::conversion::Status;
use super::json::{JsonReader, Text};
use super::mapping::{self, Mapped, NotAConversion, Origin};
use super::orchestration::{Orchestration, Unreadable};
use super::problem::Problem;
use super::route::Id;

/// Parses the new API's answer to a get. The inner `Err` is a record that the legacy API could not have made, so a legacy
/// client gets a 404.
///
/// # Errors
/// When the answer is not an orchestration.
pub fn answer(body: &[u8]) -> Result<Result<Mapped<'_>, NotAConversion>, Unreadable> {
    let orchestration = Orchestration::parse(body)?;
    match mapping::hidden(&orchestration, Origin::Unknown)? {
        Some(why) => Ok(Err(why)),
        None => mapping::conversion(&orchestration).map(Ok),
    }
}

/// Why an answer does not show the record that was asked for, although it can be read.
pub(crate) const OTHER_RECORD: Unreadable =
    Unreadable::WrongType { field: "id", expected: "the id that was asked for" };

/// Checks that a success of the legacy API shows the record with this id: a maintenance page, an empty object or another record does
/// not. Nothing but the id is asked of it, because the client gets it as it came.
///
/// # Errors
/// When it does not.
pub(crate) fn check_shown(body: &[u8], id: &Id) -> Result<(), Unreadable> {
    shown_status(body, id).map(drop)
}

/// Checks that a success of the legacy API shows the record with this id as cancelled.
///
/// # Errors
/// When it does not: then it is not known whether the record was cancelled.
pub(crate) fn check_cancelled(body: &[u8], id: &Id) -> Result<(), Unreadable> {
    match shown_status(body, id)?.and_then(|status| status.read(Status::parse)) {
        Some(Status::Cancelled) => Ok(()),
        Some(Status::Created | Status::Settled) | None => {
            Err(Unreadable::WrongType { field: "status", expected: "CANCELLED" })
        }
    }
}

/// The status of the record with this id.
fn shown_status<'a>(body: &'a [u8], id: &Id) -> Result<Option<Text<'a>>, Unreadable> {
    let (mut found, mut status) = (None, None);
    let mut reader = JsonReader::new(body)?;
    reader.object(|key, value| {
        let value = value.value()?;
        match key {
            "id" => found = value.as_text(),
            "status" => status = value.as_text(),
            _ => {}
        }
        Ok::<(), Unreadable>(())
    })?;
    reader.end()?;
    let found = found.and_then(Text::value).filter(|found| !found.is_empty());
    let found = found.ok_or(Unreadable::Missing { field: "id" })?;
    if id.is_shown_as(&found) { Ok(status) } else { Err(OTHER_RECORD) }
}

/// The legacy API's 404. The vendor's also names the customer, whose id the proxy does not know.
#[must_use]
pub fn not_found(id: &str) -> Problem {
    Problem::about_blank(404, format!("conversion with id {id} not found"))
}

/// The 403 for a cancel of a record on the new side: the new API has no cancel.
#[must_use]
pub fn cannot_be_cancelled(id: &str) -> Problem {
    Problem::about_blank(403, format!("conversion with id {id} cannot be cancelled"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_record_itself_is_shown_and_only_cancelled_is_cancelled() {
        let id = Id::known("7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c");
        let upper = id.as_str().to_uppercase();
        for (body, is_shown, is_cancelled) in [
            (format!(r#"{{"id":"{}","status":"CANCELLED"}}"#, id.as_str()), true, true),
            (format!(r#"{{"status":"CANCELLED","amount":1,"id":"{upper}"}}"#), true, true),
            (format!(r#"{{"id":"{upper}","status":"CREATED"}}"#), true, false),
            (format!(r#"{{"id":"{upper}","status":"new word"}}"#), true, false),
            (format!(r#"{{"id":"{upper}"}}"#), true, false),
            (format!(r#"{{"id":"{upper}","status":"CANCELLED"}} x"#), false, false),
            (r#"{"id":"other","status":"CANCELLED"}"#.into(), false, false),
            (r#"{"id":"","status":"CANCELLED"}"#.into(), false, false),
            (r#"{"title":"Not Found","status":404}"#.into(), false, false),
            ("{}".into(), false, false),
            ("null".into(), false, false),
            ("[]".into(), false, false),
            (String::new(), false, false),
            ("<html>maintenance</html>".into(), false, false),
        ] {
            assert_eq!(check_shown(body.as_bytes(), &id).is_ok(), is_shown, "{body}");
            assert_eq!(check_cancelled(body.as_bytes(), &id).is_ok(), is_cancelled, "{body}");
        }
    }
}
