//! The vendor's daily Profile Transactions report: a source of its own beside lists and ledger. `report_file` reads it.

use std::collections::{HashMap, HashSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::finding::FindingKind;
use super::movement::{Movement, MovementKind, value};
use crate::telemetry::format::count;
use crate::translate::conversion::Conversion;
use crate::translate::evidence::{RecordProgress, WalkedRecord};
use crate::translate::identifier;
use crate::translate::json::Text;
use crate::translate::side::Side;
use crate::translate::timestamp;

/// The lines of a report about conversions and orchestrations, by record.
#[derive(Clone, Debug, Default)]
pub struct DailyReport {
    /// By id, legacy's and new's: both sides may use one id.
    resources: [HashMap<String, Resource>; 2],
    /// When its first and its last movement were. Every movement between them is in it.
    period: Option<(Timestamp, Timestamp)>,
    /// Of all of its lines.
    profiles: HashSet<String>,
    lines: u64,
    about_conversions: u64,
    /// Of the whole file, as hexadecimal digits.
    pub(super) sha256: String,
    /// Records that it contradicts, each reported.
    contradicted: u64,
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
    /// Those of them of which a debit was compared with the record of their side.
    pub joined: u64,
    /// SHA-256 of the file, as hexadecimal digits; empty in progress of an older version.
    #[serde(default)]
    pub sha256: String,
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
    movements: Vec<Movement>,
    /// Whether it was looked at with its record.
    is_matched: bool,
    /// Whether a debit of it was compared.
    is_compared: bool,
}

pub(super) struct ReportedMovement {
    pub(super) side: Side,
    pub(super) at: Timestamp,
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
        let ReportedMovement { side, at, movement } = reported;
        self.about_conversions += 1;
        let (first, last) = self.period.unwrap_or((at, at));
        self.period = Some((first.min(at), last.max(at)));
        let of_side = &mut self.resources[side as usize];
        let resource =
            of_side.entry(identifier::canonical(&id).into_owned()).or_insert_with(|| Resource::new(side, at));
        resource.first = resource.first.min(at);
        // A line that is there twice under one transaction is one movement; without an id two equal lines may be two.
        if movement.tx_id.is_empty() || !resource.movements.contains(&movement) {
            resource.movements.push(movement);
        }
    }

    /// In what the report and the record do not agree; `None` if in nothing, or if the report need not name the record.
    pub(super) fn compare(&mut self, record: &WalkedRecord) -> Option<Disagreement> {
        let conversion = Conversion::parse(&record.json).ok()?;
        let (period, side) = (self.period, record.side as usize);
        let id = identifier::canonical(&record.id);
        if let Some(resource) = self.resources[side].get_mut(&*id) {
            return resource.compare(record, &conversion, period);
        }
        // One that the other side mirrors under the same id may be named as that side's.
        if self.resources[record.side.other() as usize].contains_key(&*id) {
            return None;
        }
        let why = "the report of that time does not name it";
        self.must_name(record, &conversion).then(|| (FindingKind::Status, why.to_owned()))
    }

    /// Takes note of a record whose disagreement was reported.
    pub(super) fn contradicts(&mut self) {
        self.contradicted += 1;
    }

    /// Whether it said something about the records of the walk: a debit of one was compared, or it contradicts one.
    pub(super) fn says_something(&self) -> bool {
        self.contradicted > 0 || self.counts().joined > 0
    }

    /// Whether a record must be in the report: it was made or became final within its time, in a profile that it is about. The vendor
    /// documents no line for the end of an orchestration, and none for one whose funds may never have been reserved.
    fn must_name(&self, record: &WalkedRecord, conversion: &Conversion<'_>) -> bool {
        let is_of_profile = self.profiles.iter().all(String::is_empty)
            || value(conversion.profile_id)
                .is_some_and(|profile| self.profiles.iter().any(|named| identifier::same(named, &profile)));
        let is_of_side = record.side == Side::Legacy || !self.resources[Side::New as usize].is_empty();
        if record.side == Side::New {
            let is_reserved = record.progress == RecordProgress::Settled;
            return is_of_profile && is_of_side && is_reserved && is_within(self.period, record.created_at);
        }
        let final_at = [conversion.settled_at, conversion.cancelled_at].into_iter().filter_map(at);
        let mut moved = final_at.chain([record.created_at]);
        is_of_profile && is_of_side && moved.any(|at| is_within(self.period, at))
    }

    /// Records in the report that were not looked at, with their side and time.
    pub(super) fn unmatched(&self) -> Vec<(String, Side, Timestamp)> {
        let left = self.resources.iter().flatten().filter(|(_, resource)| !resource.is_matched);
        left.map(|(id, resource)| (id.clone(), resource.side, resource.first)).collect()
    }

    /// How many conversions and orchestrations it names.
    #[must_use]
    pub fn records(&self) -> usize {
        self.resources.iter().map(HashMap::len).sum()
    }

    pub(super) fn counts(&self) -> ReportCounts {
        let compared = self.resources.iter().flat_map(HashMap::values).filter(|it| it.is_compared);
        ReportCounts {
            lines: self.lines,
            about_conversions: self.about_conversions,
            records: self.records() as u64,
            joined: compared.count() as u64,
            sha256: self.sha256.clone(),
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
    const fn new(side: Side, first: Timestamp) -> Self {
        Self { side, first, movements: Vec::new(), is_matched: false, is_compared: false }
    }

    /// Every movement has to be one of the record's, as often as it may be there, and what the status needs has to be there.
    fn compare(
        &mut self,
        record: &WalkedRecord,
        conversion: &Conversion<'_>,
        period: Option<(Timestamp, Timestamp)>,
    ) -> Option<Disagreement> {
        self.is_matched = true;
        self.is_compared |= self.movements.iter().any(|movement| movement.proves_debit(conversion));
        let status = |why: String| (FindingKind::Status, why);
        let differs = self.movements.iter().find_map(|movement| movement.differs(self.side, conversion));
        differs
            .map(|why| (FindingKind::Mismatch, why))
            .or_else(|| self.repeats(is_within(period, record.created_at)).map(status))
            .or_else(|| self.contradiction(record, conversion, period).map(|why| status(why.into())))
    }

    fn count(&self, kind: MovementKind) -> usize {
        self.movements.iter().filter(|movement| movement.kind == kind).count()
    }

    fn has(&self, kind: MovementKind) -> bool {
        self.count(kind) > 0
    }

    /// A movement that there is more often than it can be.
    fn repeats(&self, shows_first: bool) -> Option<String> {
        use MovementKind::{Cancellation, Creation, Reserve, Settlement, Unreserve};
        let [reserved, released] = [Reserve, Unreserve].map(|kind| self.count(kind));
        // Reserved funds may be released and reserved again. What was reserved first may be in an earlier report.
        let once = [
            ("debits", self.count(Creation), 1),
            ("debits", reserved, 1 + released),
            ("credits", self.count(Settlement), 1),
            ("returns", self.count(Cancellation), 1),
            ("releases", released, reserved + usize::from(!shows_first || reserved == 0)),
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
        let has_debit = self.movements.iter().any(|movement| movement.kind.is_debit());
        if !has_debit && is_within(period, record.created_at) {
            return Some("the report has no debit of it");
        }
        // What a release of reserved funds says about the outcome is not documented.
        if self.side == Side::New {
            return None;
        }
        // A movement after the report's last line is in the next report.
        let is_covered =
            |time: Option<Text<'_>>| at(time).zip(period).is_some_and(|(at, (_, last))| at < last);
        let [settles, cancels] =
            [MovementKind::Settlement, MovementKind::Cancellation].map(|kind| self.has(kind));
        match (record.progress, settles, cancels) {
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

fn at(time: Option<Text<'_>>) -> Option<Timestamp> {
    value(time).and_then(|time| timestamp::parse(&time))
}
