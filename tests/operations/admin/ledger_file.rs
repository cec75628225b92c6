//! The file of a SQLite ledger is taken away while the process runs: what would be written into it would be lost, so nothing is sent.

use conversion_shim::translate::side::Side;
use reqwest::StatusCode;
use serde_json::Value;

use super::{create, get, until, vendor};
use crate::support::process::{Config, Shim, run_with};

const WHY: &str = "the ledger file was removed or replaced";

async fn readiness(shim: &Shim) -> (StatusCode, Value) {
    get(shim.admin("/readyz")).await
}

fn tells_why((code, reported): &(StatusCode, Value)) -> bool {
    let reason = &reported["reasons"][0];
    *code == StatusCode::SERVICE_UNAVAILABLE
        && reason["kind"] == "ledger"
        && reason["detail"].as_str().is_some_and(|why| why.contains(WHY))
}

/// The creates that came to the vendor.
fn sent(vendor: &conversion_shim::sandbox::Sandbox) -> usize {
    let requests = vendor.inspector().requests();
    requests.iter().filter(|seen| seen.method == reqwest::Method::POST).count()
}

#[tokio::test]
async fn a_removed_ledger_file_refuses_creates_sends_nothing_and_says_why() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    assert_eq!(create(&shim, "before").await, StatusCode::OK);
    let before = sent(&vendor);

    std::fs::remove_file(config.sqlite()).unwrap();
    assert_eq!(create(&shim, "after").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(sent(&vendor), before, "nothing is sent on a claim that will be lost");
    assert_eq!(vendor.inspector().records(Side::New), 1);
    let reported = readiness(&shim).await;
    assert!(tells_why(&reported), "{reported:?}");

    // A file of that name is not the ledger that was lost.
    std::fs::write(config.sqlite(), "").unwrap();
    assert_eq!(create(&shim, "again").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(sent(&vendor), before);
}

#[tokio::test]
async fn a_replaced_ledger_file_is_detected_without_a_create() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    assert_eq!(create(&shim, "before").await, StatusCode::OK);
    let copy = config.sqlite().with_extension("copy");
    std::fs::copy(config.sqlite(), &copy).unwrap();
    std::fs::rename(&copy, config.sqlite()).unwrap();
    until(|| readiness(&shim), tells_why).await;
    assert_eq!(create(&shim, "after").await, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_removed_write_ahead_log_counts_as_well() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    assert_eq!(create(&shim, "before").await, StatusCode::OK);
    std::fs::remove_file(format!("{}-wal", config.sqlite().display())).unwrap();
    assert_eq!(create(&shim, "after").await, StatusCode::SERVICE_UNAVAILABLE);
    let reported = readiness(&shim).await;
    assert!(tells_why(&reported), "{reported:?}");
}

#[tokio::test]
async fn a_lock_of_another_program_is_named() {
    use sqlx::{ConnectOptions as _, Connection as _};
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"ready\"\n");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(config.sqlite());
    // As some tools leave a file that they have written.
    let mut other = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Delete).connect().await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    for command in [&["ledger", "stats"][..], &["ledger", "show", "r"], &["serve"]] {
        let ran = run_with(&config.path(), command).await;
        assert_ne!(ran.code, Some(0), "{ran:?}");
        assert!(ran.err.contains("another program has locked the file"), "{command:?} {ran:?}");
    }
    other.close().await.unwrap();
}
