//! What clean walks prove: which time they cover together without a gap, and which records of the old API are not final. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Condition;
use super::conditions::{StepConditions, counted};
use super::known::{FullWalk, walked_window};
use crate::ledger::EvidenceRow;
use crate::telemetry::format::{moment, span};

/// What is younger need not be walked: a list may lag by ten minutes, a walk takes its time, and so does the step that follows it.
const UNWALKED_MAX: SignedDuration = SignedDuration::from_mins(30);
/// Records that a condition names.
const RECORDS_SHOWN: usize = 5;

/// Which records a walk judged final or not: those that were made before this.
fn judged_before(started_at: Timestamp, stuck_after: Duration) -> Timestamp {
    SignedDuration::try_from(stuck_after)
        .ok()
        .and_then(|after| started_at.checked_sub(after).ok())
        .unwrap_or(Timestamp::MIN)
}

/// A clean walk on record.
struct CleanWalk {
    begin: Timestamp,
    end: Timestamp,
    /// What was looked at first is as old.
    started_at: Timestamp,
    /// Records and claims that it looked at.
    seen: u64,
}

impl CleanWalk {
    fn of(row: &EvidenceRow) -> Option<Self> {
        let (begin, end) = row.evidence.window?;
        let numbers: Value = serde_json::from_str(&row.evidence.numbers).unwrap_or_default();
        let started_at = numbers["started_at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        // What an older version recorded does not say it; no walk begins after it ended.
        let started_at = started_at.map_or(row.at, |at| at.min(row.at));
        let rows: u64 = numbers["rows"].as_array().into_iter().flatten().filter_map(Value::as_u64).sum();
        let seen = rows.saturating_add(numbers["claims"].as_u64().unwrap_or_default());
        Some(Self { begin, end, started_at, seen })
    }
}

/// What walks cover together.
#[derive(Clone, Copy)]
struct Covered {
    begin: Timestamp,
    end: Timestamp,
    walks: u64,
    seen: u64,
}

/// What walks cover from a time on without a gap; `None` if none of them goes over it.
fn covered<'a>(walks: impl Iterator<Item = &'a CleanWalk>, from: Timestamp) -> Option<Covered> {
    let mut walks: Vec<_> = walks.collect();
    walks.sort_unstable_by_key(|walk| walk.begin);
    let mut all: Option<Covered> = None;
    for walk in walks {
        let reached = all.map_or(from, |all| all.end);
        if walk.begin > reached {
            break;
        }
        if walk.end > reached {
            let before = all.unwrap_or(Covered { begin: walk.begin, end: walk.end, walks: 0, seen: 0 });
            let (walks, seen) = (before.walks + 1, before.seen.saturating_add(walk.seen));
            all = Some(Covered { begin: before.begin, end: walk.end, walks, seen });
        }
    }
    all
}

/// From where on walks have to cover everything.
struct Needed<'a> {
    from: Timestamp,
    text: &'a str,
}

impl StepConditions<'_> {
    pub(super) fn reconciled_since_first_create(&self) -> Condition {
        match self.known.first_new_create_at {
            None => self.condition("reconcile", false, "no create has gone to the new API yet".into()),
            Some(first) => {
                let text = format!("from the first create on new, at {}, on", moment(first));
                self.reconciled(&Needed { from: first, text: &text }, &self.known.from_first_create)
            }
        }
    }

    pub(super) fn reconciled_over_retry_window(&self) -> Condition {
        let window = walked_window(self.config);
        let text = format!("over the last {}", span(window.as_secs() as i64));
        let needed = Needed { from: self.known.now - window, text: &text };
        self.reconciled(&needed, &self.known.over_retry_window)
    }

    /// Judges what all walks that count cover together: those whose windows begin in time, and the newest ones.
    fn reconciled(&self, needed: &Needed<'_>, in_time: &[EvidenceRow]) -> Condition {
        let of_rows = |rows: &[EvidenceRow]| rows.iter().filter_map(CleanWalk::of).collect::<Vec<_>>();
        let (in_time, newest) = (of_rows(in_time), of_rows(&self.known.clean));
        let counts = |walk: &&CleanWalk| self.reasons_against(walk).is_empty();
        let found = covered(in_time.iter().chain(&newest).filter(counts), needed.from);
        let ago = |at: Timestamp| span(self.age(at).as_secs());
        let (shown, against) = match found {
            Some(Covered { begin, end, walks, seen }) => {
                let shown = format!(
                    "{} on record: {} to {}, {} ago, with {}",
                    counted(walks, "walk"),
                    moment(begin),
                    moment(end),
                    ago(end),
                    counted(seen, "row")
                );
                (shown, self.reasons_against_all(needed.from, end, seen))
            }
            None => self.closest(needed.from, in_time.first().or_else(|| newest.first())),
        };
        let text = format!(
            "a clean reconcile {} up to at most {} ago is needed, or several without a gap, each begun at most {} ago; {shown}{}",
            needed.text,
            span(UNWALKED_MAX.as_secs()),
            span(self.config.gate.evidence_max_age.as_secs() as i64),
            against.iter().map(|reason| format!("; {reason}")).collect::<String>()
        );
        self.condition("reconcile", against.is_empty(), text)
    }

    /// What is against the walks that cover the most.
    fn reasons_against_all(&self, from: Timestamp, end: Timestamp, seen: u64) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.age(end) > UNWALKED_MAX {
            reasons.push("what is younger is not walked".to_owned());
        }
        // Nothing was looked at, and there is something: it is younger than what was walked.
        if let (0, Some(newest)) = (seen, self.known.newest_claim_at.filter(|at| *at >= from)) {
            let ago = span(self.age(newest).as_secs());
            reasons
                .push(format!("the ledger has claims since then, the newest {ago} old, and none was walked"));
        }
        reasons
    }

    /// The walk that comes closest, and what is against it.
    fn closest(&self, from: Timestamp, walk: Option<&CleanWalk>) -> (String, Vec<String>) {
        let Some(walk) = walk else {
            return ("none is on record".to_owned(), vec!["run `reconcile`".into()]);
        };
        let mut reasons = Vec::new();
        if walk.begin > from {
            reasons.push("its window begins too late".to_owned());
        }
        if walk.end <= from {
            reasons.push("its window ends too early".to_owned());
        }
        reasons.extend(self.reasons_against(walk));
        let ago = |at: Timestamp| span(self.age(at).as_secs());
        let text = format!(
            "one that began {} ago covers {} to {}, {} ago",
            ago(walk.started_at),
            moment(walk.begin),
            moment(walk.end),
            ago(walk.end)
        );
        (text, reasons)
    }

    /// Why a walk does not count, whatever its window.
    fn reasons_against(&self, walk: &CleanWalk) -> Vec<String> {
        let mut reasons = Vec::new();
        if !self.is_within(walk.started_at, self.config.gate.evidence_max_age) {
            reasons.push("it is too old".to_owned());
        }
        if let Some(at) = self.known.money_found.since(walk.started_at) {
            let ago = span(self.age(at).as_secs());
            reasons.push(format!("a walk {ago} ago found something about money"));
        }
        reasons.extend(self.reason_of_another_ledger(walk.started_at));
        reasons
    }

    /// What was looked at before the ledger was accepted as it is was compared with claims that may be lost.
    fn reason_of_another_ledger(&self, at: Timestamp) -> Option<String> {
        let accepted = self.known.accepted_at.filter(|accepted| at <= *accepted)?;
        Some(format!(
            "it began before the ledger was accepted as it is, {} ago",
            span(self.age(accepted).as_secs())
        ))
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

    /// What a client waits for must not be answered 410: a sealed proxy reads the old API no more.
    pub(super) fn no_open_legacy_records(&self) -> Condition {
        let name = "legacy_open";
        let needed = "a reconcile of everything (without --from) that reaches the time from which on all creates went to new";
        let most = self.config.gate.evidence_max_age;
        let Some(FullWalk { started_at, stuck_after }) = self.known.full_walk else {
            return self.condition(
                name,
                false,
                format!("{needed} says which records of the old API are not final; none is on record"),
            );
        };
        let mut reasons = Vec::new();
        if !self.is_within(started_at, most) {
            reasons.push("it is too old".to_owned());
        }
        reasons.extend(self.reason_of_another_ledger(started_at));
        let bound = walked_window(self.config);
        let since = self.known.all_on_new_since();
        match stuck_after {
            Some(after) if after > bound => {
                reasons.push(format!("its --stuck-after is longer than {}", span(bound.as_secs() as i64)));
            }
            // It judged no record that was younger then.
            Some(after) if since.is_some_and(|since| judged_before(started_at, after) < since) => {
                reasons.push(format!(
                    "records younger than its --stuck-after of {} when all creates went to new were not judged: run `reconcile` again",
                    span(after.as_secs() as i64)
                ));
            }
            Some(_) => {}
            None => {
                reasons.push("it does not say its --stuck-after: run it again with this version".to_owned())
            }
        }
        let open = &self.known.open_on_legacy;
        let named = open.iter().take(RECORDS_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = open.len().saturating_sub(RECORDS_SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names = if open.is_empty() { String::new() } else { format!(": {named}{more}") };
        let text = format!(
            "{} of the old API not final, at most 0{names}; as found by {needed}, begun {} ago (at most {}), and by those since{}",
            counted(open.len() as u64, "record"),
            span(self.age(started_at).as_secs()),
            span(most.as_secs() as i64),
            reasons.iter().map(|reason| format!("; {reason}")).collect::<String>()
        );
        self.condition(name, open.is_empty() && reasons.is_empty(), text)
    }
}
