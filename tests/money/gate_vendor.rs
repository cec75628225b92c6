//! Gates and the vendor: what was shown of other hosts, or for another tenant, is no evidence here.

use jiff::{SignedDuration, Timestamp};

use crate::gate_evidence::{LIVE, deployment, line, shadow_log};
use crate::gates::{Deployment, status};
use crate::support::process::{Ran, Shim, run_with};
use crate::support::soon;
use crate::support::story::HOSTS;

const READY: &str = "creates none, reads both";

async fn run(deployment: &Deployment, arguments: &[&str]) -> Ran {
    run_with(&deployment.config.path(), arguments).await
}

/// Puts the deployment's hosts on record, as its first start does.
async fn serve_once(deployment: &Deployment) {
    let mut shim = Shim::start(&deployment.config).await;
    shim.signal("-TERM");
    assert_eq!(shim.ended().await, Some(0));
}

/// The vendor at another port.
const ELSEWHERE: [&str; 4] =
    ["--set", "upstream.legacy.url=http://127.0.0.1:1/v2", "--set", "upstream.new.url=http://127.0.0.1:1/v2"];

#[tokio::test(flavor = "multi_thread")]
async fn what_serve_refuses_gate_and_report_refuse_as_well() {
    let deployment = deployment(LIVE, "").await;
    serve_once(&deployment).await;
    let log = shadow_log(&deployment);
    for other in [&ELSEWHERE[..], &["--set", "ledger.tenant=unknown"], &["--set", "ledger.new_in_use=false"]]
    {
        for command in [&["gate", "--to", "live"][..], &["report", "--record", &log], &["serve"]] {
            let ran = run(&deployment, &[command, other].concat()).await;
            assert!(ran.code == Some(3) && ran.out.is_empty(), "{command:?} {other:?}: {ran:?}");
        }
    }
    let audit = run(&deployment, &["audit"]).await.out;
    assert!(!audit.contains("evidence"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn comparisons_on_other_hosts_prove_nothing() {
    let deployment = deployment(READY, "").await;
    deployment.age_ledger().await;
    let log = shadow_log(&deployment);
    let text = std::fs::read_to_string(&log).unwrap();
    let foreign = text.replacen(&deployment.hosts(), "legacy=elsewhere:443 new=elsewhere:443", 1);
    let named = format!("\"hosts\":\"{}\",", deployment.hosts());
    let without = text.replace(&named, "");
    assert!(without.len() < text.len() && !without.contains(HOSTS));
    for (name, lines, says) in [
        ("foreign.log", foreign, "such as legacy=elsewhere:443 new=elsewhere:443"),
        ("older.log", without, "without hosts, of an older version: begin after it with --since"),
    ] {
        let log = deployment.config.file(name, &lines).to_str().unwrap().to_owned();
        let ran = run(&deployment, &["report", "--record", &log]).await;
        assert!(ran.code == Some(7) && ran.out.contains(says), "{ran:?}");
        let report = line(&deployment, "canary", "report").await;
        assert!(report.starts_with("MISSING") && report.contains("lacks hosts"), "{report}");
        // Nobody asks about them while nothing is recorded.
        assert_eq!(run(&deployment, &["report", &log]).await.code, Some(0));
    }
    assert_eq!(run(&deployment, &["report", "--record", &log]).await.code, Some(0));
    let report = line(&deployment, "canary", "report").await;
    assert!(report.starts_with("met"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn comparisons_from_before_the_ledger_or_its_hosts_prove_nothing() {
    let deployment = deployment(READY, "").await;
    deployment.write("stage = \"ready\"");
    let log = shadow_log(&deployment);
    assert_eq!(run(&deployment, &["report", "--record", &log]).await.code, Some(0));
    let report = line(&deployment, "canary", "report").await;
    assert!(report.starts_with("MISSING") && report.contains("before the ledger was made"), "{report}");
    deployment.age_ledger().await;
    let report = line(&deployment, "canary", "report").await;
    assert!(report.starts_with("met"), "{report}");
    serve_once(&deployment).await;
    // Recorded after the hosts were, about a time before.
    assert_eq!(run(&deployment, &["report", "--record", &log]).await.code, Some(0));
    let report = line(&deployment, "canary", "report").await;
    assert!(
        report.starts_with("MISSING") && report.contains("before the ledger's hosts were put on record"),
        "{report}"
    );
    let earlier = (Timestamp::now() - SignedDuration::from_hours(1)).as_microsecond();
    deployment.tamper(&format!("UPDATE ledger_settings SET at_us = {earlier} WHERE name = 'hosts'")).await;
    let report = line(&deployment, "canary", "report").await;
    assert!(report.starts_with("met"), "{report}");
}

/// Each has to show its own evidence, whatever the ledger's other tenants went through.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_tenant_goes_forward_with_evidence_of_its_own() {
    let deployment = deployment(LIVE, "").await;
    serve_once(&deployment).await;
    let gate = async |more: &[&str]| run(&deployment, &[&["gate", "--to", "live"], more].concat()).await;
    let other = ["--set", "ledger.tenant=other"];
    let accepted = run(&deployment, &[&["ledger", "accept", "--why", "one more"], &other[..]].concat()).await;
    assert_eq!(accepted.code, Some(0), "{accepted:?}");
    let ran = gate(&other).await;
    assert!(ran.code == Some(6) && ran.out.contains("MISSING  first creates on new, report: "), "{ran:?}");
    let live = ["--set", "stage=live"];
    let served = run(&deployment, &[&["serve"], &other[..], &live].concat()).await;
    assert!(served.code == Some(3) && served.err.contains("lacks report: "), "{served:?}");
    assert_eq!(gate(&[]).await.code, Some(0), "the first tenant is where it was");
    // What it puts in force is its own as well.
    deployment.write("stage = \"hold\"\nledger.tenant = \"other\"\n");
    let shim = Shim::start(&deployment.config).await;
    soon(async {
        // A row about what this tenant had in force before: nothing.
        while !run(&deployment, &["audit"]).await.out.contains("start; nothing -> create hold") {}
    })
    .await;
    drop(shim);
    assert_eq!(gate(&other).await.code, Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn newly_accepted_hosts_go_forward_with_evidence_of_their_own() {
    let deployment = deployment(LIVE, "").await;
    serve_once(&deployment).await;
    let gate = async |more: &[&str]| run(&deployment, &[&["gate", "--to", "live"], more].concat()).await;
    assert_eq!(gate(&[]).await.code, Some(0));
    // The same ones again say nothing new.
    assert_eq!(run(&deployment, &["ledger", "accept", "--why", "again"]).await.code, Some(0));
    assert_eq!(gate(&[]).await.code, Some(0));
    let accepted =
        run(&deployment, &[&["ledger", "accept", "--why", "renamed"], &ELSEWHERE[..]].concat()).await;
    assert!(accepted.code == Some(0) && accepted.out.contains("counts no more"), "{accepted:?}");
    let ran = gate(&ELSEWHERE).await;
    assert!(ran.code == Some(6) && ran.out.contains("MISSING  first creates on new, report: "), "{ran:?}");
    let live = ["--set", "stage=live"];
    let served = run(&deployment, &[&["serve"], &ELSEWHERE[..], &live].concat()).await;
    assert!(served.code == Some(3) && served.err.contains("lacks report: "), "{served:?}");
}

/// A step that was taken before needs no evidence again, and none is taken while the trip is set.
#[tokio::test(flavor = "multi_thread")]
async fn the_trip_stops_a_way_forward_that_was_gone_before() {
    let deployment = deployment("creates all, reads new", "").await;
    deployment.write("stage = \"live\"");
    let shim = Shim::start(&deployment.config).await;
    soon(async { while run(&deployment, &["gate", "--to", "live"]).await.code != Some(0) {} }).await;
    assert_eq!(run(&deployment, &["gate", "--to", "sealed"]).await.code, Some(0), "it was there before");
    assert_eq!(run(&deployment, &["trip", "now", "--why", "a test"]).await.code, Some(0));
    assert_eq!(deployment.missing("sealed").await, ["trip"]);
    assert_eq!(deployment.missing("live").await, [""; 0], "it is in force");
    assert_eq!(deployment.missing("ready").await, [""; 0], "going back");
    deployment.write("stage = \"sealed\"");
    let refused = |line: &serde_json::Value| {
        line["message"] == "config refused, nothing changed"
            && line["problem"].as_str().unwrap().contains("the step \"sealed\" lacks trip: ")
    };
    shim.line_that("the refusal", refused).await;
    assert_eq!(status(&shim).await["stage"], "live");
    assert_eq!(run(&deployment, &["trip", "reset", "--why", "a test"]).await.code, Some(0));
    soon(async {
        while status(&shim).await["stage"] != "sealed" {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
}
