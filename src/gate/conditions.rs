//! What each step needs, judged on what is known. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::known::Known;
use super::{Condition, Step};
use crate::config::facts_file::AGE_MAX;
use crate::config::{Config, Mode, Modes, keys};
use crate::ledger::{DRIFT_ROWS_MAX, DriftRow, EvidenceRow, modes_of};
use crate::telemetry::format::{count, span};
use crate::translate::route::Route;

/// The facts that decide whether a merged read can be right.
const FACTS: [&str; 6] = ["ref_space", "mirror", "mirror_back", "empty_list", "ref_match", "query_plus"];
/// The clocks of two machines differ by less.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(10);
/// A walk over both sides takes less.
const WALK_MAX: SignedDuration = SignedDuration::from_hours(24);
/// Clients that a condition names.
const CLIENTS_SHOWN: usize = 5;
/// The routes that a report compares.
const COMPARED: [Route; 3] = [Route::Create, Route::Get, Route::List];

pub(super) fn of(step: Step, known: &Known, config: &Config, target: &Modes) -> Vec<Condition> {
    let judge = Judge { step, known, config };
    match step {
        Step::ReadsOnBoth => vec![judge.facts(), judge.ledger_id(), judge.ledger_age()],
        Step::FirstCreates => vec![judge.report(), judge.replicas(target), judge.open_new()],
        Step::AllCreates => vec![judge.reconciled_since_first_create(), judge.left_open(), judge.no_trip()],
        Step::Sealed => {
            vec![
                judge.reconciled_over_retry_window(),
                judge.all_creates_on_new(),
                judge.no_legacy_creates(),
                judge.no_client_needs_legacy(),
            ]
        }
    }
}

/// What every step needs.
pub(super) fn of_any(step: Step, known: &Known, config: &Config) -> Condition {
    Judge { step, known, config }.no_unknown_names()
}

struct Judge<'a> {
    step: Step,
    known: &'a Known,
    config: &'a Config,
}

impl Judge<'_> {
    fn condition(&self, name: &'static str, met: bool, text: String) -> Condition {
        Condition { step: self.step, name, met, text }
    }

    fn age(&self, at: Timestamp) -> SignedDuration {
        self.known.now.duration_since(at)
    }

    fn is_within(&self, at: Timestamp, most: Duration) -> bool {
        SignedDuration::try_from(most).is_ok_and(|most| self.age(at) <= most)
    }

    /// Whether a time is further ahead than clocks differ.
    fn is_ahead(&self, at: Timestamp) -> bool {
        self.age(at) < -CLOCKS_DIFFER
    }

    /// One time holds for all facts of a config.
    fn facts(&self) -> Condition {
        let found_at = self.config.gate.facts_found_at;
        let is_young = found_at.is_some_and(|at| self.is_within(at, AGE_MAX) && !self.is_ahead(at));
        let age = match found_at {
            Some(at) if is_young => format!("{} old", span(self.age(at).as_secs())),
            Some(at) if self.is_ahead(at) => format!("found at {at}, which is not past"),
            Some(at) => format!("too old: {}", span(self.age(at).as_secs())),
            None => format!("of unknown age, {} is not set", keys::FACTS_FOUND_AT),
        };
        let known = self.config.facts.all();
        let value =
            |name: &str| known.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
        let is_known = FACTS.iter().all(|name| !value(name).is_empty());
        let shown = FACTS.map(|name| match value(name) {
            "" => format!("{name} not known"),
            value => format!("{name} {value} ({age})"),
        });
        let hint = if is_known && is_young { "" } else { "; `conversion-shim probe` finds them out" };
        let most = span(AGE_MAX.as_secs() as i64);
        let text = format!("facts about the vendor, at most {most} old: {}{hint}", shown.join(", "));
        self.condition("facts", is_known && is_young, text)
    }

    /// Somebody has to look at a status or a member that may say something about money.
    fn no_unknown_names(&self) -> Condition {
        let (seen, known) = (&self.known.drift, &self.config.gate.known_drift);
        let is_open = |row: &&DriftRow| row.is_money && known.iter().all(|known| known.path != row.path);
        let open: Vec<_> = seen.iter().filter(is_open).collect();
        let is_full = seen.len() as i64 >= DRIFT_ROWS_MAX;
        let named = open.iter().map(|row| {
            let age = span(self.age(row.first_seen).as_secs());
            format!("{} ({}, first seen {age} ago)", row.path, row.value_type)
        });
        let named = named.collect::<Vec<_>>().join(", ");
        let names = if open.is_empty() { String::new() } else { format!(": {named}") };
        let full = if is_full { "; the list of names is full, further ones are not on it" } else { "" };
        let text = format!(
            "{} names in records, statuses and lists of the vendor that neither this version nor {} knows, at most 0{names}{full}",
            count(open.len() as u64),
            keys::DRIFT_KNOWN
        );
        self.condition("drift", open.is_empty() && !is_full, text)
    }

    fn ledger_id(&self) -> Condition {
        let configured = self.config.ledger.as_ref().and_then(|ledger| ledger.id.as_ref());
        let met = configured.is_some() && configured == self.known.id.as_ref();
        let text = match configured {
            Some(id) if met => format!("{} is {id}", keys::LEDGER_ID),
            Some(_) => format!("{} is not that of the ledger", keys::LEDGER_ID),
            None => format!("{} is not set", keys::LEDGER_ID),
        };
        self.condition("ledger_id", met, text)
    }

    fn ledger_age(&self) -> Condition {
        let least = self.config.gate.retry_window;
        let least_shown = span(least.as_secs() as i64);
        let (met, age) = match self.known.begun {
            Some(begun) => (!self.is_within(begun, least), span(self.age(begun).as_secs())),
            None => (false, "of unknown age".to_owned()),
        };
        self.condition("ledger_age", met, format!("the ledger is {age} old, more than {least_shown} needed"))
    }

    fn report(&self) -> Condition {
        let most = self.config.gate.evidence_max_age;
        let Some(row) = &self.known.report else {
            return self.condition("report", false, "no report is on record: `report --record`".into());
        };
        let numbers: Value = serde_json::from_str(&row.evidence.numbers).unwrap_or_default();
        let verdict = |route: Route| {
            numbers["routes"][route.as_str()]["verdict"].as_str().unwrap_or("not in the report").to_owned()
        };
        let verdicts: Vec<_> = COMPARED.map(|route| format!("{route} {}", verdict(route))).into();
        let all_go = COMPARED.into_iter().all(|route| verdict(route) == "go");
        let text = format!(
            "the newest report on record, {} old (at most {}): {}; each has to be go",
            span(self.age(row.at).as_secs()),
            span(most.as_secs() as i64),
            verdicts.join(", ")
        );
        self.condition("report", all_go && self.is_within(row.at, most), text)
    }

    /// Each of them must see a record on new from the first one on: it reads both for as long as a create may take, or sends none.
    fn replicas(&self, target: &Modes) -> Condition {
        let (found, wanted) = (&self.known.replicas, self.config.replicas as usize);
        let longest = SignedDuration::try_from(self.config.timeouts.create).unwrap_or(SignedDuration::MAX);
        let is_prepared = |modes: Modes, since: Timestamp| {
            let reads_both = [modes.get, modes.list, modes.cancel].iter().all(|mode| *mode == Mode::Both);
            reads_both && (modes.create == Mode::Hold || modes == *target || self.age(since) >= longest)
        };
        let prepared = found
            .iter()
            .filter(|row| modes_of(&row.modes).is_some_and(|modes| is_prepared(modes, row.modes_since)))
            .count();
        let text = format!(
            "{} of {} replicas report, {wanted} configured; {prepared} of them read both for {} or hold creates",
            found.len(),
            wanted.max(found.len()),
            span(longest.as_secs())
        );
        self.condition("replicas", found.len() >= wanted && prepared == found.len(), text)
    }

    fn open_new(&self) -> Condition {
        let text = if self.known.is_open {
            "`ledger open-new` ran"
        } else {
            "`ledger open-new` did not run; it follows reads on both"
        };
        self.condition("open_new", self.known.is_open, text.into())
    }

    fn reconciled_since_first_create(&self) -> Condition {
        let name = "reconcile";
        let Some(first) = self.known.first_new_create_at else {
            return self.condition(name, false, "no create has gone to the new API yet".into());
        };
        let Some(row) = &self.known.reconcile else {
            return self.condition(name, false, "no clean reconcile is on record".into());
        };
        let covers = row.evidence.window.is_some_and(|(begin, end)| begin <= first && first < end);
        let text = format!(
            "the newest clean reconcile ended {} ago and {} the first create on new, at {first}{}",
            span(self.age(row.at).as_secs()),
            if covers { "covers" } else { "does not cover" },
            self.found_since(row)
        );
        self.condition(name, covers && row.at >= first && self.found_since(row).is_empty(), text)
    }

    /// That a later walk found something about money; empty if none did.
    fn found_since(&self, clean: &EvidenceRow) -> String {
        match self.known.money_found_at.filter(|at| *at > clean.at) {
            Some(at) => format!("; a walk {} ago found something about money", span(self.age(at).as_secs())),
            None => String::new(),
        }
    }

    fn left_open(&self) -> Condition {
        let text = match self.known.left_open {
            Some(open) => format!("{} claims that the newest walk left unresolved, at most 0", count(open)),
            None => "no walk has finished".into(),
        };
        self.condition("unresolved", self.known.left_open == Some(0), text)
    }

    fn no_trip(&self) -> Condition {
        let text = match &self.known.trip {
            None => "no trip is set".to_owned(),
            Some(trip) => format!("the trip is set since {}: {}", trip.since, trip.why),
        };
        self.condition("trip", self.known.trip.is_none(), text)
    }

    fn reconciled_over_retry_window(&self) -> Condition {
        let window = self.config.gate.retry_window;
        let Some(row) = &self.known.reconcile else {
            return self.condition("reconcile", false, "no clean reconcile is on record".into());
        };
        // Up to its own run, which may take hours.
        let reaches = |end: Timestamp| row.at.duration_since(end) <= WALK_MAX;
        let covers =
            row.evidence.window.is_some_and(|(begin, end)| !self.is_within(begin, window) && reaches(end));
        let is_young = self.is_within(row.at, self.config.gate.evidence_max_age);
        let text = format!(
            "the newest clean reconcile ended {} ago (at most {}) and {} the last {}{}",
            span(self.age(row.at).as_secs()),
            span(self.config.gate.evidence_max_age.as_secs() as i64),
            if covers { "covers" } else { "does not cover" },
            span(window.as_secs() as i64),
            self.found_since(row)
        );
        self.condition("reconcile", covers && is_young && self.found_since(row).is_empty(), text)
    }

    fn all_creates_on_new(&self) -> Condition {
        let window = self.config.gate.retry_window;
        let all_on_new = |text: &str| modes_of(text).is_some_and(|modes| modes.create == Mode::New);
        let since = self.known.modes.as_ref().filter(|(modes, _)| all_on_new(modes)).map(|(_, since)| *since);
        let text = match since {
            Some(since) => format!("all creates go to the new API for {}", span(self.age(since).as_secs())),
            None => "not all creates go to the new API".to_owned(),
        };
        let text = format!("{text}, more than {} needed", span(window.as_secs() as i64));
        self.condition("all_on_new", since.is_some_and(|since| !self.is_within(since, window)), text)
    }

    fn no_legacy_creates(&self) -> Condition {
        let recent = self.known.recent_on_legacy.claims;
        let text = format!(
            "{} claims on the old API within {}, at most 0",
            count(recent),
            span(self.config.gate.retry_window.as_secs() as i64)
        );
        self.condition("legacy_creates", recent == 0, text)
    }

    fn no_client_needs_legacy(&self) -> Condition {
        let window = self.config.gate.retry_window;
        let shown = span(window.as_secs() as i64);
        let blocking = &self.known.usage.blocking;
        let Some(since) = self.known.usage.since else {
            return self.condition("usage", false, "the usage of clients is not on record yet".into());
        };
        let named = blocking.iter().take(CLIENTS_SHOWN);
        let named: Vec<_> = named.map(|(client, blockers)| format!("{client} ({blockers})")).collect();
        let more = blocking.len().saturating_sub(CLIENTS_SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names = if named.is_empty() { String::new() } else { format!(": {}{more}", named.join(", ")) };
        let text = format!(
            "{} clients used what the new API lacks within {shown}, at most 0{names}; usage is kept for {}, more than {shown} needed",
            count(blocking.len() as u64),
            span(self.age(since).as_secs())
        );
        self.condition("usage", blocking.is_empty() && !self.is_within(since, window), text)
    }
}
