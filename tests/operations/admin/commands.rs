//! `ledger show` and `ledger stats`, beside a serving process that holds the ledger's lock.

use reqwest::StatusCode;
use serde_json::json;

use super::{create, get, until, vendor};
use crate::support::process::{Config, Shim, run, run_with};

#[tokio::test]
async fn a_claim_is_shown_beside_the_process_that_serves() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    assert_eq!(create(&shim, "ref-1").await, StatusCode::OK);
    // The id is kept a moment after the answer; until then it is a write in flight.
    until(|| get(shim.admin("/status")), |(_, status)| status["writes_in_flight"] == 0).await;

    let shown = run_with(&config.path(), &["ledger", "show", "ref-1"]).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert_eq!([shown.row("ref_id"), shown.row("tenant"), shown.row("side")], ["ref-1", "default", "new"]);
    assert_eq!(shown.row("state"), "checked: the side is final");
    let json = run_with(&config.path(), &["ledger", "show", "ref-1", "--json"]).await.json();
    assert_eq!(
        [&json["ref_id"], &json["claim"]["side"], &json["claim"]["state"]],
        ["ref-1", "new", "checked"]
    );
    let id = json["claim"]["record_id"].as_str().unwrap();
    assert_eq!(shown.row("record id"), id);
    assert!(vendor.inspector().record(conversion_shim::translate::side::Side::New, id).is_some());
}

#[tokio::test]
async fn no_claim_is_an_answer_of_its_own() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    assert_eq!(create(&shim, "ref-1").await, StatusCode::OK);
    let absent = run_with(&config.path(), &["ledger", "show", "ref-\u{1b}[31m2"]).await;
    assert_eq!(absent.code, Some(5), "{absent:?}");
    assert_eq!(absent.row("no claim"), "for ref_id ref-\\u{1b}[31m2 of tenant default");
    let elsewhere =
        run_with(&config.path(), &["ledger", "show", "ref-1", "--tenant", "other", "--json"]).await;
    assert_eq!(elsewhere.code, Some(5), "{elsewhere:?}");
    assert_eq!(elsewhere.json(), json!({"tenant": "other", "ref_id": "ref-1", "claim": null}));
    assert_eq!(run_with(&config.path(), &["ledger", "show", ""]).await.code, Some(2));
}

#[tokio::test]
async fn the_claims_are_counted() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    let empty = run_with(&config.path(), &["ledger", "stats"]).await;
    assert_eq!(
        [empty.row("claims"), empty.row("first"), empty.row("new API")],
        ["0", "none", "no create yet"]
    );
    for ref_id in ["a", "b", "c"] {
        assert_eq!(create(&shim, ref_id).await, StatusCode::OK);
    }
    let counted = run_with(&config.path(), &["ledger", "stats"]).await;
    assert_eq!((counted.code, counted.row("claims")), (Some(0), "3"), "{counted:?}");
    assert!(counted.out.contains("3 on new, checked"), "{counted:?}");
    let json = run_with(&config.path(), &["ledger", "stats", "--json"]).await.json();
    assert_eq!(json["counts"], json!([{"side": "new", "state": "checked", "claims": 3}]));
    assert!(
        ["first_new_create_at", "first_created_at", "last_created_at"]
            .iter()
            .all(|field| json[field].is_string())
    );
}

#[tokio::test]
async fn without_a_ledger_the_commands_are_refused() {
    for command in [&["ledger", "show", "ref-1"][..], &["ledger", "stats"]] {
        let ran = run(command).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""), "{ran:?}");
        assert!(ran.err.contains("ledger.url") && ran.err.contains("not set"), "{ran:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    let nowhere = format!("ledger.url=sqlite:{}", directory.path().join("none.db").display());
    let ran = run(&["ledger", "stats", "--set", &nowhere]).await;
    assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""), "{ran:?}");
    assert!(!directory.path().join("none.db").exists(), "reading creates no ledger");
}

#[tokio::test]
async fn help_names_the_commands_and_their_exit_codes() {
    let help = run(&["--help"]).await;
    for word in ["status", "ledger", "5  `ledger show`"] {
        assert!(help.out.contains(word), "{word}: {}", help.out);
    }
    for command in [&["status", "--help"][..], &["ledger", "show", "--help"], &["ledger", "stats", "--help"]]
    {
        let help = run(command).await;
        assert!(
            help.code == Some(0) && help.out.contains("--json") && help.out.contains("Exit codes"),
            "{help:?}"
        );
    }
}

/// Whoever runs the walk is named for all that it writes, and a process knows of it whatever its window was.
#[tokio::test]
async fn a_reconcile_by_hand_is_named_in_the_audit_and_known_to_the_status() {
    let vendor = vendor().await;
    let old = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(30);
    let at = old.to_string();
    let record = |members: serde_json::Value| {
        let mut all = json!({"profile_id": conversion_shim::sandbox::PROFILE, "source_asset": "USD", "ref_id": "twice",
            "created_at": at, "updated_at": at});
        all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        all
    };
    vendor
        .inspector()
        .seed_conversion(record(json!({"amount": "1", "target_asset": "PYUSD", "status": "SETTLED"})));
    vendor.inspector().seed_orchestration(record(
        json!({"source_amount": "1", "destination_asset": "PYUSD", "status": "COMPLETED"}),
    ));
    let config = Config::new(&vendor);
    config.write("stage = \"live\"\n");
    let shim = Shim::start(&config).await;
    let admin = shim.admin_address().to_string();
    let before = run(&["status", "--admin", &admin]).await;
    assert!(before.row("trip").ends_with("no reconcile over both sides is on record"), "{before:?}");
    // What is a condition of the new side alone is not said of the other.
    assert_eq!(before.row("complete"), "legacy is not: ledger.only_door is false", "{before:?}");
    let token = config.file("token", conversion_shim::sandbox::TOKEN);
    let walk = ["reconcile", "--from", "1h", "--token-file", token.to_str().unwrap()];
    let walked = run_with(&config.path(), &walk).await;
    assert!(walked.out.contains("double"), "{walked:?}");
    let after = run(&["status", "--admin", &admin]).await;
    assert!(after.row("trip").ends_with("doubles: 1"), "{after:?}");

    let audit = run_with(&config.path(), &["audit", "--format", "json"]).await;
    let rows: Vec<serde_json::Value> =
        audit.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let written: Vec<_> = rows.iter().filter(|row| row["kind"] == "claims").collect();
    assert!(!written.is_empty(), "{audit:?}");
    assert!(written.iter().all(|row| row["operator"] != ""), "{audit:?}");
}

#[tokio::test]
async fn an_address_overrides_that_of_the_config() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"observe\"\n");
    let shim = Shim::start(&config).await;
    let admin = shim.admin_address().to_string();
    for command in ["status", "usage"] {
        let elsewhere = ["--set", "admin.listen=127.0.0.1:1"];
        let ran = run_with(&config.path(), &[&[command, "--admin", &admin][..], &elsewhere].concat()).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
}
