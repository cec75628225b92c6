//! Accepted differences: who answers for them, whether anything meets them, whether their time is over.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::bounded::{Bounded, harmless};
use super::document::{self, RuleState};
use super::figures::moment;
use crate::shadow::heartbeat::RuleHits;

/// Most rules that are told apart.
const RULES_MAX: usize = 1000;

/// Rules, by all that is written in them.
pub(super) struct RuleTally(Bounded<Entry>);

struct Entry {
    rule: RuleHits,
    hits: u64,
    last: Timestamp,
}

impl RuleTally {
    pub(super) fn new() -> Self {
        Self(Bounded::new(RULES_MAX))
    }

    pub(super) fn add(&mut self, rule: &RuleHits, time: Timestamp) {
        let key = format!("{}\n{}\n{}", rule.path, rule.owner, rule.expires);
        let new = || Entry { rule: rule.clone(), hits: 0, last: time };
        if let Some(entry) = self.0.entry(&key, 1, new) {
            entry.hits = entry.hits.saturating_add(rule.hits);
            entry.last = entry.last.max(time);
        }
    }

    /// What must be looked at first: expired, unused, then the rest by path.
    pub(super) fn told(&self, now: Timestamp) -> Vec<document::Rule> {
        let today = now.to_zoned(TimeZone::UTC).date();
        let mut rules: Vec<_> = self.0.iter().map(|(_, entry)| told(entry, today)).collect();
        let rank = |rule: &document::Rule| match rule.state {
            RuleState::Expired => 0,
            RuleState::Unused => 1,
            RuleState::Used => 2,
        };
        rules.sort_by(|a, b| (rank(a), &a.path, &a.owner).cmp(&(rank(b), &b.path, &b.owner)));
        rules
    }
}

fn told(Entry { rule, hits, last }: &Entry, today: Date) -> document::Rule {
    let text = |text: &str| harmless(text, 200).into_owned();
    let past = rule.expires.parse::<Date>().is_ok_and(|day| day < today);
    let state = match (rule.expired || past, *hits) {
        (true, _) => RuleState::Expired,
        (false, 0) => RuleState::Unused,
        (false, _) => RuleState::Used,
    };
    document::Rule {
        path: text(&rule.path),
        reason: text(&rule.reason),
        owner: text(&rule.owner),
        expires: text(&rule.expires),
        hits: *hits,
        state,
        last_seen: moment(*last),
    }
}
