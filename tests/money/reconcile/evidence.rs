//! A clean reconcile of both sides is evidence; nothing else is.

use conversion_shim::ledger::{EvidenceKind, EvidenceRow, WalkKind};
use conversion_shim::reconcile::{Sides, WalkContext, WalkOptions, walk};
use conversion_shim::translate::side::Side;
use jiff::Timestamp;

use super::listed::ListedRecords;
use super::{Bed, TENANT, at, everything};

fn listed(doubled: bool) -> ListedRecords {
    let mut listed = ListedRecords::default();
    listed.add(Side::Legacy, "r", "l", at(1));
    if doubled {
        listed.add(Side::New, "r", "n", at(9));
    }
    listed.close()
}

async fn newest(bed: &Bed) -> Option<EvidenceRow> {
    bed.ledger.reader().newest_evidence(TENANT, EvidenceKind::Reconcile).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_reconcile_is_on_record_with_its_window_and_digests() {
    for bed in Bed::each().await {
        // A record without a claim is a finding, and its repair makes the next walk clean.
        bed.walk(&listed(false), everything(WalkKind::Reconcile)).await.unwrap();
        assert_eq!(newest(&bed).await, None, "with findings");
        let options = WalkOptions { begin: Some(at(0)), ..everything(WalkKind::Reconcile) };
        let end = options.end;
        let result = bed.walk(&listed(false), options).await.unwrap();
        assert!(result.progress.is_clean(), "{result:?}");
        let first = newest(&bed).await.unwrap();
        let evidence = &first.evidence;
        assert_eq!((evidence.verdict.as_str(), evidence.operator.as_str()), ("clean", "ops"));
        assert_eq!((evidence.config.as_str(), evidence.input_sha256.len()), ("0123456789ab", 64));
        let (begin, until) = evidence.window.unwrap();
        assert_eq!((begin, until.as_second()), (at(0), end.as_second()));
        assert!(evidence.numbers.contains("\"rows\":[1,0]"), "{}", evidence.numbers);
        let rows = bed.ledger.reader().audit(Timestamp::UNIX_EPOCH, 9).await.unwrap();
        assert_eq!((rows[0].kind.as_str(), rows[0].reason.as_str()), ("evidence", "reconcile"));

        // Other records are another input.
        let mut more = ListedRecords::default();
        more.add(Side::Legacy, "r", "l", at(2));
        bed.walk(&more.close(), everything(WalkKind::Reconcile)).await.unwrap();
        let second = newest(&bed).await.unwrap().evidence;
        assert_ne!(second.input_sha256, evidence.input_sha256);
    }
}

#[tokio::test]
async fn a_backfill_one_side_a_dry_run_and_findings_are_no_evidence() {
    let bed = Bed::sqlite().await;
    let only = WalkOptions { sides: Sides::Only(Side::Legacy), ..everything(WalkKind::Reconcile) };
    for options in [everything(WalkKind::Backfill), only] {
        assert!(bed.walk(&listed(false), options).await.unwrap().progress.is_clean());
    }
    let known = listed(false);
    let dry = WalkContext { ledger: None, ..bed.context(&known) };
    assert!(walk(dry, everything(WalkKind::Reconcile)).await.unwrap().progress.is_clean());
    bed.walk(&listed(true), everything(WalkKind::Reconcile)).await.unwrap();
    assert_eq!(newest(&bed).await, None);
}
