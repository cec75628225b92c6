//! The stages of the cutover under load, and what goes wrong in each.

use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, sleep_until};

use super::proxy::Proxy;
use super::screen::Screen;
use super::totals::{Parts, Totals};
use super::{DemoError, DemoOptions};
use crate::config::Stage;
use crate::sandbox::{ArmedFault, Dice, Fault, FaultKind, Operation, RefusalBody, Sandbox};
use crate::translate::side::Side;

/// One line of the walk.
struct DemoStep {
    stage: Stage,
    /// The name on the screen.
    name: &'static str,
    seconds: u32,
    what: &'static str,
    /// Sides that answer some creates with nothing, or with an error, after they took effect.
    loses_answers: &'static [Side],
    accident: Option<Accident>,
}

/// What happens in the middle of a step.
#[derive(Clone, Copy)]
enum Accident {
    /// The proxy is killed, and started again.
    Kill,
    /// The vendor refuses connections for a while.
    Outage,
}

const STEPS: [DemoStep; 9] = [
    DemoStep {
        stage: Stage::Observe,
        name: "observe",
        seconds: 8,
        what: "everything goes to the old API",
        loses_answers: &[],
        accident: None,
    },
    DemoStep {
        stage: Stage::Shadow,
        name: "shadow",
        seconds: 8,
        what: "the same, compared with the new API in the background; the old API loses answers",
        loses_answers: &[Side::Legacy],
        accident: None,
    },
    DemoStep {
        stage: Stage::Ready,
        name: "ready",
        seconds: 10,
        what: "reads on both APIs, creates on the old one; the proxy is killed",
        loses_answers: &[],
        accident: Some(Accident::Kill),
    },
    DemoStep {
        stage: Stage::Canary,
        name: "canary",
        seconds: 12,
        what: "creates of one of two profiles go to the new API; both APIs lose answers",
        loses_answers: &[Side::Legacy, Side::New],
        accident: None,
    },
    DemoStep {
        stage: Stage::Live,
        name: "live",
        seconds: 13,
        what: "all creates go to the new API, which loses answers; the proxy is killed",
        loses_answers: &[Side::New],
        accident: Some(Accident::Kill),
    },
    DemoStep {
        stage: Stage::Hold,
        name: "hold",
        seconds: 3,
        what: "going back: creates wait",
        loses_answers: &[],
        accident: None,
    },
    DemoStep {
        stage: Stage::Ready,
        name: "back",
        seconds: 10,
        what: "creates go to the old API again, which loses answers; retries stay on their side",
        loses_answers: &[Side::Legacy],
        accident: None,
    },
    DemoStep {
        stage: Stage::Live,
        name: "live",
        seconds: 12,
        what: "creates go to the new API again; the vendor is down for a while",
        loses_answers: &[],
        accident: Some(Accident::Outage),
    },
    DemoStep {
        stage: Stage::Sealed,
        name: "sealed",
        seconds: 8,
        what: "the old API is not used any more; the new one loses answers",
        loses_answers: &[Side::New],
        accident: None,
    },
];

/// How much shorter the steps of `--fast` are.
const FAST: u32 = 8;
/// Share of answers to creates that are lost, in percent, by each of two faults.
const LOST_PERCENT: u8 = 15;
/// How long the vendor is down.
const OUTAGE: Duration = Duration::from_secs(3);
const REDRAW_EVERY: Duration = Duration::from_millis(200);

/// The names of the steps in their order.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|step| step.name)
}

/// Takes every step while the clients go on.
pub(super) async fn walk(
    options: DemoOptions,
    proxy: &mut Proxy,
    parts: Parts<'_>,
    screen: &mut Screen,
) -> Result<(), DemoError> {
    let shorter = if options.fast { FAST } else { 1 };
    let mut dice = Dice::new(!options.seed);
    for (at, step) in STEPS.iter().enumerate() {
        if step.stage == Stage::Canary {
            proxy.open_new().await?;
        }
        proxy.go_to(step.stage).await?;
        screen.step(at, step.what)?;
        let faults = arm(step, parts.vendor, &mut dice);
        let time = Duration::from_secs(step.seconds.into()) / shorter;
        // Somewhere in the second third.
        let into = time / 3 + time / 300 * u32::try_from(dice.below(100)).unwrap_or_default();
        let start = Instant::now();
        show_until(start + into, proxy, parts, screen).await?;
        if let Some(accident) = step.accident {
            happen(accident, (proxy, parts, screen), OUTAGE / shorter).await?;
        }
        show_until(start + time, proxy, parts, screen).await?;
        faults.iter().for_each(|fault| parts.vendor.faults().remove(fault));
        screen.step_ends(&Totals::read(proxy, parts).await)?;
    }
    Ok(())
}

/// Arms the faults of a step: the vendor resets the connection, or a gateway answers with its own page, both after the create took effect.
fn arm(step: &DemoStep, vendor: &Sandbox, dice: &mut Dice) -> Vec<ArmedFault> {
    let lost = [
        FaultKind::Reset { applied: true },
        FaultKind::Status {
            code: StatusCode::BAD_GATEWAY,
            retry_after: None,
            body: RefusalBody::Html,
            applied: true,
        },
    ];
    let mut armed = Vec::new();
    for side in step.loses_answers {
        for kind in lost.clone() {
            let fault = Fault::new(kind).on(*side, Operation::Create).sometimes(LOST_PERCENT, dice.next());
            armed.push(vendor.faults().arm(fault));
        }
    }
    armed
}

async fn show_until(
    end: Instant,
    proxy: &mut Proxy,
    parts: Parts<'_>,
    screen: &mut Screen,
) -> Result<(), DemoError> {
    while Instant::now() < end {
        screen.show(&Totals::read(proxy, parts).await)?;
        sleep_until(end.min(Instant::now() + REDRAW_EVERY)).await;
    }
    Ok(())
}

async fn happen(
    accident: Accident,
    (proxy, parts, screen): (&mut Proxy, Parts<'_>, &mut Screen),
    outage: Duration,
) -> Result<(), DemoError> {
    match accident {
        Accident::Kill => {
            screen.event("SIGKILL to the proxy")?;
            proxy.kill().await;
            proxy.restart().await?;
            screen.event("the proxy serves again, on the same ledger")
        }
        Accident::Outage => {
            screen.event("the vendor refuses every connection")?;
            parts.vendor.faults().go_down().await;
            show_until(Instant::now() + outage, proxy, parts, screen).await?;
            parts.vendor.faults().come_up().await.map_err(DemoError::Vendor)?;
            screen.event("the vendor is back")
        }
    }
}
