//! `/readyz` follows the ledger and the drain; `/livez` follows neither.

use conversion_shim::sandbox::{Fault, FaultKind, Operation};
use conversion_shim::translate::side::Side;
use reqwest::StatusCode;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::{create, get, until, vendor};
use crate::support::ledger;
use crate::support::postgres::Postgres;
use crate::support::process::{Config, Shim, run, run_with};

async fn readiness(shim: &Shim) -> (StatusCode, Value) {
    get(shim.admin("/readyz")).await
}

/// The exit code of a container's health check.
async fn healthy(shim: &Shim) -> Option<i32> {
    run(&["status", "--ready", "--admin", &shim.admin_address().to_string()]).await.code
}

fn is_down(answer: &(StatusCode, Value)) -> bool {
    answer.0 == StatusCode::SERVICE_UNAVAILABLE
}

fn is_ready(answer: &(StatusCode, Value)) -> bool {
    answer.0 == StatusCode::OK
}

#[tokio::test]
async fn it_flips_with_a_sqlite_ledger_and_back_without_a_clients_help() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\nledger.timeout = \"500ms\"\n");
    let shim = Shim::start(&config).await;
    let (code, ready) = readiness(&shim).await;
    assert_eq!((code, ready), (StatusCode::OK, serde_json::json!({"ready": true, "reasons": []})));

    let mut blocker = SqliteConnectOptions::new().filename(config.sqlite()).connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut blocker).await.unwrap();
    assert_eq!(create(&shim, "while-down").await, StatusCode::SERVICE_UNAVAILABLE);
    let (code, down) = readiness(&shim).await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((&down["ready"], &down["reasons"][0]["kind"]), (&false.into(), &"ledger".into()));
    assert!(down["reasons"][0]["since"].is_string() && down["reasons"][0]["detail"].is_string(), "{down}");
    assert_eq!(get(shim.admin("/livez")).await.0, StatusCode::OK);
    let status = get(shim.admin("/status")).await.1;
    assert_eq!(status["ledger"]["health"], "down");
    assert_eq!(status["ledger"]["down_since"], down["reasons"][0]["since"]);
    assert_eq!(status["ledger"].get("created_on_new"), None, "unknown values are left out");
    let reported = run(&["status", "--admin", &shim.admin_address().to_string()]).await;
    assert_eq!(reported.code, Some(0), "{reported:?}");
    assert!(reported.row("ready").starts_with("no, ledger since"), "{reported:?}");
    assert_eq!(healthy(&shim).await, Some(1));
    assert!(reported.row("new API").starts_with("unknown"), "{reported:?}");

    sqlx::query("ROLLBACK").execute(&mut blocker).await.unwrap();
    blocker.close().await.unwrap();
    until(|| readiness(&shim), is_ready).await;
    assert_eq!(healthy(&shim).await, Some(0));
    assert_eq!(create(&shim, "while-down").await, StatusCode::OK);
}

#[tokio::test]
async fn readiness_follows_an_idle_postgresql_ledger_and_never_prints_the_password() {
    let Some(cluster) = Postgres::start_new() else { return };
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    let url = cluster.fresh_database().replace("postgres@", "postgres:hunter2@");
    ledger::make(&url, true);
    let url = config.file("ledger.url", &url);
    config.write_only(&format!(
        "stage = \"live\"\nreplicas = 2\nadmin.listen = \"127.0.0.1:0\"\nledger.url_file = \"{}\"\nledger.id = \"{}\"\n\
         ledger.new_in_use = true\n",
        url.display(),
        ledger::ID
    ));
    let shim = Shim::start(&config).await;
    assert_eq!(create(&shim, "before").await, StatusCode::OK);
    assert!(is_ready(&readiness(&shim).await));
    let mut reported = Vec::new();
    reported.extend(everything(&shim, &config).await);
    assert!(reported.iter().any(|text| text.contains("creates since")), "{reported:?}");

    cluster.stop();
    until(|| readiness(&shim), is_down).await;
    reported.extend(everything(&shim, &config).await);
    let ledger = run_with(&config.path(), &["ledger", "show", "before"]).await;
    assert_eq!(ledger.code, Some(1), "could not look is not absent: {ledger:?}");

    cluster.start();
    until(|| readiness(&shim), is_ready).await;
    let log: Vec<_> = shim.log().iter().map(ToString::to_string).collect();
    for text in reported.iter().chain(&log) {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

/// Everything that can be asked for, as it is answered.
async fn everything(shim: &Shim, config: &Config) -> Vec<String> {
    let mut reported = Vec::new();
    for path in ["/livez", "/readyz", "/status", "/metrics", "/nothing"] {
        reported.push(reqwest::get(shim.admin(path)).await.unwrap().text().await.unwrap());
    }
    let admin = shim.admin_address().to_string();
    let asked = run(&["status", "--admin", &admin]).await;
    let shown = run_with(&config.path(), &["ledger", "show", "before"]).await;
    let counted = run_with(&config.path(), &["ledger", "stats"]).await;
    reported.extend([asked, shown, counted].map(|ran| ran.out + &ran.err));
    reported
}

#[tokio::test]
async fn it_says_draining_until_the_last_request_is_through() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let mut shim = Shim::start(&config).await;
    let gate =
        vendor.faults().arm(Fault::new(FaultKind::Gate { applied: false }).on(Side::New, Operation::Create));
    let client = {
        let (url, body) = (shim.public("/v2/conversion/stablecoins"), body("in-flight"));
        let request =
            reqwest::Client::new().post(url).bearer_auth(conversion_shim::sandbox::TOKEN).json(&body);
        tokio::spawn(async move { request.send().await.unwrap().status() })
    };
    gate.reached(1).await;
    assert_eq!(get(shim.admin("/status")).await.1["writes_in_flight"], 1);
    shim.signal("-TERM");
    let (_, draining) = until(|| readiness(&shim), is_down).await;
    assert_eq!(draining["reasons"][0]["kind"], "draining");
    assert_eq!(get(shim.admin("/livez")).await.0, StatusCode::OK);
    shim.logged("draining").await;
    gate.open();
    assert_eq!(client.await.unwrap(), StatusCode::OK);
    assert_eq!(shim.ended().await, Some(0));
}

fn body(ref_id: &str) -> Value {
    serde_json::json!({
        "profile_id": conversion_shim::sandbox::PROFILE, "amount": "1", "source_asset": "USD", "target_asset": "PYUSD",
        "ref_id": ref_id,
    })
}
