//! Gates with several processes on one ledger: what each of them puts on record, and who may follow whom.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::Connection as _;

use crate::gates::{Deployment, facts};
use crate::support::ledger;
use crate::support::postgres::Postgres;
use crate::support::process::{Config, Shim, run_with};
use crate::support::soon;

const REPLICAS: &str = "replicas = 2\ngate.enforce = true\nadmin.listen = \"127.0.0.1:0\"\n";

/// The config of one replica on a PostgreSQL ledger.
fn replica(deployment: &Deployment, url: &str, more: &str) -> Config {
    let config = Config::new(&deployment.vendor);
    write(&config, url, more);
    config
}

fn write(config: &Config, url: &str, more: &str) {
    config.write_only(&format!("{}{REPLICAS}{more}\n", ledger::named(url, false)));
}

/// The rows about modes: the reason, and the modes after it.
async fn modes_on_record(config: &Config) -> Vec<(String, String)> {
    let audit = run_with(&config.path(), &["audit", "--format", "json"]).await.out;
    let rows = audit.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let modes = rows.filter(|row| row["kind"] == "modes");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    modes.map(|row| (text(&row["reason"]), text(&row["after"]))).collect()
}

async fn until_last_is(config: &Config, modes: &str) -> Vec<(String, String)> {
    soon(async {
        loop {
            let rows = modes_on_record(config).await;
            if rows.last().is_some_and(|(_, after)| after.starts_with(modes)) {
                return rows;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await
}

async fn reloads(shim: &Shim, config: &Config, url: &str, more: &str) {
    let reloaded = || shim.log().iter().filter(|line| line["message"] == "config reloaded").count();
    let before = reloaded();
    write(config, url, more);
    soon(async {
        while reloaded() == before {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// A replica writes what it puts in force, and never that another one differs.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_in_different_modes_write_one_row_for_each_change() {
    let Some(postgres) = Postgres::shared() else { return };
    let (deployment, url) = (Deployment::new().await, postgres.fresh_database());
    ledger::make(&url, false);
    let one = replica(&deployment, &url, "stage = \"observe\"");
    let first = Shim::start(&one).await;
    until_last_is(&one, "create legacy").await;
    let two = replica(&deployment, &url, "stage = \"shadow\"");
    let second = Shim::start(&two).await;
    until_last_is(&one, "create shadow").await;
    // Several polls, and a reload of each that changes no modes.
    for factor in ["0.5", "0.25", "0.125"] {
        reloads(&first, &one, &url, &format!("stage = \"observe\"\nshadow.match_sample = {factor}")).await;
        reloads(&second, &two, &url, &format!("stage = \"shadow\"\nshadow.match_sample = {factor}")).await;
    }
    // Each writes in order, so that a row before these is there as well.
    reloads(&first, &one, &url, "stage = \"shadow\"\nroutes.get = \"legacy\"").await;
    until_last_is(&one, "create shadow, get legacy").await;
    reloads(&second, &two, &url, "stage = \"shadow\"\nroutes.list = \"legacy\"").await;
    let rows = until_last_is(&one, "create shadow, get shadow, list legacy").await;
    let reasons: Vec<_> = rows.iter().map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(reasons, ["start", "start", "reload", "reload"], "{rows:?}");
}

/// Runs statements past the program.
async fn tamper(url: &str, sql: &str) {
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
}

/// The condition `replicas` of the step to canary.
async fn replicas(config: &Config) -> String {
    let ran = run_with(&config.path(), &["gate", "--to", "canary"]).await;
    ran.out.lines().find(|line| line.contains(", replicas: ")).unwrap_or_else(|| panic!("{ran:?}")).to_owned()
}

async fn until_replicas(config: &Config, says: &str) -> String {
    soon(async {
        loop {
            let line = replicas(config).await;
            if line.contains(says) {
                return line;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_replica_follows_the_first_and_each_has_to_report() {
    let Some(postgres) = Postgres::shared() else { return };
    let (deployment, url) = (Deployment::new().await, postgres.fresh_database());
    ledger::make(&url, false);
    let ready = "stage = \"ready\"\ntimeouts.create = \"1s\"\n";
    let one = replica(&deployment, &url, &format!("{}{ready}", facts(Timestamp::now())));
    let two = replica(&deployment, &url, ready);
    tamper(&url, "UPDATE conversion_migrations SET installed_on = '2020-01-01 00:00:00'").await;
    let alone = run_with(&two.path(), &["serve"]).await;
    assert!(alone.code == Some(3) && alone.err.contains("lacks facts: "), "{alone:?}");
    let first = Shim::start(&one).await;
    until_last_is(&one, "create shadow, get both").await;
    assert!(until_replicas(&one, "1 of 2 replicas report").await.starts_with("MISSING"));
    // What the first one needed evidence for is on record.
    let second = Shim::start(&two).await;
    let all = until_replicas(&one, "2 of 2 replicas report, 2 configured; 2 of them").await;
    assert!(all.starts_with("met"), "{all}");
    // A process that ended, whose clock was ahead, does not report.
    drop(second);
    let ahead = "UPDATE ledger_processes SET seen_at_us = seen_at_us + 3600000000 WHERE process = \
                 (SELECT process FROM ledger_processes WHERE modes IS NOT NULL ORDER BY started_at_us DESC LIMIT 1)";
    tamper(&url, ahead).await;
    let gone = until_replicas(&one, "1 of 2 replicas report").await;
    assert!(gone.starts_with("MISSING"), "{gone}");
    drop(first);
}
