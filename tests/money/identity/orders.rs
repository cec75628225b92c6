//! `ledger init`, `open-new`, `accept` and `release`.

use conversion_shim::sandbox::{Fault, FaultKind, Operation, TOKEN};
use conversion_shim::translate::side::Side;
use reqwest::Method;

use super::restored::is_refused_for;
use super::{Deployment, NEW_ONLY, change, remove};
use crate::support::ledger::vacuum_into;
use crate::support::soon;
use crate::support::test_bed::{Caller, conversion, new_record};
use crate::what_broke::ORCHESTRATIONS;
use crate::what_broke::references::orchestration;

/// Credentials with which the proxy reads new by itself.
const LOOKUP: &str = "auth.lookup.client_id = \"looker\"\nauth.lookup.client_secret = \"secret\"";

#[tokio::test]
async fn init_prints_the_id_as_the_last_line_and_changes_none() {
    let deployment = Deployment::new().await;
    deployment.write("");
    let made = deployment.order(&["init"]).await;
    let id = made.out.lines().last().unwrap().to_owned();
    assert_eq!((made.code, id.len()), (Some(0), 36), "{made:?}");
    assert!(made.out.lines().count() > 1, "{made:?}");
    let again = deployment.order(&["init", "--quiet"]).await;
    assert_eq!(again.out, format!("{id}\n"));
    let counted = deployment.order(&["stats"]).await;
    assert_eq!(counted.row("id"), id);
    deployment.write("ledger.id = \"another\"");
    let other = deployment.order(&["init"]).await;
    assert!(other.code == Some(3) && other.err.contains(&id), "{other:?}");
    let shown = deployment.order(&["show", "R"]).await;
    assert!(shown.code == Some(3), "what another ledger says is no answer: {shown:?}");
}

#[tokio::test]
async fn init_needs_no_config_that_may_be_served() {
    let deployment = Deployment::new().await;
    deployment.write("stage = \"live\"");
    assert!(deployment.refusal().await.contains("ledger.id"));
    let id = deployment.init().await;
    deployment.write(&format!("stage = \"live\"\nledger.id = \"{id}\"\nledger.new_in_use = true"));
    assert!(deployment.refusal().await.contains("open-new"));
    assert_eq!(deployment.order(&["open-new", "--why", "live"]).await.code, Some(0));
    deployment.serve().await;
}

#[tokio::test]
async fn init_makes_no_ledger_in_the_place_of_a_lost_one() {
    let deployment = Deployment::new().await;
    deployment.write("ledger.id = \"lost\"\nledger.new_in_use = true");
    for order in [
        &["init"][..],
        &["open-new", "--why", "x"],
        &["accept", "--why", "x"],
        &["release", "R", "--why", "x"],
    ] {
        let ran = deployment.order(order).await;
        assert!(ran.code == Some(3) && ran.err.contains("there is no ledger"), "{ran:?}");
        assert!(!deployment.ledger().exists(), "{order:?}");
    }
}

#[tokio::test]
async fn a_change_needs_a_reason_and_open_new_an_id() {
    let deployment = Deployment::new().await;
    deployment.write("");
    deployment.init().await;
    let ran = deployment.order(&["open-new", "--why", "x"]).await;
    assert!(ran.code == Some(3) && ran.err.contains("ledger.id"), "{ran:?}");
    for order in [&["open-new"][..], &["accept"], &["release", "R"], &["accept", "--why", " "]] {
        assert_eq!(deployment.order(order).await.code, Some(2), "{order:?}");
    }
}

#[tokio::test]
async fn accept_takes_renamed_hosts_and_another_tenant() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.write(&format!("{named}\nstage = \"live\""));
    let (replica, _) = deployment.serve().await;
    replica.kill();
    change(&deployment.ledger(), "UPDATE ledger_settings SET value = 'legacy=a new=b' WHERE name = 'hosts'")
        .await;
    assert!(deployment.refusal().await.contains("ledger accept"));
    deployment.write(&format!("{named}\nstage = \"live\"\nledger.tenant = \"other\""));
    let accepted = deployment.order(&["accept", "--why", "renamed"]).await;
    let [before, gates, tenant, end] = accepted.out.lines().collect::<Vec<_>>()[..] else {
        panic!("{accepted:?}")
    };
    assert!(before.starts_with("hosts: legacy=a new=b -> legacy=127.0.0.1:"), "{accepted:?}");
    assert!(gates.starts_with("gates: ") && gates.ends_with(" counts no more"), "{accepted:?}");
    assert_eq!((accepted.code, tenant, end), (Some(0), "tenant: other is added", "accepted"));
    let again = deployment.order(&["accept", "--why", "renamed"]).await;
    assert_eq!(again.out, "accepted; nothing on record changed\n");
    deployment.serve().await;
    deployment.write(&format!("{named}\nstage = \"live\"\nledger.tenant = \"third\""));
    let refusal = deployment.refusal().await;
    assert!(refusal.contains("ledger.tenant: is third, which the ledger does not know"), "{refusal}");
}

#[tokio::test]
async fn a_conversion_that_the_ledger_does_not_know_holds_creates_where_it_is_the_only_door() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.vendor.inspector().seed_orchestration(new_record("R", "2026-01-01T00:00:00Z"));
    deployment.write(&format!("{named}\nstage = \"live\"\n{LOOKUP}"));
    let (replica, caller) = deployment.serve().await;
    let fresh = caller.create("fresh").await;
    assert_eq!(fresh.status, 200, "only a warning: {:?}", fresh.body);
    let warned = |line: &serde_json::Value| line["level"] == "WARN" && line["advisory"] == "unknown_record";
    assert!(replica.line_after(0, warned).await.is_some());
    replica.kill();

    deployment.write(&format!("{named}\nstage = \"live\"\n{LOOKUP}\nledger.only_door = true"));
    let (replica, caller) = deployment.serve().await;
    assert!(replica.line_after(0, warned).await.is_some());
    let held = caller.create("held").await.problem(503);
    assert!(held["detail"].as_str().unwrap().contains("nothing was sent"), "{held}");
    assert_eq!(caller.create("R").await.status, 503, "nor is the one that was lost converted again");
    let accepted = deployment.order(&["accept", "--why", "made in the dashboard"]).await;
    assert!(accepted.out.starts_with("hold lifted: the new API holds the conversion "), "{accepted:?}");
    assert_eq!(caller.create("held").await.status, 200);
    replica.kill();
    // What was accepted is not held again by the next start.
    let (_replica, caller) = deployment.serve().await;
    assert_eq!(until_served(&caller, "after a restart").await, 200);
}

/// Creates until it is not the wait for the comparison any more.
async fn until_served(caller: &Caller, ref_id: &str) -> u16 {
    let asking = async {
        loop {
            let status = caller.create(ref_id).await.status;
            if status != 503 {
                return status;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    soon(asking).await
}

#[tokio::test]
async fn where_it_is_the_only_door_creates_wait_until_the_new_api_was_compared() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.write(&format!("{named}\nstage = \"live\"\n{LOOKUP}\nledger.only_door = true"));
    deployment
        .vendor
        .faults()
        .arm(Fault::new(FaultKind::Gate { applied: false }).on(Side::New, Operation::List).times(1));
    let gate = deployment.vendor.faults().all().remove(0);
    let (_replica, caller) = deployment.serve().await;
    assert_eq!(caller.create("early").await.status, 503);
    assert_eq!(deployment.made("early"), conversion_shim::sandbox::Tally::default());
    gate.open();
    assert_eq!(until_served(&caller, "early").await, 200);
}

#[tokio::test]
async fn init_changes_nothing_in_a_ledger_that_has_its_id() {
    let deployment = Deployment::new().await;
    deployment.write("");
    let id = deployment.init().await;
    let backup = deployment.path("backup.db");
    vacuum_into(&deployment.ledger(), &backup).await;
    let named = deployment.open_for_new().await;
    // Of another tenant, which a marked ledger refuses.
    deployment.write(&format!("{named}\nstage = \"live\"\nledger.tenant = \"acme\""));
    assert_eq!(deployment.order(&["init", "--quiet"]).await.out, format!("{id}\n"));
    assert!(deployment.refusal().await.contains("ledger.tenant"));
    // Restored from before the first create on new.
    remove(&deployment.ledger());
    std::fs::copy(&backup, deployment.ledger()).unwrap();
    deployment.write(&format!("{named}\nstage = \"live\""));
    assert_eq!(deployment.order(&["init", "--quiet"]).await.out, format!("{id}\n"));
    assert!(deployment.refusal().await.contains("ledger.new_in_use"));
}

#[tokio::test]
async fn two_commands_at_once_make_one_ledger() {
    let deployment = Deployment::new().await;
    for _ in 0..10 {
        deployment.write("");
        let (one, two) = tokio::join!(deployment.init(), deployment.init());
        assert_eq!(one, two);
        remove(&deployment.ledger());
    }
}

#[tokio::test]
async fn a_pinned_reference_is_released_only_when_no_side_holds_it() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.write(&format!("{named}\nstage = \"live\"\ntimeouts.create = \"2s\""));
    let (replica, caller) = deployment.serve().await;
    std::fs::write(deployment.path("token"), TOKEN).unwrap();
    let token = deployment.path("token");
    let release = async |ref_id: &str| {
        deployment
            .order(&["release", ref_id, "--why", "pinned", "--token-file", token.to_str().unwrap()])
            .await
    };
    assert_eq!(release("nobody's").await.code, Some(5));

    let reset = Fault::new(FaultKind::Reset { applied: false }).on(Side::New, Operation::Create).times(1);
    deployment.vendor.faults().arm(reset);
    assert_eq!(caller.create("pinned").await.status, 504);
    assert_eq!(caller.create("converted").await.status, 200);
    let young = release("pinned").await;
    assert!(young.code == Some(1) && young.err.contains("try again after"), "{young:?}");
    change(
        &deployment.ledger(),
        "UPDATE ref_claims SET created_at_us = 1700000000000000, updated_at_us = 1700000000000000",
    )
    .await;
    change(&deployment.ledger(), "UPDATE conversion_migrations SET installed_on = '2020-01-01 00:00:00'")
        .await;
    let found = release("converted").await;
    assert!(found.code == Some(1) && found.err.contains("the new side holds the ref_id"), "{found:?}");
    let text = std::fs::read_to_string(deployment.config()).unwrap();
    std::fs::write(deployment.config(), text.replace("127.0.0.1:", "localhost:")).unwrap();
    let elsewhere = release("pinned").await;
    assert!(elsewhere.code == Some(3) && elsewhere.err.contains("upstream.legacy.url"), "{elsewhere:?}");
    std::fs::write(deployment.config(), text).unwrap();
    let blind = deployment.order(&["release", "pinned", "--why", "no token"]).await;
    assert!(blind.code == Some(1) && blind.err.contains("could not be looked up"), "{blind:?}");
    let released = release("pinned").await;
    assert_eq!(released.code, Some(0), "{released:?}");
    assert!(deployment.order(&["show", "pinned"]).await.out.contains("refused"));
    assert_eq!(caller.post(&conversion("pinned")).await.status, 200);
    assert_eq!(deployment.made("pinned"), NEW_ONLY);
    replica.kill();
}

#[tokio::test]
async fn a_recorded_native_create_is_known_where_it_is_the_only_door() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.write(&format!("{named}\nstage = \"live\"\n{LOOKUP}\nledger.only_door = true"));
    let (replica, caller) = deployment.serve().await;
    assert_eq!(until_served(&caller, "legacy's").await, 200);
    let native = orchestration("native", &serde_json::Value::Null);
    caller.ask(Method::POST, ORCHESTRATIONS, native).await.id();
    // One that is old enough to be expected in the ledger.
    deployment.vendor.inspector().seed_orchestration(new_record("native", "2026-01-01T00:00:00Z"));
    replica.kill();
    let (_replica, caller) = deployment.serve().await;
    assert_eq!(until_served(&caller, "after a restart").await, 200);
}

/// A walk that claims what the ledger lost must not hide from the start that it was lost.
#[tokio::test]
async fn a_conversion_that_only_a_walk_claimed_holds_creates_where_it_is_the_only_door() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.write(&format!("{named}\nstage = \"live\"\n{LOOKUP}"));
    let an_hour_ago = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1)).to_string();
    deployment.vendor.inspector().seed_orchestration(new_record("lost", &an_hour_ago));
    let adopted = deployment.order(&["backfill", "--side", "new", "--rate", "50", "--json"]).await;
    assert_eq!(adopted.json()["adopted"], 1, "{adopted:?}");
    deployment.write(&format!(
        "{named}\nstage = \"live\"\n{LOOKUP}\nledger.only_door = true\nreconcile.every = \"200ms\"\nreconcile.window = \"24h\""
    ));
    let (replica, caller) = deployment.serve().await;
    assert!(replica.line_after(0, |line| is_refused_for(line, "on hold")).await.is_some());
    caller.create("other").await.problem(503);
    assert_eq!(deployment.vendor.inspector().arrived(Side::New, Operation::Create), 0);
    assert_eq!(deployment.order(&["accept", "--why", "made by hand"]).await.code, Some(0));
    replica.kill();
    let (_replica, caller) = deployment.serve().await;
    assert_eq!(until_served(&caller, "other").await, 200);
}

#[tokio::test]
async fn readiness_waits_with_the_creates_where_it_is_the_only_door() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.write(&format!("{named}\nstage = \"live\"\n{LOOKUP}\nledger.only_door = true"));
    let gate = deployment
        .vendor
        .faults()
        .arm(Fault::new(FaultKind::Gate { applied: false }).on(Side::New, Operation::List).times(1));
    let (replica, caller) = deployment.serve().await;
    let admin = replica.line_after(0, |line| line["message"] == "admin listener ready").await.unwrap();
    let ready = async || {
        let url = format!("http://{}/readyz", admin["address"].as_str().unwrap());
        let answer = caller.http.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, reasons) = ready().await;
    assert_eq!(status, 503, "{reasons}");
    assert!(reasons.contains("only_door"), "{reasons}");
    gate.open();
    assert_eq!(until_served(&caller, "r").await, 200);
    assert_eq!(ready().await.0, 200);
}

#[tokio::test]
async fn a_native_create_before_the_first_create_on_new_keeps_no_process_from_starting() {
    for stage in ["observe", "ready"] {
        let deployment = Deployment::new().await;
        deployment.write("");
        let id = deployment.init().await;
        deployment.write(&format!("stage = \"{stage}\"\nledger.id = \"{id}\""));
        let (replica, caller) = deployment.serve().await;
        let native = orchestration("native", &serde_json::Value::Null);
        caller.ask(Method::POST, ORCHESTRATIONS, native).await.id();
        caller.create("native").await.problem(409);
        assert_eq!(caller.create("legacy's").await.status, 200);
        let from = replica.lines();
        deployment.write(&format!("stage = \"{stage}\"\nledger.id = \"{id}\"\ntimeouts.get = \"7s\""));
        let reloaded = replica.line_after(from, |line| line["message"] == "config reloaded").await;
        assert!(reloaded.is_some());
        replica.kill();
        let (_replica, caller) = deployment.serve().await;
        caller.create("native").await.problem(409);
        assert_eq!(deployment.made("native"), NEW_ONLY);
    }
}
