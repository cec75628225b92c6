//! Starts and reloads that are refused.

use super::{Deployment, NEW_ONLY, remove};
use crate::support::ledger::vacuum_into;
use crate::support::replica::Replica;
use crate::support::test_bed::{BACK, Caller, conversion};

const STAGES: [&str; 7] = ["observe", "shadow", "ready", "hold", "canary", "live", "sealed"];

#[tokio::test]
async fn another_ledger_is_refused_in_every_stage() {
    let deployment = Deployment::new().await;
    deployment.write("");
    deployment.init().await;
    for stage in STAGES {
        deployment.write(&format!("stage = \"{stage}\"\nledger.id = \"another\"\nledger.new_in_use = true"));
        let refusal = deployment.refusal().await;
        assert!(refusal.contains("ledger.id: is another"), "{stage}: {refusal}");
        let source = format!("(file {})", deployment.config().display());
        assert!(refusal.contains(&source), "where the key was set: {refusal}");
    }
}

#[tokio::test]
async fn a_lost_ledger_is_refused_in_every_stage_and_none_is_made_in_its_place() {
    let deployment = Deployment::new().await;
    for stage in STAGES {
        for new_in_use in [true, false] {
            let named =
                format!("stage = \"{stage}\"\nledger.id = \"lost\"\nledger.new_in_use = {new_in_use}");
            deployment.write(&named);
            let refusal = deployment.refusal().await;
            assert!(refusal.contains("ledger."), "{stage}: {refusal}");
            assert!(!deployment.ledger().exists(), "{stage}");
        }
    }
}

#[tokio::test]
async fn a_ledger_is_made_silently_only_while_no_route_uses_new() {
    let deployment = Deployment::new().await;
    for stage in ["ready", "hold", "observe\"\nroutes.get = \"both"] {
        deployment.write(&format!("stage = \"{stage}\""));
        let refusal = deployment.refusal().await;
        assert!(refusal.contains("there is no ledger") && refusal.contains("ledger init"), "{refusal}");
        assert!(!deployment.ledger().exists());
    }
    deployment.write("stage = \"observe\"\nledger.new_in_use = true");
    assert!(deployment.refusal().await.contains("there is no ledger"));
    for stage in ["observe", "shadow"] {
        deployment.write(&format!("stage = \"{stage}\""));
        let (replica, _) = deployment.serve().await;
        replica.kill();
        assert!(deployment.ledger().exists());
        remove(&deployment.ledger());
    }
}

#[tokio::test]
async fn a_ledger_that_was_lost_after_the_first_create_on_new_converts_nothing_twice() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.write(&format!("{named}\nstage = \"live\""));
    let (replica, caller) = deployment.serve().await;
    assert_eq!(caller.create("R").await.status, 200);
    replica.kill();
    remove(&deployment.ledger());
    // Whatever the operator tries: the old way, the first stages, a new ledger.
    for stage in ["live", "ready", "hold\"\nroutes.create = \"legacy", "observe"] {
        deployment.write(&format!("{named}\nstage = \"{stage}\""));
        deployment.refusal().await;
    }
    let ran = deployment.order(&["init"]).await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.err.contains("there is no ledger"), "{ran:?}");
    assert_eq!(deployment.made("R"), NEW_ONLY);
}

#[tokio::test]
async fn a_ledger_from_before_the_first_create_on_new_is_refused_in_every_stage() {
    let deployment = Deployment::new().await;
    deployment.write("");
    let id = deployment.init().await;
    vacuum_into(&deployment.ledger(), &deployment.path("backup.db")).await;
    let named = deployment.open_for_new().await;
    assert!(named.contains(&id), "the same ledger");
    deployment.write(&format!("{named}\nstage = \"live\""));
    let (replica, caller) = deployment.serve().await;
    assert_eq!(caller.create("R").await.status, 200);
    replica.kill();
    remove(&deployment.ledger());
    std::fs::copy(deployment.path("backup.db"), deployment.ledger()).unwrap();
    for stage in STAGES {
        deployment.write(&format!("{named}\nstage = \"{stage}\""));
        let refusal = deployment.refusal().await;
        assert!(refusal.contains("ledger.new_in_use"), "{stage}: {refusal}");
    }
    assert_eq!(deployment.made("R"), NEW_ONLY);
}

#[tokio::test]
async fn the_mark_and_the_config_agree_at_every_start_and_reload() {
    let deployment = Deployment::new().await;
    deployment.write("");
    let id = deployment.init().await;
    let write = |new_in_use: bool, stage: &str| {
        deployment
            .write(&format!("ledger.id = \"{id}\"\nledger.new_in_use = {new_in_use}\nstage = \"{stage}\""));
    };
    write(true, "hold");
    assert!(deployment.refusal().await.contains("ledger.new_in_use"));
    write(false, "hold");
    let (replica, _) = deployment.serve().await;
    let lines = replica.lines();
    write(true, "canary");
    let refused = |line: &serde_json::Value| line["key"] == "ledger.new_in_use";
    assert!(replica.line_after(lines, refused).await.is_some());
    // The refused config is tried again: the mark makes it true.
    let lines = replica.lines();
    assert_eq!(deployment.order(&["open-new", "--why", "canary"]).await.code, Some(0));
    assert!(replica.line_after(lines, |line| line["message"] == "config reloaded").await.is_some());
    let lines = replica.lines();
    write(false, "hold");
    assert!(replica.line_after(lines, refused).await.is_some());
    drop(replica);
    assert!(deployment.refusal().await.contains("ledger.new_in_use"));
}

#[tokio::test]
async fn a_reload_to_another_ledger_or_host_is_refused() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.write(&format!("{named}\nstage = \"hold\""));
    let (replica, _) = deployment.serve().await;
    for (change, key) in [
        ("ledger.id = \"another\"\nledger.new_in_use = true\nstage = \"hold\"", "ledger.id"),
        ("upstream.allow_http = true", "upstream.legacy.url"),
    ] {
        let lines = replica.lines();
        if key == "ledger.id" {
            deployment.write(change);
        } else {
            deployment.write(&format!("{named}\nstage = \"hold\"\n{change}"));
            let config = std::fs::read_to_string(deployment.config()).unwrap();
            std::fs::write(deployment.path("draft"), config.replace("127.0.0.1:", "localhost:")).unwrap();
            std::fs::rename(deployment.path("draft"), deployment.config()).unwrap();
        }
        assert!(replica.line_after(lines, |line| line["key"] == key).await.is_some(), "{key}");
    }
}

#[tokio::test]
async fn a_config_that_names_a_ledger_and_not_its_place_is_refused() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    for stage in STAGES {
        deployment.write_with("", &format!("{named}\nstage = \"{stage}\""));
        let refusal = deployment.refusal().await;
        assert!(refusal.contains("ledger.url: is not set"), "{stage}: {refusal}");
    }
}

#[tokio::test]
async fn a_marked_ledger_is_named_in_every_stage() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    for stage in ["hold", "ready", "live\"\nroutes.create = \"legacy"] {
        deployment.write(&format!("ledger.new_in_use = true\nstage = \"{stage}\""));
        let refusal = deployment.refusal().await;
        assert!(refusal.contains("ledger.id: is not set"), "{stage}: {refusal}");
    }
    deployment.write(&format!("{named}\nstage = \"hold\""));
    let (replica, _) = deployment.serve().await;
    let lines = replica.lines();
    deployment.write("ledger.new_in_use = true\nstage = \"hold\"");
    assert!(replica.line_after(lines, |line| line["key"] == "ledger.id").await.is_some());
}

#[tokio::test]
async fn a_start_that_is_refused_writes_nothing_and_says_everything() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.write(&format!("{named}\nstage = \"live\""));
    let (replica, _) = deployment.serve().await;
    replica.kill();
    deployment
        .write(&format!("{}\nstage = \"hold\"\nledger.tenant = \"acme\"", named.replace("true", "false")));
    let text = std::fs::read_to_string(deployment.config()).unwrap();
    std::fs::write(deployment.config(), text.replace("127.0.0.1:", "localhost:")).unwrap();
    let refusal = deployment.refusal().await;
    for key in ["ledger.new_in_use", "ledger.tenant", "upstream.legacy.url"] {
        assert!(refusal.contains(&format!("\n{key}: ")), "{key}: {refusal}");
    }
    deployment.write(&format!("{named}\nstage = \"live\""));
    deployment.serve().await;
    deployment.write(&format!("{named}\nstage = \"live\"\nledger.tenant = \"acme\""));
    assert!(deployment.refusal().await.contains("ledger.tenant"), "it is as unknown as before");
}

#[tokio::test]
async fn a_relative_path_leads_to_the_same_ledger_from_everywhere() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.write(&format!("{named}\nstage = \"live\""));
    // Replica starts in the directory of the tests, not in the deployment's.
    let (replica, caller) = deployment.serve().await;
    assert_eq!(caller.create("R").await.status, 200);
    replica.kill();
    let elsewhere = tempfile::tempdir().unwrap();
    let replica = Replica::start_in(elsewhere.path(), &deployment.config()).await.unwrap();
    let back: String = BACK.iter().map(|(key, value)| format!("{key} = \"{value}\"\n")).collect();
    deployment.write(&format!("{named}\n{back}"));
    assert!(replica.line_after(0, |line| line["message"] == "config reloaded").await.is_some());
    let again = Caller::of(replica.address()).post(&conversion("R")).await;
    assert_eq!((again.status, deployment.made("R")), (409, NEW_ONLY));
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0, "no second ledger");
}

#[tokio::test]
async fn a_ledger_that_is_only_at_the_old_place_is_refused_naming_both() {
    let deployment = Deployment::new().await;
    let old = tempfile::tempdir().unwrap();
    std::fs::write(old.path().join("ledger.db"), "").unwrap();
    deployment.write("stage = \"observe\"");
    let Err(ended) = Replica::start_in(old.path(), &deployment.config()).await else { panic!("it serves") };
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.errors.contains(deployment.ledger().to_str().unwrap()), "{ended:?}");
    assert!(ended.errors.contains("ledger.db in the working directory"), "{ended:?}");
    assert!(!deployment.ledger().exists());
}
