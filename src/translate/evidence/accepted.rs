//! What the answer to a create proves.

use std::borrow::Cow;

use super::{Reply, is_problem_document};
use crate::translate::conversion::Conversion;
use crate::translate::create::CreateRequest;
use crate::translate::json::{JsonError, JsonReader, Raw, Text};
use crate::translate::mapping::{self, Origin};
use crate::translate::orchestration::Orchestration;
use crate::translate::side::Side;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The conversion was made. `record`: which of the candidates the record names, and its id; legacy may leave the reference out.
    Accepted {
        /// The candidate's position and the record's id.
        record: Option<(usize, String)>,
    },
    /// A success that shows another record than the one that was asked for, or none that can be read.
    Foreign(&'static str),
    /// A definite refusal, in the vendor's own words.
    Refused,
    /// The reference exists. `record`: which of the candidates the shown record names, and its id.
    Exists {
        /// The candidate's position and the record's id.
        record: Option<(usize, String)>,
    },
    /// The reference exists, as a record that is no conversion.
    OtherKind,
    Unknown(&'static str),
}

/// The statuses with which the vendor refuses for good. Any other one may come from something in between, or after the write.
const REFUSALS: [u16; 6] = [400, 401, 403, 404, 422, 429];

/// Reads the answer of `side` to a create. `request` is there when the body could be read strictly; `candidates` are the readings of its
/// reference.
#[must_use]
pub(crate) fn judge<S: AsRef<str>>(
    side: Side,
    reply: &Reply<'_>,
    request: Option<&CreateRequest<'_>>,
    candidates: &[S],
) -> Sent {
    let position = |ref_id: Option<Text<'_>>| {
        let value = ref_id.and_then(Text::value)?;
        candidates.iter().position(|candidate| candidate.as_ref() == value)
    };
    match (reply.status, side) {
        // Whatever success the status names, the body decides.
        (200..=299, Side::Legacy) => legacy_success(reply, position),
        (200..=299, Side::New) => new_success(reply, request, position),
        // A conflict or refusal of something in between proves nothing: the vendor may have acted before it.
        (409, _) if is_problem_document(reply) => conflict(side, reply, position),
        (status, _) if REFUSALS.contains(&status) && is_problem_document(reply) => Sent::Refused,
        (status, _) if REFUSALS.contains(&status) || status == 409 => {
            Sent::Unknown("a refusal that is not the vendor's")
        }
        _ => Sent::Unknown("the status says nothing certain"),
    }
}

/// The old API judges its own requests; only a record of another reference is not believed.
fn legacy_success(reply: &Reply<'_>, position: impl Fn(Option<Text<'_>>) -> Option<usize>) -> Sent {
    let Ok(conversion) = Conversion::parse(reply.body) else {
        return Sent::Foreign("the answer is no conversion");
    };
    reply.notice(conversion.unknown);
    let named = conversion.ref_id.filter(|ref_id| !ref_id.is_empty());
    match (named, position(named), conversion.into_id()) {
        // Any object would do otherwise, such as another request's list.
        (None, _, Err(_)) => Sent::Foreign("the answer has neither reference nor id"),
        (None, _, Ok(_)) => Sent::Accepted { record: None },
        (Some(_), Some(at), Ok(id)) => Sent::Accepted { record: Some((at, id)) },
        (Some(_), Some(_), Err(_)) => Sent::Accepted { record: None },
        (Some(_), None, _) => Sent::Foreign("the record carries another reference"),
    }
}

/// Reference, amount, assets and profiles must be those that were asked for.
fn new_success(
    reply: &Reply<'_>,
    request: Option<&CreateRequest<'_>>,
    position: impl Fn(Option<Text<'_>>) -> Option<usize>,
) -> Sent {
    let (Some(request), Ok(orchestration)) = (request, Orchestration::parse(reply.body)) else {
        return Sent::Foreign("the answer is no orchestration");
    };
    reply.notice(orchestration.unknown);
    let Ok(mapped) = mapping::conversion(&orchestration) else {
        return Sent::Foreign("the record has no id");
    };
    // A stray answer on a reused connection may show another request's record; its reference alone would not tell.
    if !request.asks_for(&mapped.conversion) {
        return Sent::Foreign("the record differs from the request");
    }
    match (position(orchestration.ref_id), mapped.conversion.into_id()) {
        (Some(at), Ok(id)) => Sent::Accepted { record: Some((at, id)) },
        (Some(_), Err(_)) => Sent::Foreign("the record has no id"),
        (None, _) => Sent::Foreign("the record carries another reference"),
    }
}

/// What a 409 shows: the record in `meta.existing`, if it carries one of the candidates.
fn conflict(side: Side, reply: &Reply<'_>, position: impl Fn(Option<Text<'_>>) -> Option<usize>) -> Sent {
    let none = Sent::Exists { record: None };
    let existing =
        member(reply.body, "meta").and_then(|meta| member(meta.as_written().as_bytes(), "existing"));
    let Some(existing) = existing.map(|existing| existing.as_written().as_bytes()) else { return none };
    let (ref_id, id) = match side {
        Side::Legacy => {
            let Ok(conversion) = Conversion::parse(existing) else { return none };
            reply.notice(conversion.unknown);
            (conversion.ref_id, conversion.id)
        }
        Side::New => {
            let Ok(orchestration) = Orchestration::parse(existing) else { return none };
            reply.notice(orchestration.unknown);
            // The reference is this request's, so only what no conversion can be is of another kind.
            let other_kind = matches!(mapping::hidden(&orchestration, Origin::OwnReference), Ok(Some(_)));
            if other_kind && position(orchestration.ref_id).is_some() {
                return Sent::OtherKind;
            }
            (orchestration.ref_id, orchestration.id)
        }
    };
    let id = id.and_then(Text::value).filter(|id| !id.is_empty());
    Sent::Exists { record: position(ref_id).zip(id.map(Cow::into_owned)) }
}

fn member<'a>(object: &'a [u8], name: &str) -> Option<Raw<'a>> {
    let mut found = None;
    let mut reader = JsonReader::new(object).ok()?;
    let read = reader.object(|key, value| {
        let value = value.value()?;
        if key == name {
            found = Some(value);
        }
        Ok::<(), JsonError>(())
    });
    read.ok().and(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::evidence::of_type;

    const REQUEST: &[u8] =
        br#"{"ref_id":"r","profile_id":"p","amount":"100","source_asset":"USD","target_asset":"PYUSD"}"#;

    fn judged(side: Side, status: u16, content_type: &'static str, body: &str) -> Sent {
        let request = CreateRequest::parse(REQUEST).unwrap();
        let headers = of_type([content_type]);
        let reply = Reply { status, headers: &headers, body: body.as_bytes(), unknown_digests: None };
        judge(side, &reply, Some(&request), &["r"])
    }

    #[test]
    fn new_is_believed_only_when_the_record_is_the_one_that_was_asked_for() {
        let record = r#"{"id":"1","ref_id":"r","source_amount":"100.00","source_asset":"USD","destination_asset":"PYUSD","profile_id":"p"}"#;
        let accepted = Sent::Accepted { record: Some((0, "1".into())) };
        assert_eq!(judged(Side::New, 200, "application/json", record), accepted);
        assert_eq!(judged(Side::New, 201, "application/json", record), accepted);
        for (what, with) in [
            (r#""id":"1""#, r#""id":"""#),
            (r#""id":"1","#, ""),
            (r#""ref_id":"r""#, r#""ref_id":"other""#),
            (r#""ref_id":"r","#, ""),
            ("100.00", "10.00"),
            ("PYUSD", "USDG"),
            (r#""profile_id":"p""#, r#""profile_id":"q""#),
        ] {
            let record = record.replace(what, with);
            assert!(
                matches!(judged(Side::New, 200, "application/json", &record), Sent::Foreign(_)),
                "{record}"
            );
        }
        for body in ["", "{}", r#"{"id":"1"}"#, "<html>", "null"] {
            assert!(matches!(judged(Side::New, 200, "application/json", body), Sent::Foreign(_)), "{body}");
        }
    }

    #[test]
    fn legacy_is_doubted_only_when_it_names_another_reference() {
        let with = |record: &str| judged(Side::Legacy, 200, "application/json", record);
        assert_eq!(with(r#"{"id":"1","ref_id":"r"}"#), Sent::Accepted { record: Some((0, "1".into())) });
        assert_eq!(with(r#"{"id":"1"}"#), Sent::Accepted { record: None });
        assert_eq!(with(r#"{"id":"1","ref_id":""}"#), Sent::Accepted { record: None });
        assert!(matches!(with(r#"{"id":"1","ref_id":"other"}"#), Sent::Foreign(_)));
        for body in ["<html>", "{}", r#"{"items":[]}"#, r#"{"id":"","ref_id":""}"#] {
            assert!(matches!(with(body), Sent::Foreign(_)), "{body}");
        }
    }

    #[test]
    fn a_refusal_counts_only_in_the_vendors_words_and_with_its_statuses() {
        let problem = r#"{"title":"No"}"#;
        for status in [400, 401, 403, 404, 422, 429] {
            assert_eq!(judged(Side::New, status, "application/json", problem), Sent::Refused, "{status}");
            for (kind, body) in
                [("text/html", "<html>"), ("application/json", ""), ("application/json", "{}")]
            {
                assert!(matches!(judged(Side::New, status, kind, body), Sent::Unknown(_)), "{status} {kind}");
            }
        }
        for status in [302, 405, 408, 410, 421, 423, 425, 426, 451, 499, 500, 502, 503, 504] {
            assert!(
                matches!(judged(Side::New, status, "application/json", problem), Sent::Unknown(_)),
                "{status}"
            );
        }
    }

    #[test]
    fn a_conflict_shows_its_record_only_if_it_carries_the_reference() {
        let with =
            |meta: &str| judged(Side::Legacy, 409, "application/json", &format!(r#"{{"title":"x"{meta}}}"#));
        let found = Sent::Exists { record: Some((0, "1".into())) };
        assert_eq!(with(r#","meta":{"existing":{"id":"1","ref_id":"r"}}"#), found);
        for meta in [
            "",
            r#","meta":{}"#,
            r#","meta":{"existing":{"id":"1","ref_id":"q"}}"#,
            r#","meta":{"existing":{"ref_id":"r"}}"#,
        ] {
            assert_eq!(with(meta), Sent::Exists { record: None }, "{meta}");
        }
        assert!(matches!(judged(Side::Legacy, 409, "text/html", "<html>"), Sent::Unknown(_)));
    }
}
