//! The vendor's daily Profile Transactions report: a source of its own beside lists and ledger. `report_file` reads it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::finding::FindingKind;
use crate::telemetry::format::count;
use crate::translate::conversion::Conversion;
use crate::translate::decimal;
use crate::translate::evidence::{RecordProgress, WalkedRecord};
use crate::translate::json::Text;
use crate::translate::side::Side;
use crate::translate::timestamp;

/// The lines of a report about conversions and orchestrations, by record.
#[derive(Clone, Debug, Default)]
pub struct DailyReport {
    resources: HashMap<String, Resource>,
    /// When its first and its last movement were. Every movement between them is in it.
    period: Option<(Timestamp, Timestamp)>,
    /// Of all of its lines.
    profiles: HashSet<String>,
    /// Whether it has lines about orchestrations: only then must each of them have one.
    names_new: bool,
    lines: u64,
    about_conversions: u64,
}

/// How much of a report there is, and how much of it was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportCounts {
    /// Lines without the header.
    pub lines: u64,
    /// Those about conversions and orchestrations.
    pub about_conversions: u64,
    /// The records that they name.
    pub records: u64,
    /// Those of them that were compared with the record of their side.
    pub joined: u64,
}

impl fmt::Display for ReportCounts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [lines, about, records, joined] =
            [self.lines, self.about_conversions, self.records, self.joined].map(count);
        write!(out, "{lines} lines, {about} about conversions; {records} records named, {joined} compared")
    }
}

#[derive(Clone, Debug)]
struct Resource {
    side: Side,
    /// When the first line's movement was.
    first: Timestamp,
    debits: Vec<Movement>,
    credits: Vec<Movement>,
    returns: Vec<Movement>,
    /// Reserved funds that were released.
    releases: Vec<Movement>,
    is_matched: bool,
}

/// One line. A transaction and its direction are unique, so that two equal lines are one movement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Movement {
    pub(super) tx_id: String,
    pub(super) direction: String,
    pub(super) amount: String,
    pub(super) assets: String,
    pub(super) profile_id: String,
}

#[derive(Clone, Copy)]
pub(super) enum MovementKind {
    Debit,
    Credit,
    Return,
    Release,
    /// None that is compared.
    Other,
}

pub(super) struct ReportedMovement {
    pub(super) side: Side,
    pub(super) at: Timestamp,
    pub(super) kind: MovementKind,
    pub(super) movement: Movement,
}

type Disagreement = (FindingKind, String);

impl DailyReport {
    pub(super) fn count_line(&mut self, profile_id: &str) {
        // Every line says whose report it is, also those about other resources.
        self.lines += 1;
        if !self.profiles.contains(profile_id) {
            self.profiles.insert(profile_id.to_owned());
        }
    }

    pub(super) fn add(&mut self, id: String, reported: ReportedMovement) {
        let ReportedMovement { side, at, kind, movement } = reported;
        self.about_conversions += 1;
        self.names_new |= side == Side::New;
        let (first, last) = self.period.unwrap_or((at, at));
        self.period = Some((first.min(at), last.max(at)));
        let resource = self.resources.entry(id).or_insert_with(|| Resource::new(side, at));
        resource.first = resource.first.min(at);
        let movements = match kind {
            MovementKind::Debit => &mut resource.debits,
            MovementKind::Credit => &mut resource.credits,
            MovementKind::Return => &mut resource.returns,
            MovementKind::Release => &mut resource.releases,
            MovementKind::Other => return,
        };
        // A line that is there twice under one transaction is one movement; without an id two equal lines may be two.
        if movement.tx_id.is_empty() || !movements.contains(&movement) {
            movements.push(movement);
        }
    }

    /// In what the report and the record do not agree; `None` if in nothing, or if the report need not name the record.
    pub(super) fn compare(&mut self, record: &WalkedRecord) -> Option<Disagreement> {
        let conversion = Conversion::parse(&record.json).ok()?;
        let period = self.period;
        if !self.resources.contains_key(&record.id) {
            let why = "the report of that time does not name it";
            return self.must_name(record, &conversion).then(|| (FindingKind::Status, why.to_owned()));
        }
        // One that the other side mirrors under the same id may be named as that side's.
        let resource = self.resources.get_mut(&record.id).filter(|resource| resource.side == record.side)?;
        resource.is_matched = true;
        let status = |why: String| (FindingKind::Status, why);
        let differs = resource.differs(&conversion).map(|why| (FindingKind::Mismatch, why));
        differs
            .or_else(|| resource.repeats().map(status))
            .or_else(|| resource.contradiction(record, &conversion, period).map(|why| status(why.into())))
    }

    /// Whether a record must be in the report: it was made or became final within its time, in a profile that it is about.
    fn must_name(&self, record: &WalkedRecord, conversion: &Conversion<'_>) -> bool {
        let is_of_profile = self.profiles.iter().all(String::is_empty)
            || value(conversion.profile_id).is_some_and(|profile| self.profiles.contains(&*profile));
        let is_of_side = record.side == Side::Legacy || self.names_new;
        let final_at = [conversion.settled_at, conversion.cancelled_at].into_iter().filter_map(at);
        let mut moved = final_at.chain([record.created_at]);
        is_of_profile && is_of_side && moved.any(|at| is_within(self.period, at))
    }

    /// Records in the report that were not compared, with their side and time.
    pub(super) fn unmatched(&self) -> Vec<(String, Side, Timestamp)> {
        let left = self.resources.iter().filter(|(_, resource)| !resource.is_matched);
        left.map(|(id, resource)| (id.clone(), resource.side, resource.first)).collect()
    }

    /// How many conversions and orchestrations it names.
    #[must_use]
    pub fn records(&self) -> usize {
        self.resources.len()
    }

    pub(super) fn counts(&self) -> ReportCounts {
        ReportCounts {
            lines: self.lines,
            about_conversions: self.about_conversions,
            records: self.resources.len() as u64,
            joined: self.resources.values().filter(|resource| resource.is_matched).count() as u64,
        }
    }
}

/// Whether every movement of that time is in the report. By whole seconds: its times may be cut to them.
fn is_within(period: Option<(Timestamp, Timestamp)>, at: Timestamp) -> bool {
    let at = at.as_second();
    // Both ends excluded: what moved in the same second as the first or last line may be in another report.
    period.is_some_and(|(first, last)| first.as_second() < at && at < last.as_second())
}

impl Resource {
    fn new(side: Side, first: Timestamp) -> Self {
        let (debits, credits, returns, releases) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { side, first, debits, credits, returns, releases, is_matched: false }
    }

    /// A movement that is not the record's.
    fn differs(&self, conversion: &Conversion<'_>) -> Option<String> {
        let debit = self.debits.iter().find_map(|debit| debit_differs(debit, conversion));
        let debit = || debit.map(|field| format!("the report has another {field}"));
        let credit = || self.credits.iter().find_map(|credit| credit_differs(credit, conversion));
        let source = value(conversion.source_asset);
        let returned = || {
            let differs = |back: &&Movement| {
                other_amount(back, conversion)
                    || source.as_deref().is_some_and(|asset| !has_asset(back, asset))
            };
            self.returns.iter().find(differs).map(|_| "the report returns another amount or asset".to_owned())
        };
        debit().or_else(credit).or_else(returned)
    }

    /// A movement that there is more than once.
    fn repeats(&self) -> Option<String> {
        // Reserved funds may be released and reserved again.
        let once = [
            ("debits", self.debits.len(), 1 + self.releases.len()),
            ("credits", self.credits.len(), 1),
            ("returns", self.returns.len(), 1),
        ];
        let (verb, times, _) = once.into_iter().find(|(_, times, at_most)| times > at_most)?;
        Some(format!("the report {verb} it {times} times"))
    }

    /// Between the report's movements and the record's status.
    fn contradiction(
        &self,
        record: &WalkedRecord,
        conversion: &Conversion<'_>,
        period: Option<(Timestamp, Timestamp)>,
    ) -> Option<&'static str> {
        if self.side == Side::New {
            return None;
        }
        if self.debits.is_empty() && is_within(period, record.created_at) {
            return Some("the report has no debit of it");
        }
        // A movement after the report's last line is in the next report.
        let is_covered =
            |time: Option<Text<'_>>| at(time).zip(period).is_some_and(|(at, (_, last))| at < last);
        match (record.progress, !self.credits.is_empty(), !self.returns.is_empty()) {
            (_, true, true) => Some("the report both settles and cancels it"),
            (RecordProgress::Settled, _, true) => Some("settled, and the report cancels it"),
            (RecordProgress::Cancelled, true, _) => Some("cancelled, and the report settles it"),
            (RecordProgress::Open, true, _) => Some("not final, and the report settles it"),
            (RecordProgress::Open, _, true) => Some("not final, and the report cancels it"),
            (RecordProgress::Settled, false, false) if is_covered(conversion.settled_at) => {
                Some("settled, and the report has no settlement")
            }
            (RecordProgress::Cancelled, false, false) if is_covered(conversion.cancelled_at) => {
                Some("cancelled, and the report has no cancellation")
            }
            _ => None,
        }
    }
}

fn debit_differs(debit: &Movement, conversion: &Conversion<'_>) -> Option<&'static str> {
    if other_amount(debit, conversion) {
        return Some("amount");
    }
    if value(conversion.source_asset).is_some_and(|asset| !has_asset(debit, &asset)) {
        return Some("asset");
    }
    let profile = value(conversion.profile_id).filter(|_| !debit.profile_id.is_empty());
    profile.is_some_and(|profile| profile != debit.profile_id).then_some("profile")
}

/// One unit of an asset is converted into one of the other.
fn credit_differs(credit: &Movement, conversion: &Conversion<'_>) -> Option<String> {
    if let Some(asset) = value(conversion.target_asset).filter(|asset| !has_asset(credit, asset)) {
        return Some(format!("the report does not credit {asset}"));
    }
    if other_amount(credit, conversion) {
        return Some("the report credits another amount".into());
    }
    let profiles = [conversion.recipient_profile_id, conversion.profile_id].map(value);
    let mut named = profiles.iter().flatten().peekable();
    let is_known = named.peek().is_some() && !credit.profile_id.is_empty();
    let is_other = is_known && named.all(|profile| *profile != credit.profile_id);
    is_other.then(|| "the report credits another profile".into())
}

fn other_amount(movement: &Movement, conversion: &Conversion<'_>) -> bool {
    value(conversion.amount).is_some_and(|amount| !decimal::same(&amount, &movement.amount))
}

fn value(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.and_then(Text::value)
}

fn at(time: Option<Text<'_>>) -> Option<Timestamp> {
    value(time).and_then(|time| timestamp::parse(&time))
}

fn has_asset(movement: &Movement, asset: &str) -> bool {
    movement.assets.split([',', ';', '/', ' ']).any(|named| named == asset)
}
