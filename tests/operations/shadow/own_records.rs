//! Records that a create in `canary` made on the new API are read there again, and compared with what the create answered.

use std::path::Path;
use std::time::Duration;

use conversion_shim::sandbox::{
    Fault, FaultKind, ForeignRecord, HiddenRecords, Operation, PROFILE, Sandbox, TOKEN,
};
use conversion_shim::translate::side::Side;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::process::{Config, Shim, run_with};
use crate::support::soon;
use crate::support::test_bed::{LEGACY, conversion, vendor};

struct Canary {
    vendor: Sandbox,
    config: Config,
    shim: Shim,
    log: std::path::PathBuf,
}

impl Canary {
    async fn start(directory: &Path, percent: u8) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let vendor = vendor().await;
        let (config, log) = (Config::new(&vendor), directory.join("shadow.jsonl"));
        config.write(&format!(
            "stage = \"canary\"\ncanary.salt = \"s\"\ncanary.percent = {percent}\nshadow.log = \"{}\"\n\
             shadow.match_sample = 1.0\nbudget.shadow_share = 0.9\n",
            log.display()
        ));
        let shim = Shim::start(&config).await;
        Self { vendor, config, shim, log }
    }

    async fn create(&self, ref_id: &str) -> StatusCode {
        let request = reqwest::Client::new().post(self.shim.public(LEGACY)).bearer_auth(TOKEN);
        request.body(conversion(ref_id).to_string()).send().await.unwrap().status()
    }

    /// The comparisons that were written.
    fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["line"] == "comparison").collect()
    }

    async fn record(&self, number: usize) -> Value {
        soon(async {
            loop {
                if let Some(record) = self.records().into_iter().nth(number) {
                    return record;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_on_new_is_compared_with_what_new_shows_later() {
    let directory = tempfile::tempdir().unwrap();
    let canary = Canary::start(directory.path(), 100).await;
    // Lists show it late, so it is looked for until they do.
    let lag = FaultKind::Lag(HiddenRecords::YoungerThan(Duration::from_millis(500)));
    let lag = canary.vendor.faults().arm(Fault::new(lag).on(Side::New, Operation::List));
    assert_eq!(canary.create("late").await, StatusCode::OK);
    let record = canary.record(0).await;
    canary.vendor.faults().remove(&lag);
    assert_eq!((&record["kind"], &record["route"]), (&json!("self"), &json!("create")), "{record}");
    assert_eq!((&record["verdict"], &record["both_held"]), (&json!("match"), &json!(true)), "{record}");
    assert_eq!([&record["served"]["side"], &record["other"]["side"]], ["new", "new"], "{record}");

    // By its id it has another amount.
    let wrong = FaultKind::Foreign { shows: ForeignRecord::AnotherAmount };
    let wrong = canary.vendor.faults().arm(Fault::new(wrong).on(Side::New, Operation::Get));
    assert_eq!(canary.create("wrong").await, StatusCode::OK);
    let record = canary.record(1).await;
    canary.vendor.faults().remove(&wrong);
    assert_eq!((&record["verdict"], &record["severity"]), (&json!("mismatch"), &json!("money")), "{record}");
    assert_eq!(record["diffs"][0]["path"], "amount", "{record}");
    let arguments = ["report", "--format", "json", canary.log.to_str().unwrap()];
    let report = run_with(&canary.config.path(), &arguments).await.json();
    let create =
        report["routes"].as_array().unwrap().iter().find(|route| route["route"] == "create").unwrap();
    assert_eq!((&create["own"], &create["paired"]), (&json!(2), &json!(2)), "{create}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_canary_leaves_on_the_old_api_or_new_refuses_is_not_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let canary = Canary::start(directory.path(), 0).await;
    let reads = |operation| canary.vendor.inspector().arrived(Side::New, operation);
    assert_eq!(canary.create("on legacy").await, StatusCode::OK);
    let more = format!(
        "stage = \"canary\"\ncanary.salt = \"s\"\ncanary.profiles = [\"{PROFILE}\"]\nshadow.log = \"{}\"\n\
         shadow.match_sample = 1.0\nbudget.shadow_share = 0.9\n",
        canary.log.display()
    );
    canary.config.write(&more);
    canary.shim.logged("config reloaded").await;
    assert_eq!(canary.create("on legacy").await, StatusCode::CONFLICT, "a repeat");
    let before = (reads(Operation::Get), reads(Operation::Create));
    assert_eq!(canary.create("on new").await, StatusCode::OK);
    let record = canary.record(0).await;
    assert_eq!((&record["kind"], &record["verdict"]), (&json!("self"), &json!("match")), "{record}");
    assert_eq!((reads(Operation::Get), reads(Operation::Create)), (before.0 + 1, before.1 + 1));
    assert_eq!(canary.records().len(), 1, "the old API's record is none of new's");
}
