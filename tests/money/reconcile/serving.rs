//! Reconcile inside `serve`: one replica at a time, and all of them report what was found.

use std::time::Duration;

use conversion_shim::sandbox::{Operation, Sandbox};
use conversion_shim::translate::side::Side;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::support::postgres::Postgres;
use crate::support::process::{Config, Shim, run, run_with};
use crate::support::test_bed::{new_record, old_record, vendor};
use crate::support::{ledger, soon};

const RECONCILE: &str = "stage = \"live\"\nreconcile.every = \"300ms\"\nreconcile.window = \"24h\"\nreplicas = 2\n\
     auth.lookup.client_id = \"looker\"\nauth.lookup.client_secret = \"secret\"\nadmin.listen = \"127.0.0.1:0\"\n";

fn seed(vendor: &Sandbox, side: Side, ref_id: &str, minutes_ago: i64) {
    let made = (Timestamp::now() - SignedDuration::from_mins(minutes_ago)).to_string();
    match side {
        Side::Legacy => vendor.inspector().seed_conversion(old_record(ref_id, &made)),
        Side::New => vendor.inspector().seed_orchestration(new_record(ref_id, &made)),
    };
}

async fn status(shim: &Shim) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(shim.admin("/status")).send().await.unwrap().json().await.unwrap()
}

/// Waits until a replica reports what a walk found.
async fn reported(shim: &Shim, expected: impl Fn(&Value) -> bool) -> Value {
    soon(async {
        loop {
            let found = status(shim).await["reconcile"].take();
            if expected(&found) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_walks_and_every_replica_reports() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Some(postgres) = Postgres::shared() else { return };
    let vendor = vendor().await;
    seed(&vendor, Side::Legacy, "r", 60);
    seed(&vendor, Side::New, "r", 90);
    seed(&vendor, Side::Legacy, "young", 5);
    let url = postgres.fresh_database();
    let config = Config::new(&vendor);
    config.write_only(&format!("{}{RECONCILE}", ledger::keys(&url, true)));
    let replicas = [Shim::start(&config).await, Shim::start(&config).await];
    for replica in &replicas {
        let found = reported(replica, |found| found["findings"]["double"] == 1).await;
        assert_eq!((&found["clean"], &found["records"]), (&Value::from(false), &Value::from(2)), "{found}");
        let metrics = reqwest::get(replica.admin("/metrics")).await.unwrap().text().await.unwrap();
        assert!(metrics.contains("conversion_shim_reconcile_findings{kind=\"double\"} 1"), "{metrics}");
        let page = reqwest::get(replica.admin("/")).await.unwrap().text().await.unwrap();
        assert!(page.contains("id=\"reconcile\""), "no panel");
    }
    assert!(vendor.inspector().arrived(Side::Legacy, Operation::List) >= 1);
    // However many replicas there are, one walk begins when the one before has ended.
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    let walks: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT started_at_us, updated_at_us FROM ledger_walks WHERE state = 'findings' ORDER BY started_at_us",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(walks.windows(2).all(|two| two[0].1 <= two[1].0), "{walks:?}");
    let address = replicas[0].admin_address().to_string();
    let text = run(&["status", "--admin", &address]).await;
    assert!(text.out.contains("findings at"), "{text:?}");
}

/// Runs statements past the program.
async fn change(config: &Config, sql: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(config.sqlite());
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_during_a_long_outage_is_walked() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    let url = format!("sqlite:{}", config.sqlite().display());
    let keys = RECONCILE.replace("= \"24h\"", "= \"1h\"").replace("= 2", "= 1");
    config.write_only(&format!("{}{keys}", ledger::keys(&url, true)));
    let before = Shim::start(&config).await;
    reported(&before, |found| found["clean"] == true).await;
    drop(before);
    change(
        &config,
        "UPDATE ledger_walks SET begin_us = begin_us - 18000000000, end_us = end_us - 18000000000, \
         started_at_us = started_at_us - 18000000000, updated_at_us = updated_at_us - 18000000000",
    )
    .await;
    seed(&vendor, Side::Legacy, "meanwhile", 180);
    let _after = Shim::start(&config).await;
    soon(async {
        while run_with(&config.path(), &["ledger", "show", "meanwhile"]).await.code != Some(0) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_over_less_than_the_window_is_not_the_last_one() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    let url = format!("sqlite:{}", config.sqlite().display());
    let keys = RECONCILE.replace("300ms", "15m").replace("= 2", "= 1");
    config.write_only(&format!("{}{keys}", ledger::keys(&url, true)));
    let narrow = run_with(&config.path(), &["reconcile", "--from", "20m"]).await;
    assert_eq!(narrow.code, Some(0), "{narrow:?}");
    let shim = Shim::start(&config).await;
    let found = reported(&shim, |found| found["clean"] == true).await;
    let time = |key: &str| found[key].as_str().unwrap().parse::<Timestamp>().unwrap();
    let window = time("window_end").duration_since(time("window_begin"));
    assert!(window >= SignedDuration::from_hours(24), "{found}");
}

#[tokio::test]
async fn walks_need_a_ledger_credentials_and_a_share_of_the_rate_limit() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write_only("reconcile.every = \"15m\"\nbudget.shadow_share = 0.0\nreconcile.window = \"1m\"\n");
    let ran = run_with(&config.path(), &["check"]).await;
    assert_eq!(ran.code, Some(3));
    for problem in ["reconcile.window: is shorter", "no ledger", "[auth.lookup]", "budget.shadow_share is 0"]
    {
        assert!(ran.err.contains(problem) || ran.out.contains(problem), "{problem}: {ran:?}");
    }
}
