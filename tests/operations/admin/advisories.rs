//! Advisories: sealing soon after creates on the old API, a ledger that is younger than the first create on the new one, a reload that
//! skips a stage.

use conversion_shim::sandbox::Sandbox;
use reqwest::StatusCode;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::{create, get, until, vendor};
use crate::support::ledger;
use crate::support::postgres::Postgres;
use crate::support::process::{Config, Shim, run};

async fn status(shim: &Shim) -> Value {
    get(shim.admin("/status")).await.1
}

fn advisory<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["advisories"].as_array().unwrap().iter().find(|advisory| advisory["kind"] == kind)
}

async fn gauge(shim: &Shim, series: &str) -> Option<f64> {
    let text = reqwest::get(shim.admin("/metrics")).await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("conversion_shim_{series} ")));
    line.map(|value| value.parse().unwrap())
}

async fn status_output(shim: &Shim) -> String {
    run(&["status", "--admin", &shim.admin_address().to_string()]).await.out
}

/// Creates on the old API, then seals.
async fn sealed(vendor: &Sandbox, config: &Config) -> Shim {
    config.write("stage = \"ready\"\n");
    let shim = Shim::start(config).await;
    assert_eq!(create(&shim, "one").await, StatusCode::OK);
    assert_eq!(create(&shim, "two").await, StatusCode::OK);
    assert_eq!(vendor.inspector().records(conversion_shim::translate::side::Side::Legacy), 2);
    assert!(advisory(&status(&shim).await, "sealed_early").is_none());
    config.write("stage = \"sealed\"\n");
    until(|| status(&shim), |now| now["stage"] == "sealed").await;
    shim
}

#[tokio::test]
async fn sealing_soon_after_creates_on_the_old_api_is_reported() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    let shim = sealed(&vendor, &config).await;
    let now = status(&shim).await;
    let active = advisory(&now, "sealed_early").unwrap_or_else(|| panic!("{now}"));
    let detail = active["detail"].as_str().unwrap();
    assert!(detail.contains("2 claims there of the last 7 days, the newest of 20"), "{detail}");
    assert!(status_output(&shim).await.contains(detail), "for people too");
    assert_eq!(now["readiness"]["ready"], true, "it is allowed");
    assert_eq!(gauge(&shim, "advisory_active{advisory=\"sealed_early\"}").await, Some(1.0));
    let line = shim.logged(detail).await;
    assert_eq!([&line["level"], &line["advisory"]], ["WARN", "sealed_early"]);

    // Open again, and it is over.
    config.write("stage = \"live\"\n");
    until(|| status(&shim), |now| now["stage"] == "live" && advisory(now, "sealed_early").is_none()).await;
    assert_eq!(gauge(&shim, "advisory_active{advisory=\"sealed_early\"}").await, Some(0.0));
}

#[tokio::test]
async fn sealing_long_after_creates_on_the_old_api_is_not_reported() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    drop(sealed(&vendor, &config).await);
    change(&config, "UPDATE ref_claims SET created_at_us = created_at_us - 8 * 86400000000").await;
    let shim = Shim::start(&config).await;
    assert!(advisory(&status(&shim).await, "sealed_early").is_none());
}

/// Changes the ledger of a proxy that has ended.
async fn change(config: &Config, sql: &'static str) {
    let mut ledger = SqliteConnectOptions::new().filename(config.sqlite()).connect().await.unwrap();
    sqlx::query(sql).execute(&mut ledger).await.unwrap();
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn a_ledger_younger_than_creates_on_the_new_api_is_reported_after_restarts_too() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    let before = status(&shim).await;
    let active = advisory(&before, "young_ledger").unwrap_or_else(|| panic!("{before}")).clone();
    let detail = active["detail"].as_str().unwrap();
    assert!(detail.contains("check that this is the right ledger"), "{detail}");
    assert_eq!(shim.logged(detail).await["level"], "WARN");
    assert_eq!(create(&shim, "one").await, StatusCode::OK);
    drop(shim);

    let shim = Shim::start(&config).await;
    let after = status(&shim).await;
    assert_eq!(
        advisory(&after, "young_ledger").expect("a restart changes nothing")["since"],
        active["since"]
    );
    let out = status_output(&shim).await;
    assert!(out.contains("ADVISORY") && out.contains(active["since"].as_str().unwrap()), "{out}");
    assert_eq!(gauge(&shim, "advisory_active{advisory=\"young_ledger\"}").await, Some(1.0));
    drop(shim);

    change(&config, "UPDATE conversion_migrations SET installed_on = '2020-01-01 00:00:00'").await;
    let shim = Shim::start(&config).await;
    assert!(advisory(&status(&shim).await, "young_ledger").is_none());
    assert_eq!(gauge(&shim, "ledger_created_timestamp_seconds").await, Some(1_577_836_800.0));
    assert_eq!(gauge(&shim, "advisory_active{advisory=\"young_ledger\"}").await, Some(0.0));
}

#[tokio::test]
async fn a_postgresql_ledger_shows_when_it_was_created_and_starts_without_warnings() {
    let Some(postgres) = Postgres::shared() else { return };
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    let more = format!(
        "{}admin.listen = \"127.0.0.1:0\"\nstage = \"live\"\n",
        ledger::keys(&postgres.fresh_database(), true)
    );
    config.write_only(&more);
    for _ in 0..2 {
        let shim = Shim::start(&config).await;
        assert!(advisory(&status(&shim).await, "young_ledger").is_some());
        assert!(gauge(&shim, "ledger_created_timestamp_seconds").await.is_some_and(|at| at > 1.7e9));
        let log = shim.log();
        assert!(!log.iter().any(|line| line.to_string().contains("already exists")), "{log:?}");
    }
}

#[tokio::test]
async fn a_reload_to_live_without_a_comparison_before_is_logged_once() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"observe\"\n");
    let shim = Shim::start(&config).await;
    config.write("stage = \"live\"\n");
    let message = "creates go to the new API, but the previous stage compared nothing: no report covers this step (docs/runbook.md)";
    let line = shim.logged(message).await;
    assert_eq!([&line["level"], &line["from"], &line["to"]], ["WARN", "observe", "live"]);
}

#[tokio::test]
async fn a_reload_to_live_from_a_stage_that_does_not_read_new_is_logged_once() {
    let Some(postgres) = Postgres::shared() else { return };
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    let url = postgres.fresh_database();
    let write = |new_in_use: bool, stage: &str| {
        let ledger = ledger::keys(&url, new_in_use);
        config.write_only(&format!(
            "{ledger}admin.listen = \"127.0.0.1:0\"\nreplicas = 2\nstage = \"{stage}\"\n"
        ));
    };
    write(false, "shadow");
    let shim = Shim::start(&config).await;
    write(true, "live");
    let message = "creates go to the new API, but the previous stage did not read there: a replica that has not reloaded yet cannot see them";
    let line = shim.logged(message).await;
    assert_eq!([&line["level"], &line["from"], &line["to"]], ["WARN", "shadow", "live"]);
    assert!(!shim.log().iter().any(|line| line["message"].as_str().unwrap().contains("compared nothing")));
}
