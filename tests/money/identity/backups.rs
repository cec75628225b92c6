//! `ledger backup`, and the way back from one.

use std::path::Path;

use conversion_shim::sandbox::{Fault, FaultKind, Operation};
use conversion_shim::translate::side::Side;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::{Deployment, change, remove};
use crate::support::process::run;
use crate::support::test_bed::one_on;

#[tokio::test]
async fn a_backup_beside_a_running_proxy_is_whole_and_can_be_restored() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.write(&format!("{named}\nstage = \"live\""));
    let (replica, caller) = deployment.serve().await;
    for at in 0..20 {
        assert_eq!(caller.create(&format!("before-{at}")).await.status, 200);
    }
    let file = deployment.path("backup.db");
    let backup = async || deployment.order(&["backup", file.to_str().unwrap()]).await;
    // Creates go on meanwhile.
    let (made, during) = tokio::join!(backup(), async {
        let mut statuses = Vec::new();
        for at in 0..20 {
            statuses.push(caller.create(&format!("during-{at}")).await.status);
        }
        statuses
    });
    assert_eq!((made.code, made.row("checked")), (Some(0), "yes"), "{made:?}");
    assert!((20..=40).contains(&made.row("claims").parse().unwrap()), "{made:?}");
    assert_eq!(during, [200; 20]);
    let again = backup().await;
    assert!(again.code == Some(1) && again.err.contains("never overwritten"), "{again:?}");
    assert_eq!(caller.create("after").await.status, 200, "the ledger is still the one that it was");
    replica.kill();

    // The drill: the ledger is lost, and the backup takes its place.
    remove(&deployment.ledger());
    std::fs::rename(&file, deployment.ledger()).unwrap();
    // Put in place without a thought: it holds creates by itself, in every stage.
    for stage in ["live", "ready"] {
        deployment.write(&format!("{named}\nstage = \"{stage}\""));
        let (replica, caller) = deployment.serve().await;
        let held = caller.create("after").await.problem(503);
        assert!(held["detail"].as_str().unwrap().contains("nothing was sent"), "{held}");
        replica.kill();
    }
    assert_eq!(deployment.made("after"), one_on(Side::New));
    deployment.write(&format!("{named}\nstage = \"hold\""));
    let accepted = deployment.order(&["accept", "--why", "restored after a loss"]).await;
    assert_eq!(accepted.code, Some(0), "{accepted:?}");
    assert!(accepted.out.contains("hold lifted: restored from the backup of "), "{accepted:?}");
    deployment.write(&format!("{named}\nstage = \"live\""));
    let (replica, caller) = deployment.serve().await;
    for at in 0..20 {
        let ref_id = format!("before-{at}");
        assert_eq!(caller.create(&ref_id).await.status, 409);
        assert_eq!(deployment.made(&ref_id), one_on(Side::New));
    }
    replica.kill();
}

/// The hold decides: neither the writes that go on meanwhile nor the absence of creates makes the process ready.
#[tokio::test]
async fn a_restored_backup_is_steadily_not_ready_without_any_create() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    let file = deployment.path("backup.db");
    let made = deployment.order(&["backup", file.to_str().unwrap()]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    remove(&deployment.ledger());
    std::fs::rename(&file, deployment.ledger()).unwrap();
    deployment.write(&format!("{named}\nstage = \"live\"\nledger.only_door = false"));
    let (replica, _) = deployment.serve().await;
    let admin = replica.line_after(0, |line| line["message"] == "admin listener ready").await.unwrap();
    let readyz = format!("http://{}/readyz", admin["address"].as_str().unwrap());
    let first =
        |line: &Value| line["message"].as_str().is_some_and(|text| text.starts_with("the ledger fails;"));
    replica.line_after(0, first).await.unwrap();
    let (mut beats, mut seen) = (0, 0);
    for _ in 0..100_000 {
        let answer = reqwest::get(&readyz).await.unwrap();
        let status = answer.status();
        let document: Value = answer.json().await.unwrap();
        assert_eq!(status, 503, "after {beats} beats: {document}");
        let why = document["reasons"][0]["detail"].as_str().unwrap();
        assert!(why.contains("restored from the backup of "), "{document}");
        let now = last_beat(&deployment.ledger()).await;
        (beats, seen) = (beats + u32::from(now != seen), now);
        if beats == 4 {
            break;
        }
    }
    assert_eq!(beats, 4);
    let again = |line: &Value| line["message"] == "the ledger works again";
    assert_eq!((replica.logged(first), replica.logged(again)), (1, 0));
}

/// When the process that serves last wrote that it runs.
async fn last_beat(ledger: &Path) -> i64 {
    let mut connection = SqliteConnectOptions::new().filename(ledger).connect().await.unwrap();
    let sql = "SELECT COALESCE(MAX(seen_at_us), 0) FROM ledger_processes";
    let (at,) = sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    at
}

#[tokio::test]
async fn a_backup_of_another_ledger_or_of_none_is_refused() {
    let deployment = Deployment::new().await;
    deployment.open_for_new().await;
    let file = deployment.path("backup.db");
    for config in ["ledger.id = \"another\"", "ledger.id = \"another\"\nledger.new_in_use = true"] {
        deployment.write(config);
        let ran = deployment.order(&["backup", file.to_str().unwrap()]).await;
        assert!(ran.code == Some(3) && !file.exists(), "{ran:?}");
    }
    remove(&deployment.ledger());
    deployment.write("");
    let ran = deployment.order(&["backup", file.to_str().unwrap()]).await;
    assert!(ran.code != Some(0) && !file.exists() && !deployment.ledger().exists(), "{ran:?}");
}

/// The claim of the backup was checked when new did not hold its reference; then a refusal freed it, and a later create chose new.
#[tokio::test]
async fn a_claim_whose_choice_of_another_side_was_lost_is_checked_again() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.write(&format!("{named}\nstage = \"ready\""));
    let (replica, caller) = deployment.serve().await;
    let reset = Fault::new(FaultKind::Reset { applied: false }).on(Side::Legacy, Operation::Create).times(1);
    deployment.vendor.faults().arm(reset);
    assert_eq!(caller.create("r").await.status, 504);
    let file = deployment.path("backup.db");
    assert_eq!(deployment.order(&["backup", file.to_str().unwrap()]).await.code, Some(0));
    assert_eq!(deployment.order(&["show", "r", "--json"]).await.json()["claim"]["state"], "checked");
    replica.kill();
    // As the refusal of a second try does on a connection of its own.
    change(&deployment.ledger(), "UPDATE ref_claims SET state = 'refused', begun = 2, closed = 2").await;
    deployment.write(&format!("{named}\nstage = \"live\""));
    let (replica, caller) = deployment.serve().await;
    assert_eq!(caller.create("r").await.status, 200);
    replica.kill();

    remove(&deployment.ledger());
    std::fs::rename(&file, deployment.ledger()).unwrap();
    let accepted = deployment.order(&["accept", "--why", "restored after a loss"]).await;
    assert_eq!(accepted.code, Some(0), "{accepted:?}");
    let audit = run(&["audit", "--config", deployment.config().to_str().unwrap()]).await;
    assert!(audit.out.contains("checks withdrawn of claims without a record: 1"), "{audit:?}");
    for stage in ["ready", "live"] {
        deployment.write(&format!("{named}\nstage = \"{stage}\""));
        let (replica, caller) = deployment.serve().await;
        assert_eq!(caller.create("r").await.status, 409, "{stage}");
        assert_eq!(deployment.made("r"), one_on(Side::New), "{stage}");
        replica.kill();
    }
}
