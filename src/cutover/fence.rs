//! The fence: whether a side holds a conversion with a reference. "Could not look" is never "absent".

use tokio::time::Instant;

use super::Flow;
use super::call::Reply;
use crate::failure::{Effect, Failure};
use crate::side::Side;
use crate::translate::list::lookup::{self, Seen};

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
    /// Looks for a reference on a side, once.
    ///
    /// # Errors
    /// Whenever the answer proves neither that the conversion is there nor that it is not.
    pub(super) async fn look(&self, side: Side, ref_id: &str, until: Instant) -> Result<Looked, Failure> {
        let reply = self.read(side, &lookup::path(side, ref_id), until).await?;
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
