//! A double that was made since creates went to the new side trips once; others do not.

use conversion_shim::ledger::{Fingerprint, Key, LedgerError, OperatorReason, WalkKind};
use conversion_shim::translate::side::Side;
use jiff::{SignedDuration, Timestamp};

use super::listed::ListedRecords;
use super::{Bed, TENANT, everything};

fn reason() -> OperatorReason {
    OperatorReason { operator: "ops".into(), why: "looked into it".into() }
}

/// Some minutes from now, which is when the first create went to new.
fn minutes(minutes: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_mins(minutes)
}

/// Both sides hold the references, each made at its times.
fn doubles(all: &[(&str, i64, i64)]) -> ListedRecords {
    let mut listed = ListedRecords::default();
    for (ref_id, legacy, new) in all {
        listed.add(Side::Legacy, ref_id, &format!("l-{ref_id}"), minutes(*legacy));
        listed.add(Side::New, ref_id, &format!("n-{ref_id}"), minutes(*new));
    }
    listed.close()
}

async fn create_on_new(bed: &Bed, ref_id: &str) -> Result<(), LedgerError> {
    let key = Key::new(TENANT, ref_id).unwrap();
    bed.ledger.claim(key, Side::New, &Fingerprint([1; 32])).await.map(drop)
}

async fn trip(bed: &Bed) -> Option<String> {
    bed.ledger.reader().trip().await.unwrap().map(|trip| trip.why)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_that_is_younger_than_the_first_create_on_new_trips_once() {
    for bed in Bed::each().await {
        create_on_new(&bed, "first").await.unwrap();
        bed.walk(&doubles(&[("old", -90, -60)]), everything(WalkKind::Reconcile)).await.unwrap();
        assert_eq!(trip(&bed).await, None, "both were made before this cutover");

        // The later of the two counts.
        let listed = doubles(&[("old", -90, -60), ("late", -90, 5)]);
        bed.walk(&listed, everything(WalkKind::Reconcile)).await.unwrap();
        assert_eq!(trip(&bed).await.as_deref(), Some("reconcile confirmed a double of late"));
        let held = create_on_new(&bed, "held").await.unwrap_err();
        assert!(matches!(&held, LedgerError::Tripped(why) if why.contains("late")), "{held}");
        assert!(bed.ledger.health().is_ready(), "the database is well");
        // A walk goes on, and writes claims for what the vendor holds.
        let mut listed = doubles(&[("late", -90, 5)]);
        listed.add(Side::Legacy, "alone", "l-alone", minutes(-30));
        bed.walk(&listed.close(), everything(WalkKind::Reconcile)).await.unwrap();
        let alone = bed.ledger.reader().claim_by_ref(Key::new(TENANT, "alone").unwrap()).await.unwrap();
        assert_eq!(alone.unwrap().record_id.as_deref(), Some("l-alone"));

        let why = bed.ledger.reset_trip(reason()).await.unwrap();
        assert_eq!(why, ["reconcile confirmed a double of late"]);
        bed.walk(&doubles(&[("late", -90, 5)]), everything(WalkKind::Reconcile)).await.unwrap();
        assert_eq!(trip(&bed).await, None, "an operator has looked into it");
        create_on_new(&bed, "held").await.unwrap();

        bed.walk(&doubles(&[("late", -90, 5), ("another", 1, 2)]), everything(WalkKind::Reconcile))
            .await
            .unwrap();
        assert_eq!(trip(&bed).await.as_deref(), Some("reconcile confirmed a double of another"));
        let rows = bed.ledger.reader().audit(Timestamp::UNIX_EPOCH, 100).await.unwrap();
        let trips: Vec<_> = rows
            .iter()
            .filter(|row| row.kind.starts_with("trip"))
            .map(|row| (row.kind.as_str(), row.subject.as_str()))
            .collect();
        assert_eq!(trips, [("trip", "another"), ("trip-reset", ""), ("trip", "late")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_and_a_ledger_without_a_create_on_new_trip_nothing() {
    let bed = Bed::sqlite().await;
    bed.walk(&doubles(&[("r", -90, 5)]), everything(WalkKind::Backfill)).await.unwrap();
    assert_eq!(trip(&bed).await, None);
    create_on_new(&bed, "first").await.unwrap();
    let listed = doubles(&[("other", -90, 5)]);
    let context = conversion_shim::reconcile::WalkContext { ledger: None, ..bed.context(&listed) };
    conversion_shim::reconcile::walk(context, everything(WalkKind::Reconcile)).await.unwrap();
    assert_eq!(trip(&bed).await, None);
}

/// An operator looks for the walk that found it.
#[tokio::test(flavor = "multi_thread")]
async fn the_walk_that_confirmed_a_double_is_named() {
    for bed in Bed::each().await {
        create_on_new(&bed, "first").await.unwrap();
        for (kind, ref_id, expected) in [
            (WalkKind::Backfill, "one", "ledger backfill confirmed a double of one"),
            (WalkKind::Reconcile, "two", "reconcile confirmed a double of two"),
        ] {
            let walked = bed.walk(&doubles(&[(ref_id, -90, 5)]), everything(kind)).await;
            let rows = bed.ledger.reader().audit(Timestamp::UNIX_EPOCH, 100).await.unwrap();
            let row = rows.iter().find(|row| row.kind == "trip").unwrap();
            assert_eq!((row.subject.as_str(), row.reason.as_str()), (ref_id, expected));
            assert_eq!(row.after, Some(format!("walk {}", walked.unwrap().walk)));
            assert_eq!(trip(&bed).await.as_deref(), Some(expected));
            bed.ledger.reset_trip(reason()).await.unwrap();
        }
    }
}

/// However many there are, each of them is a trip.
#[tokio::test(flavor = "multi_thread")]
async fn many_doubles_of_one_walk_are_many_trips() {
    for bed in Bed::each().await {
        create_on_new(&bed, "first").await.unwrap();
        let names: Vec<_> = (0..120).map(|number| format!("double-{number}")).collect();
        let all: Vec<_> = names.iter().map(|name| (name.as_str(), 1, 2)).collect();
        bed.walk(&doubles(&all), everything(WalkKind::Reconcile)).await.unwrap();
        let trip = bed.ledger.reader().trip().await.unwrap().unwrap();
        assert_eq!((trip.total, trip.again.len()), (120, 119));
        let reset = bed.ledger.reset_trip(reason()).await.unwrap();
        let mut expected: Vec<_> =
            names.iter().map(|name| format!("reconcile confirmed a double of {name}")).collect();
        let mut ended = reset.clone();
        expected.sort_unstable();
        ended.sort_unstable();
        assert_eq!(ended, expected);
        assert_eq!(reset[0], trip.why);
        assert_eq!(reset[1..], trip.again, "in the same order");
    }
}
