//! List: pages put together from what the sides hold.

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, StatusCode};

use super::call::Reply;
use super::{Answer, Flow, tell_unknown_status};
use crate::config::Mode;
use crate::failure::{Effect, Failure};
use crate::side::Side;
use crate::translate::invalid::Invalid;
use crate::translate::list::ListQuery;
use crate::translate::list::cursor::PageCursor;
use crate::translate::list::page::{Call, Page};
use crate::translate::list::rows::{Noticed, Rows};
use crate::upstream::budget::Endpoint;

/// Reads one page.
///
/// # Errors
/// Every [`Failure`] that a list can end in.
pub async fn run(flow: &Flow) -> Result<Answer, Failure> {
    let mode = flow.config.modes.list;
    let query = ListQuery::parse(flow.head.uri.query().unwrap_or_default());
    // A cursor that the old API minted: that listing goes on there to its end.
    if mode != Mode::New && matches!(&query, Ok(query) if query.page_cursor == PageCursor::Foreign) {
        let paid = flow.pay(Endpoint::List(Side::Legacy).primary(), flow.deadline).await?;
        return Ok(flow.forward(paid, Bytes::new(), flow.deadline).await?.verbatim());
    }
    let query = query?;
    let sides: &[Side] = match mode {
        Mode::New if query.page_cursor == PageCursor::Foreign => {
            let what = "was made by the old API, which is not used any more; start the listing again";
            return Err(Invalid::new("page_cursor", what).into());
        }
        Mode::New => &[Side::New],
        Mode::Both => &[Side::Legacy, Side::New],
        // A cursor that the proxy handed out before it went back.
        Mode::Legacy | Mode::Shadow | Mode::Hold | Mode::Canary => &[Side::Legacy],
    };
    page(flow, &query, sides).await
}

async fn page(flow: &Flow, query: &ListQuery, sides: &[Side]) -> Result<Answer, Failure> {
    let mut page = Page::new(query, sides);
    let mut headers = HeaderMap::new();
    let (most, mut made) = (flow.config.list.upstream_calls_max, 0);
    loop {
        let calls = page.needs();
        if calls.is_empty() {
            break;
        }
        if made + calls.len() > most {
            if page.cut() {
                break;
            }
            return Err(Failure::TooManyDropped { calls: made });
        }
        made += calls.len();
        for (side, reply) in ask(flow, query, calls).await {
            let reply = reply?;
            if reply.is_refusal() {
                return Ok(reply.refusal());
            }
            page.take(side, rows(side, &reply, query)?);
            headers = reply.headers;
        }
    }
    let page = page.finish();
    tell(&page.noticed);
    Ok(Answer::json(StatusCode::OK, headers, page.body))
}

/// Makes the calls side by side.
async fn ask(flow: &Flow, query: &ListQuery, calls: Vec<Call>) -> Vec<(Side, Result<Reply, Failure>)> {
    join_all(calls.into_iter().map(|call| async move {
        let path = query.path(call.side, query.ask(call.after.is_some()), call.after.as_deref());
        let cost = Endpoint::List(call.side).primary();
        (call.side, flow.read(call.side, cost, &path, flow.deadline).await)
    }))
    .await
}

fn rows(side: Side, reply: &Reply, query: &ListQuery) -> Result<Rows, Failure> {
    if reply.status != StatusCode::OK {
        return Err(reply.unexpected(Effect::None));
    }
    let unreadable = |source| Failure::Unreadable { side, effect: Effect::None, source };
    Rows::of(side, &reply.body, query).map_err(unreadable)
}

fn tell(noticed: &Noticed) {
    let Noticed { never_conversions, filtered, .. } = noticed;
    if *never_conversions > 0 {
        tracing::info!(target: "translate", never_conversions, filtered, "rows left out of a list");
    } else if *filtered > 0 {
        // Every page after the first meets rows of the one before.
        tracing::debug!(target: "translate", filtered, "rows left out of a list");
    }
    for status in &noticed.unknown_statuses {
        tell_unknown_status(Some(status));
    }
}
