//! What a comparison comes to: the verdict, how grave it is, and which rules had a part in it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::civil::Date;
use sha2::{Digest as _, Sha256};

use super::answer::Answer;
use super::compare::{self, Difference};
use super::json::Json;
use super::record::Counts;
use super::rehearsal;
use super::terms::{DiffKind, Route, Severity, Verdict};
use crate::config::IgnoreRule;

/// Judges the comparisons of one route.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
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
    /// See [`signature`].
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
    Differences(Vec<Difference>, Option<Counts>),
}

impl Judge<'_> {
    /// Compares two answers and judges what differs.
    #[must_use]
    pub fn judge(&self, served: &Answer, other: &Answer) -> Judgement {
        match self.find(served, other) {
            Found::Nothing(verdict, reason) => self.judgement(verdict, reason, None),
            Found::NoCounterpart(counts) => self.judgement(Verdict::NoCounterpart, None, counts),
            Found::Disagreement(difference) => {
                self.settle(vec![difference], Verdict::ErrorDisagreement, None)
            }
            Found::Differences(differences, counts) => self.settle(differences, Verdict::Mismatch, counts),
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
            && let Some((verdict, reason)) = rehearsal::cannot_tell(served, other)
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
        let mut found = if refused {
            Found::Differences(compare::problem(served, other), None)
        } else {
            self.documents(served, other)
        };
        if let Found::Differences(differences, _) = &mut found {
            differences.extend(status_code);
        }
        found
    }

    fn documents(&self, served: &Json, other: &Json) -> Found {
        match self.route {
            Route::Create => Found::Differences(rehearsal::compare(served, other, self.ref_id_made), None),
            Route::Get => Found::Differences(compare::record(served, other, &["id"]), None),
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

    /// Takes away what the rules accept and judges what is left.
    fn settle(&self, found: Vec<Difference>, otherwise: Verdict, counts: Option<Counts>) -> Judgement {
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
            (false, _) if otherwise == Verdict::Mismatch && is_progress(&differences) => Verdict::Progress,
            (false, _) => otherwise,
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

/// Whether all that differs is that the other answer was read later: a record was `CREATED` and is `SETTLED` or `CANCELLED`
/// now, and says since when. Never the other way round.
fn is_progress(differences: &[Difference]) -> bool {
    let place = |difference: &'_ Difference| -> (String, String) {
        let (place, name) = difference.path.rsplit_once('.').unwrap_or(("", &difference.path));
        (place.to_owned(), name.to_owned())
    };
    let text = |value: &Option<Json>| value.as_ref().and_then(Json::as_text).map(str::to_owned);
    let moved_on = |difference: &Difference| {
        let (place, name) = place(difference);
        let now = text(&difference.other).filter(|now| matches!(now.as_str(), "SETTLED" | "CANCELLED"))?;
        (name == "status" && text(&difference.served).as_deref() == Some("CREATED")).then_some((place, now))
    };
    let moved: BTreeSet<(String, String)> = differences.iter().filter_map(moved_on).collect();
    differences.iter().all(|difference| {
        let (place, name) = place(difference);
        let is = |status: &str| moved.contains(&(place.clone(), status.to_owned()));
        match (name.as_str(), difference.kind) {
            ("status", _) => moved_on(difference).is_some(),
            ("updated_at", DiffKind::Value | DiffKind::Precision) => is("SETTLED") || is("CANCELLED"),
            ("settled_at", DiffKind::Extra) => is("SETTLED"),
            ("cancelled_at", DiffKind::Extra) => is("CANCELLED"),
            _ => false,
        }
    })
}

/// Sixteen hex digits that are the same for all comparisons of a route with the same verdict in which the same places differ in
/// the same ways: row numbers and the client's own keys do not count, values are not part of it.
#[must_use]
pub fn signature(route: Route, verdict: Verdict, differences: &[Difference]) -> String {
    let places: BTreeSet<String> = differences
        .iter()
        .map(|difference| format!("{} {}", folded(&difference.path), difference.kind.as_str()))
        .collect();
    let mut hash = Sha256::new();
    for part in [route.as_str(), verdict.as_str()].into_iter().chain(places.iter().map(String::as_str)) {
        hash.update(part);
        hash.update([0]);
    }
    hex(&hash.finalize()[..8])
}

/// `items[*].metadata.*` for `items[3].metadata.order`.
fn folded(path: &str) -> String {
    let mut names = Vec::new();
    for name in path.split('.') {
        let (name, index) = name.split_once('[').map_or((name, ""), |(name, _)| (name, "[*]"));
        names.push(if names.last().is_some_and(|last| last == "metadata") {
            "*".into()
        } else {
            format!("{name}{index}")
        });
    }
    names.join(".")
}

/// Bytes as hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}
