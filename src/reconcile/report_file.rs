//! Reads the vendor's daily Profile Transactions report (CSV). What cannot be compared is refused: a report that says nothing must not
//! pass for one that agrees.

use std::io::{self, Read};

use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::daily_report::{DailyReport, ReportedMovement};
use super::movement::{Movement, MovementKind};
use crate::translate::decimal;
use crate::translate::side::Side;
use crate::translate::timestamp;

/// Resources of one report: about 600 bytes of memory each.
const RESOURCES_MAX: usize = 200_000;

/// The columns that are read; others may come and go.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    #[serde(rename = "UniqueTxID", default)]
    unique_tx_id: String,
    resource: String,
    #[serde(rename = "ResourceID")]
    resource_id: String,
    transaction_type: String,
    #[serde(default)]
    direction: String,
    amount: String,
    assets: String,
    #[serde(rename = "ProfileID")]
    profile_id: String,
    #[serde(rename = "OrchestrationID", default)]
    orchestration_id: String,
    resource_timestamp: String,
}

/// Why a report cannot be read, or compares nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// No CSV, or columns are missing.
    #[error("{0}")]
    Csv(#[from] csv::Error),
    #[error("it is empty")]
    Empty,
    #[error("it holds no line about a conversion or an orchestration, so nothing can be compared with it")]
    NoConversions,
    #[error("a quote is not closed: the file is cut off, or is no CSV")]
    OpenQuote,
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

/// What is read: its digest, and its quotes, because the CSV reader takes the end of a file for the end of a quoted field.
struct ReadFile<R> {
    inner: R,
    digest: Sha256,
    bytes: u64,
    quotes: u64,
}

impl<R: Read> Read for ReadFile<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(into)?;
        let read = &into[..length];
        self.digest.update(read);
        self.bytes += read.iter().filter(|byte| !byte.is_ascii_whitespace()).count() as u64;
        self.quotes += read.iter().filter(|byte| **byte == b'"').count() as u64;
        Ok(length)
    }
}

impl DailyReport {
    /// Reads a report. Lines about other resources are counted and skipped.
    ///
    /// # Errors
    /// When it is no such report, or holds nothing to compare.
    pub fn read(from: impl Read) -> Result<Self, ReportError> {
        let mut report = Self::default();
        let mut file = ReadFile { inner: from, digest: Sha256::new(), bytes: 0, quotes: 0 };
        let lines = read_lines(&mut file, &mut report);
        if !matches!(lines, Ok(()) | Err(ReportError::TooLong)) {
            // The reader stopped at some byte behind the line, which may be within quotes. A file that cannot be read has its error.
            io::copy(&mut file, &mut io::sink()).ok();
        }
        if file.bytes == 0 {
            return lines.and(Err(ReportError::Empty));
        }
        // It explains what else is wrong with the lines behind it.
        if file.quotes % 2 == 1 && !matches!(lines, Err(ReportError::TooLong)) {
            return Err(ReportError::OpenQuote);
        }
        lines?;
        if report.counts().about_conversions == 0 {
            return Err(ReportError::NoConversions);
        }
        report.sha256 = const_hex::encode(file.digest.finalize());
        Ok(report)
    }
}

fn read_lines(file: &mut impl Read, report: &mut DailyReport) -> Result<(), ReportError> {
    let mut reader = csv::Reader::from_reader(file);
    // Without a header that is UTF-8 the lines would be read by position, whatever their columns are.
    reader.headers()?;
    for (at, line) in reader.deserialize().enumerate() {
        let line: Line = line?;
        let number = at as u64 + 2;
        add(report, line).map_err(|reason| ReportError::Line { line: number, reason })?;
        if report.records() > RESOURCES_MAX {
            return Err(ReportError::TooLong);
        }
    }
    Ok(())
}

fn add(report: &mut DailyReport, line: Line) -> Result<(), &'static str> {
    report.count_line(&line.profile_id);
    let (side, id) = match line.resource.trim().to_ascii_uppercase().as_str() {
        "CONVERSION" => (Side::Legacy, line.resource_id),
        "ORCHESTRATION" if line.resource_id.is_empty() => (Side::New, line.orchestration_id),
        "ORCHESTRATION" => (Side::New, line.resource_id),
        _ => return Ok(()),
    };
    if id.is_empty() {
        return Err("ResourceID is empty");
    }
    let at = read_time(&line.resource_timestamp).ok_or("ResourceTimestamp is no time")?;
    let written = line.amount.trim();
    let amount = written.trim_start_matches(['-', '+']).to_owned();
    if !decimal::is_decimal(&amount) {
        return Err("Amount is no amount");
    }
    let (kind, is_debit) = (kind(&line.transaction_type)?, is_debit(&line.direction)?);
    if written.starts_with('-') && !is_debit.unwrap_or(kind.is_debit()) {
        return Err("Amount is negative and the line is a credit, so what it did is not clear");
    }
    let movement = Movement {
        kind,
        is_debit,
        tx_id: line.unique_tx_id,
        amount,
        assets: line.assets,
        profile_id: line.profile_id,
    };
    report.add(id, ReportedMovement { side, at, movement });
    Ok(())
}

fn is_debit(direction: &str) -> Result<Option<bool>, &'static str> {
    match direction.trim().to_ascii_uppercase().as_str() {
        "DEBIT" => Ok(Some(true)),
        "CREDIT" => Ok(Some(false)),
        // A spreadsheet may have left the column out.
        "" => Ok(None),
        _ => Err("Direction is neither DEBIT nor CREDIT"),
    }
}

fn kind(transaction_type: &str) -> Result<MovementKind, &'static str> {
    let named = transaction_type.trim().to_ascii_uppercase();
    MovementKind::ALL
        .into_iter()
        .find(|kind| kind.name() == named)
        .ok_or("TransactionType is none that this version knows, so what it did cannot be compared")
}

/// RFC 3339, also with a space in place of the `T`, as spreadsheets write it.
fn read_time(text: &str) -> Option<Timestamp> {
    timestamp::parse(text).or_else(|| text.parse().ok())
}
