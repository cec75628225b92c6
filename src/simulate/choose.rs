//! What happens next, by chance: mostly what is possible now, so that few steps are wasted.

use super::event::{BodyKind, How, LookupFault, PostOutcome, SendFault, StatementFault, WorldEvent};
use super::setting::Special;
use super::world::World;
use crate::config::Stage;
use crate::routes::create::events::Effect;
use crate::sandbox::{Dice, Mirror};
use crate::translate::side::Side;

/// Requests that run at the same time, at most.
const RUNNING_MAX: usize = 4;

/// Draws the next event. It may turn out not to apply.
pub(super) fn choose(world: &World, dice: &mut Dice, requests: &mut u32) -> WorldEvent {
    let running: Vec<_> = world.requests.keys().copied().collect();
    if !running.is_empty() && dice.below(100) < 62 {
        let request = running[dice.index(running.len())];
        let effect = world.requests[&request].effect;
        return WorldEvent::Go { request, how: how(world, dice, effect) };
    }
    let replica = dice.index(2);
    let reference = dice.index(world.setting.references);
    match dice.below(130) {
        0..=29 if running.len() < RUNNING_MAX => {
            *requests += 1;
            let body = if dice.one_in(6) { BodyKind::OtherAmount } else { BodyKind::Usual };
            WorldEvent::Start { request: *requests, replica, reference, body }
        }
        30..=42 => {
            let page_from = dice.one_in(8).then(|| dice.pick([Side::Legacy, Side::New]));
            WorldEvent::Get { replica, record: dice.index(world.ids.len()), page_from }
        }
        43..=45 => WorldEvent::Cancel { replica, record: dice.index(world.ids.len()) },
        46..=55 => {
            let (listing, limit) = (dice.index(2) as u8, 1 + dice.index(3) as u8);
            WorldEvent::Page { listing, replica, limit, ascending: dice.one_in(2) }
        }
        56..=63 => under_way(world, dice),
        64..=69 => lag(world, dice),
        70..=82 => WorldEvent::Stage { replica, stage: dice.pick(Stage::ALL) },
        83 | 84 => WorldEvent::Crash { replica },
        85..=87 => operator(world, dice),
        _ => special(world, dice, reference),
    }
}

fn under_way(world: &World, dice: &mut Dice) -> WorldEvent {
    let posts: Vec<_> = world.posts.keys().copied().collect();
    if posts.is_empty() || (world.late.is_some() && dice.one_in(2)) {
        return WorldEvent::LateStatement { written: dice.one_in(2) };
    }
    WorldEvent::Post { number: posts[dice.index(posts.len())], takes_effect: !dice.one_in(4) }
}

fn lag(world: &World, dice: &mut Dice) -> WorldEvent {
    let side = dice.pick([Side::Legacy, Side::New]);
    if world.shows_everything(side) { WorldEvent::Lag(side) } else { WorldEvent::CatchUp(side) }
}

fn operator(world: &World, dice: &mut Dice) -> WorldEvent {
    match dice.below(5) {
        0 | 1 if !world.ledger.opened_new => WorldEvent::OpenNew,
        0 | 1 if world.ledger.trip => WorldEvent::TripReset,
        2 if dice.one_in(4) => WorldEvent::Trip,
        3 => WorldEvent::UnknownStatus { record: dice.index(world.ids.len()) },
        _ => WorldEvent::Wait { minutes: dice.pick([1, 11, 30]), takes_effect: dice.one_in(2) },
    }
}

fn special(world: &World, dice: &mut Dice, reference: usize) -> WorldEvent {
    if world.ledger.hold && dice.one_in(2) {
        return if world.is_quiet() {
            WorldEvent::Accept
        } else {
            WorldEvent::Wait { minutes: 11, takes_effect: dice.one_in(2) }
        };
    }
    if world.setting.restores && dice.one_in(2) {
        return WorldEvent::Restore { writes: dice.index(3) };
    }
    if !world.ledger.opened_new && dice.one_in(4) {
        return WorldEvent::OpenNew;
    }
    let walk =
        |world: &World| if world.ledger.is_walking() { WorldEvent::WalkEnds } else { WorldEvent::Walk };
    match world.setting.special {
        Special::Native => WorldEvent::Native { reference },
        Special::NativeAndWalks if dice.one_in(2) => WorldEvent::Native { reference },
        Special::Released => WorldEvent::Release { reference },
        Special::RowsDeleted => WorldEvent::DeleteRows { reference },
        Special::WithoutLedger if !world.replicas[1].has_ledger && dice.one_in(2) => {
            if !world.unclaimed_sent {
                WorldEvent::Unclaimed { reference }
            } else {
                WorldEvent::StartWithLedger
            }
        }
        Special::WithoutLedger | Special::Older | Special::NativeAndWalks => match dice.below(3) {
            0 => WorldEvent::Wait { minutes: dice.pick([1, 11, 30]), takes_effect: dice.one_in(2) },
            _ => walk(world),
        },
        // Its list lags, and the other side's shows the record.
        Special::Nothing if world.setting.mirror != Mirror::Off && dice.one_in(2) => {
            WorldEvent::Lag(Side::Legacy)
        }
        Special::Nothing | Special::Strays | Special::Withdrawal => {
            if world.ledger.opened_new {
                WorldEvent::CatchUp(dice.pick([Side::Legacy, Side::New]))
            } else {
                WorldEvent::OpenNew
            }
        }
    }
}

fn how(world: &World, dice: &mut Dice, effect: Effect) -> How {
    // What a released claim can break takes several faults.
    let is_released = world.setting.special == Special::Released;
    if !dice.one_in(if is_released { 2 } else { 5 }) {
        return How::Usual;
    }
    match effect {
        Effect::Pause { .. } => How::TimeIsUp,
        Effect::Lookup { .. } => How::Lookup(dice.pick([
            LookupFault::Unavailable,
            LookupFault::Partial,
            LookupFault::Forbidden,
            LookupFault::Throttled,
        ])),
        Effect::Send { .. } => How::Send(send(world, dice)),
        Effect::Close { .. } if is_released => How::Statement(StatementFault::Late),
        Effect::MoveClaim { .. } if !dice.one_in(3) => How::Statement(StatementFault::WithoutId),
        _ => How::Statement(dice.pick([
            StatementFault::NotWritten,
            StatementFault::Unconfirmed,
            StatementFault::Late,
        ])),
    }
}

fn send(world: &World, dice: &mut Dice) -> SendFault {
    let fate = dice.pick([PostOutcome::Never, PostOutcome::Taken, PostOutcome::Later]);
    if world.setting.special == Special::Strays && dice.one_in(2) {
        return match dice.below(3) {
            0 => SendFault::StrayRefusal(dice.pick([PostOutcome::Never, PostOutcome::Taken])),
            1 => SendFault::StrayConflict(fate),
            _ => SendFault::StraySuccess(fate),
        };
    }
    match dice.below(7) {
        0 => SendFault::NotSent,
        1 => SendFault::Refused,
        2 => SendFault::Lost(fate),
        3 => SendFault::Gateway(dice.pick([403, 404, 408, 429, 500, 502, 504]), fate),
        4 => SendFault::Foreign(fate),
        5 => SendFault::BareConflict,
        _ => SendFault::Lost(PostOutcome::Later),
    }
}
