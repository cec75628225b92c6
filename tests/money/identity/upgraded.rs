//! A ledger of 0.1, as its last build (`d1debe2`) left it: `ledger-0.1.db` was written by that binary before a vendor that answered the
//! references `…-before` and `…-found`, refused `refused-…` and never answered `unknown-…`, in the stages `ready` (`legacy-…`), `live`
//! (`…-new`, `new-…`) and back on legacy (`…-legacy`, `legacy-found`).

use std::time::Duration;

use conversion_shim::sandbox::Tally;
use conversion_shim::translate::side::Side;

use super::{Deployment, NEW_ONLY, change};
use crate::support::process::run_with;
use crate::support::soon;
use crate::support::test_bed::{Caller, conversion, new_record, old_record, one_on};

const LONG_AGO: &str = "2026-01-01T00:00:00Z";

/// What the vendor holds of it.
const FOUND: [(Side, &str); 4] = [
    (Side::Legacy, "legacy-before"),
    (Side::Legacy, "legacy-unknown"),
    (Side::New, "new-found"),
    (Side::Legacy, "legacy-found"),
];

impl Deployment {
    /// A vendor and a ledger as 0.1 left both.
    async fn of_0_1() -> Self {
        let deployment = Self::new().await;
        std::fs::copy(
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/money/identity/ledger-0.1.db"),
            deployment.ledger(),
        )
        .unwrap();
        let inspector = deployment.vendor.inspector();
        for (side, ref_id) in FOUND {
            let mut record = match side {
                Side::Legacy => old_record(ref_id, LONG_AGO),
                Side::New => new_record(ref_id, LONG_AGO),
            };
            record["id"] = format!("0.1-{ref_id}").into();
            match side {
                Side::Legacy => inspector.seed_conversion(record),
                Side::New => inspector.seed_orchestration(record),
            };
        }
        deployment
    }
}

async fn retried(caller: &Caller, ref_id: &str) -> serde_json::Value {
    caller.post(&conversion(ref_id)).await.problem(409)["meta"]["existing"]["id"].clone()
}

#[tokio::test]
async fn its_claims_are_kept_and_init_gives_it_an_id() {
    let deployment = Deployment::of_0_1().await;
    deployment.write("stage = \"live\"");
    let refusal = deployment.refusal().await;
    assert!(refusal.contains("ledger init"), "{refusal}");
    deployment.write("");
    let id = deployment.init().await;
    let counted = deployment.order(&["stats"]).await;
    assert_eq!(counted.row("claims"), "8", "{counted:?}");
    for (side, ref_id) in FOUND {
        let shown = deployment.order(&["show", ref_id]).await;
        let expected = (side.to_string(), format!("0.1-{ref_id}"));
        assert_eq!((shown.row("side").to_owned(), shown.row("record id").to_owned()), expected);
    }
    deployment.write(&format!("stage = \"live\"\nledger.id = \"{id}\""));
    assert!(deployment.refusal().await.contains("ledger.new_in_use"), "0.1 created on new");
    let named = format!("ledger.id = \"{id}\"\nledger.new_in_use = true\ntimeouts.create = \"2s\"");
    for stage in ["stage = \"live\"", "stage = \"hold\"\nroutes.create = \"legacy\""] {
        deployment.write(&format!("{stage}\n{named}"));
        let (replica, caller) = deployment.serve().await;
        for (side, ref_id) in FOUND {
            assert_eq!(retried(&caller, ref_id).await, format!("0.1-{ref_id}"), "{stage}");
            assert_eq!(deployment.made(ref_id), one_on(side), "{stage}: {ref_id}");
        }
        // Their outcome is not known, so they keep their side wherever creates go now.
        for (side, ref_id) in [(Side::New, "unknown-new"), (Side::Legacy, "unknown-legacy")] {
            caller.post(&conversion(ref_id)).await;
            let made = deployment.made(ref_id);
            assert!([Tally::default(), one_on(side)].contains(&made), "{stage}: {ref_id} {made:?}");
        }
        replica.kill();
    }
    deployment.write(&format!("stage = \"live\"\n{named}"));
    let (_replica, caller) = deployment.serve().await;
    assert_eq!(caller.create("after the upgrade").await.status, 200);
    assert_eq!(deployment.made("after the upgrade"), NEW_ONLY);
}

/// The upgrade's steps: on hold first, then in the stage from before, which nobody has recorded evidence for.
#[tokio::test]
async fn a_stage_from_before_the_upgrade_needs_no_evidence_and_a_further_one_does() {
    let deployment = Deployment::of_0_1().await;
    deployment.write("");
    let id = deployment.init().await;
    let named = format!("ledger.id = \"{id}\"\nledger.new_in_use = true\ngate.enforce = true");
    deployment.write(&format!("stage = \"hold\"\n{named}"));
    let (replica, _) = deployment.serve().await;
    deployment.write(&format!("stage = \"live\"\n{named}"));
    assert!(replica.line_after(0, |line| line["message"] == "config reloaded").await.is_some());
    replica.kill();
    let (replica, caller) = deployment.serve().await;
    assert_eq!(caller.create("after the upgrade").await.status, 200);
    replica.kill();
    deployment.write(&format!("stage = \"sealed\"\n{named}"));
    let refusal = deployment.refusal().await;
    assert!(refusal.contains("the step \"sealed\" lacks reconcile"), "{refusal}");
}

/// A hold in between says nothing of the stage before it, where no create went to the new API either.
#[tokio::test]
async fn reads_on_both_from_before_the_upgrade_need_no_evidence() {
    let deployment = Deployment::of_0_1().await;
    change(&deployment.ledger(), "DELETE FROM conversion_claims WHERE side = 'new'").await;
    change(&deployment.ledger(), "DELETE FROM conversion_marks").await;
    deployment.write("");
    let id = deployment.init().await;
    for stage in ["hold", "ready"] {
        deployment.write(&format!("stage = \"{stage}\"\nledger.id = \"{id}\"\ngate.enforce = true"));
        let (replica, _) = deployment.serve().await;
        let recorded = format!("create {}, get both", if stage == "hold" { "hold" } else { "shadow" });
        soon(async {
            while !run_with(&deployment.config(), &["audit"]).await.out.contains(&recorded) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        replica.kill();
    }
}
