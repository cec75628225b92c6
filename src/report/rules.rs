//! Ignore rules: who owns them, how often they apply, whether they have expired.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::bounded::{Bounded, NAME_MAX};
use super::document::{self, RuleState};
use crate::config::PathPattern;
use crate::shadow::compare;
use crate::shadow::heartbeat_record::{HeartbeatRecord, RuleHits};
use crate::shadow::record::TOTALS_SINCE;
use crate::telemetry::format::moment;
use crate::telemetry::sanitize::clip;

/// Most rules that are counted apart.
const RULES_MAX: usize = 1000;

/// Rules by path, owner and last day.
pub(super) struct RuleTotals {
    since: Option<Timestamp>,
    rules: Bounded<RuleEntry>,
    /// The hits of each process and path, which heartbeats count since its start.
    totals: Bounded<HitTotals>,
}

struct RuleEntry {
    rule: RuleHits,
    hits: u64,
    last: Timestamp,
}

/// The highest totals before the window and within it, with the rule that they were last counted for.
#[derive(Default)]
struct HitTotals {
    key: String,
    base: u64,
    latest: u64,
}

impl RuleTotals {
    /// For a window that begins at `since`.
    pub(super) fn new(since: Option<Timestamp>) -> Self {
        Self { since, rules: Bounded::new(RULES_MAX), totals: Bounded::new(RULES_MAX) }
    }

    pub(super) fn add(&mut self, heartbeat: &HeartbeatRecord, rule: &RuleHits, time: Timestamp) {
        let is_early = self.since.is_some_and(|since| time < since);
        let is_total = heartbeat.schema >= TOTALS_SINCE;
        let key = format!("{}\n{}\n{}", rule.path, rule.owner, rule.expires);
        if is_total {
            let name = format!("{}\n{}", heartbeat.process, rule.path);
            if let Some(totals) = self.totals.entry(&name, rule.hits, HitTotals::default) {
                let highest = if is_early { &mut totals.base } else { &mut totals.latest };
                *highest = rule.hits.max(*highest);
                totals.key.clone_from(&key);
            }
        }
        if is_early {
            return;
        }
        let new = || RuleEntry { rule: rule.clone(), hits: 0, last: time };
        if let Some(entry) = self.rules.entry(&key, 1, new) {
            entry.hits = entry.hits.saturating_add(if is_total { 0 } else { rule.hits });
            entry.last = entry.last.max(time);
        }
    }

    /// Expired rules first, then unused ones, then the rest; each group by path.
    pub(super) fn document(&self, now: Timestamp) -> Vec<document::RuleReport> {
        let today = now.to_zoned(TimeZone::UTC).date();
        let mut rises: HashMap<_, u64> = HashMap::new();
        for (_, HitTotals { key, base, latest }) in self.totals.iter() {
            let rise = rises.entry(clip(key, NAME_MAX)).or_default();
            *rise = rise.saturating_add(latest.saturating_sub(*base));
        }
        let hits = |name: &str, entry: &RuleEntry| {
            entry.hits.saturating_add(rises.get(name).copied().unwrap_or_default())
        };
        let mut rules: Vec<_> =
            self.rules.iter().map(|(name, entry)| rule(entry, hits(name, entry), today)).collect();
        let rank = |rule: &document::RuleReport| match rule.state {
            RuleState::Expired => 0,
            RuleState::Unused => 1,
            RuleState::Used => 2,
        };
        rules.sort_by(|a, b| (rank(a), &a.path, &a.owner).cmp(&(rank(b), &b.path, &b.owner)));
        rules
    }
}

fn rule(RuleEntry { rule, last, .. }: &RuleEntry, hits: u64, today: Date) -> document::RuleReport {
    let text = |text: &str| clip(text, 200).into_owned();
    let past = rule.expires.parse::<Date>().is_ok_and(|day| day < today);
    let state = match (rule.expired || past, hits) {
        (true, _) => RuleState::Expired,
        (false, 0) => RuleState::Unused,
        (false, _) => RuleState::Used,
    };
    document::RuleReport {
        path: text(&rule.path),
        reason: text(&rule.reason),
        owner: text(&rule.owner),
        expires: text(&rule.expires),
        hits,
        hides_money: hides_money(&rule.path),
        state,
        last_seen: moment(*last),
    }
}

/// Whether the pattern matches a path of severity `money`. A pattern that cannot be parsed is taken for one that does.
fn hides_money(pattern: &str) -> bool {
    let Ok(read) = PathPattern::parse(pattern) else { return true };
    // A pattern that names a row number matches that row only.
    let row = pattern.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(index, _)| index);
    let row = format!("items[{}]", row.filter(|index| *index != "*").unwrap_or("0"));
    let fields = compare::MONEY.iter().flat_map(|field| [(*field).to_owned(), format!("{row}.{field}")]);
    fields.chain([row.clone()]).any(|place| read.matches(&place))
}

#[cfg(test)]
mod tests {
    use super::hides_money;

    #[test]
    fn a_rule_that_reaches_money_is_known_by_its_pattern() {
        for pattern in ["amount", "*", "items[*].status", "items[3].ref_id", "items[*]", "items[*].*", "a..b"]
        {
            assert!(hides_money(pattern), "{pattern}");
        }
        for pattern in
            ["updated_at", "items[*].updated_at", "metadata.amount", "metadata.*", "items", "status_code"]
        {
            assert!(!hides_money(pattern), "{pattern}");
        }
    }
}
