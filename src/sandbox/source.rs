//! Where the vendor's times and ids come from: the system, or a caller who wants the same ones again.

use jiff::Timestamp;
use uuid::Uuid;

pub(super) enum TimeSource {
    System,
    /// The time that was set last, and how many ids were given out.
    Given {
        now: Timestamp,
        ids: u64,
    },
}

impl TimeSource {
    pub(super) fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Given { now, .. } => *now,
        }
    }

    pub(super) fn id(&mut self) -> String {
        match self {
            Self::System => Uuid::new_v4().to_string(),
            // Spread over all values, so that the order of ids is not that of creation.
            Self::Given { ids, .. } => {
                *ids += 1;
                let spread = u128::from(*ids).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
                Uuid::from_u128(spread).to_string()
            }
        }
    }
}
