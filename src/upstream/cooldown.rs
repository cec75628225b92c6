//! Back-off window after a 429 from an upstream. The vendor locks out every client behind one IP address, and further calls
//! prolong that. Shadow has one, in which it makes no calls; the rate limit has one, in which it slows every call down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Times are in milliseconds since `epoch`; 0 = never.
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

    /// Extends the window to at least `duration` from now. Returns whether it was closed before.
    pub(crate) fn begin(&self, duration: Duration) -> bool {
        let now = self.now();
        let until = now.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        // `fetch_max`: a later 429 with a shorter wait does not cut the window short.
        let before = self.until.fetch_max(until, Ordering::Relaxed);
        // Only the call that opens the window logs it and sets where it begins.
        let opens = before <= now && until > now;
        if opens {
            self.from.store(now, Ordering::Relaxed);
        }
        opens
    }

    /// What is left of the window; `None` when it is closed.
    pub(crate) fn left(&self) -> Option<Duration> {
        let left = self.until.load(Ordering::Relaxed).checked_sub(self.now())?;
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// How much of the time since `since` the last window took.
    pub(crate) fn elapsed_in_window(&self, since: Instant) -> Duration {
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
    fn a_window_opens_once_and_is_never_cut_short() {
        let cooldown = Cooldown::default();
        assert_eq!((cooldown.left(), cooldown.elapsed_in_window(cooldown.epoch)), (None, Duration::ZERO));
        assert!(!cooldown.begin(Duration::ZERO), "no duration opens no window");
        assert!(cooldown.begin(HOUR));
        assert!(!cooldown.begin(HOUR), "it is open already");
        assert!(!cooldown.begin(Duration::from_secs(1)), "a shorter window does not cut it short");
        let left = cooldown.left().unwrap();
        assert!(left > HOUR / 2 && left <= HOUR, "{left:?}");
    }
}
