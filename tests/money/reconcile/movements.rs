//! What the daily report says of one conversion: each movement once, of the right size, and none left out.

use conversion_shim::ledger::WalkKind;
use conversion_shim::reconcile::{DailyReport, FindingKind, WalkContext, WalkOptions, walk};
use conversion_shim::translate::evidence::RecordProgress;
use conversion_shim::translate::side::Side;

use super::books::Books;
use super::{Bed, at, everything};

const HEADER: &str = "UniqueTxID,ProfileID,Resource,ResourceID,TransactionType,Direction,Amount,Assets,OrchestrationID,ResourceTimestamp\n";
/// The first and the last line of every report here: between them every movement must be in it.
const FRAME: [&str; 2] = [
    "f1,p,CONVERSION,first,CONVERSION_CREATION,DEBIT,1,USD,,2025-10-09T08:53:21Z\n\
     f2,p,CONVERSION,first,CONVERSION_SETTLEMENT,CREDIT,1,PYUSD,,2025-10-09T08:53:22Z\n",
    "l1,p,CONVERSION,last,CONVERSION_CREATION,DEBIT,1,USD,,2025-10-09T08:55:00Z\n\
     l2,p,CONVERSION,last,CONVERSION_SETTLEMENT,CREDIT,1,PYUSD,,2025-10-09T08:55:01Z\n\
     l3,p,ORCHESTRATION,last-new,ORCHESTRATION_RESERVE,DEBIT,1,USD,last-new,2025-10-09T08:55:02Z\n",
];

fn report(lines: &[&str]) -> DailyReport {
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    DailyReport::read(format!("{HEADER}{}{lines}{}", FRAME[0], FRAME[1]).as_bytes()).unwrap()
}

/// The record `c` and what surrounds it.
fn books(side: Side, progress: RecordProgress) -> Books {
    let mut books = Books::default();
    books.add(Side::Legacy, "first", "first", at(1));
    books.add_as(side, ("c", "c"), at(10), progress);
    books.add(Side::Legacy, "last", "last", at(100));
    books.add(Side::New, "last-new", "last-new", at(102));
    books.close()
}

async fn found(books: &Books, lines: &[&str]) -> Vec<(FindingKind, String, String)> {
    let bed = Bed::sqlite().await;
    bed.walk(books, everything(WalkKind::Reconcile)).await.unwrap();
    let context = WalkContext { report: Some(report(lines)), ..bed.context(books) };
    let result = walk(context, everything(WalkKind::Reconcile)).await.unwrap();
    let of_report = result.findings.iter().filter(|it| it.kind != FindingKind::Stuck);
    of_report.map(|it| (it.kind, it.subject().to_owned(), it.detail.clone())).collect()
}

const DEBIT: &str = "1,p,CONVERSION,c,CONVERSION_CREATION,DEBIT,1.00,USD,,2025-10-09T08:53:30Z";
const CREDIT: &str = "2,p,CONVERSION,c,CONVERSION_SETTLEMENT,CREDIT,1,PYUSD,,2025-10-09T08:53:31Z";
const RETURN: &str = "3,p,CONVERSION,c,CONVERSION_CANCELLATION,CREDIT,1,USD,,2025-10-09T08:53:31Z";
const RESERVE: &str = "4,p,ORCHESTRATION,c,ORCHESTRATION_RESERVE,DEBIT,1,USD,c,2025-10-09T08:53:30Z";

#[tokio::test]
async fn a_movement_that_repeats_differs_or_lacks_is_found_wherever_it_stands() {
    use FindingKind::{Mismatch, Status};
    let again = |line: &str| line.replacen(['1', '2', '3', '4'], "9", 1);
    let (debit, credit, back, reserve) = (again(DEBIT), again(CREDIT), again(RETURN), again(RESERVE));
    let dear = debit.replace("1.00", "77");
    let nine = CREDIT.replace("CREDIT,1,", "CREDIT,9,");
    let (stranger, other) = (CREDIT.replace("2,p,", "2,q,"), CREDIT.replace("PYUSD", "USDG"));
    let (inward, outward) = (DEBIT.replace("DEBIT", "CREDIT"), CREDIT.replace("CREDIT", "DEBIT"));
    use RecordProgress::{Cancelled, Settled};
    let legacy = [
        (Settled, vec![DEBIT, CREDIT], None),
        // Two exports that overlap.
        (Settled, vec![DEBIT, DEBIT, CREDIT, CREDIT], None),
        (Cancelled, vec![DEBIT, RETURN], None),
        (Settled, vec![DEBIT, &debit, CREDIT], Some((Status, "the report debits it 2 times"))),
        (Settled, vec![DEBIT, CREDIT, &credit], Some((Status, "the report credits it 2 times"))),
        (Cancelled, vec![DEBIT, RETURN, &back], Some((Status, "the report returns it 2 times"))),
        (Settled, vec![&dear, DEBIT, CREDIT], Some((Mismatch, "the report has another amount"))),
        (Settled, vec![DEBIT, &dear, CREDIT], Some((Mismatch, "the report has another amount"))),
        (Settled, vec![DEBIT, &nine], Some((Mismatch, "the report credits another amount"))),
        (Settled, vec![DEBIT, &stranger], Some((Mismatch, "the report credits another profile"))),
        (Settled, vec![DEBIT, &other], Some((Mismatch, "the report does not credit PYUSD"))),
        (Settled, vec![CREDIT], Some((Status, "the report has no debit of it"))),
        (Settled, vec![&inward, CREDIT], Some((Status, "the report has no debit of it"))),
        (Settled, vec![DEBIT, &outward], Some((Status, "settled, and the report has no settlement"))),
        (Settled, vec![], Some((Status, "the report of that time does not name it"))),
        (Cancelled, vec![], Some((Status, "the report of that time does not name it"))),
        (RecordProgress::Open, vec![], Some((Status, "the report of that time does not name it"))),
    ];
    let new = [
        (Settled, vec![RESERVE], None),
        (Settled, vec![RESERVE, &reserve], Some((Status, "the report debits it 2 times"))),
        (Settled, vec![], Some((Status, "the report of that time does not name it"))),
    ];
    let all = legacy.into_iter().map(|case| (Side::Legacy, case));
    for (side, (progress, lines, expected)) in all.chain(new.map(|case| (Side::New, case))) {
        let expected: Vec<_> =
            expected.into_iter().map(|(kind, why)| (kind, "c".to_owned(), why.to_owned())).collect();
        assert_eq!(found(&books(side, progress), &lines).await, expected, "{side} {progress:?} {lines:?}");
    }
}

#[tokio::test]
async fn a_report_of_other_profiles_or_another_time_says_nothing_about_a_record() {
    let with = |from: &str, to: &str| format!("{HEADER}{}", FRAME.concat()).replace(from, to);
    let other_profile = with(",p,", ",q,");
    let bed = Bed::sqlite().await;
    let mut books = Books::default();
    books.add(Side::Legacy, "c", "c", at(10));
    books.add(Side::Legacy, "first", "first", at(1));
    books.add(Side::Legacy, "last", "last", at(100));
    books.add(Side::New, "last-new", "last-new", at(102));
    let books = books.close();
    bed.walk(&books, everything(WalkKind::Reconcile)).await.unwrap();
    let report = DailyReport::read(other_profile.as_bytes()).unwrap();
    let context = WalkContext { report: Some(report), ..bed.context(&books) };
    let result = walk(context, everything(WalkKind::Reconcile)).await.unwrap();
    // What it names is of another profile; what it does not name may be in the report of its own profile.
    assert!(result.findings.iter().all(|it| it.subject() != "c"), "{:?}", result.findings);
    assert_eq!(result.progress.report.as_ref().unwrap().joined, 3);

    let earlier = WalkOptions { begin: Some(at(200)), ..everything(WalkKind::Reconcile) };
    let report = DailyReport::read(with("x", "x").as_bytes()).unwrap();
    let error = walk(WalkContext { report: Some(report), ..bed.context(&books) }, earlier).await.unwrap_err();
    assert!(error.to_string().contains("no record of the report"), "{error}");
}

#[test]
fn what_cannot_be_compared_is_no_report() {
    let line = |from: &str, to: &str| format!("{HEADER}{}\n", DEBIT.replace(from, to));
    let signed = |line: &str| format!("{HEADER}{}\n", line.replace(",1,", ",-1,"));
    assert!(DailyReport::read(signed(DEBIT).as_bytes()).is_ok(), "a debit may have its sign");
    for (text, expected) in [
        (String::new(), "is empty"),
        ("\n\n".into(), "is empty"),
        (HEADER.into(), "no line about a conversion"),
        (line("CONVERSION,c", "TRANSFER,c"), "no line about a conversion"),
        (line("CONVERSION_CREATION", "CONVERSION_FEE"), "line 2: TransactionType"),
        (line("DEBIT", "SIDEWAYS"), "line 2: Direction"),
        (signed(CREDIT), "line 2: Amount is negative"),
        (signed(&CREDIT.replace("CREDIT", "")), "line 2: Amount is negative"),
        (format!("{HEADER}{DEBIT}\n1,p,\"CONVERSION\n"), "a quote is not closed"),
        (line("2025-10-09T08:53:30Z", "\"2025-10-09T08:53:30Z"), "a quote is not closed"),
    ] {
        let error = DailyReport::read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let lower = DailyReport::read(line("CONVERSION", "conversion").as_bytes()).unwrap();
    assert_eq!(lower.records(), 1, "letter case is no other resource");
}
