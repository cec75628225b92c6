//! Turns the protocol's decision into the answer for the client.

use http::{HeaderMap, StatusCode};

use super::events::{CreateDecision, Evidence};
use super::perform::{Performer, index};
use crate::failure::{Failure, SideEffect};
use crate::routes::RouteResponse;
use crate::routes::upstream_call::UpstreamResponse;
use crate::telemetry::metrics::labels::Resolution;
use crate::translate::create;
use crate::translate::problem;
use crate::translate::side::Side;

/// A decision refers to an answer that the shell does not hold. Whether anything was sent is not known here.
const BUG: Failure = Failure::Internal { effect: SideEffect::Unknown };

impl Performer<'_> {
    /// # Errors
    /// Why the create failed, from the last call that failed.
    pub(super) fn answer(mut self, decision: CreateDecision) -> Result<RouteResponse, Failure> {
        self.count(decision);
        match decision {
            CreateDecision::Accepted { side, evidence } => self.accepted(side, evidence),
            CreateDecision::Refused { .. } => Ok(self.reply()?.refusal()),
            CreateDecision::AlreadyExists { side, evidence } => self.already_exists(side, evidence),
            CreateDecision::UsedByAnotherKind { .. } => {
                Ok(RouteResponse::problem(&problem::used_by_another_record(self.ref_id())))
            }
            CreateDecision::UsedOnRetiredApi { .. } => Ok(self.used_on_retired_api()),
            CreateDecision::Unauthorized { side } => {
                self.refusal.take().ok_or(Failure::RecordUnavailable { side })
            }
            CreateDecision::Forbidden { side } => Ok(RouteResponse::problem(&problem::may_not_look(side))),
            CreateDecision::CouldNotLook { side } => {
                let source = Box::new(self.cause());
                Err(Failure::DuplicateCheckFailed { side, source })
            }
            CreateDecision::RecordUnavailable { side } => Err(Failure::RecordUnavailable { side }),
            // Other requests may have changed the claim so often that no call failed.
            CreateDecision::LedgerUnavailable => Err(match self.failure.take() {
                Some(failure @ (Failure::Ledger(_) | Failure::Held { .. })) => failure,
                Some(_) | None => Failure::Ledger("the claim changed at every attempt".into()),
            }),
            CreateDecision::Unreadable => Err(Failure::UnreadableReference),
            CreateDecision::NotSent { .. } => Err(self.cause()),
            CreateDecision::OutcomeUnknown { side } => {
                let source = self.unknown_cause.take().or_else(|| self.failure.take());
                // A refusal that may be another request's, and lookups that did not fail.
                let doubted = || {
                    let why =
                        "the connection carried another answer before, and a lookup did not confirm this one";
                    Some(self.reply.as_ref()?.unexpected(SideEffect::Unknown, why))
                };
                let source = source.or_else(doubted).unwrap_or(BUG);
                let ref_id = self.ref_id().to_owned();
                Err(Failure::OutcomeUnknown { side, ref_id, source: Box::new(source) })
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

    fn reply(&mut self) -> Result<UpstreamResponse, Failure> {
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
                let mapped =
                    create::answer(reply.content()).map_err(reply.unreadable(SideEffect::Unknown))?;
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

    fn count(&self, decision: CreateDecision) {
        let metrics = &self.context.services.metrics;
        match decision {
            CreateDecision::OutcomeUnknown { side } => {
                metrics.unknown_outcome_resolutions.add((side, Resolution::Unresolved))
            }
            CreateDecision::Accepted { side, evidence: Evidence::Lookup } => {
                metrics.unknown_outcome_resolutions.add((side, Resolution::Found));
            }
            CreateDecision::AlreadyExists { side, evidence: Evidence::Lookup } if self.was_sent => {
                metrics.unknown_outcome_resolutions.add((side, Resolution::Conflict));
            }
            CreateDecision::Accepted { .. }
            | CreateDecision::AlreadyExists { .. }
            | CreateDecision::Refused { .. }
            | CreateDecision::UsedByAnotherKind { .. }
            | CreateDecision::UsedOnRetiredApi { .. }
            | CreateDecision::Unauthorized { .. }
            | CreateDecision::Forbidden { .. }
            | CreateDecision::CouldNotLook { .. }
            | CreateDecision::RecordUnavailable { .. }
            | CreateDecision::LedgerUnavailable
            | CreateDecision::Unreadable
            | CreateDecision::NotSent { .. } => {}
        }
    }
}
