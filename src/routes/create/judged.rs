//! What the answer to the POST proves, and what stays open about it.

use super::events::{CreateAnswer, Refusal};
use super::perform::Performer;
use crate::failure::SideEffect;
use crate::routes::upstream_call::UpstreamResponse;
use crate::translate::evidence::{self, Sent};
use crate::translate::side::Side;

impl Performer<'_> {
    pub(super) fn judge(&mut self, side: Side, reply: &UpstreamResponse) -> CreateAnswer {
        let seen = reply.evidence();
        let reused = reply.reused;
        let sent = evidence::judge(side, &seen, self.request.create.as_ref(), &self.request.candidates);
        self.context.services.notice(reply);
        match sent {
            Sent::Accepted { record: Some((candidate, id)) } => {
                self.answered_id = Some(id);
                CreateAnswer::Accepted { candidate: u8::try_from(candidate).ok(), reused }
            }
            Sent::Accepted { record: None } => {
                self.context.services.remember_made(side, reply);
                self.doubt(reply, "the record names no ref_id");
                CreateAnswer::Accepted { candidate: None, reused }
            }
            Sent::Refused => CreateAnswer::Refused { reused, refusal: Refusal::of(seen.status, seen.body) },
            Sent::Exists { record: Some((candidate, id)) } => {
                self.answered_id = Some(id);
                CreateAnswer::Exists { candidate: u8::try_from(candidate).ok(), reused }
            }
            Sent::Exists { record: None } => {
                self.doubt(reply, "the conflict shows no record with this ref_id");
                CreateAnswer::Exists { candidate: None, reused }
            }
            Sent::OtherKind => CreateAnswer::OtherKind,
            // Only the client can decode it: forwarded as before, and no id can be stored.
            Sent::Foreign(_) if side == Side::Legacy && reply.is_opaque(&self.context.head) => {
                self.doubt(reply, "the answer has a content coding that is not read");
                CreateAnswer::Accepted { candidate: None, reused }
            }
            Sent::Foreign(why) => {
                self.failure = Some(reply.unexpected(SideEffect::Unknown, why));
                CreateAnswer::Foreign
            }
            Sent::Unknown(why) => {
                self.failure = Some(reply.unexpected(SideEffect::Unknown, why));
                CreateAnswer::Unknown
            }
        }
    }

    /// Keeps why an answer on a reused connection does not say what became of the create, should no lookup say it either.
    fn doubt(&mut self, reply: &UpstreamResponse, why: &str) {
        if reply.reused {
            let why = format!("{why}, and the connection carried another answer before");
            self.unknown_cause = Some(reply.unexpected(SideEffect::Unknown, &why));
        }
    }
}
