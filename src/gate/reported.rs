//! What a recorded report proves, judged with the thresholds of this config: those that it was made with may be others. Pure.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Condition;
use super::conditions::StepConditions;
use crate::config::{Cover, Go};
use crate::ledger::EvidenceRow;
use crate::telemetry::format::{moment, span};
use crate::translate::route::Route;

/// The routes that a report compares.
const COMPARED: [Route; 3] = [Route::Create, Route::Get, Route::List];
/// What a report checks whatever the thresholds are.
const ALWAYS: [&str; 8] =
    ["records", "heartbeats", "missing_lines", "lost_lines", "cut_off", "newer_lines", "pairs_end", "hosts"];
const FRESHNESS: &str = "freshness_max";

/// What a figure has to be.
#[derive(Clone, Copy, Debug)]
enum Threshold {
    AtLeast(f64),
    AtMost(f64),
}

impl Threshold {
    fn is_met(self, found: f64) -> bool {
        match self {
            Self::AtLeast(least) => found >= least,
            Self::AtMost(most) => found <= most,
        }
    }

    const fn number(self) -> f64 {
        match self {
            Self::AtLeast(number) | Self::AtMost(number) => number,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::AtLeast(_) => "at least",
            Self::AtMost(_) => "at most",
        }
    }
}

/// The thresholds by the names of their checks.
fn bounds(go: &Go) -> Vec<(&'static str, Threshold)> {
    use Threshold::{AtLeast, AtMost};
    let Go {
        judged_min,
        counterparts_min,
        cover,
        freshness_max,
        money_max,
        contract_share_max,
        cosmetic_share_max,
        transient_share_max,
        progress_share_max,
        error_disagreement_share_max,
        failed_share_max,
        not_comparable_share_max,
        dropped_share_max,
        idle_share_max,
    } = *go;
    let mut all = vec![
        ("judged_min", AtLeast(judged_min as f64)),
        ("counterparts_min", AtLeast(counterparts_min as f64)),
        (FRESHNESS, AtMost(freshness_max.as_secs_f64())),
        ("money_max", AtMost(money_max as f64)),
        ("contract_share_max", AtMost(contract_share_max)),
        ("cosmetic_share_max", AtMost(cosmetic_share_max)),
        ("transient_share_max", AtMost(transient_share_max)),
        ("progress_share_max", AtMost(progress_share_max)),
        ("error_disagreement_share_max", AtMost(error_disagreement_share_max)),
        ("failed_share_max", AtMost(failed_share_max)),
        ("not_comparable_share_max", AtMost(not_comparable_share_max)),
        ("dropped_share_max", AtMost(dropped_share_max)),
        ("idle_share_max", AtMost(idle_share_max)),
    ];
    match cover {
        Cover::Named => {}
        Cover::Seen => all.push(("cover", AtMost(0.0))),
    }
    all
}

/// The thresholds as evidence shows them: whole numbers without a fraction, times in seconds.
pub(crate) fn thresholds(go: &Go) -> Value {
    let number = |number: f64| if number.fract() == 0.0 { json!(number as u64) } else { json!(number) };
    let all = bounds(go).into_iter().map(|(name, bound)| (name.to_owned(), number(bound.number())));
    Value::Object(all.collect::<Map<_, _>>())
}

impl StepConditions<'_> {
    pub(super) fn report(&self) -> Condition {
        let most = self.config.gate.evidence_max_age;
        let Some(row) = &self.known.report else {
            return self.condition("report", false, "no report is on record: `report --record`".into());
        };
        let numbers: Value = serde_json::from_str(&row.evidence.numbers).unwrap_or_default();
        let judged = COMPARED.map(|route| (route, self.against(&numbers["routes"][route.as_str()], row)));
        let shown = judged.iter().map(|(route, against)| match against.as_slice() {
            [] => format!("{route} go"),
            reasons => format!("{route} {}", reasons.join(" and ")),
        });
        let before = self.reason_of_its_window(row);
        let text = format!(
            "the newest report on record, of {}, {} old (at most {}), judged with the thresholds of this config: {}; each has to be go, in \
             this one report: an older one does not count, because this one says what became of what it showed{}",
            moment(row.at),
            span(self.age(row.at).as_secs()),
            span(most.as_secs() as i64),
            shown.collect::<Vec<_>>().join(", "),
            before.as_ref().map(|reason| format!("; {reason}")).unwrap_or_default()
        );
        let all_go = judged.iter().all(|(_, against)| against.is_empty());
        self.condition("report", all_go && before.is_none() && self.is_within(row.at, most), text)
    }

    /// Comparisons from before the ledger, or from before its hosts were put on record, may be about another vendor.
    fn reason_of_its_window(&self, row: &EvidenceRow) -> Option<String> {
        let Some((begin, _)) = row.evidence.window else { return Some("it compared nothing".into()) };
        let Some(begun) = self.known.begun else { return Some("the ledger's age is not known".into()) };
        let at_most = |at: Timestamp, what: &str| {
            let since = "`report --record --since` leaves the older ones out";
            let ago = span(self.age(at).as_secs());
            (begin.as_second() < at.as_second())
                .then(|| format!("it begins at {}, before {what}, {ago} ago: {since}", moment(begin)))
        };
        let hosts = self.known.hosts_at.and_then(|at| at_most(at, "the ledger's hosts were put on record"));
        hosts.or_else(|| at_most(begun, "the ledger was made"))
    }

    /// What is against a route.
    fn against(&self, route: &Value, row: &EvidenceRow) -> Vec<String> {
        if route.is_null() {
            return vec!["is not in the report".into()];
        }
        let Some(checks) = route["checks"].as_object() else {
            return vec!["is not judged: it was recorded without its figures".into()];
        };
        let passed = |name: &&str| checks.get(*name).is_some_and(|check| check["passed"] == true);
        let always = ALWAYS.into_iter().filter(|name| !passed(name)).map(|name| format!("lacks {name}"));
        let bounds = bounds(&self.config.shadow.go);
        let missed = bounds.into_iter().filter_map(|(name, bound)| {
            let Some(found) = checks.get(name).and_then(|check| check["found"].as_f64()) else {
                return Some(format!("lacks {name}, which is not known"));
            };
            let found = if name == FRESHNESS { found.max(seconds_since_last(row)) } else { found };
            let missed = || format!("lacks {name} ({found}, {} {})", bound.words(), bound.number());
            (!bound.is_met(found)).then(missed)
        });
        // A report that was made for one replica has no such figure.
        let replicas =
            (self.config.replicas > 1 && !passed(&"processes")).then(|| "lacks processes".to_owned());
        always.chain(replicas).chain(missed).collect()
    }
}

/// How old the last record was when the report was recorded: it may have been made for another time.
fn seconds_since_last(row: &EvidenceRow) -> f64 {
    row.evidence.window.map_or(f64::INFINITY, |(_, last)| row.at.duration_since(last).as_secs_f64())
}
