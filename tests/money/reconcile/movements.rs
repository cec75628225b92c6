//! What the daily report says of one conversion: each movement once, of the right size, and none left out.

use conversion_shim::ledger::WalkKind;
use conversion_shim::reconcile::{DailyReport, FindingKind, WalkContext, WalkOptions, walk};
use conversion_shim::translate::evidence::RecordProgress;
use conversion_shim::translate::side::Side;

use super::listed::ListedRecords;
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
fn listed(side: Side, progress: RecordProgress) -> ListedRecords {
    let mut listed = ListedRecords::default();
    listed.add(Side::Legacy, "first", "first", at(1));
    listed.add_as(side, ("c", "c"), at(10), progress);
    listed.add(Side::Legacy, "last", "last", at(100));
    listed.add(Side::New, "last-new", "last-new", at(102));
    listed.close()
}

async fn found(listed: &ListedRecords, lines: &[&str]) -> Vec<(FindingKind, String, String)> {
    let bed = Bed::sqlite().await;
    bed.walk(listed, everything(WalkKind::Reconcile)).await.unwrap();
    let context = WalkContext { report: Some(report(lines)), ..bed.context(listed) };
    let result = walk(context, everything(WalkKind::Reconcile)).await.unwrap();
    let of_report = result.findings.iter().filter(|it| it.kind != FindingKind::Stuck);
    of_report.map(|it| (it.kind, it.subject().to_owned(), it.detail.clone())).collect()
}

const DEBIT: &str = "1,p,CONVERSION,c,CONVERSION_CREATION,DEBIT,1.00,USD,,2025-10-09T08:53:30Z";
const CREDIT: &str = "2,p,CONVERSION,c,CONVERSION_SETTLEMENT,CREDIT,1,PYUSD,,2025-10-09T08:53:31Z";
const RETURN: &str = "3,p,CONVERSION,c,CONVERSION_CANCELLATION,CREDIT,1,USD,,2025-10-09T08:53:31Z";
const RESERVE: &str = "4,p,ORCHESTRATION,c,ORCHESTRATION_RESERVE,DEBIT,1,USD,c,2025-10-09T08:53:30Z";
const RELEASE: &str = "5,p,ORCHESTRATION,c,ORCHESTRATION_UNRESERVE,CREDIT,1,USD,c,2025-10-09T08:53:31Z";

type Case<'a> = (RecordProgress, Vec<&'a str>, Option<(FindingKind, &'a str)>);

/// What the report's lines about the record `c` of a side must come to.
async fn all_found(side: Side, cases: Vec<Case<'_>>) {
    for (progress, lines, expected) in cases {
        let expected: Vec<_> =
            expected.into_iter().map(|(kind, why)| (kind, "c".to_owned(), why.to_owned())).collect();
        assert_eq!(found(&listed(side, progress), &lines).await, expected, "{side} {progress:?} {lines:?}");
    }
}

/// The same line of another transaction.
fn again(line: &str) -> String {
    line.replacen(['1', '2', '3', '4', '5'], "9", 1)
}

#[tokio::test]
async fn a_movement_that_repeats_differs_or_lacks_is_found_wherever_it_stands() {
    use FindingKind::{Mismatch, Status};
    use RecordProgress::{Cancelled, Open, Settled};
    let (debit, credit, back) = (again(DEBIT), again(CREDIT), again(RETURN));
    let dear = debit.replace("1.00", "77");
    let nine = CREDIT.replace("CREDIT,1,", "CREDIT,9,");
    let (stranger, other) = (CREDIT.replace("2,p,", "2,q,"), CREDIT.replace("PYUSD", "USDG"));
    let cases = vec![
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
        (Settled, vec![DEBIT], Some((Status, "settled, and the report has no settlement"))),
        (Settled, vec![], Some((Status, "the report of that time does not name it"))),
        (Cancelled, vec![], Some((Status, "the report of that time does not name it"))),
        (Open, vec![], Some((Status, "the report of that time does not name it"))),
    ];
    all_found(Side::Legacy, cases).await;
}

/// A line that a record of that kind cannot have is none of its movements, whatever else the report has of it.
#[tokio::test]
async fn a_movement_that_is_none_of_the_records_is_found() {
    use FindingKind::{Lost, Mismatch};
    use RecordProgress::{Cancelled, Settled};
    let inward = DEBIT.replace("DEBIT", "CREDIT");
    let outward = CREDIT.replace("CREDIT,1,", "DEBIT,500000,");
    let away = RETURN.replace("3,p,", "3,q,");
    let undone = RELEASE.replace("ORCHESTRATION,", "CONVERSION,");
    let created = Some((Mismatch, "the report has CONVERSION_CREATION as a credit"));
    let settled = Some((Mismatch, "the report has CONVERSION_SETTLEMENT as a debit"));
    let profile = Some((Mismatch, "the report has another profile in CONVERSION_CANCELLATION"));
    let kind = Some((Mismatch, "the report has ORCHESTRATION_UNRESERVE, which is none of the legacy side's"));
    let cases = vec![
        (Settled, vec![&*inward, CREDIT], created),
        (Settled, vec![DEBIT, CREDIT, &inward], created),
        (Settled, vec![DEBIT, &outward], settled),
        (Settled, vec![DEBIT, CREDIT, &outward], settled),
        (Cancelled, vec![DEBIT, &away], profile),
        (Settled, vec![DEBIT, CREDIT, &undone], kind),
        // One id may be of a record on each side.
        (
            Settled,
            vec![DEBIT, CREDIT, RESERVE],
            Some((Lost, "the report names it, and its side does not hold it")),
        ),
    ];
    all_found(Side::Legacy, cases).await;
}

#[tokio::test]
async fn what_the_report_reserves_and_releases_is_compared() {
    use FindingKind::{Mismatch, Status};
    use RecordProgress::{Cancelled, Open, Settled};
    let (reserve, released) = (again(RESERVE), again(RELEASE));
    let credited = RESERVE.replace("DEBIT,1,", "CREDIT,31337,");
    let (wrong, taken) = (RELEASE.replace(",1,", ",31337,"), RELEASE.replace("CREDIT", "DEBIT"));
    let settles = RESERVE.replace("ORCHESTRATION_RESERVE,DEBIT", "CONVERSION_SETTLEMENT,CREDIT");
    let credit = Some((Mismatch, "the report has ORCHESTRATION_RESERVE as a credit"));
    let debit = Some((Mismatch, "the report has ORCHESTRATION_UNRESERVE as a debit"));
    let amount = Some((Mismatch, "the report has another amount in ORCHESTRATION_UNRESERVE"));
    let kind = Some((Mismatch, "the report has CONVERSION_SETTLEMENT, which is none of the new side's"));
    let cases = vec![
        (Settled, vec![RESERVE], None),
        (Cancelled, vec![RESERVE, RELEASE], None),
        // Released, and reserved again.
        (Open, vec![RESERVE, RELEASE, &reserve], None),
        (Settled, vec![RESERVE, &credited], credit),
        (Settled, vec![&credited], credit),
        (Settled, vec![RESERVE, &taken], debit),
        (Cancelled, vec![&wrong], amount),
        (Settled, vec![RESERVE, &settles], kind),
        (Cancelled, vec![RELEASE], Some((Status, "the report has no debit of it"))),
        (Cancelled, vec![RESERVE, RELEASE, &released], Some((Status, "the report releases it 2 times"))),
        (Settled, vec![RESERVE, &reserve], Some((Status, "the report debits it 2 times"))),
        (Settled, vec![], Some((Status, "the report of that time does not name it"))),
    ];
    all_found(Side::New, cases).await;
}

#[tokio::test]
async fn ids_and_assets_are_compared_without_regard_to_their_letter_case() {
    let id = "5d0c1e7a-9d5e-4c1e-9d6e-0000000000ab";
    let mut listed = ListedRecords::default();
    listed.add(Side::Legacy, "first", "first", at(1));
    listed.add(Side::Legacy, "c", id, at(10));
    listed.add(Side::Legacy, "last", "last", at(100));
    listed.add(Side::New, "last-new", "last-new", at(102));
    let listed = listed.close();
    let written = |line: &str| line.replace(",c,", &format!(",{},", id.to_uppercase())).replace("USD", "usd");
    assert_eq!(found(&listed, &[&written(DEBIT), &written(CREDIT)]).await, []);
    let other = written(CREDIT).replace("PYusd", "EURC");
    assert_eq!(found(&listed, &[&written(DEBIT), &other]).await.len(), 1, "another asset");
}

/// The vendor documents no line for the end of an orchestration.
#[tokio::test]
async fn an_orchestration_that_ended_within_the_report_need_not_be_in_it() {
    let mut listed = ListedRecords::default();
    listed.add(Side::Legacy, "first", "first", at(1));
    listed.add(Side::New, "c", "c", at(1));
    listed.add(Side::Legacy, "last", "last", at(100));
    listed.add(Side::New, "last-new", "last-new", at(102));
    assert_eq!(found(&listed.close(), &[]).await, []);
}

#[tokio::test]
async fn a_report_of_other_profiles_or_another_time_says_nothing_about_a_record() {
    let with = |from: &str, to: &str| format!("{HEADER}{}", FRAME.concat()).replace(from, to);
    let other_profile = with(",p,", ",q,");
    let bed = Bed::sqlite().await;
    let mut listed = ListedRecords::default();
    listed.add(Side::Legacy, "c", "c", at(10));
    listed.add(Side::Legacy, "first", "first", at(1));
    listed.add(Side::Legacy, "last", "last", at(100));
    listed.add(Side::New, "last-new", "last-new", at(102));
    let listed = listed.close();
    bed.walk(&listed, everything(WalkKind::Reconcile)).await.unwrap();
    let report = DailyReport::read(other_profile.as_bytes()).unwrap();
    let context = WalkContext { report: Some(report), ..bed.context(&listed) };
    let result = walk(context, everything(WalkKind::Reconcile)).await.unwrap();
    // What it names is of another profile; what it does not name may be in the report of its own profile.
    assert!(result.findings.iter().all(|it| it.subject() != "c"), "{:?}", result.findings);
    assert_eq!(result.progress.report.as_ref().unwrap().joined, 3);

    let earlier = WalkOptions { begin: Some(at(200)), ..everything(WalkKind::Reconcile) };
    let report = DailyReport::read(with("x", "x").as_bytes()).unwrap();
    let error =
        walk(WalkContext { report: Some(report), ..bed.context(&listed) }, earlier).await.unwrap_err();
    assert!(error.to_string().contains("no record of the report that it debits"), "{error}");
}

/// Only a debit says that money left a balance for the record.
#[tokio::test]
async fn a_report_without_a_debit_of_a_record_compares_nothing() {
    let mut listed = ListedRecords::default();
    listed.add(Side::Legacy, "c", "c", at(10));
    let listed = listed.close();
    let bed = Bed::sqlite().await;
    bed.walk(&listed, everything(WalkKind::Reconcile)).await.unwrap();
    let report = DailyReport::read(format!("{HEADER}{CREDIT}\n").as_bytes()).unwrap();
    let context = WalkContext { report: Some(report), ..bed.context(&listed) };
    let error = walk(context, everything(WalkKind::Reconcile)).await.unwrap_err();
    assert!(error.to_string().contains("no record of the report that it debits"), "{error}");
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
