//! `[gate]`: what a step forward needs, and the way around it.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

use super::drift::{self, KnownDrift};
use super::facts;
use super::modes::Stage;
use crate::config::read::KeyReader;

pub(crate) const ENFORCE: &str = "gate.enforce";
const TO: &str = "gate.override.to";
const WHO: &str = "gate.override.who";
const WHY: &str = "gate.override.why";
const UNTIL: &str = "gate.override.until";
/// Longest period, as a bound against slips.
const PERIOD_MAX: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// `[gate]`
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    /// Whether a step without its evidence is refused.
    pub(crate) enforce: bool,
    /// How long clients retry a create at most.
    pub(crate) retry_window: Duration,
    pub(crate) evidence_max_age: Duration,
    pub(crate) exception: Option<Override>,
    /// When the facts were found out.
    pub(crate) facts_found_at: Option<Timestamp>,
    /// `[[drift.known]]`
    pub(crate) known_drift: Vec<KnownDrift>,
}

/// `[gate.override]`: a step that is taken without its evidence.
#[derive(Clone, Debug)]
pub(crate) struct Override {
    /// The furthest stage that it allows.
    pub(crate) to: Stage,
    pub(crate) who: String,
    pub(crate) why: String,
    pub(crate) until: Timestamp,
}

/// A period as it was written.
struct Period(Duration, String);

impl fmt::Display for Period {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.1)
    }
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Gate> {
    let facts_found_at = facts::read_found_at(keys);
    let enforce = keys.on_reload(ENFORCE).boolean();
    let retry_window = keys.on_reload("gate.retry_window").parsed(period);
    let evidence_max_age = keys.on_reload("gate.evidence_max_age").parsed(period);
    let exception = exception(keys);
    let known_drift = drift::read(keys);
    Some(Gate {
        enforce: enforce?,
        retry_window: retry_window?.0,
        evidence_max_age: evidence_max_age?.0,
        exception: exception?,
        facts_found_at: facts_found_at?,
        known_drift: known_drift?,
    })
}

/// A duration that may be longer than a day, such as `7d`.
fn period(text: &str) -> Result<Period, String> {
    let span = text.parse::<Span>().ok();
    // Days of 24 hours: a period of evidence has no time zone.
    let long = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    let long = long.and_then(|long: SignedDuration| Duration::try_from(long).ok());
    match long {
        Some(long) if !long.is_zero() && long <= PERIOD_MAX => Ok(Period(long, text.to_owned())),
        Some(_) | None => Err(format!("{text:?} is not a period of up to 400 days, such as 7d or 36h")),
    }
}

/// All of its keys, or none of them.
fn exception(keys: &mut KeyReader) -> Option<Option<Override>> {
    let unknown = |text: &str| format!("{text:?} is not a stage");
    let to = keys.on_reload(TO).optional(|text| text.parse::<Stage>().map_err(|_| unknown(text)));
    let who = keys.on_reload(WHO).text();
    let why = keys.on_reload(WHY).text();
    let not_a_time = |text: &str| format!("{text:?} is not a time such as 2026-12-01T18:00:00Z");
    let until =
        keys.on_reload(UNTIL).optional(|text| text.parse::<Timestamp>().map_err(|_| not_a_time(text)));
    let Some(to) = to? else {
        if !who?.is_empty() || !why?.is_empty() || until?.is_some() {
            keys.problem(TO, "is not set, and other keys of the override are");
        }
        return Some(None);
    };
    for (key, text) in [(WHO, &who), (WHY, &why)] {
        if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
            keys.problem(key, format!("is not set: an override of the gate to {to} says who and why"));
        }
    }
    let (who, why) = (who?, why?);
    let Some(until) = until? else {
        // Without an end an exception would become the rule.
        keys.problem(UNTIL, "is not set: an override ends");
        return None;
    };
    Some(Some(Override { to, who, why, until }))
}
