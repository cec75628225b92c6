//! The fence: whether a side holds a conversion with a reference. "Could not look" is never "absent".

use http::StatusCode;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::Flow;
use super::call::Reply;
use crate::failure::{Effect, Failure};
use crate::meters::Name as _;
use crate::side::Side;
use crate::spans;
use crate::telemetry::metrics::labels::FenceResult;
use crate::translate::list::lookup::{self, Seen};
use crate::translate::problem;
use crate::upstream::budget::{Cost, Endpoint};

/// What looking came to.
#[derive(Debug)]
pub(super) enum Looked {
    /// The side answered, and it holds no such conversion.
    Absent,
    /// The side holds it.
    Found(lookup::Record),
    /// The side will not let this caller look: a 401 or 403.
    Forbidden(Reply),
    /// The side has had enough of questions: a 429.
    Throttled(Reply),
}

impl Flow {
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
        if looked.status == StatusCode::FORBIDDEN { Err(looked.unexpected(Effect::None)) } else { Ok(looked) }
    }

    /// The look that decides whether a create may be sent to the other side: [`look`](Self::look), counted.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub(super) async fn look_before_sending(
        &self,
        side: Side,
        ref_id: &str,
        until: Instant,
    ) -> Result<Looked, Failure> {
        let start = Instant::now();
        let span = spans::step("fence", side);
        let looked = self.look(side, ref_id, until).instrument(span.clone()).await;
        let result = match &looked {
            Ok(Looked::Absent) => FenceResult::Absent,
            Ok(Looked::Found(_)) => FenceResult::Found,
            Ok(Looked::Forbidden(_)) => FenceResult::Forbidden,
            Ok(Looked::Throttled(_)) => FenceResult::Throttled,
            Err(_) => FenceResult::Failed,
        };
        spans::stepped(&span, result.text(), result == FenceResult::Failed);
        self.shared.metrics.fences.add((side, result));
        self.shared.metrics.fence_seconds.took((side,), start.elapsed());
        looked
    }

    /// Looks for a reference on a side, once, on what the rate budget keeps for that.
    ///
    /// # Errors
    /// Whenever the answer proves neither that the conversion is there nor that it is not.
    pub(super) async fn look(&self, side: Side, ref_id: &str, until: Instant) -> Result<Looked, Failure> {
        let path = lookup::path(side, ref_id);
        let cost = Endpoint::List(side).fence();
        let reply = self.read(side, cost, &path, until).await?;
        let reply = self.look_instead(reply, cost, &path, until).await?;
        match reply.status.as_u16() {
            200 => {}
            401 | 403 => return Ok(Looked::Forbidden(reply)),
            429 => return Ok(Looked::Throttled(reply)),
            _ => return Err(reply.unexpected(Effect::None)),
        }
        let seen = lookup::answer(side, &reply.body, ref_id);
        match seen.map_err(|source| Failure::Unreadable { side, effect: Effect::None, source })? {
            Seen::Nothing => Ok(Looked::Absent),
            Seen::Record(record) => Ok(Looked::Found(record)),
            Seen::NoProof(why) => Err(Failure::Broken { side, effect: Effect::None, source: why.into() }),
        }
    }
}
