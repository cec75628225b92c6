//! `probe` beside a running comparison: what it converts is not taken for a difference between the APIs.

use std::path::Path;
use std::time::Duration;

use conversion_shim::sandbox::{Operation, PROFILE};
use conversion_shim::shadow::probe_rows::is_probe_reference;
use conversion_shim::translate::side::Side;
use serde_json::{Value, json};

use super::{CONVERT, CREDENTIALS, probe};
use crate::identity::Deployment;
use crate::support::process::run_with;
use crate::support::test_bed::{new_record, old_record};

#[tokio::test]
async fn its_conversions_are_left_out_of_comparisons_and_counted() {
    let deployment = Deployment::new().await;
    deployment.write("");
    let id = deployment.init().await;
    let log = deployment.path("shadow.jsonl");
    deployment.write(&format!(
        "ledger.id = \"{id}\"\n{CREDENTIALS}\nstage = \"shadow\"\nshadow.match_sample = 1.0\nshadow.log = \"{}\"",
        log.display()
    ));
    let an_hour_ago = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1)).to_string();
    for ref_id in ["a", "b"] {
        let mut old = old_record(ref_id, &an_hour_ago);
        old["settled_at"] = json!(an_hour_ago);
        deployment.vendor.inspector().seed_conversion(old);
        deployment.vendor.inspector().seed_orchestration(new_record(ref_id, &an_hour_ago));
    }
    let pairs = deployment.path("pairs.jsonl");
    let pairs = ["--pairs", "1", "--pairs-log", pairs.to_str().unwrap(), "--settle", "1s"];
    for more in [&CONVERT[2..], &pairs] {
        let ran = probe(&deployment, &[&["--profile-id", PROFILE, "--format", "json"], more].concat()).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for made in ran.json()["conversions"].as_array().unwrap() {
            let ref_id = made["ref_id"].as_str().unwrap();
            assert!(is_probe_reference(ref_id), "{ref_id:?}");
        }
    }
    assert!(deployment.vendor.inspector().arrived(Side::New, Operation::Create) > 1);

    let (replica, caller) = deployment.serve().await;
    let queries = ["", "limit=3&order=DESC", "limit=2&order=ASC"];
    for query in queries {
        assert_eq!(caller.list(query).await.status, 200, "{query}");
    }
    let lines = crate::support::soon(comparisons(&log, queries.len())).await;
    replica.kill();
    for line in &lines {
        assert!(line["severity"].is_null() && line.get("diffs").is_none(), "{line}");
    }
    let whole = lines.iter().find(|line| line.get("query").is_none()).unwrap();
    assert_eq!((&whole["verdict"], &whole["both_held"]), (&json!("match"), &json!(true)), "{whole}");
    assert_eq!((&whole["counts"]["served"], &whole["counts"]["other"]), (&json!(2), &json!(2)), "{whole}");
    assert!(whole["counts"]["probe"].as_u64().unwrap() > 4, "{whole}");
    assert_eq!(
        whole["seen"],
        json!([{ "asset_pair": "USD/PYUSD", "status": "SETTLED", "count": 2 }]),
        "{whole}"
    );

    let report = run_with(&deployment.config(), &["report", "--route", "list", log.to_str().unwrap()]).await;
    assert!(report.out.contains(" rows of probe's own conversions were not compared\n"), "{report:?}");
}

/// The comparisons in a shadow log, once it has so many.
async fn comparisons(log: &Path, count: usize) -> Vec<Value> {
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let lines = text.lines().filter(|line| line.contains("\"comparison\""));
        let lines: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        if lines.len() == count {
            return lines;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
