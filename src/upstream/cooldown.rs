//! A time of rest after an upstream said 429: the vendor locks everybody out behind one address, and the proxy must not be what
//! prolongs it. Shadow has one, in which it compares nothing; the budget has one, in which everything goes slower.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shared by whoever begins it and whoever minds it. Times are in milliseconds since `epoch`; 0 = never.
#[derive(Debug)]
pub(crate) struct Cooldown {
    epoch: Instant,
    from: AtomicU64,
    until: AtomicU64,
}

impl Default for Cooldown {
    fn default() -> Self {
        Self { epoch: Instant::now(), from: AtomicU64::new(0), until: AtomicU64::new(0) }
    }
}

impl Cooldown {
    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Rests for `time` from now on. Whether it did not rest before.
    pub(crate) fn begin(&self, time: Duration) -> bool {
        let now = self.now();
        let until = now.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let before = self.until.fetch_max(until, Ordering::Relaxed);
        let fresh = before <= now && until > now;
        if fresh {
            self.from.store(now, Ordering::Relaxed);
        }
        fresh
    }

    /// How long it still rests.
    pub(crate) fn left(&self) -> Option<Duration> {
        let left = self.until.load(Ordering::Relaxed).checked_sub(self.now())?;
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// How much of the time since `since` it rested.
    pub(crate) fn rested(&self, since: Instant) -> Duration {
        let since =
            u64::try_from(since.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX);
        let from = self.from.load(Ordering::Relaxed).max(since);
        let until = self.until.load(Ordering::Relaxed).min(self.now());
        Duration::from_millis(until.saturating_sub(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn it_begins_once_and_lasts() {
        let cooldown = Cooldown::default();
        assert_eq!((cooldown.left(), cooldown.rested(cooldown.epoch)), (None, Duration::ZERO));
        assert!(!cooldown.begin(Duration::ZERO), "no time at all is no rest");
        assert!(cooldown.begin(HOUR));
        assert!(!cooldown.begin(HOUR), "it rests already");
        assert!(!cooldown.begin(Duration::from_secs(1)), "a shorter rest does not cut it short");
        let left = cooldown.left().unwrap();
        assert!(left > HOUR / 2 && left <= HOUR, "{left:?}");
    }
}
