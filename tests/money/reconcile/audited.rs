//! Every claim that a walk wrote is in the audit, once, however the walk ended.

use conversion_shim::sandbox::{Fault, FaultKind, Operation, RefusalBody};
use conversion_shim::translate::side::Side;
use serde_json::Value;

use super::over_http::{deployment, seed, start};
use crate::identity::Deployment;
use crate::support::soon;

/// The claims written or repaired by walks, by the audit.
async fn audited(deployment: &Deployment) -> u64 {
    let ran = crate::support::process::run_with(&deployment.config(), &["audit", "--format", "json"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let rows: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let number = |reason: &str| {
        let (_, rest) = reason.split_once("claims written or repaired: ")?;
        rest.split(';').next()?.parse::<u64>().ok()
    };
    rows.iter().filter(|row| row["kind"] == "claims").filter_map(|row| number(row["reason"].as_str()?)).sum()
}

#[tokio::test]
async fn a_walk_that_fails_has_its_claims_in_the_audit() {
    let deployment = deployment("").await;
    seed(&deployment, Side::Legacy, "r", 2500, 2);
    let (code, body) = (http::StatusCode::INTERNAL_SERVER_ERROR, RefusalBody::Html);
    let fault = FaultKind::Status { code, body, applied: false, retry_after: None };
    let fault = Fault::new(fault).on(Side::Legacy, Operation::List).after(2);
    let fault = deployment.vendor.faults().arm(fault);
    let failed = deployment.order(&["backfill", "--rate", "50"]).await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    let claims = async || deployment.order(&["stats"]).await.row("claims").parse::<u64>().unwrap();
    let written = claims().await;
    assert!((1..2500).contains(&written), "{written}");
    assert_eq!(audited(&deployment).await, written);
    deployment.vendor.faults().remove(&fault);
    let resumed = deployment.order(&["backfill", "--rate", "50", "--json"]).await;
    assert_eq!((resumed.code, &resumed.json()["resumed"]), (Some(0), &true.into()), "{resumed:?}");
    assert_eq!((claims().await, audited(&deployment).await), (2500, 2500));
}

#[tokio::test]
async fn a_walk_that_is_killed_has_its_claims_in_the_audit_once_another_one_begins() {
    for fresh in [&[][..], &["--fresh"]] {
        let deployment = deployment("").await;
        seed(&deployment, Side::Legacy, "r", 2500, 2);
        let gate = Fault::new(FaultKind::Gate { applied: false }).on(Side::Legacy, Operation::List).after(2);
        let gate = deployment.vendor.faults().arm(gate);
        let mut child = start(&deployment, &["ledger", "backfill", "--rate", "50"]);
        soon(gate.reached(1)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        gate.open();
        let again = deployment.order(&[&["backfill", "--rate", "50"], fresh].concat()).await;
        assert_eq!(again.code, Some(0), "{again:?}");
        assert_eq!(audited(&deployment).await, 2500, "{fresh:?}");
    }
}
