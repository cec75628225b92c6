//! What a command says of a database that is not the ledger, or that does not answer, and that it changes nothing of it.

use std::net::TcpListener;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::support::process::{Config, Ran, run_with};
use crate::support::test_bed::vendor;

async fn config() -> Config {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Config::new(&vendor().await)
}

const COMMANDS: [&[&str]; 4] =
    [&["serve"], &["trip", "now", "--why", "x"], &["ledger", "stats"], &["ledger", "open-new", "--why", "x"]];

/// The names and contents of what is beside the config, but for the config.
fn files(config: &Config) -> Vec<(String, Vec<u8>)> {
    let folder = config.path().parent().unwrap().to_owned();
    let all = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = all
        .filter(|path| path.extension().is_none_or(|extension| extension != "toml"))
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_file_of_another_program_is_refused_as_it_was() {
    let config = config().await;
    let options = SqliteConnectOptions::new().filename(config.sqlite()).create_if_missing(true);
    let mut other = options.connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE t (a); INSERT INTO t VALUES (1)").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    config.write_only(&format!("ledger.url = \"sqlite:{}\"\nledger.id = \"x\"\n", config.sqlite().display()));
    let before = files(&config);
    assert_eq!(before.len(), 1);
    for command in COMMANDS {
        let ran = run_with(&config.path(), command).await;
        assert!(ran.code.is_some_and(|code| code != 0) && ran.out.is_empty(), "{command:?}: {ran:?}");
        assert_eq!(files(&config).len(), 1, "{command:?} leaves a file");
        assert!(files(&config) == before, "{command:?} changed the file");
    }
}

#[tokio::test]
async fn an_empty_file_is_named() {
    let config = config().await;
    std::fs::write(config.sqlite(), "").unwrap();
    config.write_only(&format!("ledger.url = \"sqlite:{}\"\nledger.id = \"x\"\n", config.sqlite().display()));
    for command in COMMANDS {
        let ran = run_with(&config.path(), command).await;
        names(&ran, &config.sqlite().display().to_string());
    }
}

fn names(ran: &Ran, place: &str) {
    assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
    assert!(ran.err.contains("ledger.url") && ran.err.contains(place), "{place}: {ran:?}");
    assert!(!ran.err.contains("hunter2") && !ran.err.contains("somebody"), "{ran:?}");
}

/// One that takes the connection and never speaks, and one that is not there: host and port, and neither user nor password.
#[tokio::test]
async fn a_server_that_does_not_answer_is_named() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let places = [&silent, &gone].map(|server| server.local_addr().unwrap().to_string());
    drop(gone);
    for (place, why) in places.iter().zip(["did not open within 250 ms", "Connection refused"]) {
        let config = config().await;
        config.write_only(&format!(
            "ledger.url = \"postgres://somebody:hunter2@{place}/db?sslmode=disable\"\nledger.id = \"x\"\nledger.timeout = \"250ms\"\n"
        ));
        for command in COMMANDS {
            let ran = run_with(&config.path(), command).await;
            names(&ran, place);
            // Also of `ledger stats`, which has a minute to count.
            assert!(ran.err.contains(why), "{command:?}: {ran:?}");
        }
    }
}
