//! Times and durations as records hold them.

use std::time::Duration;

/// The current time, RFC 3339 in UTC with microseconds.
pub(super) fn now() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

/// The current day in UTC. Ignore rules expire by it.
pub(super) fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// Seconds, to the millisecond.
pub(super) fn seconds(duration: Duration) -> f64 {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).as_secs_f64()
}

/// Milliseconds, to the microsecond.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    // Microseconds read as milliseconds, then as seconds: the scale of 1000 is the same, and no float is multiplied.
    Duration::from_millis(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)).as_secs_f64()
}
