//! What only the embedded ledger does: the lock, the group commit, the file.

use std::process::Command;
use std::time::Duration;

use conversion_shim::ledger::{Health, Ledger, LedgerError, OpenError, Settings};
use conversion_shim::translate::side::Side::{Legacy, New};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::{BODY, Place, key};

#[tokio::test]
async fn fifty_concurrent_claims_need_far_fewer_commits() {
    let place = Place::sqlite();
    let ledger = place.open().await;
    let before = ledger.commits();
    let refs: Vec<String> = (0..50).map(|n| format!("r{n}")).collect();
    let claims = refs.iter().map(|reference| ledger.claim(key(reference), New, &BODY));
    for claimed in futures_util::future::join_all(claims).await {
        assert!(claimed.unwrap().inserted);
    }
    let commits = ledger.commits() - before;
    assert!((1..=10).contains(&commits), "50 claims took {commits} commits");
    assert_eq!(ledger.reader().stats().await.unwrap().counts[0].claims, 50);
}

#[tokio::test]
async fn a_batch_has_a_cap() {
    let place = Place::sqlite();
    let ledger = Ledger::open(&Settings { batch_max: 5, ..place.settings() }).await.unwrap();
    let refs: Vec<String> = (0..50).map(|n| format!("r{n}")).collect();
    let claims = refs.iter().map(|reference| ledger.claim(key(reference), New, &BODY));
    futures_util::future::join_all(claims).await.into_iter().for_each(|claimed| drop(claimed.unwrap()));
    assert!(ledger.commits() >= 10);
}

#[tokio::test]
async fn a_second_handle_is_refused_and_the_error_names_the_lock() {
    let place = Place::sqlite();
    let ledger = place.open().await;
    let error = Ledger::open(&place.settings()).await.err().expect("only one may have the file");
    assert!(matches!(error, OpenError::Locked(_)));
    assert!(error.to_string().contains("ledger.sqlite.lock"), "{error}");

    // Another name for the same file is the same file.
    let alias = place.directory.path().join("alias.sqlite");
    std::os::unix::fs::symlink(place.file(), &alias).unwrap();
    let settings = Settings { url: format!("sqlite://{}", alias.display()), ..place.settings() };
    assert!(matches!(Ledger::open(&settings).await, Err(OpenError::Locked(_))));

    ledger.shutdown().await;
    Ledger::open(&settings).await.unwrap();
}

#[tokio::test]
async fn a_dropped_ledger_gives_the_file_back() {
    let place = Place::sqlite();
    let ledger = place.open().await;
    let claim = ledger.claim(key("r"), New, &BODY).await.unwrap().claim;
    drop(ledger);
    let reopened = async {
        loop {
            match Ledger::open(&place.settings()).await {
                Ok(ledger) => break ledger,
                Err(OpenError::Locked(_)) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    };
    let reopened = tokio::time::timeout(Duration::from_secs(20), reopened).await.unwrap();
    assert_eq!(reopened.reader().claim_by_ref(key("r")).await.unwrap(), Some(claim));
}

/// Claims until it is killed in the middle; run by the next test in a process of its own.
#[tokio::test]
async fn child_that_claims_and_dies() {
    let Ok(url) = std::env::var("LEDGER_OF_THE_CHILD") else { return };
    let ledger = Ledger::open(&Settings::new(url)).await.unwrap();
    for n in 0..20 {
        ledger.claim(key(&format!("r{n}")), New, &BODY).await.unwrap();
    }
    // More are under way when the process goes, without any chance to tidy up.
    let late: Vec<String> = (0..20).map(|n| format!("late{n}")).collect();
    let mut late: Vec<_> = late.iter().map(|r| Box::pin(ledger.claim(key(r), New, &BODY))).collect();
    futures_util::future::poll_fn(|context| {
        for claim in &mut late {
            let _ = claim.as_mut().poll(context);
        }
        std::task::Poll::Ready(())
    })
    .await;
    std::process::abort();
}

#[tokio::test]
async fn what_was_answered_survives_the_death_of_the_process() {
    let place = Place::sqlite();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ledger::on_sqlite::child_that_claims_and_dies", "--nocapture"])
        .env("LEDGER_OF_THE_CHILD", &place.url)
        .output()
        .unwrap();
    assert!(!child.status.success(), "the child must have died");

    let ledger = place.open().await;
    for n in 0..20 {
        let claim = ledger.reader().claim_by_ref(key(&format!("r{n}"))).await.unwrap();
        let said = String::from_utf8_lossy(&child.stderr);
        assert_eq!(claim.map(|claim| claim.side), Some(New), "r{n}; the child said: {said}");
    }
    assert!(ledger.reader().first_new_create_at().await.unwrap().is_some());
}

/// Someone else (an operator's shell) who keeps the file from being written.
async fn intruder(place: &Place) -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(place.file());
    let mut intruder = options.connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut intruder).await.unwrap();
    intruder
}

#[tokio::test]
async fn a_file_that_cannot_be_written_fails_in_time_and_recovers() {
    let place = Place::sqlite();
    let settings = Settings { timeout: Duration::from_millis(200), ..place.settings() };
    let ledger = Ledger::open(&settings).await.unwrap();
    let mut health = ledger.watch_health();
    let intruder = intruder(&place).await;

    let answer = tokio::time::timeout(Duration::from_secs(20), ledger.claim(key("r"), New, &BODY)).await;
    let error = answer.expect("an answer in time").unwrap_err();
    assert!(matches!(error, LedgerError::Unavailable(_) | LedgerError::Timeout), "{error:?}");
    assert!(matches!(*health.borrow_and_update(), Health::Down { .. }));
    // Reading still works and proves nothing about writing.
    assert_eq!(ledger.reader().first_new_create_at().await.unwrap(), None);
    assert!(!ledger.health().is_ready());

    intruder.close().await.unwrap();
    let writes_again = async { while ledger.probe().await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(20), writes_again).await.unwrap();
    assert!(ledger.health().is_ready());
    assert!(health.has_changed().unwrap());
    ledger.claim(key("r"), Legacy, &BODY).await.unwrap();
}

#[tokio::test]
async fn a_full_queue_is_overload_at_once() {
    let place = Place::sqlite();
    let settings =
        Settings { timeout: Duration::from_secs(5), queue_max: 3, batch_max: 1, ..place.settings() };
    let ledger = Ledger::open(&settings).await.unwrap();
    let _intruder = intruder(&place).await;
    let refs: Vec<String> = (0..10).map(|n| format!("r{n}")).collect();
    // All are asked before the writer can take more than one.
    let mut claims: Vec<_> = refs.iter().map(|r| Box::pin(ledger.claim(key(r), New, &BODY))).collect();
    let refused = futures_util::future::poll_fn(|context| {
        let polled = claims.iter_mut().map(|claim| claim.as_mut().poll(context));
        std::task::Poll::Ready(
            polled
                .filter(|answer| matches!(answer, std::task::Poll::Ready(Err(LedgerError::Overloaded))))
                .count(),
        )
    })
    .await;
    assert!((6..=7).contains(&refused), "{refused} of 10 were refused");
    assert!(ledger.health().is_ready());
}

/// A copy of the ledger's file as it is now, with everything in it.
async fn copy_of(place: &Place) -> std::path::PathBuf {
    let copy = place.directory.path().join("copy.sqlite");
    let mut connection =
        sqlx::sqlite::SqliteConnectOptions::new().filename(place.file()).connect().await.unwrap();
    let vacuum = sqlx::AssertSqlSafe(format!("VACUUM INTO '{}'", copy.display()));
    sqlx::query(vacuum).execute(&mut connection).await.unwrap();
    copy
}

#[track_caller]
fn replaced<T: std::fmt::Debug>(answer: Result<T, LedgerError>) {
    assert!(matches!(answer, Err(LedgerError::Replaced)), "{answer:?}");
}

/// Nothing can be claimed or read any more, for as long as the process runs.
async fn is_lost(ledger: &Ledger) {
    replaced(ledger.claim(key("after"), New, &BODY).await);
    replaced(ledger.reader().claim_by_ref(key("before")).await);
    replaced(ledger.probe().await);
    assert!(!ledger.health().is_ready());
}

#[tokio::test]
async fn a_copy_put_in_the_files_place_is_found_out() {
    let place = Place::sqlite();
    let ledger = place.open().await;
    ledger.claim(key("before"), New, &BODY).await.unwrap();
    let copy = copy_of(&place).await;
    ledger.claim(key("lost"), New, &BODY).await.unwrap();
    std::fs::rename(copy, place.file()).unwrap();
    is_lost(&ledger).await;
}

#[tokio::test]
async fn a_file_overwritten_in_place_is_found_out() {
    let place = Place::sqlite();
    let ledger = place.open().await;
    ledger.claim(key("before"), New, &BODY).await.unwrap();
    let copy = copy_of(&place).await;
    ledger.claim(key("lost"), New, &BODY).await.unwrap();
    // The same file by its inode, of the same start by its cookie, with an older content.
    std::fs::copy(copy, place.file()).unwrap();
    is_lost(&ledger).await;
}

#[tokio::test]
async fn a_file_that_is_gone_is_found_out() {
    let place = Place::sqlite();
    let ledger = place.open().await;
    ledger.claim(key("before"), New, &BODY).await.unwrap();
    std::fs::remove_file(place.file()).unwrap();
    is_lost(&ledger).await;
}

#[tokio::test]
async fn a_file_with_the_cookie_of_another_start_takes_no_write() {
    let place = Place::sqlite();
    let ledger = place.open().await;
    ledger.claim(key("before"), New, &BODY).await.unwrap();
    place.tamper("UPDATE ledger_settings SET value = 'another start' WHERE name = 'cookie'").await;
    replaced(ledger.claim(key("after"), New, &BODY).await);
    let claims: Vec<(i64,)> = place.query("SELECT COUNT(*) FROM ref_claims").await;
    assert_eq!(claims, [(1,)]);
    is_lost(&ledger).await;
}

/// The process's own checkpoints, and another one's reads and writes beside it, are no such thing.
#[tokio::test]
async fn a_long_life_beside_commands_and_readers_loses_nothing() {
    let place = Place::sqlite();
    let ledger = place.open().await;
    let refs: Vec<String> = (0..900).map(|n| format!("r{n}")).collect();
    for round in 0..3 {
        let claims = refs.iter().map(|reference| format!("{reference}-{round}"));
        for claim in claims {
            ledger.claim(key(&claim), New, &BODY).await.unwrap();
        }
        let beside = Ledger::open_beside(&place.settings()).await.unwrap();
        beside
            .open_new(conversion_shim::ledger::OperatorReason { operator: "ops".into(), why: "x".into() })
            .await
            .unwrap();
        beside.shutdown().await;
        assert_eq!(place.query::<(i64,)>("SELECT COUNT(*) FROM ref_claims").await, [(900 * (round + 1),)]);
    }
    let log = std::fs::metadata(place.directory.path().join("ledger.sqlite-wal")).unwrap().len();
    assert!(log < 40_000_000, "the log is copied into the file now and then: {log}");
    ledger.probe().await.unwrap();
}
