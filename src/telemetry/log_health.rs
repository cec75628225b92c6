//! Whether a log can be written, since when not, and how many lines that has cost. A failing disk is reported where it can be: in the log
//! itself once it works again, in the other log, in `/status` and in the metrics.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The state of one log. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct LogHealth(Arc<LogState>);

#[derive(Debug)]
struct LogState {
    /// The path of the file, or `standard output`.
    target: String,
    lines_lost: AtomicU64,
    outages: Mutex<Outages>,
}

#[derive(Debug, Default)]
struct Outages {
    /// The time of those that have ended.
    ended: Duration,
    current: Option<Outage>,
}

#[derive(Debug)]
struct Outage {
    since: Timestamp,
    began: Instant,
    error: String,
    lines_lost: u64,
}

/// The state of one log at one time.
#[derive(Clone, Debug)]
pub(crate) struct LogSnapshot {
    /// The path of the file, or `standard output`.
    pub(crate) target: String,
    /// Lines that were not written since the start of the process.
    pub(crate) lines_lost: u64,
    /// How long it could not be written since the start of the process, up to now.
    pub(crate) failed: Duration,
    /// Since when it cannot be written, and why.
    pub(crate) failing: Option<(Timestamp, String)>,
}

impl LogHealth {
    pub(super) fn new(target: impl Into<String>) -> Self {
        let state =
            LogState { target: target.into(), lines_lost: AtomicU64::new(0), outages: Mutex::default() };
        Self(Arc::new(state))
    }

    pub(crate) fn snapshot(&self) -> LogSnapshot {
        let outages = self.outages();
        let current = outages.current.as_ref();
        LogSnapshot {
            target: self.0.target.clone(),
            lines_lost: self.0.lines_lost.load(Ordering::Relaxed),
            failed: outages.ended + current.map_or(Duration::ZERO, |outage| outage.began.elapsed()),
            failing: current.map(|outage| (outage.since, outage.error.clone())),
        }
    }

    /// Counts lines that the queue had no room for.
    pub(super) fn dropped(&self, lines: u64) {
        self.0.lines_lost.fetch_add(lines, Ordering::Relaxed);
        if let Some(outage) = &mut self.outages().current {
            outage.lines_lost += lines;
        }
    }

    /// A write failed, and with it so many lines.
    pub(super) fn failed(&self, error: &io::Error, lines: u64) {
        self.0.lines_lost.fetch_add(lines, Ordering::Relaxed);
        let mut outages = self.outages();
        if let Some(outage) = &mut outages.current {
            outage.lines_lost += lines;
            outage.error = error.to_string();
            return;
        }
        outages.current = Some(Outage {
            since: Timestamp::now(),
            began: Instant::now(),
            error: error.to_string(),
            lines_lost: lines,
        });
        drop(outages);
        let path = &self.0.target;
        tracing::error!(target: "log", path, %error, "log lines are lost: the log cannot be written");
    }

    pub(super) fn written(&self) {
        let mut outages = self.outages();
        let Some(outage) = outages.current.take() else { return };
        let elapsed = outage.began.elapsed();
        outages.ended += elapsed;
        drop(outages);
        let Outage { since, lines_lost, error, .. } = outage;
        let (path, seconds) = (&self.0.target, elapsed.as_secs_f64());
        tracing::warn!(
            target: "log", path, seconds, %since, lines_lost, error, "the log can be written again; lines were lost"
        );
    }

    fn outages(&self) -> MutexGuard<'_, Outages> {
        self.0.outages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
