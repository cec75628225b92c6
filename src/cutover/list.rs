//! List: pages put together from what the sides hold.

use http::{HeaderMap, StatusCode};

use super::{Answer, Flow, Reply, tell_unknown_status};
use crate::failure::{Effect, Failure};
use crate::headers;
use crate::side::Side;
use crate::translate::invalid::Invalid;
use crate::translate::list::ListQuery;
use crate::translate::list::cursor::PageCursor;
use crate::translate::list::page::{Call, Page};
use crate::translate::list::rows::{Noticed, Rows};

/// Reads one page.
///
/// # Errors
/// Every [`Failure`] that a list can end in.
pub async fn run(flow: &mut Flow, query: &str) -> Result<Answer, Failure> {
    let query = ListQuery::parse(query)?;
    if query.page_cursor == PageCursor::Foreign {
        return Err(
            Invalid::new("page_cursor", "is not one of this listing's; start the listing again").into()
        );
    }
    let mut page = Page::new(&query, &[Side::New]);
    let mut headers = HeaderMap::new();
    let most = flow.config.list.upstream_calls_max;
    for calls in 0.. {
        let Some(call) = page.needs().pop() else { break };
        if calls == most {
            if page.cut() {
                break;
            }
            return Err(Failure::TooManyDropped { calls });
        }
        match rows(flow, &query, &call).await? {
            Ok((rows, of)) => {
                page.take(call.side, rows);
                headers = of;
            }
            Err(refusal) => return Ok(refusal),
        }
    }
    let page = page.finish();
    tell(&page.noticed);
    headers::from_translated(&mut headers);
    Ok(Answer { status: StatusCode::OK, headers, body: page.body.into() })
}

/// One call for the page: its rows with the answer's headers, or the side's refusal.
async fn rows(
    flow: &mut Flow,
    query: &ListQuery,
    call: &Call,
) -> Result<Result<(Rows, HeaderMap), Answer>, Failure> {
    let asked = query.to_orchestrations(Some(query.ask(call.after.is_some())), call.after.as_deref());
    let reply: Reply = flow.read(call.side, &format!("/orchestration/orchestrations?{asked}")).await?;
    if reply.status.is_client_error() || reply.status.is_server_error() {
        return Ok(Err(reply.refusal()));
    }
    if reply.status != StatusCode::OK {
        return Err(reply.unexpected(Effect::None));
    }
    let unreadable = |source| Failure::Unreadable { side: call.side, effect: Effect::None, source };
    let rows = Rows::of_orchestrations(&reply.body, query).map_err(unreadable)?;
    Ok(Ok((rows, reply.headers)))
}

fn tell(noticed: &Noticed) {
    if noticed.never_conversions + noticed.filtered > 0 {
        let Noticed { never_conversions, filtered, .. } = noticed;
        tracing::info!(target: "translate", never_conversions, filtered, "rows left out of a list");
    }
    for status in &noticed.unknown_statuses {
        tell_unknown_status(Some(status));
    }
}
