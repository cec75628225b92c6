//! `probe --pairs`: the same conversion on both sides, compared while it settles.

use std::time::Duration;

use conversion_shim::sandbox::{Fault, FaultKind, HiddenRecords, Operation, PROFILE, Variants};
use conversion_shim::translate::side::Side;
use serde_json::{Value, json};

use super::{prepared, probe};
use crate::identity::Deployment;
use crate::support::process::{Ran, run_with};

async fn pairs(deployment: &Deployment, count: &str, settle: &str) -> (Ran, Vec<Value>) {
    let log = deployment.path("pairs.jsonl");
    let arguments = [
        "--profile-id",
        PROFILE,
        "--pairs",
        count,
        "--pairs-log",
        log.to_str().unwrap(),
        "--settle",
        settle,
        "--format",
        "json",
    ];
    let ran = probe(deployment, &arguments).await;
    let lines = std::fs::read_to_string(&log).unwrap_or_default();
    let mut lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    if let Some(end) = lines.pop() {
        assert_eq!((&end["line"], &end["sequence"]), (&json!("end"), &json!(lines.len() + 1)), "{end}");
    }
    (ran, lines)
}

#[tokio::test]
async fn pairs_that_agree_are_evidence_for_each_route() {
    let (deployment, _) = prepared().await;
    let lag = FaultKind::Lag(HiddenRecords::YoungerThan(Duration::from_millis(400)));
    let lag = deployment.vendor.faults().arm(Fault::new(lag).on(Side::New, Operation::List));
    let (ran, records) = pairs(&deployment, "2", "2s").await;
    deployment.vendor.faults().remove(&lag);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.json()["verdicts"], json!({ "match": 8 }), "{ran:?}");
    assert_eq!(ran.json()["conversions"].as_array().unwrap().len(), 4);
    assert_eq!(records.len(), 8, "each pair as made, by id, by reference and in a list");
    assert!(
        records.iter().all(|record| record["kind"] == "pair" && record["both_held"] == true),
        "{records:?}"
    );
    assert!(!ran.out.is_empty() && records.iter().all(|record| !record.to_string().contains("Probe-Pair")));

    let log = deployment.path("pairs.jsonl");
    let report = run_with(&deployment.config(), &["report", "--format", "json", log.to_str().unwrap()]).await;
    let report = report.json();
    let routes = report["routes"].as_array().unwrap();
    let counts =
        routes.iter().map(|route| (route["route"].clone(), route["pairs"].clone(), route["paired"].clone()));
    let expected = [("create", 2), ("get", 4), ("list", 2)]
        .map(|(route, count)| (json!(route), json!(count), json!(count)));
    assert_eq!(counts.collect::<Vec<_>>(), expected, "{report}");
    // They are no clients': nothing claims them, and a walk leaves them out.
    assert_eq!(deployment.order(&["stats"]).await.row("claims"), "0");
}

#[tokio::test]
async fn a_pair_that_differs_is_found_on_every_way() {
    let (deployment, _) = prepared().await;
    let Value::Object(record_members) = json!({ "source_amount": "1.01" }) else { unreachable!() };
    deployment.vendor.inspector().set_variants(Variants { record_members, ..Variants::default() });
    let (ran, records) = pairs(&deployment, "1", "1s").await;
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert_eq!(ran.json()["verdicts"], json!({ "mismatch": 4 }), "{ran:?}");
    for record in &records {
        assert_eq!(record["severity"], "money", "{record}");
        assert!(record["diffs"][0]["path"].as_str().unwrap().ends_with("amount"), "{record}");
    }
    for (arguments, word) in [
        (&["--pairs", "1", "--profile-id", PROFILE][..], "--pairs-log"),
        (&["--pairs", "0", "--pairs-log", "x", "--profile-id", PROFILE], "--pairs"),
        (&["--pairs", "1", "--pairs-log", "x", "--read-only"], "--read-only"),
    ] {
        let ran = probe(&deployment, arguments).await;
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.contains(word), "{word}: {ran:?}");
    }
}
