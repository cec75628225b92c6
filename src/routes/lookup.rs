//! The lookup by reference on one side: credentials, a fresh connection where needed, and the positive control. `translate::evidence`
//! decides what an answer proves.

use http::StatusCode;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::create::events::Purpose;
use super::upstream_call::{UpstreamCall, UpstreamResponse};
use super::{RouteContext, RouteResponse};
use crate::failure::{Failure, SideEffect};
use crate::telemetry::metrics::label_set::LabelValue as _;
use crate::telemetry::metrics::labels::DuplicateCheckResult;
use crate::telemetry::spans;
use crate::translate::evidence::{self, Finding, FoundConversion, lookup_path};
use crate::translate::mapping::Origin;
use crate::translate::problem;
use crate::translate::route::Id;
use crate::translate::side::Side;
use crate::upstream::Lane;
use crate::upstream::rate_limit::Endpoint;

pub(super) struct LookupQuery<'a> {
    pub(super) side: Side,
    pub(super) ref_id: &'a str,
    /// The record's id, if known: it is read by id first.
    pub(super) record_id: Option<String>,
    /// What the ledger knows about whatever carries the reference on this side.
    pub(super) origin: Origin,
    pub(super) purpose: Purpose,
    pub(super) until: Instant,
}

pub(super) struct LookupResult {
    pub(super) finding: Finding,
    /// The side's refusal in the legacy format, if it refused.
    pub(super) refusal: Option<RouteResponse>,
    /// Why the lookup proved nothing.
    pub(super) failure: Option<Failure>,
}

impl LookupResult {
    fn failed(failure: Failure) -> Self {
        Self { finding: Finding::Nothing("the call failed"), refusal: None, failure: Some(failure) }
    }
}

impl RouteContext {
    /// Looks a reference up. Metrics count it when it is a duplicate check.
    pub(super) async fn lookup(&self, query: LookupQuery<'_>) -> LookupResult {
        let (side, purpose) = (query.side, query.purpose);
        let name = if purpose == Purpose::Resolve { "resolve" } else { "duplicate_check" };
        let (start, span) = (Instant::now(), spans::step(name, side));
        let looked_up = self.look_up(&query).instrument(span.clone()).await;
        let result = match &looked_up.finding {
            Finding::Absent => DuplicateCheckResult::Absent,
            Finding::Found(_) | Finding::OtherKind => DuplicateCheckResult::Found,
            Finding::Unauthorized | Finding::Forbidden => DuplicateCheckResult::Forbidden,
            Finding::Throttled => DuplicateCheckResult::Throttled,
            Finding::Nothing(_) => DuplicateCheckResult::Failed,
        };
        spans::end_step(&span, result.as_str(), result == DuplicateCheckResult::Failed);
        if let Finding::Nothing(why) = &looked_up.finding {
            tracing::info!(target: "routes", %side, why, "a lookup by ref_id proved nothing");
        }
        if purpose == Purpose::DuplicateCheck {
            self.services.metrics.duplicate_checks.add((side, result));
            self.services.metrics.duplicate_check_seconds.observe_duration((side,), start.elapsed());
        }
        looked_up
    }

    async fn look_up(&self, query: &LookupQuery<'_>) -> LookupResult {
        if let Some(id) = &query.record_id
            && let Some(record) = self.read_record(query.side, id, query.until).await
        {
            return LookupResult { finding: Finding::Found(record), refusal: None, failure: None };
        }
        let mut lane = Lane::Create;
        loop {
            let asked = Instant::now();
            let reply = match self.list_by_ref(query.side, query.ref_id, lane, query.until).await {
                Ok(reply) => reply,
                Err(failure) => return LookupResult::failed(failure),
            };
            let reused = reply.reused;
            let found = self.read_finding(query, reply);
            match found.finding {
                // An outcome that is not found is looked up again anyway.
                Finding::Absent if query.purpose == Purpose::Resolve => return found,
                // On a reused HTTP/1.1 connection it may be the answer to another request, even to one of the other side: look up again
                // on a connection of its own.
                Finding::Absent | Finding::Found(_) | Finding::OtherKind
                    if reused && lane == Lane::Create =>
                {
                    lane = Lane::Fresh;
                }
                // An empty list counts as absence only after the [positive control](super::positive_control). One that was answered
                // before the control may have met an index that was empty for a moment.
                Finding::Absent => match self.positive_control(query.side, query.until).await {
                    Ok(Some(passed)) if passed > asked => {}
                    Ok(Some(_) | None) => return found,
                    Err(failure) => return LookupResult::failed(failure),
                },
                Finding::Found(_)
                | Finding::OtherKind
                | Finding::Unauthorized
                | Finding::Forbidden
                | Finding::Throttled
                | Finding::Nothing(_) => return found,
            }
        }
    }

    fn read_finding(&self, query: &LookupQuery<'_>, reply: UpstreamResponse) -> LookupResult {
        let finding = evidence::read(query.side, &reply.evidence(), query.ref_id, query.origin, self.facts());
        self.services.notice(&reply);
        let failure = match &finding {
            Finding::Nothing(why) => Some(reply.unexpected(SideEffect::None, why)),
            Finding::Throttled => Some(reply.unexpected(SideEffect::None, "too many requests")),
            Finding::Absent
            | Finding::Found(_)
            | Finding::OtherKind
            | Finding::Unauthorized
            | Finding::Forbidden => None,
        };
        let refusal = reply.is_refusal().then(|| reply.refusal());
        LookupResult { finding, refusal, failure }
    }

    /// The side's list by reference.
    pub(super) async fn list_by_ref(
        &self,
        side: Side,
        ref_id: &str,
        lane: Lane,
        until: Instant,
    ) -> Result<UpstreamResponse, Failure> {
        let path = lookup_path(side, ref_id);
        let cost = Endpoint::List(side).lookup();
        let call = || UpstreamCall::get(self, side, &path, cost, until).map(UpstreamCall::uncached);
        let reply = self.call(call()?.on(lane)).await?;
        if !problem::says_insufficient_scopes(reply.status.as_u16(), reply.content())
            || !self.has_lookup_credentials()
        {
            return Ok(reply);
        }
        // Only for a token that the vendor called valid but without this scope, so that nobody without a token learns what a side holds.
        // Assumes that all callers' tokens and the lookup credentials belong to one customer.
        tracing::info!(target: "routes", %side, "the caller's token may not read; looking up with the proxy's own");
        let reply = self.call(call()?.on(lane).with_lookup_credentials()).await?;
        // This 403 is about the proxy's credentials, so it must not be returned to the caller.
        if reply.status == StatusCode::FORBIDDEN {
            return Err(reply.unexpected(SideEffect::None, "the lookup credentials may not read"));
        }
        Ok(reply)
    }

    /// One record by its id, with the lookup credentials where the caller's token may not read.
    pub(super) async fn read_by_id(
        &self,
        side: Side,
        id: &Id,
        lane: Lane,
        until: Instant,
    ) -> Result<UpstreamResponse, Failure> {
        let cost = Endpoint::Get(side).client();
        let path = id.path_on(side);
        let call = |lane| Ok(UpstreamCall::get(self, side, &path, cost, until)?.on(lane));
        let may_be_anothers = |reply: &UpstreamResponse| reply.may_be_of_another_get(id);
        let reply = self.read(lane, call, may_be_anothers).await?;
        let lacks_scope = problem::says_insufficient_scopes(reply.status.as_u16(), reply.content());
        if !lacks_scope || !self.has_lookup_credentials() {
            return Ok(reply);
        }
        self.read(lane, |lane| call(lane).map(UpstreamCall::with_lookup_credentials), may_be_anothers).await
    }

    /// A record in the legacy shape; `None` if it could not be read.
    async fn read_record(&self, side: Side, id: &str, until: Instant) -> Option<FoundConversion> {
        let reply = self.read_by_id(side, &Id::known(id), Lane::Create, until).await.ok()?;
        let record = (reply.status == StatusCode::OK)
            .then(|| evidence::found_conversion(side, reply.content()))
            .flatten();
        // A vendor that answers with another record does not show this one.
        record.filter(|record| Id::known(id).is_shown_as(&record.id))
    }
}
