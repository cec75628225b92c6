//! Reads the other side's response to a get or a list, in the legacy API's shape. The client given to it has no method other than
//! GET, so a shadow write does not compile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode, Uri, header};

use super::handle::Shadow;
use super::job::CapturedRequest;
use super::json::Json;
use super::side_response::SideResponse;
use super::stats::ShadowDropReason;
use crate::failure::{Failure, SideEffect};
use crate::http::headers::IDENTITY;
use crate::telemetry::drift::{DriftLog, ReadAnswer};
use crate::translate::evidence::{self, Finding, Reply, UnknownDigests, lookup_path};
use crate::translate::facts::{EmptyList, Facts};
use crate::translate::list::ListQuery;
use crate::translate::list::cursor::PageCursor;
use crate::translate::list::page::PageBuilder;
use crate::translate::list::rows::Rows;
use crate::translate::mapping::Origin;
use crate::translate::orchestration::Unreadable;
use crate::translate::route::{self, Id, Matched, Route};
use crate::translate::side::Side;
use crate::translate::unknown::Unknown;
use crate::translate::{get, problem};
use crate::upstream;
use crate::upstream::SendError;
use crate::upstream::rate_limit::Endpoint;
use crate::upstream::readonly_client::{Read, ReadError, ReadRequest, ReadonlyClient};

/// Reads within shadow's share of the rate budget, and not during a back-off.
pub(super) struct ShadowClient {
    reader: ReadonlyClient,
    shadow: Shadow,
    drift: Arc<DriftLog>,
}

pub(super) struct ShadowReply {
    pub(super) response: SideResponse,
    /// Bytes of all bodies read; `None` when no call was needed.
    pub(super) bytes: Option<u64>,
    pub(super) latency: Duration,
    /// Rows that are no conversions, or that the proxy filtered.
    pub(super) filtered_out: u64,
}

/// Why there is no response.
pub(super) enum ReadFailure {
    /// The call was not sent; the job is dropped and counted.
    Dropped(ShadowDropReason),
    /// The call failed; the comparison is recorded as `shadow_failed`.
    Failed(&'static str),
}

/// A request to compare, and when its comparison must be over.
#[derive(Clone, Copy)]
pub(super) struct DueRequest<'a> {
    pub(super) request: &'a CapturedRequest,
    pub(super) until: tokio::time::Instant,
}

impl ShadowClient {
    pub(super) const fn new(reader: ReadonlyClient, shadow: Shadow, drift: Arc<DriftLog>) -> Self {
        Self { reader, shadow, drift }
    }

    /// What the readers of both sides' answers did not know.
    pub(super) fn drift(&self) -> &DriftLog {
        &self.drift
    }

    /// The new API's response to the request that legacy `served`.
    pub(super) async fn read_new(
        &self,
        due: DueRequest<'_>,
        served: &SideResponse,
    ) -> Result<ShadowReply, ReadFailure> {
        let mut calls = NewSideCalls { client: self, due, bytes: None };
        let request = due.request;
        let (start, base_path) = (Instant::now(), &request.config.base_path);
        let (response, filtered_out) = match route::route(&request.method, request.uri.path(), base_path) {
            Matched::Route(Route::Get, id) => (calls.get(&id, served).await?, 0),
            Matched::Route(Route::List, _) => calls.list().await?,
            Matched::Route(Route::Create | Route::Cancel, _)
            | Matched::UnroutedWrite
            | Matched::PassThrough => {
                return Err(ReadFailure::Failed("not_a_read"));
            }
        };
        Ok(ShadowReply { response, bytes: calls.bytes, latency: start.elapsed(), filtered_out })
    }

    /// The record that a create made on the new API, as it is read there now by its id and by its `ref_id`.
    pub(super) async fn read_own(
        &self,
        due: DueRequest<'_>,
        created: &Json,
    ) -> Result<[SideResponse; 2], ReadFailure> {
        let mut calls = NewSideCalls { client: self, due, bytes: None };
        let named = |name| created.text(name).filter(|text| !text.is_empty());
        // Both or none: the record must be reachable by its id and by its reference, the way clients and duplicate checks reach it.
        let (Some(id), Some(ref_id)) = (named("id"), named("ref_id")) else {
            return Err(ReadFailure::Failed("no_ref_id"));
        };
        let by_id = match calls.by_id(&Id::known(id)).await? {
            not_shown if not_shown.status() == Some(404) => SideResponse::NoCounterpart,
            shown => shown,
        };
        Ok([by_id, calls.by_ref(ref_id).await?])
    }

    /// Legacy's response to the same request, read again.
    pub(super) async fn read_legacy(&self, due: DueRequest<'_>) -> Result<SideResponse, ReadFailure> {
        let (request, config) = (due.request, &due.request.config);
        let by_id = matches!(
            route::route(&request.method, request.uri.path(), &config.base_path),
            Matched::Route(Route::Get, _)
        );
        let endpoint = if by_id { Endpoint::Get } else { Endpoint::List };
        let uri = upstream::target(&config.upstream.legacy, &config.base_path, &request.uri);
        let read = self.read(due, Side::Legacy, endpoint, &uri).await?;
        Ok(SideResponse::read(read.status.as_u16(), &read.body))
    }

    async fn read(
        &self,
        DueRequest { request, until }: DueRequest<'_>,
        side: Side,
        endpoint: fn(Side) -> Endpoint,
        uri: &Uri,
    ) -> Result<Read, ReadFailure> {
        // The back-off may have begun while the job waited, or between two of its calls.
        if self.shadow.cooldown().left().is_some() {
            return Err(ReadFailure::Dropped(ShadowDropReason::Cooldown));
        }
        let mut headers = request.headers.clone();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        // No coding: the readers take the body as it comes, and a wrong coding would look like a difference.
        headers.insert(header::ACCEPT_ENCODING, IDENTITY);
        let config = &*request.config;
        let (credential_set, max, endpoint) =
            (config.auth.credential_set(side), config.shadow.body_max, endpoint(side));
        let wanted = ReadRequest { uri, side, endpoint, headers, credential_set, config, max, until };
        match self.reader.get(wanted).await {
            Ok(read) if read.status == StatusCode::TOO_MANY_REQUESTS => {
                self.shadow.throttled(&request.config);
                Err(ReadFailure::Failed("429"))
            }
            Ok(read) => Ok(read),
            Err(ReadError::OverBudget) => Err(ReadFailure::Dropped(ShadowDropReason::Budget)),
            Err(ReadError::NoAnswer(SendError::TimedOut(_))) => Err(ReadFailure::Failed("timeout")),
            Err(ReadError::NoAnswer(_)) => Err(ReadFailure::Failed("no_answer")),
            Err(ReadError::NoToken(_)) => Err(ReadFailure::Failed("no_token")),
            Err(ReadError::TooLong { .. }) => Err(ReadFailure::Failed("too_big")),
        }
    }
}

/// The calls to the new API that one response needs.
struct NewSideCalls<'a> {
    client: &'a ShadowClient,
    due: DueRequest<'a>,
    bytes: Option<u64>,
}

impl NewSideCalls<'_> {
    async fn call(&mut self, endpoint: fn(Side) -> Endpoint, path: &str) -> Result<Read, ReadFailure> {
        let uri = upstream::call(&self.due.request.config.upstream.new, path)
            .ok_or(ReadFailure::Failed("no_uri"))?;
        let read = self.client.read(self.due, Side::New, endpoint, &uri).await?;
        self.bytes = Some(self.bytes.unwrap_or_default() + read.body.len() as u64);
        Ok(read)
    }

    fn notice(&self, read: &Read, unknown_digests: &UnknownDigests) {
        let content_type = evidence::content_type(&read.headers);
        let (side, status, body) = (Side::New, read.status.as_u16(), &read.body);
        let answer = ReadAnswer { side, status, content_type, body };
        self.client.drift.notice(unknown_digests.digest(content_type), answer);
    }

    fn notice_unknown(&self, read: &Read, unknown: Unknown) {
        let unknown_digests = UnknownDigests::default();
        unknown_digests.add(unknown);
        self.notice(read, &unknown_digests);
    }

    /// Looks the record up by its `ref_id`, as ids differ between the APIs. A refusal has no `ref_id`: then the id itself is
    /// requested, which the new API should not know either.
    async fn get(&mut self, id: &Id, served: &SideResponse) -> Result<SideResponse, ReadFailure> {
        if served.is_refusal() {
            return self.by_id(id).await;
        }
        let ref_id = served.document().and_then(|document| document.text("ref_id"));
        let Some(ref_id) = ref_id.filter(|ref_id| !ref_id.is_empty()) else {
            return Ok(SideResponse::skipped("no_ref_id"));
        };
        self.by_ref(ref_id).await
    }

    async fn by_ref(&mut self, ref_id: &str) -> Result<SideResponse, ReadFailure> {
        let read = self.call(Endpoint::List, &lookup_path(Side::New, ref_id)).await?;
        if read.status != StatusCode::OK {
            return Ok(mapped_refusal(&read));
        }
        // Nothing is sent on the strength of this absence, so the header fields do not matter.
        let unknown_digests = UnknownDigests::default();
        let reply = Reply {
            status: 200,
            headers: evidence::json(),
            body: &read.body,
            unknown_digests: Some(&unknown_digests),
        };
        // For the same reason every form of an empty list is read as one, whatever `[facts]` says.
        let empty_list = EmptyList { array: true, absent: true, null: true };
        let facts = Facts { empty_list, ..self.due.request.config.facts };
        let finding = evidence::read(Side::New, &reply, ref_id, Origin::Unknown, facts);
        self.notice(&read, &unknown_digests);
        Ok(match finding {
            Finding::Found(record) => SideResponse::read(200, &record.json),
            Finding::Absent => SideResponse::NoCounterpart,
            Finding::OtherKind
            | Finding::Unauthorized
            | Finding::Forbidden
            | Finding::Throttled
            | Finding::Nothing(_) => SideResponse::Failed("no_proof"),
        })
    }

    async fn by_id(&mut self, id: &Id) -> Result<SideResponse, ReadFailure> {
        let read = self.call(Endpoint::Get, &id.path_on(Side::New)).await?;
        if read.status != StatusCode::OK {
            return Ok(mapped_refusal(&read));
        }
        Ok(match get::answer(&read.body) {
            Ok(Ok(mapped)) => {
                self.notice_unknown(&read, mapped.conversion.unknown);
                let mut json = Vec::new();
                mapped.conversion.write(&mut json);
                SideResponse::read(200, &json)
            }
            // The orchestration is no conversion. The proxy answers 404 for it, so that is what legacy's answer is compared with.
            Ok(Err(_)) => SideResponse::read(404, &get::not_found(id.as_str()).to_json()),
            Err(source) => unreadable(source),
        })
    }

    /// The page and the number of rows that it leaves out.
    async fn list(&mut self) -> Result<(SideResponse, u64), ReadFailure> {
        let query = match ListQuery::parse(self.due.request.uri.query().unwrap_or_default()) {
            Ok(query) => query.with_facts(self.due.request.config.facts),
            Err(invalid) => return Ok((own_refusal(Failure::Invalid(invalid)), 0)),
        };
        if query.page_cursor != PageCursor::Start {
            // The new API cannot read a cursor of the legacy API.
            return Ok((SideResponse::skipped("page_cursor"), 0));
        }
        let mut page = PageBuilder::new(&query, &[Side::New]);
        let calls_max = self.due.request.config.list.upstream_calls_max;
        // The same bound as for clients: a comparison must not cost the vendor more than the request that it follows.
        let mut left = calls_max;
        while let Some(call) = page.needs().pop() {
            if left == 0 {
                if page.cut() {
                    break;
                }
                return Ok((own_refusal(Failure::TooManyDropped { calls: calls_max }), 0));
            }
            left -= 1;
            let read = self.call(Endpoint::List, &query.path(&call)).await?;
            if read.status != StatusCode::OK {
                return Ok((mapped_refusal(&read), 0));
            }
            match Rows::of(Side::New, &read.body, &query) {
                Ok(rows) => {
                    self.notice_unknown(&read, rows.unknown());
                    page.add(Side::New, rows);
                }
                Err(source) => return Ok((unreadable(source), 0)),
            }
        }
        let page = match page.finish() {
            Ok(page) => page,
            Err(invalid) => return Ok((own_refusal(Failure::Invalid(invalid)), 0)),
        };
        let filtered_out = (page.dropped.never_conversions + page.dropped.filtered) as u64;
        Ok((SideResponse::read(200, &page.body), filtered_out))
    }
}

/// What the proxy itself would answer.
fn own_refusal(failure: Failure) -> SideResponse {
    let problem = failure.problem();
    SideResponse::read(problem.status, &problem.to_json())
}

fn unreadable(source: Unreadable) -> SideResponse {
    own_refusal(Failure::Unreadable { side: Side::New, effect: SideEffect::None, source: source.into() })
}

/// The new API's refusal, mapped to the legacy API's terms.
fn mapped_refusal(read: &Read) -> SideResponse {
    let status = read.status.as_u16();
    // A redirect or a 204 is no refusal and no record; mapped to a problem it would look like an answer of the API.
    if status < 400 {
        return SideResponse::Failed("unexpected_status");
    }
    SideResponse::read(status, &problem::from_orchestrations(status, &read.body).to_json())
}
