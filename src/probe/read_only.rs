//! What reads alone show.

use http::StatusCode;
use uuid::Uuid;

use super::ProbeError;
use super::calls::{Calls, DecodedAnswer, refused};
use super::facts_found::FactsFound;
use crate::translate::evidence::is_not_found;
use crate::translate::facts::EmptyList;
use crate::translate::side::Side;

/// Past the documented maximum of rows per page.
const TOO_MANY_ROWS: &str = "limit=1001";

pub(super) async fn probe(calls: &mut Calls, found: &mut FactsFound) -> Result<(), ProbeError> {
    for side in [Side::Legacy, Side::New] {
        if !calls.may(side, false) {
            return Err(refused(
                side,
                "there are no credentials to read with: set [auth.lookup], or pass --token-file",
            ));
        }
    }
    let mut empty = [None; 2];
    let mut is_coded = false;
    for side in [Side::Legacy, Side::New] {
        let unused = Uuid::new_v4().to_string();
        let answer = calls.by_ref(side, &unused).await?;
        readable(side, &answer)?;
        is_coded |= answer.is_coded;
        empty[side as usize] = answer.empty_form(side, &unused);
        let missing = calls.get(side, &Uuid::new_v4().to_string()).await?;
        is_coded |= missing.is_coded;
        let form = match (is_not_found(&missing.reply()), missing.status) {
            (true, _) => "problem".to_owned(),
            (false, status) => format!("status {} without a problem document", status.as_u16()),
        };
        let name = if side == Side::Legacy { "not_found_form_legacy" } else { "not_found_form_new" };
        found.seen(name, &form, format!("a get of an unknown id on the {side} side"));
    }
    // The fact holds for both sides, so a form that only one of them showed is none: from the other it may be a failure.
    match empty {
        [Some(one), Some(other)] => {
            let form = if one == other { one } else { EmptyList::ARRAY };
            let in_config: Vec<_> = calls.known().0.empty_list.forms().collect();
            let how = "a list by a random ref_id on each side".to_owned();
            found.rules("empty_list", &[form], &in_config, how);
        }
        [None, _] | [_, None] => {
            found.unclear("empty_list", "a side's list by a random ref_id has another form")
        }
    }
    found.seen("unasked_coding", if is_coded { "yes" } else { "no" }, "answers without Accept-Encoding");
    let answer = calls.list(Side::New, TOO_MANY_ROWS).await?;
    let how = format!("{TOO_MANY_ROWS} on the new side: {}", answer.status.as_u16());
    match answer.status {
        StatusCode::BAD_REQUEST => found.seen("limit_max", "1000", how),
        StatusCode::OK => found.seen("limit_max", "more than 1000, or not checked", how),
        _ => found.unclear("limit_max", &how),
    }
    Ok(())
}

/// What the refusals of the whole probe looked like.
pub(super) fn refusals(calls: &Calls, found: &mut FactsFound) {
    for (side, name) in [(Side::Legacy, "error_form_legacy"), (Side::New, "error_form_new")] {
        match calls.refusal_form(side) {
            Some(form) => found.seen(name, &form, "the answers with another 4xx than 404 and 429"),
            None => found.unclear(name, "no answer was a 4xx other than 404 and 429"),
        }
    }
}

fn readable(side: Side, answer: &DecodedAnswer) -> Result<(), ProbeError> {
    match answer.status {
        StatusCode::OK => Ok(()),
        status => Err(refused(side, &format!("a list is answered {}", status.as_u16()))),
    }
}
