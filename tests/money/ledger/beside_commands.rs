//! The process that serves on SQLite, beside other processes that write: what they leave in the write-ahead log is not a file that was
//! overwritten, and a log that was overwritten is found out whatever they write.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use conversion_shim::ledger::{Ledger, LedgerError, Settings};
use conversion_shim::translate::side::Side::New;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};

use super::{BODY, Place, key};

fn log_of(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", file.display()))
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

async fn run(connection: &mut SqliteConnection, sql: &'static str) {
    sqlx::query(sql).execute(connection).await.unwrap();
}

/// Another process's connection, whose pages go into the log before it commits.
async fn writer_without_cache(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file).pragma("wal_autocheckpoint", "0");
    let mut connection = options.busy_timeout(Duration::from_secs(20)).connect().await.unwrap();
    run(&mut connection, "PRAGMA cache_size = 1").await;
    connection
}

/// Writes into the log, and leaves the transaction open.
async fn write_uncommitted(connection: &mut SqliteConnection, file: &Path) {
    let before = length(&log_of(file));
    run(connection, "BEGIN IMMEDIATE").await;
    run(connection, "CREATE TABLE scratch (content BLOB)").await;
    for _ in 0..50 {
        run(connection, "INSERT INTO scratch VALUES (randomblob(20000))").await;
    }
    assert!(length(&log_of(file)) > before + 400_000, "its pages are in the log");
}

async fn served(ledger: &Ledger, place: &Place, ref_ids: &[&str]) {
    for ref_id in ref_ids {
        let claim = ledger.reader().claim_by_ref(key(ref_id)).await.unwrap();
        assert_eq!(claim.map(|claim| claim.side), Some(New), "{ref_id}");
    }
    ledger.probe().await.unwrap();
    assert!(!place.directory.path().join("ledger.sqlite.replaced").exists());
}

#[tokio::test]
async fn a_transaction_that_is_under_way_elsewhere_is_waited_for() {
    let place = Place::sqlite();
    // The claim beside it is given up after half of this.
    let settings = Settings { timeout: Duration::from_secs(2), ..place.settings() };
    let ledger = Ledger::open(&settings).await.unwrap();
    ledger.claim(key("before"), New, &BODY).await.unwrap();
    let mut other = writer_without_cache(&place.file()).await;
    write_uncommitted(&mut other, &place.file()).await;
    let meanwhile = ledger.claim(key("meanwhile"), New, &BODY).await;
    assert!(
        matches!(meanwhile, Err(LedgerError::Unavailable(_) | LedgerError::Timeout)),
        "it waits, and draws no conclusion: {meanwhile:?}"
    );
    run(&mut other, "COMMIT").await;
    ledger.claim(key("after"), New, &BODY).await.unwrap();
    served(&ledger, &place, &["before", "after"]).await;
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_elsewhere_changes_nothing() {
    let place = Place::sqlite();
    let ledger = place.open().await;
    ledger.claim(key("before"), New, &BODY).await.unwrap();
    let mut other = writer_without_cache(&place.file()).await;
    write_uncommitted(&mut other, &place.file()).await;
    run(&mut other, "ROLLBACK").await;
    ledger.claim(key("after"), New, &BODY).await.unwrap();
    served(&ledger, &place, &["before", "after"]).await;
}

/// A command's frames are all in the log, the last one with the mark of a commit, but it died before it told anybody.
#[tokio::test]
async fn a_commit_that_was_cut_off_before_it_was_known_changes_nothing() {
    let place = Place::sqlite();
    let ledger = place.open().await;
    ledger.claim(key("before"), New, &BODY).await.unwrap();
    let (log, copy) = (log_of(&place.file()), place.directory.path().join("copy.sqlite"));
    std::fs::copy(place.file(), &copy).unwrap();
    std::fs::copy(&log, log_of(&copy)).unwrap();
    let mut elsewhere = writer_without_cache(&copy).await;
    run(&mut elsewhere, "CREATE TABLE scratch (content BLOB)").await;
    let (old, new) = (std::fs::read(&log).unwrap(), std::fs::read(log_of(&copy)).unwrap());
    let end = (0..new.len()).find(|&at| old.get(at) != Some(&new[at])).unwrap();
    assert!(end > 4096, "the copy goes on in the same log: {end}");
    let file = std::fs::File::options().write(true).open(&log).unwrap();
    file.write_all_at(&new[end..], end as u64).unwrap();
    ledger.claim(key("after"), New, &BODY).await.unwrap();
    served(&ledger, &place, &["before", "after"]).await;
    ledger.shutdown().await;
    served(&place.open().await, &place, &["before", "after"]).await;
}

/// Both sides draw conclusions: the process that serves and the command.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_commit_all_the_time_are_no_overwritten_file() {
    let place = Place::sqlite();
    let ledger = place.open().await;
    let beside = Ledger::open_beside(&place.settings()).await.unwrap();
    let claiming = |ledger: Ledger, name: &'static str| async move {
        for n in 0..150 {
            ledger.claim(key(&format!("{name}-{n}")), New, &BODY).await.unwrap();
        }
    };
    let file = place.file();
    let writing = async move {
        let mut other = writer_without_cache(&file).await;
        run(&mut other, "CREATE TABLE scratch (content BLOB)").await;
        for _ in 0..50 {
            run(&mut other, "BEGIN IMMEDIATE").await;
            for _ in 0..10 {
                run(&mut other, "INSERT INTO scratch VALUES (randomblob(50000))").await;
            }
            run(&mut other, "COMMIT").await;
        }
    };
    let all = [
        tokio::spawn(claiming(ledger.clone(), "serve")),
        tokio::spawn(claiming(beside.clone(), "beside")),
        tokio::spawn(writing),
    ];
    for done in all {
        done.await.unwrap();
    }
    served(&ledger, &place, &["serve-0", "serve-149", "beside-0", "beside-149"]).await;
}

/// Writes, and is killed before it commits; run by the next test in a process of its own.
#[tokio::test]
async fn child_that_is_killed_in_its_transaction() {
    let Ok(file) = std::env::var("LEDGER_OF_THE_COMMAND") else { return };
    let mut connection = writer_without_cache(Path::new(&file)).await;
    write_uncommitted(&mut connection, Path::new(&file)).await;
    println!("written");
    // Its input ends with the test.
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[tokio::test]
async fn a_command_that_is_killed_in_its_transaction_changes_nothing() {
    let place = Place::sqlite();
    let ledger = place.open().await;
    ledger.claim(key("before"), New, &BODY).await.unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ledger::beside_commands::child_that_is_killed_in_its_transaction", "--nocapture"])
        .env("LEDGER_OF_THE_COMMAND", place.file())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("written")));
    child.kill().unwrap();
    child.wait().unwrap();
    for ref_id in ["after-1", "after-2"] {
        ledger.claim(key(ref_id), New, &BODY).await.unwrap();
    }
    served(&ledger, &place, &["before", "after-1", "after-2"]).await;
}

/// Its length says nothing: another process wrote behind the place where the lost claim was.
#[tokio::test]
async fn a_log_that_is_overwritten_is_found_out_though_another_process_wrote_into_it() {
    let place = Place::sqlite();
    let ledger = place.open().await;
    ledger.claim(key("before"), New, &BODY).await.unwrap();
    let log = log_of(&place.file());
    let older = std::fs::read(&log).unwrap();
    for ref_id in ["lost-1", "lost-2", "lost-3"] {
        ledger.claim(key(ref_id), New, &BODY).await.unwrap();
    }
    let mut other = writer_without_cache(&place.file()).await;
    write_uncommitted(&mut other, &place.file()).await;
    run(&mut other, "ROLLBACK").await;
    let longer = length(&log);
    std::fs::write(&log, older).unwrap();
    std::fs::File::options().write(true).open(&log).unwrap().set_len(longer).unwrap();
    let after = ledger.claim(key("after"), New, &BODY).await;
    assert!(matches!(after, Err(LedgerError::Replaced)), "{after:?}");
    assert!(place.directory.path().join("ledger.sqlite.replaced").exists());
}

#[tokio::test]
async fn the_log_stays_short_though_a_command_writes_much() {
    let place = Place::sqlite();
    let ledger = place.open().await;
    let mut other = writer_without_cache(&place.file()).await;
    run(&mut other, "CREATE TABLE scratch (content BLOB)").await;
    for n in 0..60 {
        run(&mut other, "INSERT INTO scratch VALUES (randomblob(1000000))").await;
        ledger.claim(key(&format!("r{n}")), New, &BODY).await.unwrap();
    }
    let log = length(&log_of(&place.file()));
    assert!(log < 20_000_000, "the log is copied into the file when it is long: {log}");
    served(&ledger, &place, &["r0", "r59"]).await;
}
