//! What is kept of findings is bounded, in the ledger as well, and a resumed walk reads no more than that.

use conversion_shim::ledger::WalkKind;
use conversion_shim::reconcile::{FINDINGS_KEPT, FindingKind, WalkOptions};
use conversion_shim::translate::side::Side;

use super::books::Books;
use super::{Bed, at, everything};

#[tokio::test]
async fn findings_beyond_the_bound_are_counted_and_stored_nowhere() {
    let bed = Bed::sqlite().await;
    let mut books = Books::default();
    let rows = FINDINGS_KEPT + 250;
    for number in 0..rows {
        books.add(Side::Legacy, &format!("r{number}"), &format!("id{number}"), at(number as i64));
    }
    // After everything was found, and before the walk ends.
    let mut books = books.close();
    books.fails_at = 12;
    let failed = bed.walk(&books, everything(WalkKind::Reconcile)).await.unwrap_err();
    books.fails_at = 0;
    let result = bed.walk(&books, everything(WalkKind::Reconcile)).await.unwrap();
    assert!(result.resumed, "{failed}");
    assert_eq!(result.progress.found(FindingKind::Unclaimed), rows as u64);
    assert_eq!(result.findings.len(), FINDINGS_KEPT);
    assert!(result.findings.iter().all(|finding| finding.repaired));
    let stored = bed.ledger.reader().findings_of(&result.walk).await.unwrap();
    assert_eq!(stored.len(), FINDINGS_KEPT);
    // A clean walk has none.
    let again = WalkOptions { resume: false, ..everything(WalkKind::Reconcile) };
    assert!(bed.walk(&books, again).await.unwrap().progress.is_clean());
}
