//! `ledger backup`, and the way back from one.

use conversion_shim::translate::side::Side;

use super::{Deployment, remove};
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
