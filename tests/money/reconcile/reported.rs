//! The vendor's daily report as a third source.

use conversion_shim::ledger::WalkKind;
use conversion_shim::reconcile::{DailyReport, FindingKind, WalkContext, walk};
use conversion_shim::translate::evidence::RecordProgress;
use conversion_shim::translate::side::Side;

use super::listed::ListedRecords;
use super::{Bed, at, everything};

const REPORT: &str = include_str!("daily_report.csv");

#[tokio::test]
async fn what_the_report_contradicts_is_found_and_nothing_else() {
    let bed = Bed::sqlite().await;
    let mut listed = ListedRecords::default();
    let settled = ["fine", "amount", "profile", "asset", "target", "cancelled", "unsettled"];
    for (number, id) in settled.into_iter().enumerate() {
        listed.add(Side::Legacy, id, id, at(number as i64));
    }
    listed.add_as(Side::Legacy, ("open", "open"), at(9), RecordProgress::Open);
    // Settled after the report's last line.
    listed.add(Side::Legacy, "late", "late", at(20));
    listed.add(Side::Legacy, "unreported", "unreported", at(21));
    listed.add(Side::New, "orchestrated", "orchestrated", at(10));
    listed.add(Side::New, "dearer", "dearer", at(11));
    let listed = listed.close();
    bed.walk(&listed, everything(WalkKind::Reconcile)).await.unwrap();

    let report = DailyReport::read(REPORT.as_bytes()).unwrap();
    assert_eq!(report.records(), 12);
    let context = WalkContext { report: Some(report), ..bed.context(&listed) };
    let result = walk(context, everything(WalkKind::Reconcile)).await.unwrap();
    let mut found: Vec<_> =
        result.findings.iter().map(|it| (it.kind, it.subject(), it.detail.as_str())).collect();
    found.sort_unstable();
    use FindingKind::{Lost, Mismatch, Status, Stuck};
    let expected = [
        (Lost, "gone", "the report names it, and its side does not hold it"),
        (Mismatch, "amount", "the report has another amount"),
        (Mismatch, "asset", "the report has another asset"),
        (Mismatch, "dearer", "the report has another amount"),
        (Mismatch, "profile", "the report has another profile"),
        (Mismatch, "target", "the report does not credit PYUSD"),
        (Status, "cancelled", "settled, and the report cancels it"),
        (Status, "open", "not final, and the report settles it"),
        (Status, "unsettled", "settled, and the report has no settlement"),
        (Stuck, "open", "not final for too long"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_no_report_is_refused() {
    for (text, expected) in [
        ("a,b\n1,2\n", "missing field"),
        (&REPORT.replacen("1.00", "abc", 1), "Amount"),
        (&REPORT.replacen("2025-10-09T08:53:21.000000Z", "yesterday", 1), "line 2"),
        (&REPORT.replacen("CONVERSION,fine", "CONVERSION,", 1), "ResourceID"),
    ] {
        let error = DailyReport::read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let header = b"UniqueTxID,Resource,ResourceID,TransactionType,Direction,Amount,Assets,ProfileID,OrchestrationID,ResourceTimestamp,Geb\xFChr\n";
    let line = b"t,CONVERSION,c,CONVERSION_CREATION,DEBIT,1,USD,p,,2025-10-09T08:53:20Z,0\n";
    let error = DailyReport::read([header.as_slice(), line].concat().as_slice()).unwrap_err().to_string();
    assert!(error.contains("UTF-8"), "{error}");
    // What is wrong with a line is said also where the file goes on with a quoted field that is longer than one read.
    let long = format!("{}{},\"{}\",,,,,,,,\n", REPORT.replacen("1.00", "abc", 1), "t", "x".repeat(20_000));
    let error = DailyReport::read(long.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("Amount"), "{error}");
    // Spreadsheets write another order, and no orchestrations at all.
    let small = "Amount,Assets,ProfileID,Resource,ResourceID,TransactionType,ResourceTimestamp\n1,USD,p,CONVERSION,c,CONVERSION_CREATION,2025-10-09T08:53:20Z\n";
    assert_eq!(DailyReport::read(small.as_bytes()).unwrap().records(), 1);
}
