//! Unknown names of the vendor's answers, on both backends: the first sight stays, and there is an end to them.

use conversion_shim::ledger::DriftRow;
use jiff::Timestamp;

use super::Place;

fn row(path: &str, second: i64) -> DriftRow {
    let first_seen = Timestamp::from_second(second).unwrap();
    DriftRow { path: path.to_owned(), value_type: "string".to_owned(), is_money: true, first_seen }
}

async fn names_are_kept_once_and_bounded(place: Place) {
    let ledger = place.open().await;
    ledger
        .keep_drift("default", vec![row("new.record.a", 100), row("new.record.b", 100)], Vec::new())
        .await
        .unwrap();
    // Another replica saw one of them later, and one more.
    ledger
        .keep_drift("default", vec![row("new.record.a", 200), row("new.record.c", 200)], Vec::new())
        .await
        .unwrap();
    ledger.keep_drift("other", vec![row("new.record.z", 100)], Vec::new()).await.unwrap();
    let kept = ledger.reader().drift("default").await.unwrap();
    assert_eq!(kept, [row("new.record.a", 100), row("new.record.b", 100), row("new.record.c", 200)]);
    let many = (0..300).map(|number| row(&format!("new.record.n{number}"), 300)).collect();
    ledger.keep_drift("default", many, Vec::new()).await.unwrap();
    assert_eq!(ledger.reader().drift("default").await.unwrap().len(), 200);
    assert_eq!(ledger.reader().drift("other").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite() {
    names_are_kept_once_and_bounded(Place::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres() {
    if let Some(place) = Place::postgres() {
        names_are_kept_once_and_bounded(place).await;
    }
}
