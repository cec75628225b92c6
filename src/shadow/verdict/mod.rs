//! What a comparison comes to: the verdict, how grave it is, and which rules had a part in it.

mod progress;
mod signature;

use jiff::civil::Date;

use super::answer::Answer;
use super::compare::{self, Difference};
use super::dry_run;
use super::json::Json;
use super::record::Counts;
use super::types::{Severity, Verdict};
use crate::config::IgnoreRule;
use crate::translate::route::Route;

pub use self::signature::signature;

/// Judges the comparisons of one route.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// The route. For a create the other answer is a rehearsed one.
    pub route: Route,
    /// Whether the `ref_id` of a rehearsal was made up, because the client gave none.
    pub ref_id_made: bool,
    /// Accepted differences.
    pub rules: &'a [IgnoreRule],
    /// The day in UTC, for the end of the rules.
    pub today: Date,
}

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// In a word.
    pub verdict: Verdict,
    /// The gravest of `differences`; `None` also when progress explains them all.
    pub severity: Option<Severity>,
    /// See [`signature()`].
    pub signature: String,
    /// What differs, the gravest first.
    pub differences: Vec<Difference>,
    /// What differs and is accepted, each with the place of the rule that accepts it.
    pub ignored: Vec<(Difference, usize)>,
    /// For each of `differences` that a rule would accept had it not expired: the place of that rule.
    pub expired: Vec<usize>,
    /// Rows, in a list; what was left out of the other answer is not known here.
    pub counts: Option<Counts>,
    /// Why nothing was compared.
    pub skip_reason: Option<&'static str>,
}

/// What two answers are to each other, before the rules had a look.
enum Found {
    Nothing(Verdict, Option<&'static str>),
    NoCounterpart(Option<Counts>),
    /// One side refused, or they refused differently.
    Disagreement(Difference),
    /// Both refused.
    Refusals(Vec<Difference>),
    /// Neither did.
    Differences(Vec<Difference>, Option<Counts>),
}

impl Comparison<'_> {
    /// Compares two answers and judges what differs.
    #[must_use]
    pub fn judge(&self, served: &Answer, other: &Answer) -> Judgement {
        match self.find(served, other) {
            Found::Nothing(verdict, reason) => self.judgement(verdict, reason, None),
            Found::NoCounterpart(counts) => self.judgement(Verdict::NoCounterpart, None, counts),
            Found::Disagreement(difference) => {
                self.settle(vec![difference], None, |_| Verdict::ErrorDisagreement)
            }
            Found::Refusals(differences) => self.settle(differences, None, |_| Verdict::Mismatch),
            Found::Differences(differences, counts) => self.settle(differences, counts, |left| {
                if progress::explains(self.route, left) { Verdict::Progress } else { Verdict::Mismatch }
            }),
        }
    }

    fn find(&self, served: &Answer, other: &Answer) -> Found {
        if let Answer::Failed(reason) = served {
            return Found::Nothing(Verdict::ShadowFailed, Some(reason));
        }
        if let Answer::Failed(reason) = other {
            return Found::Nothing(Verdict::ShadowFailed, Some(reason));
        }
        if self.route == Route::Create
            && let Some((verdict, reason)) = dry_run::by_status(served, other)
        {
            return Found::Nothing(verdict, reason);
        }
        if *other == Answer::NoCounterpart && !served.is_refusal() {
            return match served.skip_reason() {
                None => Found::NoCounterpart(None),
                reason => Found::Nothing(Verdict::NotComparable, reason),
            };
        }
        self.compare(served, other)
    }

    fn compare(&self, served: &Answer, other: &Answer) -> Found {
        let statuses = served.status().zip(other.status());
        let status_code = statuses.and_then(|(served, other)| compare::status_code(served, other));
        let refused = served.is_refusal() || other.is_refusal();
        if refused && let Some(difference) = status_code {
            return Found::Disagreement(difference);
        }
        let (served, other) = match (served, other) {
            (Answer::Document { document: served, .. }, Answer::Document { document: other, .. }) => {
                (served, other)
            }
            (Answer::NoCounterpart, _) | (_, Answer::NoCounterpart) => {
                return Found::Nothing(Verdict::Match, None);
            }
            (one, another) => {
                return Found::Nothing(Verdict::NotComparable, one.skip_reason().or(another.skip_reason()));
            }
        };
        if refused {
            return Found::Refusals(compare::problem(served, other));
        }
        let mut found = self.documents(served, other);
        if let Found::Differences(differences, _) = &mut found {
            differences.extend(status_code);
        }
        found
    }

    fn documents(&self, served: &Json, other: &Json) -> Found {
        match self.route {
            Route::Create => Found::Differences(dry_run::compare(served, other, self.ref_id_made), None),
            Route::Get | Route::Cancel => Found::Differences(compare::record(served, other, &["id"]), None),
            Route::List => {
                let listed = compare::list(served, other);
                let count = |rows| u64::try_from(rows).unwrap_or(u64::MAX);
                let counts =
                    Counts { served: count(listed.served), other: count(listed.other), filtered_out: 0 };
                if listed.other == 0 && listed.served > 0 {
                    Found::NoCounterpart(Some(counts))
                } else {
                    Found::Differences(listed.differences, Some(counts))
                }
            }
        }
    }

    /// Takes away what the rules accept; `verdict` judges what is left.
    fn settle(
        &self,
        found: Vec<Difference>,
        counts: Option<Counts>,
        verdict: impl FnOnce(&[Difference]) -> Verdict,
    ) -> Judgement {
        let (mut differences, mut ignored, mut expired) = (Vec::new(), Vec::new(), Vec::new());
        for difference in found {
            let matching = |(_, rule): &(usize, &IgnoreRule)| rule.path.matches(&difference.path);
            let mut matching = self.rules.iter().enumerate().filter(matching).peekable();
            let first = matching.peek().map(|(at, _)| *at);
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
        let gravest = differences.first().map(|difference| difference.severity);
        Judgement {
            severity: gravest.filter(|_| verdict != Verdict::Progress),
            signature: signature(self.route, verdict, &differences),
            differences,
            ignored,
            expired,
            ..self.judgement(verdict, None, counts)
        }
    }

    fn judgement(
        &self,
        verdict: Verdict,
        skip_reason: Option<&'static str>,
        counts: Option<Counts>,
    ) -> Judgement {
        Judgement {
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
