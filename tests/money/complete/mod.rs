//! A ledger that knows every reference of a side answers the duplicate check alone: when it does, and what ends it, on all replicas.

mod answers;
mod mirrored;
mod withdrawn;

use conversion_shim::sandbox::{Operation, Sandbox};
use conversion_shim::translate::side::Side;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::support::ledger;
use crate::support::postgres::Postgres;
use crate::support::process::{Config, Ran, Shim, run, run_with};
use crate::support::test_bed::{Caller, conversion, new_record, old_record, vendor};

const KEYS: &str = "ledger.only_door = true\nreconcile.every = \"15m\"\nreconcile.window = \"24h\"\nreplicas = 2\n\
     auth.lookup.client_id = \"looker\"\nauth.lookup.client_secret = \"secret\"\nadmin.listen = \"127.0.0.1:0\"\n";

/// The config and the ledger of some replicas before a vendor.
struct Bed {
    vendor: Sandbox,
    config: Config,
    url: String,
    replicas: Vec<(Shim, Caller)>,
    /// What the ledger and the config begin with.
    named: String,
}

impl Bed {
    /// A ledger that is open for new, in that database.
    async fn on(url: Option<String>, stage: &str) -> Self {
        let vendor = vendor().await;
        let config = Config::new(&vendor);
        let replicas = if url.is_some() { 2 } else { 1 };
        let url = url.unwrap_or_else(|| format!("sqlite:{}", config.sqlite().display()));
        let named = format!("{}{}", ledger::keys(&url, true), KEYS.replace("= 2", &format!("= {replicas}")));
        let bed = Self { vendor, config, url, replicas: Vec::new(), named };
        bed.write(stage);
        bed
    }

    /// On each database, in `live`. Two replicas share the one of PostgreSQL.
    async fn each() -> Vec<Self> {
        let mut beds = vec![Self::on(None, "stage = \"live\"").await];
        if let Some(postgres) = Postgres::shared() {
            beds.push(Self::on(Some(postgres.fresh_database()), "stage = \"live\"").await);
        }
        beds
    }

    fn write(&self, more: &str) {
        self.config.write_only(&format!("{}{more}\n", self.named));
    }

    fn is_shared(&self) -> bool {
        self.url.starts_with("postgres")
    }

    async fn start(&mut self) {
        let shim = Shim::start(&self.config).await;
        let caller = Caller::of(shim.public("").trim_start_matches("http://").parse().unwrap());
        self.replicas.push((shim, caller));
    }

    fn admin(&self) -> String {
        self.replicas[0].0.admin_address().to_string()
    }

    fn caller(&self) -> &Caller {
        &self.replicas[0].1
    }

    async fn order(&self, arguments: &[&str]) -> Ran {
        run_with(&self.config.path(), arguments).await
    }

    async fn walk(&self, arguments: &[&str], code: i32) {
        let ran = self.order(&[arguments, &["--rate", "50"]].concat()).await;
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
    }

    /// Lets an hour pass since the last process started and the last walk ended.
    async fn an_hour_later(&self) {
        self.change(
            "UPDATE ledger_completeness SET unclaimed_us = unclaimed_us - 3600000000, walked_us = walked_us - 3600000000",
        )
        .await;
    }

    /// Makes both sides complete.
    async fn complete(&self) {
        self.walk(&["ledger", "backfill"], 0).await;
        self.walk(&["ledger", "backfill", "--side", "new"], 0).await;
        self.again().await;
    }

    /// Makes sides complete that were walked before.
    async fn again(&self) {
        self.an_hour_later().await;
        self.walk(&["reconcile"], 0).await;
        for side in ["legacy", "new"] {
            let found = self.stands(side).await;
            assert_eq!(found["complete"], true, "{side}: {found}");
        }
    }

    /// What the ledger says of a side.
    async fn stands(&self, side: &str) -> Value {
        self.order(&["ledger", "stats", "--json"]).await.json()["completeness"][side].take()
    }

    /// Runs a statement past the program.
    async fn change(&self, sql: &'static str) {
        if self.is_shared() {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            sqlx::query(sql).execute(&mut connection).await.unwrap();
        } else {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.config.sqlite());
            let mut connection = options.connect().await.unwrap();
            sqlx::query(sql).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
    }

    /// A record that a side made some minutes ago.
    fn seed(&self, side: Side, ref_id: &str, minutes_ago: i64) {
        let made = (Timestamp::now() - SignedDuration::from_mins(minutes_ago)).to_string();
        match side {
            Side::Legacy => self.vendor.inspector().seed_conversion(old_record(ref_id, &made)),
            Side::New => self.vendor.inspector().seed_orchestration(new_record(ref_id, &made)),
        };
    }

    /// Creates with a reference through each replica in turn, and returns whether every one looked on the other side first.
    async fn looks(&self, on: Side, prefix: &str) -> bool {
        let mut looked = Vec::new();
        for (number, (_, caller)) in self.replicas.iter().enumerate() {
            looked.push(self.looks_for(caller, on, &format!("{prefix}-{number}")).await);
        }
        assert!(looked.iter().all(|one| *one == looked[0]), "{looked:?}");
        looked[0]
    }

    async fn looks_for(&self, caller: &Caller, on: Side, ref_id: &str) -> bool {
        let inspector = self.vendor.inspector();
        let arrived = |side, operation| inspector.arrived(side, operation);
        let (lists, creates) = (arrived(on, Operation::List), arrived(on.other(), Operation::Create));
        let answer = caller.create(ref_id).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        assert_eq!(arrived(on.other(), Operation::Create), creates + 1);
        arrived(on, Operation::List) > lists
    }
}
