//! The fence: whether a side holds a conversion with a reference. "Could not look" is never "absent".

use http::StatusCode;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::RouteContext;
use super::upstream_call::Reply;
use crate::failure::{Failure, SideEffect};
use crate::telemetry::metrics::label_set::LabelValue as _;
use crate::telemetry::metrics::labels::DuplicateCheckResult;
use crate::telemetry::spans;
use crate::translate::list::lookup::{self, Seen};
use crate::translate::problem;
use crate::translate::side::Side;
use crate::upstream::rate_limit::{Cost, Endpoint};

/// What looking came to.
#[derive(Debug)]
pub(super) enum LookupResult {
    /// The side answered, and it holds no such conversion.
    Absent,
    /// The side holds it.
    Found(lookup::Record),
    /// The side will not let this caller look: a 401 or 403.
    Forbidden(Reply),
    /// The side has had enough of questions: a 429.
    Throttled(Reply),
}

impl RouteContext {
    /// The same look with the proxy's own lookup credentials, when the side has said that the caller's token is genuine and may
    /// not read; else the reply as it is. Only that opens this door: nobody without a genuine token learns what is on a side.
    /// Whose records may be shown rests on one assumption: all callers' tokens and the lookup credentials are one customer's.
    pub(super) async fn look_instead(
        &self,
        reply: Reply,
        cost: Cost,
        path: &str,
        until: Instant,
    ) -> Result<Reply, Failure> {
        if !problem::says_insufficient_scopes(reply.status.as_u16(), &reply.body) {
            return Ok(reply);
        }
        let Some(looked) = self.look_up(reply.side, cost, path, until).await else { return Ok(reply) };
        let looked = looked?;
        // The caller's credentials are not to blame for what the proxy's own may not do.
        if looked.status == StatusCode::FORBIDDEN {
            Err(looked.unexpected(SideEffect::None))
        } else {
            Ok(looked)
        }
    }

    /// The look that decides whether a create may be sent to the other side: [`look`](Self::look), counted.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub(super) async fn duplicate_check(
        &self,
        side: Side,
        ref_id: &str,
        until: Instant,
    ) -> Result<LookupResult, Failure> {
        let start = Instant::now();
        let span = spans::step("duplicate_check", side);
        let looked = self.look(side, ref_id, until).instrument(span.clone()).await;
        let result = match &looked {
            Ok(LookupResult::Absent) => DuplicateCheckResult::Absent,
            Ok(LookupResult::Found(_)) => DuplicateCheckResult::Found,
            Ok(LookupResult::Forbidden(_)) => DuplicateCheckResult::Forbidden,
            Ok(LookupResult::Throttled(_)) => DuplicateCheckResult::Throttled,
            Err(_) => DuplicateCheckResult::Failed,
        };
        spans::stepped(&span, result.as_str(), result == DuplicateCheckResult::Failed);
        self.shared.metrics.duplicate_checks.add((side, result));
        self.shared.metrics.duplicate_check_seconds.observe_duration((side,), start.elapsed());
        looked
    }

    /// Looks for a reference on a side, once, on what the rate budget keeps for that.
    ///
    /// # Errors
    /// Whenever the answer proves neither that the conversion is there nor that it is not.
    pub(super) async fn look(
        &self,
        side: Side,
        ref_id: &str,
        until: Instant,
    ) -> Result<LookupResult, Failure> {
        let path = lookup::path(side, ref_id);
        let cost = Endpoint::List(side).fence();
        let reply = self.read(side, cost, &path, until).await?;
        let reply = self.look_instead(reply, cost, &path, until).await?;
        match reply.status.as_u16() {
            200 => {}
            401 | 403 => return Ok(LookupResult::Forbidden(reply)),
            429 => return Ok(LookupResult::Throttled(reply)),
            _ => return Err(reply.unexpected(SideEffect::None)),
        }
        let seen = lookup::answer(side, &reply.body, ref_id);
        match seen.map_err(|source| Failure::Unreadable { side, effect: SideEffect::None, source })? {
            Seen::Nothing => Ok(LookupResult::Absent),
            Seen::Record(record) => Ok(LookupResult::Found(record)),
            Seen::NoProof(why) => Err(Failure::Broken { side, effect: SideEffect::None, source: why.into() }),
        }
    }
}
