//! What each step needs, judged on what is known. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::known::Known;
use super::{Condition, StageStep};
use crate::config::facts_file::AGE_MAX;
use crate::config::{Config, Mode, Modes, keys};
use crate::deprecation::on_record::is_unidentified;
use crate::ledger::{DRIFT_ROWS_MAX, DriftRow, modes_of};
use crate::telemetry::format::{count, span};

pub(super) const FACTS_NAME: &str = "facts";
/// The facts that decide whether a merged read can be right.
const FACTS: [&str; 6] = ["ref_space", "mirror", "mirror_back", "empty_list", "ref_match", "query_plus"];
/// The clocks of two machines differ by less.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(10);
/// Clients that a condition names.
const CLIENTS_SHOWN: usize = 5;

pub(super) fn of(step: StageStep, known: &Known, config: &Config, target: &Modes) -> Vec<Condition> {
    let conditions = StepConditions { step, known, config };
    match step {
        StageStep::ReadsOnBoth => vec![conditions.facts(), conditions.ledger_id(), conditions.ledger_age()],
        StageStep::FirstCreates => {
            vec![conditions.report(), conditions.replicas(target), conditions.open_new()]
        }
        StageStep::AllCreates => vec![conditions.reconciled_since_first_create()],
        StageStep::Sealed => {
            vec![
                conditions.reconciled_over_retry_window(),
                conditions.all_creates_on_new(),
                conditions.no_legacy_creates(),
                conditions.no_open_legacy_records(),
                conditions.no_client_needs_legacy(),
            ]
        }
        StageStep::GoingBack => Vec::new(),
    }
}

/// What every step needs, and from the first creates on new on what every one of them needs.
pub(super) fn of_any(step: StageStep, known: &Known, config: &Config) -> Vec<Condition> {
    let conditions = StepConditions { step, known, config };
    match step {
        // Its own conditions have the facts.
        StageStep::ReadsOnBoth | StageStep::GoingBack => vec![conditions.no_unknown_names()],
        StageStep::FirstCreates | StageStep::AllCreates | StageStep::Sealed => {
            vec![
                conditions.facts(),
                conditions.unresolved(),
                conditions.no_trip(),
                conditions.no_hold(),
                conditions.no_unknown_names(),
            ]
        }
    }
}

/// The trip, where a step that needs nothing else would be taken forward while it is set.
pub(super) fn trip(step: StageStep, known: &Known, config: &Config) -> Condition {
    StepConditions { step, known, config }.no_trip()
}

pub(super) struct StepConditions<'a> {
    step: StageStep,
    pub(super) known: &'a Known,
    pub(super) config: &'a Config,
}

impl StepConditions<'_> {
    pub(super) fn condition(&self, name: &'static str, met: bool, text: String) -> Condition {
        Condition { step: self.step, name, met, text }
    }

    pub(super) fn age(&self, at: Timestamp) -> SignedDuration {
        self.known.now.duration_since(at)
    }

    pub(super) fn is_within(&self, at: Timestamp, most: Duration) -> bool {
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
        let unused = self.config.facts_file.as_ref().and_then(|file| file.not_used(&self.config.upstream));
        let unused = unused.map(|why| format!("; {why}")).unwrap_or_default();
        let text = format!("facts about the vendor, at most {most} old: {}{unused}{hint}", shown.join(", "));
        self.condition(FACTS_NAME, is_known && is_young, text)
    }

    /// Somebody has to look at a status or a member that may say something about money.
    fn no_unknown_names(&self) -> Condition {
        let (seen, known) = (&self.known.drift, &self.config.gate.known_drift);
        let is_open = |row: &&DriftRow| row.is_money && known.iter().all(|known| known.path != row.path);
        let open: Vec<_> = seen.iter().filter(is_open).collect();
        // Names beyond a full list are not recorded, so nothing can be said about them.
        let is_full = seen.len() as i64 >= DRIFT_ROWS_MAX;
        let named = open.iter().map(|row| {
            let age = span(self.age(row.first_seen).as_secs());
            format!("{} ({}, first seen {age} ago)", row.path, row.value_type)
        });
        let named = named.collect::<Vec<_>>().join(", ");
        let names = if open.is_empty() { String::new() } else { format!(": {named}") };
        let full = if is_full { "; the list of names is full, further ones are not on it" } else { "" };
        let text = format!(
            "{} that neither this version nor {} knows in records, statuses and lists of the vendor, at most 0{names}{full}",
            counted(open.len() as u64, "name"),
            keys::DRIFT_KNOWN
        );
        self.condition("drift", open.is_empty() && !is_full, text)
    }

    fn ledger_id(&self) -> Condition {
        let configured = self.config.ledger.as_ref().and_then(|ledger| ledger.id.as_ref());
        // The one in the config and the one in the ledger: either alone would not notice an exchanged ledger.
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
            Some(begun) if self.age(begun).is_negative() => {
                (false, format!("dated {} ahead of this machine's clock", span(-self.age(begun).as_secs())))
            }
            Some(begun) => {
                (!self.is_within(begun, least), format!("{} old", span(self.age(begun).as_secs())))
            }
            None => (false, "of unknown age".to_owned()),
        };
        self.condition(
            "ledger_age",
            met,
            format!("the ledger is {age}; it has to be older than {least_shown}"),
        )
    }

    /// Each of them must see a record on new from the first one on: it reads both for as long as a create may take, or sends none.
    fn replicas(&self, target: &Modes) -> Condition {
        let (found, wanted) = (&self.known.replicas, self.config.replicas as usize);
        let longest = SignedDuration::try_from(self.config.timeouts.create).unwrap_or(SignedDuration::MAX);
        let is_prepared = |modes: Modes, since: Timestamp| {
            let reads_both = [modes.get, modes.list, modes.cancel].iter().all(|mode| *mode == Mode::Both);
            // A create that was sent under older modes ends within its timeout; a replica that holds sends none.
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
        // All that report, not only as many as are configured: one replica too many may still send to legacy.
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

    fn no_trip(&self) -> Condition {
        let text = match &self.known.trip {
            None => "no trip is set".to_owned(),
            Some(trip) => {
                let (since, why, total) = (trip.since, &trip.why, trip.total);
                let more = if total > 1 { format!(", and {} more trips", total - 1) } else { String::new() };
                format!("the trip is set since {since}: {why}{more}")
            }
        };
        self.condition("trip", self.known.trip.is_none(), text)
    }

    /// A hold means that claims may be lost, so the evidence for the step is in doubt as well.
    fn no_hold(&self) -> Condition {
        let text = match &self.known.hold {
            None => "creates are not on hold".to_owned(),
            Some(why) => format!("creates are on hold until `ledger accept`, and claims may be lost: {why}"),
        };
        self.condition("hold", self.known.hold.is_none(), text)
    }

    fn all_creates_on_new(&self) -> Condition {
        let window = self.config.gate.retry_window;
        let since = self.known.all_on_new_since();
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
            "{} on the old API within {}, at most 0",
            counted(recent, "claim"),
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
        // What was on record before may be lost.
        let since = since.max(self.known.accepted_by_operator_at.unwrap_or(since));
        let named = blocking.iter().take(CLIENTS_SHOWN);
        let named: Vec<_> =
            named.map(|(client, blockers)| format!("{} ({blockers})", client_name(client))).collect();
        let more = blocking.len().saturating_sub(CLIENTS_SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names = if named.is_empty() { String::new() } else { format!(": {}{more}", named.join(", ")) };
        let text = format!(
            "{} used what the new API lacks within {shown}, at most 0{names}; usage is kept for {}, more than {shown} needed",
            counted(blocking.len() as u64, "client"),
            span(self.age(since).as_secs())
        );
        // Both: no client seen says nothing before usage was kept for a whole window.
        self.condition("usage", blocking.is_empty() && !self.is_within(since, window), text)
    }
}

/// `1 claim`, `2 claims`
pub(super) fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A client on record, for people.
fn client_name(client: &str) -> &str {
    if is_unidentified(client) { "clients without a name" } else { client }
}
