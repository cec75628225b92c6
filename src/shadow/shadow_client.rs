//! What the new API says to a read that the old one answered, in the old API's shape. Reads only: the client given to it has no
//! other method.

use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode, Uri, header};

use super::Shadow;
use super::answer::Answer;
use super::capture::CapturedRequest;
use super::stats::ShadowDropReason;
use crate::failure::{Failure, SideEffect};
use crate::translate::list::ListQuery;
use crate::translate::list::cursor::PageCursor;
use crate::translate::list::lookup::{self, Seen};
use crate::translate::list::page::PageBuilder;
use crate::translate::list::rows::Rows;
use crate::translate::paths;
use crate::translate::route::{self, Id, Matched, Route};
use crate::translate::side::Side;
use crate::translate::{get, problem};
use crate::upstream;
use crate::upstream::rate_limit::Endpoint;
use crate::upstream::readonly_client::{Read, ReadError, Reader, Wanted};

/// Reads within shadow's share of the rate budget, and not while shadow rests.
pub(super) struct ShadowClient {
    reader: Reader,
    shadow: Shadow,
}

/// What a look showed.
pub(super) struct ShadowReply {
    pub(super) answer: Answer,
    /// What it answered, in all calls together; none when no call was needed.
    pub(super) bytes: Option<u64>,
    /// Of all calls together.
    pub(super) latency: Duration,
    /// Rows that were no conversions, or that the proxy filtered.
    pub(super) filtered_out: u64,
}

/// Why a call was not made, or has no answer.
pub(super) enum NotRead {
    /// It must not be made now.
    Dropped(ShadowDropReason),
    /// This came of it.
    Failed(&'static str),
}

impl ShadowClient {
    pub(super) const fn new(reader: Reader, shadow: Shadow) -> Self {
        Self { reader, shadow }
    }

    /// What the new API answers to the request that was `served` so.
    pub(super) async fn at_new(
        &self,
        asked: &CapturedRequest,
        served: &Answer,
    ) -> Result<ShadowReply, NotRead> {
        let mut calls = Calls { look: self, asked, bytes: None, start: Instant::now() };
        let config = &asked.config;
        let (answer, filtered_out) = match route::route(&asked.method, asked.uri.path(), &config.base_path) {
            Matched::Route(Route::Get, id) => (calls.get(&id, served).await?, 0),
            Matched::Route(Route::List, _) => calls.list().await?,
            Matched::Route(Route::Create | Route::Cancel, _)
            | Matched::UnroutedWrite
            | Matched::PassThrough => {
                return Err(NotRead::Failed("not_a_read"));
            }
        };
        let Calls { bytes, start, .. } = calls;
        Ok(ShadowReply { answer, bytes, latency: start.elapsed(), filtered_out })
    }

    /// What the old API answers if it is asked again.
    pub(super) async fn at_legacy(&self, asked: &CapturedRequest) -> Result<Answer, NotRead> {
        let config = &asked.config;
        let by_id = matches!(
            route::route(&asked.method, asked.uri.path(), &config.base_path),
            Matched::Route(Route::Get, _)
        );
        let endpoint = if by_id { Endpoint::Get } else { Endpoint::List };
        let uri = upstream::target(&config.upstream.legacy, &config.base_path, &asked.uri);
        let read = self.read(asked, Side::Legacy, endpoint, &uri).await?;
        Ok(Answer::read(read.status.as_u16(), &read.body))
    }

    async fn read(
        &self,
        asked: &CapturedRequest,
        side: Side,
        endpoint: fn(Side) -> Endpoint,
        uri: &Uri,
    ) -> Result<Read, NotRead> {
        // A job may have waited, or be in the middle of its calls, when a rest began.
        if self.shadow.0.cooldown.left().is_some() {
            return Err(NotRead::Dropped(ShadowDropReason::Cooldown));
        }
        let mut headers = asked.headers.clone();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let config = &*asked.config;
        let (holder, max, endpoint) = (config.auth.holder(side), config.shadow.body_max, endpoint(side));
        match self.reader.get(Wanted { uri, endpoint, headers, holder, config, max }).await {
            Ok(read) if read.status == StatusCode::TOO_MANY_REQUESTS => {
                self.shadow.throttled(&asked.config);
                Err(NotRead::Failed("429"))
            }
            Ok(read) => Ok(read),
            Err(ReadError::OverBudget) => Err(NotRead::Dropped(ShadowDropReason::Budget)),
            Err(ReadError::NoAnswer(_)) => Err(NotRead::Failed("no_answer")),
            Err(ReadError::NoToken(_)) => Err(NotRead::Failed("no_token")),
            Err(ReadError::TooLong { .. }) => Err(NotRead::Failed("too_big")),
        }
    }
}

/// The calls of one look.
struct Calls<'a> {
    look: &'a ShadowClient,
    asked: &'a CapturedRequest,
    bytes: Option<u64>,
    start: Instant,
}

impl Calls<'_> {
    async fn new_side(&mut self, endpoint: fn(Side) -> Endpoint, path: &str) -> Result<Read, NotRead> {
        let uri = upstream::call(&self.asked.config.upstream.new, path).ok_or(NotRead::Failed("no_uri"))?;
        let read = self.look.read(self.asked, Side::New, endpoint, &uri).await?;
        self.bytes = Some(self.bytes.unwrap_or_default() + read.body.len() as u64);
        Ok(read)
    }

    /// Ids differ between the APIs: a record is looked for by its reference. What the old API did not answer has none, so its
    /// id is asked for: the new API should know it as little.
    async fn get(&mut self, id: &Id, served: &Answer) -> Result<Answer, NotRead> {
        if served.is_refusal() {
            return self.by_id(id).await;
        }
        let ref_id = served.document().and_then(|document| document.text("ref_id"));
        let Some(ref_id) = ref_id.filter(|ref_id| !ref_id.is_empty()) else {
            return Ok(skipped("no_ref_id"));
        };
        let read = self.new_side(Endpoint::List, &lookup::path(Side::New, ref_id)).await?;
        if read.status != StatusCode::OK {
            return Ok(refused(&read));
        }
        Ok(match lookup::answer(Side::New, &read.body, ref_id) {
            Ok(Seen::Record(record)) => Answer::read(200, &record.json),
            Ok(Seen::Nothing) => Answer::NoCounterpart,
            Ok(Seen::NoProof(_)) => Answer::Failed("no_proof"),
            Err(source) => refusal(Failure::Unreadable { side: Side::New, effect: SideEffect::None, source }),
        })
    }

    async fn by_id(&mut self, id: &Id) -> Result<Answer, NotRead> {
        let read = self.new_side(Endpoint::Get, &paths::orchestration(id)).await?;
        if read.status != StatusCode::OK {
            return Ok(refused(&read));
        }
        Ok(match get::answer(&read.body) {
            Ok(Ok(mapped)) => {
                let mut json = Vec::new();
                mapped.conversion.write(&mut json);
                Answer::read(200, &json)
            }
            Ok(Err(_)) => Answer::read(404, &get::not_found(id.as_str()).to_json()),
            Err(source) => refusal(Failure::Unreadable { side: Side::New, effect: SideEffect::None, source }),
        })
    }

    async fn list(&mut self) -> Result<(Answer, u64), NotRead> {
        let query = match ListQuery::parse(self.asked.uri.query().unwrap_or_default()) {
            Ok(query) => query,
            Err(invalid) => {
                return Ok((refusal(Failure::Invalid(invalid)), 0));
            }
        };
        if query.page_cursor != PageCursor::Start {
            // The old API's cursors mean nothing to the new one.
            return Ok((skipped("page_cursor"), 0));
        }
        let mut page = PageBuilder::new(&query, &[Side::New]);
        let config = &self.asked.config;
        let mut left = config.list.upstream_calls_max;
        while let Some(call) = page.needs().pop() {
            if left == 0 {
                if page.cut() {
                    break;
                }
                return Ok((refusal(Failure::TooManyDropped { calls: config.list.upstream_calls_max }), 0));
            }
            left -= 1;
            let path = query.path(Side::New, query.ask(call.after.is_some()), call.after.as_deref());
            let read = self.new_side(Endpoint::List, &path).await?;
            if read.status != StatusCode::OK {
                return Ok((refused(&read), 0));
            }
            match Rows::of(Side::New, &read.body, &query) {
                Ok(rows) => page.take(Side::New, rows),
                Err(source) => {
                    return Ok((
                        refusal(Failure::Unreadable { side: Side::New, effect: SideEffect::None, source }),
                        0,
                    ));
                }
            }
        }
        let page = page.finish();
        let filtered_out = (page.noticed.never_conversions + page.noticed.filtered) as u64;
        Ok((Answer::read(200, &page.body), filtered_out))
    }
}

/// Nothing to compare, for this reason.
pub(super) const fn skipped(reason: &'static str) -> Answer {
    Answer::NotComparable { status: None, reason }
}

/// What the proxy itself would have to answer.
fn refusal(failure: Failure) -> Answer {
    let problem = failure.problem();
    Answer::read(problem.status, &problem.to_json())
}

/// The new API's refusal in the old API's words.
fn refused(read: &Read) -> Answer {
    let status = read.status.as_u16();
    if status < 400 {
        return Answer::Failed("unexpected_status");
    }
    Answer::read(status, &problem::from_orchestrations(status, &read.body).to_json())
}
