//! The vendor, and what goes wrong there.

use std::time::Duration;

use conversion_shim::sandbox::{Dice, Fault, FaultKind, Operation, Options, PROFILE, RefusalBody, Sandbox};
use http::StatusCode;

/// A vendor whose customer does not run out of money.
pub(crate) async fn rich() -> Sandbox {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    assert!(sandbox.inspector().credit(PROFILE, "USD", "1000000000"));
    sandbox
}

/// Faults before every operation, each a few times in a hundred; 429 rarely, because everything slows down after it. No 500:
/// that one would be ours.
pub(crate) fn bad_weather(vendor: &Sandbox, dice: &mut Dice) {
    let status = |code, retry_after, body| FaultKind::Status { code, retry_after, body, applied: false };
    let some_time = Duration::from_millis(150);
    let weather = [
        (2, FaultKind::Reset { applied: false }),
        (2, FaultKind::Reset { applied: true }),
        (3, FaultKind::Delay { pause: some_time, applied: false }),
        (3, FaultKind::Delay { pause: some_time, applied: true }),
        (2, FaultKind::Truncate),
        (2, status(StatusCode::BAD_GATEWAY, None, RefusalBody::Html)),
        (2, status(StatusCode::SERVICE_UNAVAILABLE, Some(1), RefusalBody::Problem)),
    ];
    for (percent, kind) in weather {
        vendor.faults().arm(Fault::new(kind).sometimes(percent, dice.below(u64::MAX)));
    }
    for kind in [FaultKind::NotJson, FaultKind::EmptyBody, FaultKind::WrongTypes] {
        vendor.faults().arm(Fault::new(kind).on(None, Operation::List).sometimes(1, dice.below(u64::MAX)));
    }
    let many = status(StatusCode::TOO_MANY_REQUESTS, Some(1), RefusalBody::Problem);
    vendor.faults().arm(Fault::new(many).on(None, Operation::Get).sometimes(1, dice.below(u64::MAX)));
}
