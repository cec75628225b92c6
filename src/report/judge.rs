//! GO, NO-GO or NOT PROVEN for one route: every threshold with its measured value. A value that is unknown does not meet its threshold.

use jiff::Timestamp;

use super::continuity::Gap;
use super::document::{Check, Decision, Uncovered};
use super::pair_logs::PairLogs;
use super::route::RouteTotals;
use super::running::ShadowCoverage;
use crate::config::{Cover, Go};
use crate::shadow::types::{Severity, Verdict};
use crate::telemetry::format::{count, moment, percent, share, span};
use crate::translate::route::Route;

/// Largest share of comparisons that the heartbeats count and the input lacks: some lines are still queued when a file is read. Above
/// it, differences may be in the lines that were lost.
const MISSING_SHARE_MAX: f64 = 0.02;

/// The figures that decide for a route.
pub(super) struct RouteStats<'a> {
    pub(super) route: Route,
    pub(super) totals: &'a RouteTotals,
    pub(super) running: &'a ShadowCoverage,
    /// Comparisons that the input lacks, and all that were made.
    pub(super) missing: (u64, u64),
    pub(super) newer_lines: u64,
    pub(super) pair_logs: &'a PairLogs,
    /// Processes of the config.
    pub(super) replicas: u32,
    pub(super) now: Timestamp,
    /// What clients used and what was never compared on both sides.
    pub(super) uncovered: &'a [Uncovered],
    /// Whether it was compared on the right hosts, where that is required.
    pub(super) hosts: Option<Check>,
}

/// A check that is missed where too little was compared, or the wrong vendor. Every other one that is missed is a reason against the route.
const PROVES: [&str; 4] = ["counterparts_min", "cover", "hosts", "processes"];
/// Names of what is not covered that a check shows.
const UNCOVERED_SHOWN: usize = 6;

impl RouteStats<'_> {
    /// The decision and its thresholds.
    pub(super) fn judge(&self, go: &Go) -> (Decision, Vec<Check>) {
        // A line of a newer schema is not read, so it may be one of this route.
        if self.totals.records() == 0 && self.newer_lines == 0 && !self.running.was_in_shadow(self.route) {
            let is_known = self.running.heartbeats() > 0;
            return (if is_known { Decision::NotInShadow } else { Decision::NotKnown }, Vec::new());
        }
        let mut checks = vec![self.records()];
        checks.extend(self.amounts(go));
        checks.extend(self.cover(go));
        checks.extend(self.hosts.clone());
        checks.extend(self.processes());
        checks.extend(self.differences(go));
        checks.extend(self.shadow_itself(go));
        let missed: Vec<_> = checks.iter().filter(|check| !check.passed).collect();
        let decision = if missed.is_empty() {
            Decision::Go
        } else if missed.iter().all(|check| PROVES.contains(&check.name)) {
            Decision::NotProven
        } else {
            Decision::NoGo
        };
        (decision, checks)
    }

    /// Whether everything that clients used was compared on both sides, where that is required.
    fn cover(&self, go: &Go) -> Option<Check> {
        match go.cover {
            Cover::Named => return None,
            Cover::Seen => {}
        }
        let found = self.uncovered.len();
        let shown = self.uncovered.iter().take(UNCOVERED_SHOWN);
        let shown: Vec<_> = shown.map(|uncovered| format!("{} {}", uncovered.kind, uncovered.name)).collect();
        let more = found.saturating_sub(UNCOVERED_SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names = if found == 0 { String::new() } else { format!(": {}{more}", shown.join(", ")) };
        let text = format!("{} never compared on both sides, at most 0{names}", count(found as u64));
        Some(check("cover", found == 0, Some(found as f64), 0.0, text))
    }

    fn records(&self) -> Check {
        let records = self.totals.records();
        let text = if records == 0 { "no records".into() } else { format!("{} records", count(records)) };
        check("records", records > 0, Some(records as f64), 1.0, text)
    }

    /// Thresholds on how much was compared, and how recently.
    fn amounts(&self, go: &Go) -> [Check; 3] {
        let judged = self.totals.judged();
        let paired = self.totals.paired;
        let longest = go.freshness_max.as_secs_f64();
        let age = self.totals.last.map(|last| self.now.as_second().saturating_sub(last.as_second()).max(0));
        let are_ahead = self.totals.last == Some(Timestamp::UNIX_EPOCH);
        let shown = match age {
            Some(_) if are_ahead => "every record is dated ahead of the clock".into(),
            Some(age) => format!("last record {} ago", span(age)),
            None => "no record".to_owned(),
        };
        [
            at_least("judged_min", judged, go.judged_min, "judged"),
            at_least("counterparts_min", paired, go.counterparts_min, "with a record on both sides"),
            check(
                "freshness_max",
                age.is_some_and(|age| age as f64 <= longest),
                age.map(|age| age as f64),
                longest,
                format!("{shown}, at most {}", span(longest as i64)),
            ),
        ]
    }

    /// Thresholds on how much differed.
    fn differences(&self, go: &Go) -> Vec<Check> {
        let totals = self.totals;
        let of = |severity| totals.of_severity(Verdict::Mismatch, severity);
        // Where one side converts what the other refuses, money is as much at stake as where amounts differ.
        let refused = totals.of_severity(Verdict::ErrorDisagreement, Severity::Money);
        let money = of(Severity::Money).saturating_add(refused);
        let money = check(
            "money_max",
            money <= go.money_max,
            Some(money as f64),
            go.money_max as f64,
            format!("{} with a money difference, at most {}", count(money), count(go.money_max)),
        );
        let (all, judged) = (totals.records(), totals.judged());
        let (contract, cosmetic) = (of(Severity::Contract), of(Severity::Cosmetic));
        let of = |verdict| totals.of(verdict);
        let shares = [
            ("contract_share_max", contract, judged, go.contract_share_max, "with a contract difference"),
            ("cosmetic_share_max", cosmetic, judged, go.cosmetic_share_max, "with a cosmetic difference"),
            (
                "transient_share_max",
                of(Verdict::Transient),
                judged,
                go.transient_share_max,
                "with a difference that was gone when both sides were read again",
            ),
            (
                "progress_share_max",
                of(Verdict::Progress),
                judged,
                go.progress_share_max,
                "with a later status on the new API",
            ),
            (
                "error_disagreement_share_max",
                of(Verdict::ErrorDisagreement),
                judged,
                go.error_disagreement_share_max,
                "refused on one side, or with different statuses",
            ),
            ("failed_share_max", of(Verdict::ShadowFailed), all, go.failed_share_max, "failed"),
            (
                "not_comparable_share_max",
                of(Verdict::NotComparable),
                all,
                go.not_comparable_share_max,
                "not comparable",
            ),
        ];
        let shares = shares.map(|(name, part, whole, most, what)| at_most(name, (part, whole), most, what));
        std::iter::once(money).chain(shares).collect()
    }

    /// Thresholds on shadow itself: whether the records are complete.
    fn shadow_itself(&self, go: &Go) -> [Check; 8] {
        let heartbeats = self.running.heartbeats();
        let heartbeats_text = format!("{} heartbeats", count(heartbeats));
        // Heartbeats count due jobs over all routes. Those of this route are its records and its drops.
        let dropped = self.running.dropped(self.route);
        let due = self.totals.records().saturating_add(dropped);
        let dropping = at_most("dropped_share_max", (dropped, due), go.dropped_share_max, "dropped");
        let unknown = |name, most| {
            check(name, false, None, most, format!("unknown without heartbeats, at most {}", percent(most)))
        };
        let idle = self.running.idle_share().map_or_else(
            || unknown("idle_share_max", go.idle_share_max),
            |idle| {
                let text =
                    format!("idle {} of the time, at most {}", percent(idle), percent(go.idle_share_max));
                check("idle_share_max", idle <= go.idle_share_max, Some(idle), go.idle_share_max, text)
            },
        );
        let newer = self.newer_lines;
        [
            check("heartbeats", heartbeats > 0, Some(heartbeats as f64), 1.0, heartbeats_text),
            if heartbeats > 0 { dropping } else { unknown("dropped_share_max", go.dropped_share_max) },
            idle,
            at_most("missing_lines", self.missing, MISSING_SHARE_MAX, "made and missing from the input"),
            self.lost_lines(),
            self.cut_off(),
            check(
                "newer_lines",
                newer == 0,
                Some(newer as f64),
                0.0,
                format!("{} lines of a newer schema, not read", count(newer)),
            ),
            self.pair_logs.check(),
        ]
    }

    /// A replica whose log is not there may have seen differences.
    fn processes(&self) -> Option<Check> {
        let (found, least) = (self.running.at_once(), u64::from(self.replicas));
        let text = format!(
            "heartbeats of {} processes at one time, at least {} (replicas)",
            count(found),
            count(least)
        );
        (least > 1).then(|| check("processes", found >= least, Some(found as f64), least as f64, text))
    }

    /// No line may be missing: it may be the one with the difference.
    fn lost_lines(&self) -> Check {
        let Gap { lines, after, before } = self.running.lost();
        // Without a gap, only the processes that were followed are known to have none.
        if lines == 0 && self.running.not_followed() > 0 {
            let text = "unknown: more processes than can be followed, at most 0 lines lost".into();
            return check("lost_lines", false, None, 0.0, text);
        }
        let after = after.map_or_else(|| "the first line".to_owned(), moment);
        let place = before.map(|before| format!(" between {after} and {}", moment(before)));
        let place = place.filter(|_| lines > 0).unwrap_or_default();
        let text = format!("{} lines lost{place}, at most 0", count(lines));
        check("lost_lines", lines == 0, Some(lines as f64), 0.0, text)
    }

    fn cut_off(&self) -> Check {
        let processes = self.running.cut_off();
        let last =
            processes.first().map(|last| format!(" (no line follows the heartbeat of {})", moment(*last)));
        let text = format!(
            "{} processes without the next heartbeat that they announced{}, at most 0",
            count(processes.len() as u64),
            last.unwrap_or_default()
        );
        check("cut_off", processes.is_empty(), Some(processes.len() as f64), 0.0, text)
    }
}

const fn check(name: &'static str, passed: bool, found: Option<f64>, threshold: f64, text: String) -> Check {
    Check { name, passed, found, threshold, text }
}

fn at_least(name: &'static str, found: u64, least: u64, what: &str) -> Check {
    let text = format!("{} {what}, at least {}", count(found), count(least));
    check(name, found >= least, Some(found as f64), least as f64, text)
}

fn at_most(name: &'static str, (part, whole): (u64, u64), most: f64, what: &str) -> Check {
    let found = share(part, whole);
    let text =
        format!("{} {what}, {} of {}, at most {}", count(part), percent(found), count(whole), percent(most));
    check(name, found <= most, Some(found), most, text)
}
