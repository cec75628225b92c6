//! The vendor's daily report, a CSV file.
//!
//! Held, against a second reading of the same file: it is read exactly when each of its lines about a conversion or an orchestration can be
//! compared, and then names each of their records once; otherwise the first line that cannot is the one reported; and neither depends on how the
//! file is split into reads, nor does a line that is there twice name another record.

use std::collections::HashSet;
use std::io::{self, Read};

use conversion_shim::reconcile::{DailyReport, ReportError};
use conversion_shim::translate::timestamp;
use csv::StringRecord;

const REQUIRED: [&str; 7] =
    ["Resource", "ResourceID", "TransactionType", "Amount", "Assets", "ProfileID", "ResourceTimestamp"];
const OPTIONAL: [&str; 3] = ["UniqueTxID", "Direction", "OrchestrationID"];

/// What a second reading makes of a file.
#[derive(Debug, PartialEq)]
enum Expected {
    /// So many records.
    Read(usize),
    /// No line is the first that cannot be compared.
    Refused,
    /// This one is.
    RefusedLine(u64),
}

/// Reads few bytes at a time, but more than a byte order mark: csv looks for one in its first read alone, and takes a read of nothing
/// else for the end of the file. The program reads files in larger pieces.
struct Slowly<'a>(&'a [u8]);

impl Read for Slowly<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = into.len().min(4);
        self.0.read(&mut into[..length])
    }
}

fn expected(file: &[u8]) -> Expected {
    let mut reader = csv::Reader::from_reader(file);
    let Ok(header) = reader.headers().cloned() else { return Expected::Refused };
    let columns = |name: &str| header.iter().filter(|column| *column == name).count();
    let has_columns = REQUIRED.iter().all(|name| columns(name) == 1);
    let has_columns = has_columns && OPTIONAL.iter().all(|name| columns(name) <= 1);
    let mut records = HashSet::new();
    for (number, line) in reader.records().enumerate() {
        let Ok(line) = line else { return Expected::Refused };
        if !has_columns {
            return Expected::Refused;
        }
        let column = |name: &str| {
            let at = header.iter().position(|column| column == name);
            at.and_then(|at| line.get(at)).unwrap_or_default()
        };
        match record(&column) {
            Some(Some(id)) => drop(records.insert(id.to_owned())),
            Some(None) => {}
            None => return Expected::RefusedLine(number as u64 + 2),
        }
    }
    let is_closed = file.iter().filter(|byte| **byte == b'"').count() % 2 == 0;
    if records.is_empty() || !is_closed { Expected::Refused } else { Expected::Read(records.len()) }
}

/// The record of a line, if it is about one; `None` where that line cannot be compared.
fn record<'a>(column: &impl Fn(&str) -> &'a str) -> Option<Option<&'a str>> {
    let upper = |name: &str| column(name).trim().to_ascii_uppercase();
    let id = match upper("Resource").as_str() {
        "CONVERSION" => column("ResourceID"),
        "ORCHESTRATION" => [column("ResourceID"), column("OrchestrationID")]
            .into_iter()
            .find(|id| !id.is_empty())
            .unwrap_or_default(),
        _ => return Some(None),
    };
    let time = column("ResourceTimestamp");
    let is_time = timestamp::parse(time).is_some() || time.parse::<jiff::Timestamp>().is_ok();
    let is_negative = column("Amount").trim().starts_with('-');
    let amount = column("Amount").trim().trim_start_matches(['-', '+']);
    let is_amount = amount.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && amount.bytes().filter(|byte| *byte == b'.').count() <= 1
        && amount.bytes().last().is_some_and(|last| last.is_ascii_digit());
    let kind = upper("TransactionType");
    let is_known = matches!(
        kind.as_str(),
        "CONVERSION_CREATION"
            | "CONVERSION_SETTLEMENT"
            | "CONVERSION_CANCELLATION"
            | "ORCHESTRATION_RESERVE"
            | "ORCHESTRATION_UNRESERVE"
    );
    // Whether it adds to a balance, where the column is missing by its type.
    let is_credit = match upper("Direction").as_str() {
        "CREDIT" => true,
        "DEBIT" => false,
        "" => matches!(kind.as_str(), "CONVERSION_SETTLEMENT" | "CONVERSION_CANCELLATION"),
        _ => return None,
    };
    (!id.is_empty() && is_time && is_amount && is_known && !(is_negative && is_credit)).then_some(Some(id))
}

/// The file with each line behind its header twice.
fn doubled(file: &[u8]) -> Option<Vec<u8>> {
    let mut reader = csv::Reader::from_reader(file);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&reader.headers().ok()?.clone()).ok()?;
    let lines = reader.records().collect::<Result<Vec<StringRecord>, _>>().ok()?;
    for line in lines.iter().chain(&lines) {
        writer.write_record(line).ok()?;
    }
    writer.into_inner().ok()
}

pub(crate) fn check(file: &[u8]) {
    let found = DailyReport::read(file);
    let slowly = DailyReport::read(Slowly(file));
    match (&found, &slowly) {
        (Ok(one), Ok(other)) => assert_eq!(one.records(), other.records()),
        (Err(one), Err(other)) => assert_eq!(one.to_string(), other.to_string()),
        (one, other) => panic!("{one:?}, and in small reads {other:?}"),
    }
    match (expected(file), &found) {
        (Expected::Read(records), Ok(report)) => assert_eq!(report.records(), records),
        (Expected::Refused, Err(_)) | (Expected::RefusedLine(_), Err(ReportError::OpenQuote)) => {}
        (Expected::RefusedLine(expected), Err(ReportError::Line { line, .. })) => assert_eq!(*line, expected),
        (expected, found) => panic!("expected {expected:?}, found {found:?}"),
    }
    if let (Ok(report), Some(doubled)) = (found, doubled(file)) {
        let doubled = DailyReport::read(doubled.as_slice()).expect("the same lines");
        assert_eq!(doubled.records(), report.records());
    }
}
