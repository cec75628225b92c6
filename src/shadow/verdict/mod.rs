//! The result of a comparison: its verdict, its severity, and the ignore rules that applied.

mod confirmed;
mod progress;
mod signature;

use jiff::civil::Date;

use super::compare;
use super::compare::difference::Difference;
use super::dry_run;
use super::json::Json;
use super::record::RowCounts;
use super::side_response::SideResponse;
use super::types::{Severity, Verdict};
use crate::config::IgnoreRule;
use crate::translate::route::Route;

pub use self::signature::signature;

/// Compares the responses to one request.
#[derive(Clone, Copy, Debug)]
pub struct Comparator<'a> {
    /// The route. For a create, the other response is that of a dry run.
    pub route: Route,
    /// Whether the dry run generated a `ref_id`, because the client gave none.
    pub ref_id_made: bool,
    /// The ignore rules, those that have expired included.
    pub rules: &'a [IgnoreRule],
    /// The current day in UTC, by which rules expire.
    pub today: Date,
}

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparisonResult {
    /// What the comparison shows, ignore rules applied.
    pub verdict: Verdict,
    /// The highest severity in `differences`; `None` also when progress explains them all.
    pub severity: Option<Severity>,
    /// See [`signature()`].
    pub signature: String,
    /// The differences, the highest severity first.
    pub differences: Vec<Difference>,
    /// The differences that a rule accepts, each with the index of that rule.
    pub ignored: Vec<(Difference, usize)>,
    /// For each of `differences` that an expired rule would have accepted, the index of that rule.
    pub expired: Vec<usize>,
    /// The rows of a list. Only `served` and `other` are set here.
    pub counts: Option<RowCounts>,
    /// Why nothing was compared; `None` if it was.
    pub skip_reason: Option<&'static str>,
}

/// What two responses are to each other, before the ignore rules apply.
enum ComparisonFindings {
    NotCompared(Verdict, Option<&'static str>),
    NoCounterpart(Option<RowCounts>),
    /// One side refused, or they refused differently.
    Disagreement(Difference),
    Refusals(Vec<Difference>),
    Differences(Vec<Difference>, Option<RowCounts>),
}

impl Comparator<'_> {
    /// Finds the differences, then applies the ignore rules to them.
    #[must_use]
    pub fn compare(&self, served: &SideResponse, other: &SideResponse) -> ComparisonResult {
        match self.find(served, other) {
            ComparisonFindings::NotCompared(verdict, reason) => {
                self.without_differences(verdict, reason, None)
            }
            ComparisonFindings::NoCounterpart(counts) => {
                self.without_differences(Verdict::NoCounterpart, None, counts)
            }
            ComparisonFindings::Disagreement(difference) => {
                self.apply_rules(vec![difference], None, |_| Verdict::ErrorDisagreement)
            }
            ComparisonFindings::Refusals(differences) => {
                self.apply_rules(differences, None, |_| Verdict::Mismatch)
            }
            ComparisonFindings::Differences(differences, counts) => {
                self.apply_rules(differences, counts, |rest| {
                    if progress::explains(self.route, rest) { Verdict::Progress } else { Verdict::Mismatch }
                })
            }
        }
    }

    /// A mismatch that was compared once more, both sides read again. `None`: it is gone, or only time explains what is left.
    #[must_use]
    pub fn confirm(&self, first: &ComparisonResult, second: ComparisonResult) -> Option<ComparisonResult> {
        if second.verdict != Verdict::Mismatch {
            return Some(second);
        }
        let differences = confirmed::confirmed(self.route, &first.differences, second.differences);
        let highest = differences.first()?.severity;
        let signature = signature(self.route, Verdict::Mismatch, &differences);
        Some(ComparisonResult { severity: Some(highest), signature, differences, ..second })
    }

    /// Compares the new API's answer to a create with the same record as it is read there later. Ids are equal, and `updated_at` moves.
    #[must_use]
    pub fn compare_own(&self, served: &SideResponse, later: &SideResponse) -> ComparisonResult {
        let documents = (served.accepted(), later.accepted());
        let (Some(created), Some(read)) = documents else {
            return match (later.skip_reason(), later) {
                (_, SideResponse::Failed(reason)) => {
                    self.without_differences(Verdict::ShadowFailed, Some(*reason), None)
                }
                (Some(reason), _) => self.without_differences(Verdict::NotComparable, Some(reason), None),
                (None, _) if served.accepted().is_none() => {
                    self.without_differences(Verdict::NotComparable, served.skip_reason(), None)
                }
                // Not shown: a create that was answered 200 has a record.
                (None, _) => self.without_differences(Verdict::NoCounterpart, None, None),
            };
        };
        let differences = compare::record(created, read, &["updated_at"]);
        self.apply_rules(differences, None, |rest| {
            if progress::explains(Route::Get, rest) { Verdict::Progress } else { Verdict::Mismatch }
        })
    }

    fn find(&self, served: &SideResponse, other: &SideResponse) -> ComparisonFindings {
        if let SideResponse::Failed(reason) = served {
            return ComparisonFindings::NotCompared(Verdict::ShadowFailed, Some(reason));
        }
        if let SideResponse::Failed(reason) = other {
            return ComparisonFindings::NotCompared(Verdict::ShadowFailed, Some(reason));
        }
        // Before the bodies: a refusal that depends on state is not comparable, whatever its text.
        if self.route == Route::Create
            && let Some((verdict, reason)) = dry_run::by_status(served, other)
        {
            return ComparisonFindings::NotCompared(verdict, reason);
        }
        if *other == SideResponse::NoCounterpart && !served.is_refusal() {
            return match served.skip_reason() {
                None => ComparisonFindings::NoCounterpart(None),
                reason => ComparisonFindings::NotCompared(Verdict::NotComparable, reason),
            };
        }
        self.compare_answered(served, other)
    }

    fn compare_answered(&self, served: &SideResponse, other: &SideResponse) -> ComparisonFindings {
        let statuses = served.status().zip(other.status());
        let status_code = statuses.and_then(|(served, other)| compare::status_code(served, other));
        let refused = served.is_refusal() || other.is_refusal();
        // Bodies of two different statuses have nothing in common; comparing them would bury the status among details.
        if refused && let Some(difference) = status_code {
            return ComparisonFindings::Disagreement(difference);
        }
        let (served, other) = match (served, other) {
            (
                SideResponse::Document { document: served, .. },
                SideResponse::Document { document: other, .. },
            ) => (served, other),
            (SideResponse::NoCounterpart, _) | (_, SideResponse::NoCounterpart) => {
                return ComparisonFindings::NotCompared(Verdict::Match, None);
            }
            (one, another) => {
                return ComparisonFindings::NotCompared(
                    Verdict::NotComparable,
                    one.skip_reason().or(another.skip_reason()),
                );
            }
        };
        if refused {
            return ComparisonFindings::Refusals(compare::problem(served, other));
        }
        let mut found = self.documents(served, other);
        if let ComparisonFindings::Differences(differences, _) = &mut found {
            differences.extend(status_code);
        }
        found
    }

    fn documents(&self, served: &Json, other: &Json) -> ComparisonFindings {
        match self.route {
            Route::Create => {
                ComparisonFindings::Differences(dry_run::compare(served, other, self.ref_id_made), None)
            }
            Route::Get | Route::Cancel => {
                ComparisonFindings::Differences(compare::record(served, other, &["id"]), None)
            }
            Route::List => {
                let listed = compare::list(served, other);
                let count = |rows| u64::try_from(rows).unwrap_or(u64::MAX);
                let (served, other) = (count(listed.served), count(listed.other));
                let counts = RowCounts { served, other, ..RowCounts::default() };
                // Before the cutover new need not hold the record: an empty page is no list of missing rows.
                if listed.other == 0 && listed.served > 0 {
                    ComparisonFindings::NoCounterpart(Some(counts))
                } else {
                    ComparisonFindings::Differences(listed.differences, Some(counts))
                }
            }
        }
    }

    /// Sets aside the differences that the rules accept; `verdict` classifies the rest.
    fn apply_rules(
        &self,
        found: Vec<Difference>,
        counts: Option<RowCounts>,
        verdict: impl FnOnce(&[Difference]) -> Verdict,
    ) -> ComparisonResult {
        let (mut differences, mut ignored, mut expired) = (Vec::new(), Vec::new(), Vec::new());
        for difference in found {
            let matching = |(_, rule): &(usize, &IgnoreRule)| rule.path.matches(&difference.path);
            let mut matching = self.rules.iter().enumerate().filter(matching).peekable();
            let first = matching.peek().map(|(at, _)| *at);
            // A rule still applies on its last day. An expired one is named beside the difference, to be renewed or removed.
            match matching.find(|(_, rule)| self.today <= rule.expires) {
                Some((at, _)) => ignored.push((difference, at)),
                None => {
                    expired.extend(first);
                    differences.push(difference);
                }
            }
        }
        differences.sort_by_key(|difference| std::cmp::Reverse(difference.severity));
        let verdict = match (differences.is_empty(), ignored.is_empty()) {
            (true, true) => Verdict::Match,
            (true, false) => Verdict::MatchAfterRules,
            (false, _) => verdict(&differences),
        };
        let highest = differences.first().map(|difference| difference.severity);
        ComparisonResult {
            // Progress is no fault; a severity would list it among the differences.
            severity: highest.filter(|_| verdict != Verdict::Progress),
            signature: signature(self.route, verdict, &differences),
            differences,
            ignored,
            expired,
            ..self.without_differences(verdict, None, counts)
        }
    }

    fn without_differences(
        &self,
        verdict: Verdict,
        skip_reason: Option<&'static str>,
        counts: Option<RowCounts>,
    ) -> ComparisonResult {
        ComparisonResult {
            verdict,
            severity: None,
            signature: signature(self.route, verdict, &[]),
            differences: Vec::new(),
            ignored: Vec::new(),
            expired: Vec::new(),
            counts,
            skip_reason,
        }
    }
}
