//! What clean walks prove: which window one covers, up to when, and how old that is. Pure.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Condition;
use super::conditions::{Judge, counted};
use crate::ledger::EvidenceRow;
use crate::reconcile::LAG;
use crate::telemetry::format::{moment, span};

/// A clean walk on record.
struct CleanWalk {
    begin: Timestamp,
    end: Timestamp,
    /// What was looked at first is as old.
    started_at: Timestamp,
}

impl CleanWalk {
    fn of(row: &EvidenceRow) -> Option<Self> {
        let (begin, end) = row.evidence.window?;
        let numbers: Value = serde_json::from_str(&row.evidence.numbers).unwrap_or_default();
        let started_at = numbers["started_at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        // What an older version recorded does not say it; no walk begins after it ended.
        let started_at = started_at.map_or(row.at, |at| at.min(row.at));
        Some(Self { begin, end, started_at })
    }

    /// Whether it went up to its own begin, but for what a list may not show yet.
    fn is_up_to_its_begin(&self) -> bool {
        self.started_at.duration_since(self.end) <= SignedDuration::try_from(LAG * 2).unwrap_or_default()
    }
}

/// The window that a walk has to cover, up to its own begin.
struct Needed<'a> {
    from: Timestamp,
    /// The walk has to end later.
    past: Timestamp,
    text: &'a str,
}

impl Judge<'_> {
    pub(super) fn reconciled_since_first_create(&self) -> Condition {
        match self.known.first_new_create_at {
            None => self.condition("reconcile", false, "no create has gone to the new API yet".into()),
            Some(first) => {
                let text = format!("from the first create on new, at {}, on", moment(first));
                let needed = Needed { from: first, past: first, text: &text };
                self.reconciled(&needed, &self.known.from_first_create)
            }
        }
    }

    pub(super) fn reconciled_over_retry_window(&self) -> Condition {
        let window = self.config.gate.retry_window;
        let text = format!("over the last {}", span(window.as_secs() as i64));
        let needed = Needed { from: self.known.now - window, past: Timestamp::MIN, text: &text };
        self.reconciled(&needed, &self.known.over_retry_window)
    }

    /// Judges the best of these walks, whose windows all begin in time; without one the newest of all is shown.
    fn reconciled(&self, needed: &Needed<'_>, candidates: &[EvidenceRow]) -> Condition {
        let walks: Vec<_> = candidates.iter().filter_map(CleanWalk::of).collect();
        let proves = |walk: &&CleanWalk| self.reasons_against(walk, needed).is_empty();
        let newest = || self.known.reconcile.as_ref().and_then(CleanWalk::of);
        let best = walks.iter().find(proves).or_else(|| walks.first());
        let other = if best.is_none() { newest() } else { None };
        let Some(walk) = best.or(other.as_ref()) else {
            let text = format!("no clean reconcile is on record; one {} is needed", needed.text);
            return self.condition("reconcile", false, text);
        };
        let against = self.reasons_against(walk, needed);
        let ago = |at: Timestamp| span(self.age(at).as_secs());
        let text = format!(
            "a clean reconcile {} to its own begin, at most {} ago, is needed; one that began {} ago covers {} to {}, {} ago{}",
            needed.text,
            span(self.config.gate.evidence_max_age.as_secs() as i64),
            ago(walk.started_at),
            moment(walk.begin),
            moment(walk.end),
            ago(walk.end),
            against.iter().map(|reason| format!("; {reason}")).collect::<String>()
        );
        self.condition("reconcile", against.is_empty(), text)
    }

    fn reasons_against(&self, walk: &CleanWalk, needed: &Needed<'_>) -> Vec<String> {
        let mut reasons = Vec::new();
        if walk.begin > needed.from {
            reasons.push("its window begins too late".to_owned());
        }
        if walk.end <= needed.past {
            reasons.push("its window ends before that".to_owned());
        }
        if !walk.is_up_to_its_begin() {
            reasons.push("its window ends too early".to_owned());
        }
        if !self.is_within(walk.started_at, self.config.gate.evidence_max_age) {
            reasons.push("it is too old".to_owned());
        }
        if let Some(at) = self.known.money_found.since(walk.started_at) {
            let ago = span(self.age(at).as_secs());
            reasons.push(format!("a walk {ago} ago found something about money"));
        }
        reasons
    }

    /// Of the ledger, so that it does not depend on what a walk covered.
    pub(super) fn unresolved(&self) -> Condition {
        let (open, before) = (self.known.unresolved, self.known.unresolved_before);
        let text = format!(
            "{} older than {} whose record is not known, at most 0; `reconcile` looks for it, and `ledger release` frees a reference that is on neither side",
            counted(open, "claim"),
            span(self.age(before).as_secs())
        );
        self.condition("unresolved", open == 0, text)
    }
}
