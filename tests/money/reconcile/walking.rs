//! The walk itself: every row once, whatever the pages; resumed after any failure; one process at a time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use conversion_shim::ledger::{Claim, ClaimState, Fingerprint, Key, WalkKind, WalkState};
use conversion_shim::reconcile::{FindingKind, Lease, Sides, WalkContext, WalkError, WalkOptions, walk};
use conversion_shim::translate::side::Side;
use jiff::{SignedDuration, Timestamp};

use super::listed::ListedRecords;
use super::{Bed, TENANT, at, everything, found};

/// Rows in bursts of one instant, in one second, and apart, on both sides.
fn bursts() -> ListedRecords {
    let mut listed = ListedRecords::default();
    for number in 0..120_i64 {
        let side = if number % 3 == 0 { Side::New } else { Side::Legacy };
        let made = match number % 40 {
            0..=14 => at(number / 40 * 50),
            15..=24 => at(number / 40 * 50 + 3) + SignedDuration::from_micros(number * 1000),
            _ => at(number),
        };
        listed.add(side, &format!("r{number}"), &format!("id{number}"), made);
    }
    listed.add(Side::Legacy, "", "no reference", at(60));
    listed.close()
}

#[tokio::test]
async fn every_row_is_judged_once_whatever_the_pages() {
    let listed = bursts();
    let mut hashes = None;
    for limit in [1, 2, 3, 7, 20, 1000] {
        let bed = Bed::sqlite().await;
        let options = WalkOptions { limit, ..everything(WalkKind::Reconcile) };
        let result = bed.walk(&listed, options).await.unwrap();
        assert_eq!(result.progress.rows, [81, 40], "limit {limit}");
        assert_eq!(result.progress.found(FindingKind::Unclaimed), 120, "limit {limit}");
        assert_eq!(result.progress.without_reference, 1);
        assert_eq!(*hashes.get_or_insert(result.progress.hashes.clone()), result.progress.hashes);
        // Everything has a claim now.
        let again = bed.walk(&listed, everything(WalkKind::Reconcile)).await.unwrap();
        assert!(again.progress.is_clean() && again.findings.is_empty(), "{:?}", again.findings);
        let clean =
            bed.ledger.reader().newest_whole_walk(TENANT, WalkState::Clean, Duration::ZERO, Duration::MAX);
        assert_eq!(clean.await.unwrap().unwrap().walk, again.walk);
    }
}

/// As after a kill at that call: the next walk goes on, and both together did what one would have done.
#[tokio::test(flavor = "multi_thread")]
async fn a_walk_is_resumed_after_a_failure_at_any_call() {
    let whole = Bed::sqlite().await;
    claims_for(&whole).await;
    let expected = whole.walk(&planted(0), small_pages()).await.unwrap();
    for fails_at in 1.. {
        let bed = Bed::sqlite().await;
        claims_for(&bed).await;
        let failing = planted(fails_at);
        match bed.walk(&failing, small_pages()).await {
            Ok(result) => {
                assert_eq!(found(&result), found(&expected));
                assert!(fails_at > 10, "the walk makes more calls");
                return;
            }
            Err(error) => assert!(matches!(error, WalkError::NoAnswer { .. }), "{error}"),
        }
        let failed_clean =
            bed.ledger.reader().newest_whole_walk(TENANT, WalkState::Clean, Duration::ZERO, Duration::MAX);
        assert_eq!(failed_clean.await.unwrap(), None, "a walk that failed is not clean");
        let resumed = bed.walk(&planted(0), small_pages()).await.unwrap();
        assert!(resumed.resumed, "at call {fails_at}");
        assert_eq!(found(&resumed), found(&expected), "at call {fails_at}");
        assert_eq!(resumed.progress.rows, expected.progress.rows, "at call {fails_at}");
        assert_eq!(resumed.progress.hashes, expected.progress.hashes, "at call {fails_at}");
    }
}

fn small_pages() -> WalkOptions {
    WalkOptions { limit: 3, ..everything(WalkKind::Reconcile) }
}

async fn claims_for(bed: &Bed) {
    bed.known(Side::Legacy, &[("double".into(), "d1".into(), at(5)), ("lost".into(), "l1".into(), at(6))])
        .await;
    bed.known(Side::New, &[("wrong".into(), "w1".into(), at(7))]).await;
    let open = Key::new(TENANT, "open").unwrap();
    bed.ledger.claim(open, Side::Legacy, &Fingerprint([1; 32])).await.unwrap();
}

fn planted(fails_at: u64) -> ListedRecords {
    let mut listed = ListedRecords { fails_at, ..ListedRecords::default() };
    listed.add(Side::Legacy, "double", "d1", at(5));
    listed.add(Side::New, "double", "d2", at(4000));
    listed.add(Side::Legacy, "wrong", "w2", at(7));
    listed.add(Side::Legacy, "open", "o1", at(3000));
    for number in 0..12 {
        listed.add(Side::Legacy, &format!("r{number}"), &format!("id{number}"), at(number * 900));
    }
    listed.close()
}

#[tokio::test]
async fn a_repair_never_frees_a_reference() {
    for bed in Bed::each().await {
        claims_for(&bed).await;
        let refused = Key::new(TENANT, "refused").unwrap();
        let claim = bed.ledger.claim(refused, Side::New, &Fingerprint([1; 32])).await.unwrap().claim;
        bed.ledger.close(refused, claim.generation, Side::New).await.unwrap();
        let mut listed = ListedRecords::default();
        listed.add(Side::Legacy, "refused", "r1", at(9));
        listed.add(Side::New, "open", "o2", at(10));
        listed.add(Side::Legacy, "wrong", "w2", at(7));
        let listed = listed.close();
        bed.walk(&listed, everything(WalkKind::Reconcile)).await.unwrap();
        let claim = async |ref_id| {
            let key = Key::new(TENANT, ref_id).unwrap();
            bed.ledger.reader().claim_by_ref(key).await.unwrap().unwrap()
        };
        let stands = |claim: Claim, side, state, id: Option<&str>| {
            assert_eq!((claim.side, claim.state, claim.record_id.as_deref()), (side, state, id));
        };
        // Refused, and the record exists: the reference is that side's for good.
        stands(claim("refused").await, Side::Legacy, ClaimState::Checked, Some("r1"));
        // No attempt is open: it moves.
        stands(claim("wrong").await, Side::Legacy, ClaimState::Checked, Some("w2"));
        // One is open, and may still arrive on legacy: it stays.
        stands(claim("open").await, Side::Legacy, ClaimState::Claimed, None);
        stands(claim("double").await, Side::Legacy, ClaimState::Checked, Some("d1"));
    }
}

/// The id of a claim may be another reference's on the other side, and a lookup may find another spelling of its reference.
#[tokio::test]
async fn a_record_of_another_reference_repairs_no_claim() {
    let bed = Bed::sqlite().await;
    bed.known(Side::Legacy, &[("mine".into(), "same id".into(), at(5))]).await;
    // Whose claim has no open attempt and could be moved.
    bed.known(Side::Legacy, &[("theirs".into(), "t1".into(), at(6))]).await;
    let open = Key::new(TENANT, "open").unwrap();
    bed.ledger.claim(open, Side::Legacy, &Fingerprint([1; 32])).await.unwrap();
    let mut listed = ListedRecords::default();
    listed.add(Side::New, "theirs", "same id", at(7));
    listed.add(Side::Legacy, "theirs", "t1", at(6));
    listed.add(Side::Legacy, "Open", "o1", at(8));
    let mut listed = listed.close();
    let spelled = listed.by_ref[&(Side::Legacy, "Open".to_owned())];
    listed.by_ref.insert((Side::Legacy, "open".to_owned()), spelled);
    let claim = async |ref_id| {
        bed.ledger.reader().claim_by_ref(Key::new(TENANT, ref_id).unwrap()).await.unwrap().unwrap()
    };
    let before = [claim("mine").await, claim("theirs").await, claim("open").await];
    let result = bed.walk(&listed, everything(WalkKind::Reconcile)).await.unwrap();
    assert_eq!([claim("mine").await, claim("theirs").await, claim("open").await], before);
    let found = found(&result);
    let mismatched: Vec<_> = found[&FindingKind::Mismatch].iter().map(String::as_str).collect();
    assert_eq!(mismatched, ["mine", "open"], "{:?}", result.findings);
}

#[tokio::test]
async fn a_backfill_moves_no_claim() {
    let bed = Bed::sqlite().await;
    claims_for(&bed).await;
    let key = Key::new(TENANT, "wrong").unwrap();
    let before = bed.ledger.reader().claim_by_ref(key).await.unwrap();
    let result = bed.walk(&planted(0), everything(WalkKind::Backfill)).await.unwrap();
    assert_eq!(bed.ledger.reader().claim_by_ref(key).await.unwrap(), before);
    assert!(found(&result)[&FindingKind::WrongSide].contains("wrong"));
}

/// A record that a get finds and the list left out: others may be missing as well, and those nobody would ask for.
#[tokio::test]
async fn a_list_that_omits_a_record_is_not_called_clean() {
    for limit in [1, 1000] {
        let bed = Bed::sqlite().await;
        let records: Vec<_> =
            (0..40).map(|number| (format!("r{number}"), format!("id{number}"), at(number * 60))).collect();
        bed.known(Side::Legacy, &records).await;
        let mut listed = ListedRecords::default();
        for (ref_id, id, made) in &records {
            listed.add(Side::Legacy, ref_id, id, *made);
        }
        let mut listed = listed.close();
        listed.unlisted.insert("id20".into());
        let options = WalkOptions { limit, ..everything(WalkKind::Reconcile) };
        let failed = bed.walk(&listed, options.clone()).await.unwrap_err();
        assert!(matches!(failed, WalkError::Inconsistent { side: Side::Legacy, .. }), "{failed}");
        listed.unlisted.clear();
        assert!(bed.walk(&listed, options).await.unwrap().progress.is_clean());
    }
}

#[tokio::test]
async fn progress_that_another_version_wrote_is_not_used() {
    let bed = Bed::sqlite().await;
    claims_for(&bed).await;
    assert!(bed.walk(&planted(6), small_pages()).await.is_err());
    let row = bed
        .ledger
        .reader()
        .newest_whole_walk(TENANT, WalkState::Running, Duration::ZERO, Duration::MAX)
        .await;
    let row = row.unwrap().unwrap();
    let walk_id = row.walk.clone();
    for (format, progress) in [(row.format + 1, row.progress.clone()), (row.format, "{}".to_owned())] {
        let other = conversion_shim::ledger::WalkRow {
            walk: format!("other {format}"),
            format,
            progress,
            ..row.clone()
        };
        bed.ledger.begin_walk(TENANT, WalkKind::Reconcile, other).await.unwrap();
        let result = bed.walk(&planted(0), small_pages()).await.unwrap();
        assert!(!result.resumed && result.walk != walk_id);
    }
}

#[tokio::test]
async fn one_process_walks_at_a_time() {
    for bed in Bed::each().await {
        let lease = Lease::take(&bed.ledger, TENANT).await.unwrap().unwrap();
        let settings = conversion_shim::ledger::Settings::new(&bed.url);
        let other = conversion_shim::ledger::Ledger::open_beside(&settings).await.unwrap();
        assert!(Lease::take(&other, TENANT).await.unwrap().is_none());
        assert!(lease.is_held());
        lease.give_back().await;
        let theirs = Lease::take(&other, TENANT).await.unwrap().unwrap();
        // A walk of this process would be of one that lost its lease.
        assert!(Lease::take(&bed.ledger, TENANT).await.unwrap().is_none());
        theirs.give_back().await;
    }
}

#[tokio::test]
async fn another_walk_ends_this_one() {
    let bed = Bed::sqlite().await;
    let listed = bursts();
    let context = bed.context(&listed);
    // The first page of the second walk gives up the first one.
    let taken_over = WalkContext { observer: &|_| {}, ..context };
    let first = walk(taken_over, WalkOptions { limit: 1, resume: false, ..everything(WalkKind::Backfill) });
    let second = bed.walk(&listed, WalkOptions { resume: false, ..everything(WalkKind::Backfill) });
    let (first, second) = tokio::join!(first, second);
    assert!(matches!(first, Err(WalkError::TakenOver)) || matches!(second, Err(WalkError::TakenOver)));
}

#[tokio::test]
async fn a_backfill_claims_what_has_no_claim_and_skips_what_new_mirrors() {
    for bed in Bed::each().await {
        let mut listed = ListedRecords::default();
        for number in 0..300 {
            listed.add(Side::Legacy, &format!("r{number}"), &format!("id{number}"), at(number));
        }
        listed.add(Side::Legacy, "", "without", at(3));
        let listed = listed.close();
        let legacy = WalkOptions { sides: Sides::Only(Side::Legacy), ..everything(WalkKind::Backfill) };
        let result = bed.walk(&listed, legacy.clone()).await.unwrap();
        assert_eq!((result.progress.adopted, result.findings.len()), (300, 0));
        let key = Key::new(TENANT, "r7").unwrap();
        let claim = bed.ledger.reader().claim_by_ref(key).await.unwrap().unwrap();
        assert_eq!((claim.side, claim.state), (Side::Legacy, ClaimState::Checked));
        assert_eq!((claim.record_id.as_deref(), claim.created_at), (Some("id7"), at(7)));
        let again = bed.walk(&listed, legacy).await.unwrap();
        assert_eq!((again.progress.adopted, again.progress.is_clean()), (0, true));
        assert_eq!(again.progress.hashes, result.progress.hashes);
    }
}

#[tokio::test]
async fn nothing_is_claimed_for_new_before_the_ledger_is_open() {
    let bed = Bed::sqlite().await;
    let mut listed = ListedRecords::default();
    listed.add(Side::New, "native", "n1", at(1));
    listed.add(Side::Legacy, "native", "l1", at(90_000));
    listed.add(Side::New, "only native", "n2", at(2));
    let listed = listed.close();
    let closed = WalkOptions { may_claim_new: false, ..everything(WalkKind::Reconcile) };
    let result = bed.walk(&listed, closed).await.unwrap();
    // The record on new got no claim, and the one on legacy is its double.
    let found = found(&result);
    assert!(found[&FindingKind::Double].contains("native"), "{found:?}");
    assert!(found[&FindingKind::Unclaimed].contains("only native"), "{found:?}");
    for (ref_id, expected) in [("native", Some(Side::Legacy)), ("only native", None)] {
        let claim = bed.ledger.reader().claim_by_ref(Key::new(TENANT, ref_id).unwrap()).await.unwrap();
        assert_eq!(claim.map(|claim| claim.side), expected, "{ref_id}");
    }
}

#[tokio::test]
async fn what_a_lagging_list_hides_is_left_for_the_next_walk() {
    let bed = Bed::sqlite().await;
    let now = Timestamp::now();
    for lag in [0, 10, 60] {
        let mut listed = ListedRecords {
            hidden_from: Some(now - SignedDuration::from_secs(lag)),
            ..ListedRecords::default()
        };
        for ago in [5, 30, 59, 61, 300, 601, 4000] {
            let made = now - SignedDuration::from_secs(ago);
            listed.add(Side::Legacy, &format!("r{ago}"), &format!("id{ago}"), made);
        }
        let listed = listed.close();
        let end = now - SignedDuration::from_mins(10);
        let options = WalkOptions { may_claim_new: true, ..WalkOptions::new(WalkKind::Reconcile, end) };
        let result = bed.walk(&listed, options).await.unwrap();
        assert_eq!(result.progress.rows, [2, 0], "lag {lag}");
    }
}

#[tokio::test]
async fn a_vendor_that_lost_its_index_is_not_believed() {
    let bed = Bed::sqlite().await;
    claims_for(&bed).await;
    // Lists show everything, and lookups find nothing.
    struct WithoutIndex(ListedRecords);
    impl conversion_shim::reconcile::RecordSource for WithoutIndex {
        async fn page(
            &self,
            call: &conversion_shim::reconcile::PageCall<'_>,
        ) -> Result<conversion_shim::translate::evidence::WalkPage, WalkError> {
            self.0.page(call).await
        }
        async fn by_ref(
            &self,
            _: Side,
            _: &str,
        ) -> Result<conversion_shim::reconcile::WalkLookup, WalkError> {
            Ok(conversion_shim::reconcile::WalkLookup::Absent)
        }
        async fn by_id(
            &self,
            side: Side,
            id: &str,
        ) -> Result<Option<conversion_shim::translate::evidence::WalkedRecord>, WalkError> {
            self.0.by_id(side, id).await
        }
    }
    let source = WithoutIndex(planted(0));
    let failed = bed.walk(&source, everything(WalkKind::Reconcile)).await.unwrap_err();
    assert!(matches!(failed, WalkError::ControlFailed { .. }), "{failed}");
    assert!(source.0.calls.load(Ordering::Relaxed) > 0);
}
