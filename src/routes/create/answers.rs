//! Turns the protocol's verdict into the answer for the client.

use http::{HeaderMap, StatusCode};

use super::events::{Evidence, Verdict};
use super::perform::{Performer, index};
use crate::failure::{Failure, SideEffect};
use crate::routes::RouteResponse;
use crate::routes::upstream_call::Reply;
use crate::telemetry::metrics::labels::Resolution;
use crate::translate::create;
use crate::translate::problem;
use crate::translate::side::Side;

/// A verdict refers to an answer that the shell does not hold. Whether anything was sent is not known here.
const BUG: Failure = Failure::Internal { effect: SideEffect::Unknown };

impl Performer<'_> {
    /// # Errors
    /// The failure that the verdict stands for.
    pub(super) fn answer(mut self, verdict: Verdict) -> Result<RouteResponse, Failure> {
        self.count(verdict);
        match verdict {
            Verdict::Accepted { side, evidence } => self.accepted(side, evidence),
            Verdict::Refused { .. } => Ok(self.reply()?.refusal()),
            Verdict::AlreadyExists { side, evidence } => self.already_exists(side, evidence),
            Verdict::UsedByAnotherKind { .. } => {
                Ok(RouteResponse::problem(&problem::used_by_another_record(self.ref_id())))
            }
            Verdict::UsedOnRetiredApi { .. } => Ok(self.used_on_retired_api()),
            Verdict::Unauthorized { side } => self.refusal.take().ok_or(Failure::RecordUnavailable { side }),
            Verdict::Forbidden { side } => Ok(RouteResponse::problem(&problem::may_not_look(side))),
            Verdict::CouldNotLook { side } => {
                let source = Box::new(self.cause());
                Err(Failure::DuplicateCheckFailed { side, source })
            }
            Verdict::RecordUnavailable { side } => Err(Failure::RecordUnavailable { side }),
            // Other requests may have changed the claim so often that no call failed.
            Verdict::LedgerUnavailable => Err(match self.failure.take() {
                Some(failure @ Failure::Ledger(_)) => failure,
                Some(_) | None => Failure::Ledger("the claim changed at every attempt".into()),
            }),
            Verdict::Unreadable => Err(Failure::UnreadableReference),
            Verdict::NotSent { .. } => Err(self.cause()),
            Verdict::OutcomeUnknown { side } => {
                let (source, ref_id) = (Box::new(self.cause()), self.ref_id().to_owned());
                Err(Failure::OutcomeUnknown { side, ref_id, source })
            }
        }
    }

    fn ref_id(&self) -> &str {
        self.request.candidates.first().map_or("", String::as_str)
    }

    /// Why the last call failed, for the log and for `Retry-After`.
    fn cause(&mut self) -> Failure {
        self.failure.take().unwrap_or(BUG)
    }

    fn reply(&mut self) -> Result<Reply, Failure> {
        self.reply.take().ok_or(BUG)
    }

    fn accepted(&mut self, side: Side, evidence: Evidence) -> Result<RouteResponse, Failure> {
        if evidence == Evidence::Lookup {
            let record = self.found[index(side)].take().ok_or(BUG)?;
            return Ok(RouteResponse::json(StatusCode::OK, HeaderMap::new(), record.json));
        }
        let reply = self.reply()?;
        match side {
            Side::Legacy => Ok(reply.verbatim()),
            Side::New => {
                let unreadable = |source| Failure::Unreadable { side, effect: SideEffect::Unknown, source };
                let mapped = create::answer(reply.content()).map_err(unreadable)?;
                let json = reply.conversion(&mapped, &self.context.services);
                Ok(RouteResponse::json(StatusCode::OK, reply.headers, json))
            }
        }
    }

    fn already_exists(&mut self, side: Side, evidence: Evidence) -> Result<RouteResponse, Failure> {
        if evidence == Evidence::Answer {
            return Ok(self.reply()?.refusal());
        }
        let record = self.found[index(side)].take();
        let json = record.as_ref().map(|record| record.json.as_slice());
        Ok(RouteResponse::problem(&problem::already_exists(self.ref_id(), json)))
    }

    /// Answers from the claim, because the old API is gone.
    fn used_on_retired_api(&self) -> RouteResponse {
        let ref_id = self.ref_id();
        let known =
            self.claimed_record_id().map(|id| serde_json::json!({ "id": id, "ref_id": ref_id }).to_string());
        RouteResponse::problem(&match known {
            Some(record) => problem::already_exists(ref_id, Some(record.as_bytes())),
            None => problem::used_before(ref_id),
        })
    }

    fn count(&self, verdict: Verdict) {
        let metrics = &self.context.services.metrics;
        match verdict {
            Verdict::OutcomeUnknown { side } => {
                metrics.unknown_outcome_resolutions.add((side, Resolution::Unresolved))
            }
            Verdict::Accepted { side, evidence: Evidence::Lookup } => {
                metrics.unknown_outcome_resolutions.add((side, Resolution::Found));
            }
            Verdict::AlreadyExists { side, evidence: Evidence::Lookup } if self.was_sent => {
                metrics.unknown_outcome_resolutions.add((side, Resolution::Conflict));
            }
            Verdict::Accepted { .. }
            | Verdict::AlreadyExists { .. }
            | Verdict::Refused { .. }
            | Verdict::UsedByAnotherKind { .. }
            | Verdict::UsedOnRetiredApi { .. }
            | Verdict::Unauthorized { .. }
            | Verdict::Forbidden { .. }
            | Verdict::CouldNotLook { .. }
            | Verdict::RecordUnavailable { .. }
            | Verdict::LedgerUnavailable
            | Verdict::Unreadable
            | Verdict::NotSent { .. } => {}
        }
    }
}
