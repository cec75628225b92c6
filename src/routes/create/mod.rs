//! Create: which reference, which side, and the protocol that decides the rest.
//!
//! `intake` reads what a body may mean, [`protocol`] decides (pure), `perform` does what it asks for and feeds back what happened, `answers`
//! turns its verdict into an answer. Nothing here but the protocol decides about money.

mod answers;
pub mod canary;
mod claim_view;
#[allow(missing_docs, reason = "the docs of a variant say what its fields are")]
pub mod events;
mod intake;
mod perform;
pub mod protocol;
pub mod rules;
mod single_flight;

use bytes::Bytes;

use self::events::{Context, Reads, Verdict};
use self::intake::{Plan, plan};
use self::perform::Performer;
use self::protocol::Step;
pub use self::single_flight::SingleFlight;
use super::upstream_call::UpstreamCall;
use super::{RouteContext, RouteResponse};
use crate::config::{Mode, Modes};
use crate::failure::Failure;
use crate::translate::side::Side;
use crate::upstream::Lane;
use crate::upstream::rate_limit::Endpoint;

/// Makes one conversion, on one side.
///
/// # Errors
/// Every [`Failure`] that a create can end in.
pub async fn run(context: &RouteContext, body: Bytes) -> Result<RouteResponse, Failure> {
    match plan(context, &body)? {
        Plan::Forward => forward(context, body.clone()).await,
        Plan::Decide(request) => {
            let protocol = request.protocol(context);
            let mut performer = Performer::new(context, request, body.clone())?;
            let _turn = performer.enter().await?;
            let verdict = decide(&mut performer, protocol).await;
            performer.answer(verdict)
        }
    }
}

/// Runs the protocol to its end.
async fn decide(performer: &mut Performer<'_>, context: Context) -> Verdict {
    let mut step = protocol::start(context);
    loop {
        match step {
            Step::Do(state, effect) => step = protocol::next(state, performer.perform(effect).await),
            Step::Done(verdict) => return verdict,
        }
    }
}

/// No reference that could be claimed, on the old API: untouched, no claim, as risky as it always was.
async fn forward(context: &RouteContext, body: Bytes) -> Result<RouteResponse, Failure> {
    let cost = Endpoint::Create(Side::Legacy).client();
    let call = UpstreamCall::forward(context, body, Lane::Create, cost, context.deadline);
    let sent = context.call(call).await;
    context.services.created(Side::Legacy, sent.as_ref().map(|reply| reply.status));
    Ok(sent?.verbatim())
}

/// Where the read routes look, all together.
#[must_use]
pub fn reads(modes: &Modes) -> Reads {
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
