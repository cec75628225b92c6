//! List: pages assembled from the rows of one side or both.

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, StatusCode};

use super::list_progress::PageKey;
use super::upstream_call::{UpstreamCall, UpstreamResponse};
use super::{RouteContext, RouteResponse};
use crate::config::Mode;
use crate::failure::{Failure, SideEffect};
use crate::telemetry::metrics::labels::{DropReason, FoundBy, PageResult};
use crate::translate::invalid::Invalid;
use crate::translate::list::cursor::PageCursor;
use crate::translate::list::page::PageBuilder;
use crate::translate::list::rows::{DroppedRows, Rows};
use crate::translate::list::{Call, ListQuery};
use crate::translate::side::Side;
use crate::upstream::Lane;
use crate::upstream::rate_limit::Endpoint;

/// Reads one page.
///
/// # Errors
/// Any [`Failure`] of a list.
pub(crate) async fn run(context: &RouteContext) -> Result<RouteResponse, Failure> {
    let mode = context.config.modes.list;
    let query = ListQuery::parse(context.head.uri.query().unwrap_or_default());
    // The old API made this cursor, so the rest of the listing is read there.
    let is_foreign = |query: &ListQuery| query.page_cursor == PageCursor::Foreign;
    if mode != Mode::New && query.as_ref().is_ok_and(is_foreign) {
        let cost = Endpoint::List(Side::Legacy).client();
        let call = UpstreamCall::forward(context, Bytes::new(), Lane::Read, cost, context.deadline);
        return Ok(context.call(call).await?.verbatim());
    }
    let query = query?.with_facts(context.facts());
    let sides: &[Side] = match mode {
        Mode::New if query.page_cursor == PageCursor::Foreign => {
            let what = "was made by the old API, which is not used any more; start the listing again";
            return Err(Invalid::new("page_cursor", what).into());
        }
        Mode::New => &[Side::New],
        Mode::Both => &[Side::Legacy, Side::New],
        // The proxy made this cursor while the mode was `both`.
        Mode::Legacy | Mode::Shadow | Mode::Hold | Mode::Canary => &[Side::Legacy],
    };
    let (page, calls, end) = page(context, &query, sides).await;
    context.services.metrics.list_pages.add((end,));
    context.services.metrics.list_page_upstream_calls.observe((), calls as u64);
    page
}

/// Assembles a page. Also returns the number of calls and the result for metrics.
async fn page(
    context: &RouteContext,
    query: &ListQuery,
    sides: &[Side],
) -> (Result<RouteResponse, Failure>, usize, PageResult) {
    let mut made = 0;
    match gather(context, query, sides, &mut made).await {
        Ok(Gathered::PageBuilder(page, headers, end)) => {
            let page = match page.finish() {
                Ok(page) => page,
                Err(lost) => return (Err(lost.into()), made, PageResult::Failed),
            };
            report_dropped(context, &page.dropped);
            context.services.report_doubles(FoundBy::List, &page.doubles);
            (Ok(RouteResponse::json(StatusCode::OK, headers, page.body)), made, end)
        }
        Ok(Gathered::Refused(answer)) => (Ok(answer), made, PageResult::Failed),
        Err(failure @ (Failure::TooManyDropped { .. } | Failure::CursorOutOfReach { .. })) => {
            (Err(failure), made, PageResult::Exhausted)
        }
        Err(failure) => (Err(failure), made, PageResult::Failed),
    }
}

enum Gathered<'a> {
    /// A full page, or all rows that the calls returned.
    PageBuilder(Box<PageBuilder<'a>>, HeaderMap, PageResult),
    Refused(RouteResponse),
}

async fn gather<'a>(
    context: &RouteContext,
    query: &'a ListQuery,
    sides: &[Side],
    made: &mut usize,
) -> Result<Gathered<'a>, Failure> {
    let page = Box::new(begin(context, query, sides));
    let mut reading =
        PageReading { query, is_merged: sides.len() > 1, page, headers: HeaderMap::new(), made };
    let most = context.config.list.upstream_calls_max;
    loop {
        let PageReading { page, made, .. } = &mut reading;
        page.save_calls(most.saturating_sub(**made));
        let calls = page.needs();
        if calls.is_empty() {
            return Ok(reading.end(PageResult::Complete));
        }
        let round = match **made + calls.len() > most {
            true => Round::OutOfCalls,
            false => reading.round(context, calls).await?,
        };
        match round {
            Round::Added => {}
            Round::Refused(answer) => return Ok(Gathered::Refused(answer)),
            // The next page finds its place without the cursor that was refused.
            Round::OutOfCalls | Round::CursorRefused(_) if reading.page.cut() => {
                return Ok(reading.end(PageResult::Truncated));
            }
            Round::OutOfCalls => return Err(out_of_calls(context, *reading.page, sides, *reading.made)),
            Round::CursorRefused(side) => return Err(Failure::CursorRefused { side }),
        }
    }
}

/// What came of one round of calls.
enum Round {
    /// Their rows, or a hint was dropped.
    Added,
    /// A side refused the request.
    Refused(RouteResponse),
    /// The side refused a cursor that it gave for this very page.
    CursorRefused(Side),
    /// It was not made.
    OutOfCalls,
}

/// A page while it is read.
struct PageReading<'a, 'm> {
    query: &'a ListQuery,
    is_merged: bool,
    page: Box<PageBuilder<'a>>,
    /// Those of the newest answer.
    headers: HeaderMap,
    /// The number of calls.
    made: &'m mut usize,
}

impl<'a> PageReading<'a, '_> {
    fn end(self, result: PageResult) -> Gathered<'a> {
        Gathered::PageBuilder(self.page, self.headers, result)
    }

    async fn round(&mut self, context: &RouteContext, calls: Vec<Call>) -> Result<Round, Failure> {
        let query = self.query;
        *self.made += calls.len();
        let mut round = Round::Added;
        for (call, reply) in ask_all(context, query, calls).await {
            let (side, mut reply) = (call.side, reply?);
            // On a reused HTTP/1.1 connection it may be another request's, and it would end the listing.
            if reply.reused && reply.is_empty_list() && *self.made < context.config.list.upstream_calls_max {
                *self.made += 1;
                reply = ask(context, query, &call, Lane::Fresh).await?;
            }
            if call.has_hint && is_refused_cursor(reply.status) && self.page.drop_hint(side) {
                continue;
            }
            // The client sent no such cursor: the side's own words would puzzle it, and would say that a retry is of no use.
            if call.after.is_some() && is_refused_cursor(reply.status) {
                round = Round::CursorRefused(side);
                continue;
            }
            if reply.is_refusal() {
                context.services.notice_refusal(&reply);
                return Ok(Round::Refused(reply.refusal()));
            }
            let mut rows = rows(context, side, &reply, query).await?;
            if self.is_merged {
                context.drop_mirrors(side, &mut rows).await?;
                if side == Side::New {
                    self.page.add_made_on_new(context.made_on_new(&rows).await?);
                }
            }
            self.page.add(side, rows);
            self.headers = reply.headers;
        }
        Ok(round)
    }
}

/// A page, from where an earlier request for it came if there was one.
fn begin<'a>(context: &RouteContext, query: &'a ListQuery, sides: &[Side]) -> PageBuilder<'a> {
    let key = query.cursor().and_then(|_| PageKey::of(context, sides));
    match key.and_then(|key| context.services.list_progress.of(&key)) {
        Some(progress) => PageBuilder::resume(query, sides, &progress),
        None => PageBuilder::new(query, sides),
    }
}

/// An empty page with a cursor would be the end of the listing to many clients, so the client is asked to come again instead.
fn out_of_calls(context: &RouteContext, page: PageBuilder<'_>, sides: &[Side], calls: usize) -> Failure {
    if !page.is_behind() {
        return Failure::TooManyDropped { calls };
    }
    let progress = page.progress().and_then(|progress| Some((PageKey::of(context, sides)?, progress)));
    let goes_on = progress.is_some();
    if let Some((key, progress)) = progress {
        context.services.list_progress.remember(key, progress);
    }
    Failure::CursorOutOfReach { calls, goes_on }
}

async fn ask_all(
    context: &RouteContext,
    query: &ListQuery,
    calls: Vec<Call>,
) -> Vec<(Call, Result<UpstreamResponse, Failure>)> {
    join_all(calls.into_iter().map(|call| async move {
        let reply = ask(context, query, &call, Lane::Read).await;
        (call, reply)
    }))
    .await
}

async fn ask(
    context: &RouteContext,
    query: &ListQuery,
    call: &Call,
    lane: Lane,
) -> Result<UpstreamResponse, Failure> {
    let path = query.path(call);
    let cost = Endpoint::List(call.side).client();
    context.call(UpstreamCall::get(context, call.side, &path, cost, context.deadline)?.on(lane)).await
}

/// Whether the status may mean that the cursor is too old.
fn is_refused_cursor(status: StatusCode) -> bool {
    [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::GONE, StatusCode::UNPROCESSABLE_ENTITY]
        .contains(&status)
}

async fn rows(
    context: &RouteContext,
    side: Side,
    reply: &UpstreamResponse,
    query: &ListQuery,
) -> Result<Rows, Failure> {
    if reply.status != StatusCode::OK {
        return Err(reply.unexpected(SideEffect::None, "not an answer to a list"));
    }
    let unreadable = reply.unreadable(SideEffect::None);
    let rows = Rows::of(side, reply.content(), query).map_err(&unreadable)?;
    reply.add_unknown(rows.unknown());
    context.services.notice(reply);
    let own = context.own_records(&rows.hidden).await?;
    if own.is_empty() {
        return Ok(rows);
    }
    // Rare, so the answer is simply parsed a second time.
    Rows::with_own(side, reply.content(), query, &own).map_err(unreadable)
}

fn report_dropped(context: &RouteContext, dropped: &DroppedRows) {
    let DroppedRows { never_conversions, filtered, mirrored, unknown_statuses } = dropped;
    let left_out = &context.services.metrics.list_rows_dropped;
    left_out.add_many((DropReason::NeverConversion,), *never_conversions as u64);
    left_out.add_many((DropReason::Filtered,), *filtered as u64);
    left_out.add_many((DropReason::Mirrored,), *mirrored as u64);
    if *never_conversions > 0 {
        tracing::info!(target: "translate", never_conversions, filtered, "rows left out of a list");
    } else if *filtered > 0 {
        // Usual: every page after the first repeats rows of the one before.
        tracing::debug!(target: "translate", filtered, "rows left out of a list");
    }
    for status in unknown_statuses {
        context.services.report_unknown_status(Some(status));
    }
}
