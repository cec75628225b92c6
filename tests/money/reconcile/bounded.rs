//! What is kept of findings is bounded, in the ledger as well, and a resumed walk reads no more than that.

use conversion_shim::ledger::WalkKind;
use conversion_shim::reconcile::{FINDINGS_KEPT, FindingKind, WalkOptions};
use conversion_shim::translate::side::Side;

use super::listed::ListedRecords;
use super::{Bed, at, everything};

#[tokio::test]
async fn findings_beyond_the_bound_are_counted_and_stored_nowhere() {
    let bed = Bed::sqlite().await;
    let mut listed = ListedRecords::default();
    let rows = FINDINGS_KEPT + 250;
    for number in 0..rows {
        listed.add(Side::Legacy, &format!("r{number}"), &format!("id{number}"), at(number as i64));
    }
    // After everything was found, and before the walk ends.
    let mut listed = listed.close();
    listed.fails_at = 12;
    let failed = bed.walk(&listed, everything(WalkKind::Reconcile)).await.unwrap_err();
    listed.fails_at = 0;
    let result = bed.walk(&listed, everything(WalkKind::Reconcile)).await.unwrap();
    assert!(result.resumed, "{failed}");
    assert_eq!(result.progress.found(FindingKind::Unclaimed), rows as u64);
    assert_eq!(result.findings.len(), FINDINGS_KEPT);
    assert!(result.findings.iter().all(|finding| finding.repaired));
    let stored = bed.ledger.reader().findings_of(&result.walk).await.unwrap();
    assert_eq!(stored.len(), FINDINGS_KEPT);
    // A clean walk has none.
    let again = WalkOptions { resume: false, ..everything(WalkKind::Reconcile) };
    assert!(bed.walk(&listed, again).await.unwrap().progress.is_clean());
}
