//! Create.
//!
//! `intake` reads the body and chooses the side, [`protocol`] decides each step (pure), `perform` performs it and feeds back the result
//! (`judged`: what the answer proves), `answers` turns the decision into an answer. Only the protocol decides about money.

mod answers;
pub mod canary;
mod claim_view;
#[allow(missing_docs, reason = "the docs of a variant say what its fields are")]
pub mod events;
mod intake;
mod judged;
mod perform;
pub mod protocol;
pub mod rules;
mod single_flight;

use bytes::Bytes;

use self::events::{Context, CreateDecision, Reads};
use self::intake::{CreatePlan, plan};
use self::perform::Performer;
pub(crate) use self::perform::side_that_made;
use self::protocol::Step;
pub(crate) use self::single_flight::SingleFlight;
use super::upstream_call::UpstreamCall;
use super::{RouteContext, RouteResponse};
use crate::config::{Mode, Modes};
use crate::failure::Failure;
use crate::ledger::Withdrawal;
use crate::translate::side::Side;
use crate::upstream::Lane;
use crate::upstream::rate_limit::Endpoint;

/// Makes one conversion, on one side.
///
/// # Errors
/// Any [`Failure`] of a create; [`Failure::outcome`] says whether money may have moved.
pub(crate) async fn run(context: &RouteContext, body: Bytes) -> Result<RouteResponse, Failure> {
    match plan(context, &body)? {
        CreatePlan::Forward { reads_reference } => {
            if reads_reference {
                withdraw(context).await?;
            }
            forward(context, body.clone()).await
        }
        CreatePlan::Decide(request) => {
            let protocol = request.protocol(context);
            let mut performer = Performer::new(context, request, body.clone())?;
            let _turn = performer.enter().await?;
            let decision = decide(&mut performer, protocol).await;
            performer.answer(decision)
        }
    }
}

/// Runs the protocol to its end.
async fn decide(performer: &mut Performer<'_>, context: Context) -> CreateDecision {
    let mut step = protocol::start(context);
    loop {
        match step {
            Step::Do(state, effect) => step = protocol::next(state, performer.perform(effect).await),
            Step::Done(decision) => return decision,
        }
    }
}

/// Before a create without a claim whose reference the vendor may read: the ledger does not know every reference of legacy from now on.
async fn withdraw(context: &RouteContext) -> Result<(), Failure> {
    let Some(ledger) = &context.services.ledger else { return Ok(()) };
    let withdrawn = ledger.withdraw(context.tenant(), Side::Legacy, Withdrawal::UnreadableCreate).await;
    // Without `only_door` no side becomes complete, and the bytes are forwarded whatever the ledger says.
    withdrawn
        .or_else(|error| if context.is_only_door() { Err(Failure::Ledger(error.into())) } else { Ok(()) })
}

/// Sends a create without a claim to legacy, as if the proxy were not there: a retry of it is as risky as it was before.
async fn forward(context: &RouteContext, body: Bytes) -> Result<RouteResponse, Failure> {
    let cost = Endpoint::Create(Side::Legacy).client();
    let call = UpstreamCall::forward(context, body, Lane::Create, cost, context.deadline);
    let sent = context.call(call).await;
    context.services.created(Side::Legacy, sent.as_ref().map(|reply| reply.status));
    let reply = sent?;
    if reply.status.is_success() {
        context.services.remember_made(Side::Legacy, &reply);
    }
    Ok(reply.verbatim())
}

/// Where the read routes look, all together.
#[must_use]
pub(crate) fn reads(modes: &Modes) -> Reads {
    let [get, list, cancel] = [modes.get, modes.list, modes.cancel].map(reads_in);
    if get == list && list == cancel { get } else { Reads::Both }
}

/// Where a read route looks. `hold` and `canary` are modes of create alone; as the safest reading, they look on both.
const fn reads_in(mode: Mode) -> Reads {
    match mode {
        Mode::Legacy | Mode::Shadow => Reads::LegacyOnly,
        Mode::Both | Mode::Hold | Mode::Canary => Reads::Both,
        Mode::New => Reads::NewOnly,
    }
}
