//! What must hold in every state.

use conversion_shim::routes::create::events::CreateDecision;
use conversion_shim::routes::create::protocol;
use conversion_shim::translate::side::Side;

use crate::world::{Bounds, Looking, Progress, Request, Stage, Unclaimed, World};

/// The promises, each checked for the state as it stands.
pub(crate) fn check(world: &World, bounds: &Bounds) -> Result<(), String> {
    if world.legacy.made.is_some() && world.new.made.is_some() {
        return Err("the reference was converted on both sides".into());
    }
    if let Some(broken) = world.broken {
        return Err(broken.into());
    }
    for request in &world.requests {
        if let Progress::Done(decision) = request.progress {
            answer_is_true(world, bounds, request, decision)?;
        }
    }
    Ok(())
}

fn answer_is_true(
    world: &World,
    bounds: &Bounds,
    request: &Request,
    decision: CreateDecision,
) -> Result<(), String> {
    let under_way = request.in_flight.is_some() || request.effective;
    let exists = |side: Side| world.vendor(side).made.is_some() || world.shown(side, bounds.mirror).is_some();
    match decision {
        CreateDecision::Accepted { side, .. } => {
            let made = world.vendor(side).made.or(world.shown(side, bounds.mirror));
            if made != Some(request.body) {
                return Err(format!("a request was accepted, and {side} holds {made:?}"));
            }
        }
        CreateDecision::AlreadyExists { side, .. } if !exists(side) => {
            return Err(format!("a client was answered that {side} holds its reference, and it does not"));
        }
        CreateDecision::AlreadyExists { .. } | CreateDecision::OutcomeUnknown { .. } => {}
        CreateDecision::Refused { .. }
        | CreateDecision::UsedByAnotherKind { .. }
        | CreateDecision::UsedOnRetiredApi { .. }
        | CreateDecision::Unauthorized { .. }
        | CreateDecision::Forbidden { .. }
        | CreateDecision::CouldNotLook { .. }
        | CreateDecision::RecordUnavailable { .. }
        | CreateDecision::LedgerUnavailable
        | CreateDecision::Unreadable
        | CreateDecision::NotSent { .. } => {
            if under_way {
                return Err(format!(
                    "a client was answered that nothing came of its request ({decision:?}), and its POST did"
                ));
            }
        }
    }
    Ok(())
}

/// With faults ending, a few retries reach an answer that is final. `Err`: what the last retry was told.
pub(crate) fn recovers(world: &World, bounds: &Bounds) -> Result<(), String> {
    let calm = Bounds { faults: 0, stage_changes: 0, crashes: 0, native: false, walks: &[], ..*bounds };
    let mut world = calm_down(*world, bounds);
    for _ in 0..4 {
        let decision = retry(&mut world, &calm);
        check(&world, &calm).map_err(|broken| format!("then a retry without faults: {broken}"))?;
        match decision {
            CreateDecision::Accepted { .. } | CreateDecision::AlreadyExists { .. } => return Ok(()),
            // It is the withdrawal's for good.
            CreateDecision::UsedByAnotherKind { .. } if bounds.withdrawal => return Ok(()),
            // The old API is gone: nobody can say what became of the reference there.
            CreateDecision::UsedOnRetiredApi { .. } => return Ok(()),
            _ => {}
        }
    }
    Err(format!("four retries without faults did not end: {:?}", world.requests[0].progress))
}

/// Everything under way takes effect or is lost, lists show what there is, and the operator accepts the ledger.
fn calm_down(mut world: World, bounds: &Bounds) -> World {
    if world.unclaimed.in_flight && world.legacy.made.is_none() {
        world.legacy.made = Some(world.requests[0].body);
    }
    if world.unclaimed.running {
        world.ledger.withdraw(bounds.rules);
    }
    world.unclaimed = Unclaimed::default();
    for at in 0..world.requests.len() {
        if let Some(side) = world.requests[at].in_flight.take()
            && world.vendor(side).made.is_none()
        {
            world.vendor_mut(side).made = Some(world.requests[at].body);
        }
        world.requests[at].progress = Progress::Crashed;
    }
    for side in [Side::Legacy, Side::New] {
        let vendor = world.vendor_mut(side);
        (vendor.listed, vendor.mirrored) = (true, true);
    }
    (world.late, world.emptied) = (None, false);
    if world.ledger.hold {
        let new_in_use = world.stages.iter().any(|stage| matches!(stage, Stage::Live | Stage::Sealed));
        world.ledger.accept(new_in_use, bounds.rules);
        world.lost = true;
    }
    world
}

/// One request, alone in the world.
fn retry(world: &mut World, bounds: &Bounds) -> CreateDecision {
    let body = world.requests[0].body;
    let stage = if world.lost && world.stages[0] == Stage::Sealed { Stage::Live } else { world.stages[0] };
    world.requests[0] = Request {
        body,
        progress: Progress::NotStarted,
        in_flight: None,
        // Written so that it can be read in one way.
        two_readings: false,
        effective: false,
        known: None,
        looking: Looking::NotYet,
        stage,
    };
    world.requests[0].known = world.ledger.row.filter(|row| row.has_record).map(|row| row.side);
    let context = stage.context(bounds.rules);
    world.go_on(0, protocol::start(context));
    for _ in 0..64 {
        match world.requests[0].progress {
            Progress::Done(decision) => return decision,
            Progress::Running(..) => {
                // The first successor of a request is what happens without a fault.
                let (_, next) =
                    world.successors_of(0, bounds).into_iter().next().expect("a running request goes on");
                *world = next;
            }
            Progress::NotStarted | Progress::Crashed => break,
        }
    }
    CreateDecision::LedgerUnavailable
}
