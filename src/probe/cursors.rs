//! How long the cursor of a list lives: one is taken when the probe begins, and used when it ends.

use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, sleep_until};

use super::calls::Calls;
use super::facts_found::FactsFound;
use super::order::Names;
use super::pages::Unseen;
use crate::translate::evidence::WalkedRecord;
use crate::translate::side::Side;

const NAMES: Names = ["cursor_life_legacy", "cursor_life_new"];
const FIRST: &str = "limit=2";

/// The first page of a side's list.
pub(super) struct FirstPage {
    pub(super) rows: Vec<WalkedRecord>,
    next: Option<String>,
    at: Instant,
}

enum CursorBehaviour {
    Continues,
    Refused(StatusCode),
    BeginsAgain,
    ShowsNothing,
}

pub(super) async fn begin(calls: &mut Calls) -> [Result<FirstPage, Unseen>; 2] {
    [first(calls, Side::Legacy).await, first(calls, Side::New).await]
}

async fn first(calls: &mut Calls, side: Side) -> Result<FirstPage, Unseen> {
    let page = calls.page(side, FIRST).await?;
    Ok(FirstPage { rows: page.records, next: page.next, at: Instant::now() })
}

/// Uses the cursors once they have that age.
pub(super) async fn end(
    calls: &mut Calls,
    begun: &[Result<FirstPage, Unseen>; 2],
    age: Duration,
    found: &mut FactsFound,
) {
    for (side, page) in [Side::Legacy, Side::New].into_iter().zip(begun) {
        let life = match page {
            Ok(page) => life(calls, (side, page), age).await,
            Err(why) => Err(why.clone()),
        };
        match life {
            Ok(life) => {
                found.measured(NAMES[side as usize], &life, "a list's second page, by a cursor of that age")
            }
            Err(why) => found.unclear(NAMES[side as usize], &why),
        }
    }
}

async fn life(calls: &mut Calls, (side, page): (Side, &FirstPage), age: Duration) -> Result<String, Unseen> {
    if page.next.is_none() {
        return Err("there were fewer than three records when the probe began".to_owned());
    }
    sleep_until(page.at + age).await;
    let effect = page.effect(calls, side).await?;
    let age = Duration::from_millis(u64::try_from(page.at.elapsed().as_millis()).unwrap_or(u64::MAX));
    let then = match effect {
        CursorBehaviour::Continues => return Ok(format!("at least {age:?}")),
        CursorBehaviour::Refused(status) => format!("it is answered {}", status.as_u16()),
        CursorBehaviour::BeginsAgain => "the list begins again".to_owned(),
        CursorBehaviour::ShowsNothing => "the list shows nothing".to_owned(),
    };
    // Age is the reason only if a young one works.
    let young = first(calls, side).await?;
    match young.effect(calls, side).await? {
        CursorBehaviour::Continues => {
            Ok(format!("less than {:?}, then {then}", age + Duration::from_millis(1)))
        }
        CursorBehaviour::Refused(_) | CursorBehaviour::BeginsAgain | CursorBehaviour::ShowsNothing => {
            Err(format!("a cursor does not work even at once: {then}"))
        }
    }
}

impl FirstPage {
    async fn effect(&self, calls: &mut Calls, side: Side) -> Result<CursorBehaviour, Unseen> {
        let Some(cursor) = &self.next else { return Err("the list has no cursor any more".to_owned()) };
        let cursor: String = form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
        let answer = calls.attempt(side, &format!("{FIRST}&page_cursor={cursor}")).await?;
        if let status @ (StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::GONE) = answer.status {
            return Ok(CursorBehaviour::Refused(status));
        }
        let rows = calls.read_page(side, &answer)?.records;
        Ok(if rows.is_empty() {
            CursorBehaviour::ShowsNothing
        } else if rows.iter().any(|row| self.rows.iter().any(|first| first.id == row.id)) {
            CursorBehaviour::BeginsAgain
        } else {
            CursorBehaviour::Continues
        })
    }
}
