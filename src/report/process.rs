//! One process in the log: what its heartbeats count within the window, which of its lines are missing, whether it ended in order.

use jiff::{SignedDuration, Timestamp};

use super::continuity::{Continuity, Gap};
use super::counters::HeartbeatCounters;
use crate::shadow::heartbeat_record::HeartbeatRecord;

/// A heartbeat is overdue after this many times its interval, and [`OVERDUE_AT_LEAST`].
const OVERDUE_AFTER: f64 = 3.0;
/// Clocks differ, and a log takes a while from the process to the report.
const OVERDUE_AT_LEAST: SignedDuration = SignedDuration::from_mins(5);

#[derive(Debug, Default)]
pub(super) struct ProcessTotals {
    lines: Continuity,
    /// The highest totals before the window.
    base: Option<HeartbeatCounters>,
    /// The totals of the first heartbeat within the window, with its time.
    first: Option<(Timestamp, HeartbeatCounters)>,
    /// The highest totals within the window.
    latest: Option<HeartbeatCounters>,
    /// The last heartbeat, and within how many seconds it announced the next one.
    announced: Option<(Timestamp, Option<f64>)>,
}

impl ProcessTotals {
    /// A numbered line of the process; whether it was not read before.
    pub(super) fn line(&mut self, number: u64, time: Timestamp) -> bool {
        self.lines.add(number, time)
    }

    /// A heartbeat with totals since the start of the process.
    pub(super) fn heartbeat(&mut self, heartbeat: &HeartbeatRecord, time: Timestamp, is_early: bool) {
        if self.announced.is_none_or(|(last, _)| time >= last) {
            self.announced = Some((time, heartbeat.next_seconds));
        }
        let totals = HeartbeatCounters::of(heartbeat);
        if is_early {
            self.base.get_or_insert_with(HeartbeatCounters::new).raise_to(&totals);
            return;
        }
        self.latest.get_or_insert_with(HeartbeatCounters::new).raise_to(&totals);
        if self.first.as_ref().is_none_or(|(first, _)| time < *first) {
            self.first = Some((time, totals));
        }
    }

    /// What was counted within the window that begins at `since`.
    pub(super) fn counted(&self, since: Option<Timestamp>) -> HeartbeatCounters {
        let Some(latest) = &self.latest else { return HeartbeatCounters::new() };
        match (&self.base, &self.first) {
            (Some(base), _) => latest.since(base),
            // What it had counted when the window began is not known, unless it began later.
            (None, Some((time, first))) if since.is_some_and(|since| !began_after(first, *time, since)) => {
                latest.since(first)
            }
            (None, _) => latest.since(&HeartbeatCounters::new()),
        }
    }

    /// From its first heartbeat within the window to where the last one announced the next.
    pub(super) fn lifetime(&self) -> Option<(Timestamp, Timestamp)> {
        let ((first, _), (last, next)) = self.first.as_ref().zip(self.announced)?;
        let next = SignedDuration::try_from_secs_f64(next.unwrap_or(0.0).max(0.0)).ok()?;
        Some((*first, last.checked_add(next).ok()?))
    }

    pub(super) fn missing(&self, since: Option<Timestamp>) -> Gap {
        self.lines.missing(since)
    }

    /// When the heartbeat was due that it announced and that is not there.
    pub(super) fn overdue(&self, since: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let (last, next) = self.announced?;
        let wait = SignedDuration::try_from_secs_f64((next? * OVERDUE_AFTER).max(0.0)).ok()?;
        let due = last.checked_add(wait).and_then(|due| due.checked_add(OVERDUE_AT_LEAST)).ok()?;
        (due < now && since.is_none_or(|since| since <= due)).then_some(last)
    }
}

/// Whether a process whose first heartbeat came at `time` had begun after `since`.
fn began_after(first: &HeartbeatCounters, time: Timestamp, since: Timestamp) -> bool {
    let age = SignedDuration::try_from_secs_f64(first.seconds).unwrap_or(SignedDuration::MAX);
    time.checked_sub(age).is_ok_and(|began| began >= since)
}
