//! What a walk says about completeness: only a list that shows every record that a claim names was walked.

use conversion_shim::ledger::WalkKind;
use conversion_shim::reconcile::{FindingKind, Sides, WalkError, WalkOptions};
use conversion_shim::translate::side::Side;
use jiff::Timestamp;

use super::listed::ListedRecords;
use super::{Bed, TENANT, at, everything, found};

fn backfill() -> WalkOptions {
    WalkOptions { sides: Sides::Only(Side::Legacy), ..everything(WalkKind::Backfill) }
}

/// Until when legacy was walked.
async fn walked_to(bed: &Bed) -> Option<Timestamp> {
    let sides = bed.ledger.reader().completeness(TENANT).await.unwrap();
    sides.into_iter().find(|side| side.side == Side::Legacy)?.walked_to
}

/// Records a minute apart, of which every second has a claim, and one whose claim was made a day after it.
async fn listed(bed: &Bed) -> ListedRecords {
    let mut listed = ListedRecords::default();
    let mut claims = Vec::new();
    for number in 0..40 {
        let (ref_id, id) = (format!("r{number}"), format!("id{number}"));
        listed.add(Side::Legacy, &ref_id, &id, at(number * 60));
        if number % 2 == 0 {
            claims.push((ref_id, id, at(number * 60)));
        }
    }
    listed.add(Side::Legacy, "moved", "moved", at(30));
    claims.push(("moved".into(), "moved".into(), at(90_000)));
    bed.known(Side::Legacy, &claims).await;
    listed
}

#[tokio::test]
async fn a_list_that_shows_every_known_record_was_walked() {
    for bed in Bed::each().await {
        let listed = listed(&bed).await.close();
        let result = bed.walk(&listed, backfill()).await.unwrap();
        assert_eq!((result.progress.adopted, result.findings.len()), (20, 0));
        // Its window ends in an hour, and what is made until then was not walked.
        let walked_to = walked_to(&bed).await.unwrap();
        assert!(walked_to < result.end && walked_to > result.started_at, "{walked_to}");
    }
}

#[tokio::test]
async fn a_list_that_omits_a_known_record_was_not() {
    for omitted in ["id8", "moved"] {
        let bed = Bed::sqlite().await;
        let mut listed = listed(&bed).await.close();
        listed.unlisted.insert(omitted.into());
        let walked = bed.walk(&listed, backfill()).await;
        assert!(matches!(walked, Err(WalkError::Inconsistent { .. })), "{omitted}: {walked:?}");
        assert_eq!(walked_to(&bed).await, None, "{omitted}");
    }
}

#[tokio::test]
async fn nor_was_one_whose_side_lost_a_known_record() {
    let bed = Bed::sqlite().await;
    let listed = listed(&bed).await.close();
    bed.known(Side::Legacy, &[("lost".into(), "lost".into(), at(90))]).await;
    let result = bed.walk(&listed, backfill()).await.unwrap();
    assert!(found(&result)[&FindingKind::Lost].contains("lost"));
    assert_eq!(walked_to(&bed).await, None);
}

#[tokio::test]
async fn nor_was_new_before_the_ledger_is_open_for_it() {
    let bed = Bed::sqlite().await;
    let closed = WalkOptions { may_claim_new: false, ..everything(WalkKind::Reconcile) };
    bed.walk(&ListedRecords::default().close(), closed).await.unwrap();
    let sides = bed.ledger.reader().completeness(TENANT).await.unwrap();
    assert_eq!(sides.iter().map(|side| side.side).collect::<Vec<_>>(), [Side::Legacy]);
}
