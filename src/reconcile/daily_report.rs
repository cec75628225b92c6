//! The vendor's daily Profile Transactions report (CSV): a source of its own beside lists and ledger.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;

use jiff::Timestamp;
use serde::Deserialize;

use super::finding::FindingKind;
use crate::translate::conversion::Conversion;
use crate::translate::decimal;
use crate::translate::evidence::{RecordProgress, WalkedRecord};
use crate::translate::json::Text;
use crate::translate::side::Side;
use crate::translate::timestamp;

/// Resources of one report: about 300 bytes of memory each.
const RESOURCES_MAX: usize = 200_000;

/// The lines of a report about conversions and orchestrations, by record.
#[derive(Clone, Debug, Default)]
pub struct DailyReport {
    resources: HashMap<String, Resource>,
    /// When the last line's movement was.
    last: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct Resource {
    side: Side,
    /// When the first line's movement was.
    first: Timestamp,
    debit: Option<Movement>,
    credit: Option<Movement>,
    /// The money came back.
    returned: bool,
    is_matched: bool,
}

#[derive(Clone, Debug)]
struct Movement {
    amount: String,
    assets: String,
    profile_id: String,
}

/// The columns that are read; others may come and go.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    resource: String,
    #[serde(rename = "ResourceID")]
    resource_id: String,
    transaction_type: String,
    amount: String,
    assets: String,
    #[serde(rename = "ProfileID")]
    profile_id: String,
    #[serde(rename = "OrchestrationID", default)]
    orchestration_id: String,
    resource_timestamp: String,
}

/// Why a report cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// No CSV, or columns are missing.
    #[error("{0}")]
    Csv(#[from] csv::Error),
    /// A line makes no sense.
    #[error("line {line}: {reason}")]
    Line {
        /// From 1; the first is the header.
        line: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More records than are kept in memory.
    #[error("it has more than {RESOURCES_MAX} conversions; split it by profile")]
    TooLong,
}

impl DailyReport {
    /// Reads a report. Lines about other resources are skipped.
    ///
    /// # Errors
    /// When it is no such report.
    pub fn read(from: impl Read) -> Result<Self, ReportError> {
        let mut report = Self::default();
        let mut reader = csv::Reader::from_reader(from);
        for (at, line) in reader.deserialize().enumerate() {
            let line: Line = line?;
            let number = at as u64 + 2;
            report.add(line).map_err(|reason| ReportError::Line { line: number, reason })?;
            if report.resources.len() > RESOURCES_MAX {
                return Err(ReportError::TooLong);
            }
        }
        Ok(report)
    }

    fn add(&mut self, line: Line) -> Result<(), &'static str> {
        let (side, id) = match line.resource.as_str() {
            "CONVERSION" => (Side::Legacy, line.resource_id),
            "ORCHESTRATION" if line.resource_id.is_empty() => (Side::New, line.orchestration_id),
            "ORCHESTRATION" => (Side::New, line.resource_id),
            _ => return Ok(()),
        };
        if id.is_empty() {
            return Err("ResourceID is empty");
        }
        let at = read_time(&line.resource_timestamp).ok_or("ResourceTimestamp is no time")?;
        let amount = line.amount.trim().trim_start_matches(['-', '+']).to_owned();
        if !decimal::is_decimal(&amount) {
            return Err("Amount is no amount");
        }
        self.last = self.last.max(Some(at));
        let resource = self.resources.entry(id).or_insert(Resource {
            side,
            first: at,
            debit: None,
            credit: None,
            returned: false,
            is_matched: false,
        });
        resource.first = resource.first.min(at);
        let movement = Movement { amount, assets: line.assets, profile_id: line.profile_id };
        match line.transaction_type.as_str() {
            "CONVERSION_CREATION" | "ORCHESTRATION_RESERVE" => resource.debit = Some(movement),
            "CONVERSION_SETTLEMENT" => resource.credit = Some(movement),
            "CONVERSION_CANCELLATION" => resource.returned = true,
            // What a release of reserved funds says about the outcome is not documented.
            _ => {}
        }
        Ok(())
    }

    /// In what the report and the record do not agree; `None` if in nothing, or if the report does not name the record.
    pub(super) fn compare(&mut self, record: &WalkedRecord) -> Option<(FindingKind, String)> {
        let last = self.last;
        let resource = self.resources.get_mut(&record.id).filter(|resource| resource.side == record.side)?;
        resource.is_matched = true;
        let conversion = Conversion::parse(&record.json).ok()?;
        if let Some(field) = resource.debit.as_ref().and_then(|debit| differs(debit, &conversion)) {
            return Some((FindingKind::Mismatch, format!("the report has another {field}")));
        }
        let target = value(conversion.target_asset);
        let credit = resource.credit.as_ref();
        if let Some(asset) = target.filter(|asset| credit.is_some_and(|credit| !has_asset(credit, asset))) {
            return Some((FindingKind::Mismatch, format!("the report does not credit {asset}")));
        }
        resource.contradiction(record, &conversion, last).map(|why| (FindingKind::Status, why.to_owned()))
    }

    /// Records in the report that were not compared, with their side and time.
    pub(super) fn unmatched(&self) -> Vec<(String, Side, Timestamp)> {
        let left = self.resources.iter().filter(|(_, resource)| !resource.is_matched);
        left.map(|(id, resource)| (id.clone(), resource.side, resource.first)).collect()
    }

    /// How many conversions and orchestrations it names.
    #[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "tests read it"))]
    #[must_use]
    pub fn records(&self) -> usize {
        self.resources.len()
    }
}

impl Resource {
    /// Between the report's movements and the record's status.
    fn contradiction(
        &self,
        record: &WalkedRecord,
        conversion: &Conversion<'_>,
        last: Option<Timestamp>,
    ) -> Option<&'static str> {
        if self.side == Side::New {
            return None;
        }
        // A movement after the report's last line is in the next report.
        let is_covered = |at: Option<Text<'_>>| {
            let at = value(at).and_then(|at| timestamp::parse(&at));
            at.zip(last).is_some_and(|(at, last)| at < last)
        };
        match (record.progress, self.credit.is_some(), self.returned) {
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

fn differs(debit: &Movement, conversion: &Conversion<'_>) -> Option<&'static str> {
    if value(conversion.amount).is_some_and(|amount| !decimal::same(&amount, &debit.amount)) {
        return Some("amount");
    }
    if value(conversion.source_asset).is_some_and(|asset| !has_asset(debit, &asset)) {
        return Some("asset");
    }
    let profile = value(conversion.profile_id).filter(|_| !debit.profile_id.is_empty());
    profile.is_some_and(|profile| profile != debit.profile_id).then_some("profile")
}

fn value(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.and_then(Text::value)
}

fn has_asset(movement: &Movement, asset: &str) -> bool {
    movement.assets.split([',', ';', '/', ' ']).any(|named| named == asset)
}

/// RFC 3339, also with a space in place of the `T`, as spreadsheets write it.
fn read_time(text: &str) -> Option<Timestamp> {
    timestamp::parse(text).or_else(|| text.parse().ok())
}
