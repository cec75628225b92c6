//! The commands, as a process, before the vendor over HTTP.

use std::process::{Child, Command, Stdio};

use conversion_shim::sandbox::{Fault, FaultKind, Operation, RefusalBody};
use conversion_shim::translate::side::Side;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::identity::{Deployment, change};
use crate::support::process::{Ran, run};
use crate::support::soon;
use crate::support::test_bed::{new_record, old_record, one_on};

pub(super) const LOOKUP: &str = "auth.lookup.client_id = \"looker\"\nauth.lookup.client_secret = \"secret\"";

/// A deployment in `live` whose ledger is open for new.
pub(super) async fn deployment(more: &str) -> Deployment {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.write(&format!("{named}\nstage = \"live\"\n{LOOKUP}\n{more}"));
    deployment
}

pub(super) async fn reconcile(deployment: &Deployment, more: &[&str]) -> Ran {
    let config = deployment.config();
    let all = ["reconcile", "--rate", "50", "--config", config.to_str().unwrap()];
    run(&[&all[..], more].concat()).await
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// Some conversions, the newest first: `seconds` apart.
pub(super) fn seed(deployment: &Deployment, side: Side, prefix: &str, count: i64, seconds: i64) {
    let newest = Timestamp::now() - SignedDuration::from_hours(1);
    for number in 0..count {
        let made = (newest - SignedDuration::from_secs(number * seconds)).to_string();
        let ref_id = format!("{prefix}{number}");
        match side {
            Side::Legacy => deployment.vendor.inspector().seed_conversion(old_record(&ref_id, &made)),
            Side::New => deployment.vendor.inspector().seed_orchestration(new_record(&ref_id, &made)),
        };
    }
}

#[tokio::test]
async fn findings_are_printed_logged_and_repaired_and_a_clean_run_is_on_record() {
    let deployment = deployment("").await;
    seed(&deployment, Side::Legacy, "old", 3, 3600);
    seed(&deployment, Side::New, "new", 2, 3600);
    deployment.vendor.inspector().seed_orchestration(new_record("old1", "2026-03-01T00:00:00Z"));
    let page = deployment.path("findings.html");

    let dry = reconcile(&deployment, &["--dry-run", "--html", page.to_str().unwrap()]).await;
    assert_eq!(dry.code, Some(6), "{dry:?}");
    assert!(dry.out.contains("dry run") && dry.out.contains("double: ref_id old1"), "{dry:?}");
    let log = dry.err.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let logged: Vec<_> =
        log.filter(|line| line["target"] == "reconcile" && line["kind"] == "double").collect();
    assert_eq!(logged.len(), 1, "{dry:?}");
    assert_eq!(deployment.order(&["show", "old0"]).await.code, Some(5), "a dry run writes nothing");
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("<svg") && html.contains("old1") && !html.contains("<script"), "{html}");

    let first = json(&reconcile(&deployment, &["--format", "json"]).await);
    assert_eq!(first["found"]["double"], 1, "{first}");
    // The record of old1 on new was made first, so that legacy's got the claim's place.
    assert_eq!(first["adopted"], 5, "{first}");
    assert_eq!(first["records"], serde_json::json!({ "legacy": 3, "new": 3 }));
    let shown = deployment.order(&["show", "old2", "--json"]).await;
    assert!(shown.out.contains("\"checked\"") && shown.out.contains("\"legacy\""), "{shown:?}");

    let window = ["--format", "json", "--from", "2026-06-01T00:00:00Z"];
    let mut clean = reconcile(&deployment, &window).await;
    if json(&clean)["found"]["double"] == 1 {
        // The side of old1 that is in this window has a claim for the other one.
        assert_eq!(clean.code, Some(6));
        let since = (Timestamp::now() - SignedDuration::from_mins(90)).to_string();
        clean = reconcile(&deployment, &["--format", "json", "--from", &since]).await;
    }
    assert_eq!(clean.code, Some(0), "{clean:?}");
    assert_eq!(json(&clean)["clean"], true);
}

#[tokio::test]
async fn a_backfill_that_is_killed_goes_on() {
    let deployment = deployment("").await;
    seed(&deployment, Side::Legacy, "r", 3500, 2);
    let gate = Fault::new(FaultKind::Gate { applied: false }).on(Side::Legacy, Operation::List).after(2);
    let gate = deployment.vendor.faults().arm(gate);
    let mut child = start(&deployment, &["ledger", "backfill", "--rate", "50"]);
    soon(gate.reached(1)).await;
    child.kill().unwrap();
    child.wait().unwrap();
    gate.open();
    let claims = deployment.order(&["stats"]).await.row("claims").parse::<u32>().unwrap();
    assert!((1..3500).contains(&claims), "killed in the middle: {claims}");
    let backfill = ["backfill", "--rate", "50", "--json"];
    let ran = deployment.order(&backfill).await;
    assert_eq!((ran.code, &json(&ran)["resumed"]), (Some(0), &Value::from(true)), "{ran:?}");
    let again = json(&deployment.order(&backfill).await);
    assert_eq!((&again["adopted"], &again["clean"]), (&Value::from(0), &Value::from(true)), "{again}");
    assert_eq!(deployment.order(&["stats"]).await.row("claims"), "3500");
}

/// A walk that was stopped counts for the end that was asked for then. The next one has an end of its own.
#[tokio::test]
async fn a_walk_that_goes_on_goes_to_the_end_that_is_asked_for() {
    let deployment = deployment("").await;
    // Three pages; the oldest record is 1 h and 2099 × 3 s old.
    seed(&deployment, Side::Legacy, "r", 2100, 3);
    assert_eq!(deployment.order(&["backfill", "--rate", "50"]).await.code, Some(0));
    let stop = async |pages: u64, more: &[&str]| {
        let gate = Fault::new(FaultKind::Gate { applied: false }).on(Side::Legacy, Operation::List);
        let gate = gate.after(pages);
        let gate = deployment.vendor.faults().arm(gate);
        let mut child = start(&deployment, &[&["reconcile", "--rate", "50"][..], more].concat());
        soon(gate.reached(1)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        gate.open();
        deployment.vendor.faults().clear();
        // It would be waited for.
        change(&deployment.ledger(), "DELETE FROM ledger_leases").await;
    };
    let end = |ran: &Ran| json(ran)["window"]["end"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let now = || Timestamp::now() - SignedDuration::from_mins(10);

    // Stopped last week, by its window.
    let then = (Timestamp::now() - SignedDuration::from_mins(70)).to_string();
    stop(1, &["--to", &then]).await;
    let ran = reconcile(&deployment, &["--format", "json"]).await;
    assert_eq!((ran.code, &json(&ran)["resumed"]), (Some(0), &Value::from(true)), "{ran:?}");
    assert!(now().duration_since(end(&ran)) < SignedDuration::from_mins(1), "{ran:?}");
    assert_eq!(json(&ran)["records"]["legacy"], 2100, "{ran:?}");

    // Not yet where the asked one ends.
    stop(2, &[]).await;
    let to: Timestamp = then.parse().unwrap();
    let ran = reconcile(&deployment, &["--to", &then]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("resumed"), "{ran:?}");
    assert!(
        ran.row("window").ends_with(&format!("to {}", Timestamp::from_second(to.as_second()).unwrap())),
        "{ran:?}"
    );

    // Further than where the asked one ends: it cannot be joined. With a finding the progress is saved at once.
    let oldest = (Timestamp::now() - SignedDuration::from_mins(200)).to_string();
    deployment.vendor.inspector().seed_conversion(old_record("oldest", &oldest));
    stop(2, &[]).await;
    let early = (Timestamp::now() - SignedDuration::from_mins(170)).to_string();
    let ran = reconcile(&deployment, &["--to", &early, "--format", "json"]).await;
    assert_eq!((ran.code, &json(&ran)["resumed"]), (Some(0), &Value::from(false)), "{ran:?}");
    assert_eq!(end(&ran).as_second(), early.parse::<Timestamp>().unwrap().as_second(), "{ran:?}");
    let made_before = json(&ran)["records"]["legacy"].as_u64().unwrap();
    assert!((1..1000).contains(&made_before), "{ran:?}");
}

pub(super) fn start(deployment: &Deployment, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_conversion-shim"))
        .args(arguments)
        .arg("--config")
        .arg(deployment.config())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn a_side_that_does_not_answer_is_never_clean() {
    for kind in [
        FaultKind::Status {
            code: http::StatusCode::SERVICE_UNAVAILABLE,
            body: RefusalBody::Html,
            applied: false,
            retry_after: None,
        },
        FaultKind::NotJson,
        FaultKind::EmptyBody,
        FaultKind::Reset { applied: false },
    ] {
        let deployment = deployment("").await;
        seed(&deployment, Side::Legacy, "r", 3, 60);
        deployment.vendor.faults().arm(Fault::new(kind).on(Side::New, Operation::List));
        let ran = reconcile(&deployment, &[]).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.out.is_empty() && ran.err.contains("could not finish"), "{ran:?}");
        let url = deployment.vendor.base_url();
        assert!(
            !ran.err.contains(&url) && !ran.err.contains("created_at"),
            "addresses hold references: {ran:?}"
        );
    }
}

#[tokio::test]
async fn a_429_and_an_expired_token_only_delay_a_walk() {
    let deployment = deployment("budget.cooldown = \"1s\"").await;
    seed(&deployment, Side::Legacy, "r", 3, 60);
    let status = |status, operation| {
        let body = RefusalBody::Problem;
        let kind = FaultKind::Status { code: status, body, applied: false, retry_after: None };
        deployment.vendor.faults().arm(Fault::new(kind).on(Side::Legacy, operation).times(1))
    };
    let throttled = status(http::StatusCode::TOO_MANY_REQUESTS, Operation::List);
    let first = reconcile(&deployment, &["--format", "json"]).await;
    assert_eq!((first.code, throttled.hits()), (Some(6), 1), "{first:?}");
    let expired = status(http::StatusCode::UNAUTHORIZED, Operation::List);
    let second = reconcile(&deployment, &[]).await;
    assert_eq!((second.code, expired.hits()), (Some(0), 1), "{second:?}");
}

/// The vendor's own wait is kept; after it the walk goes on, more slowly, and says so.
#[tokio::test]
async fn a_429_that_says_how_long_is_waited_for_that_long() {
    let deployment = deployment("").await;
    seed(&deployment, Side::Legacy, "r", 2100, 1);
    let kind = FaultKind::Status {
        code: http::StatusCode::TOO_MANY_REQUESTS,
        body: RefusalBody::Problem,
        applied: false,
        retry_after: Some(1),
    };
    let throttled =
        deployment.vendor.faults().arm(Fault::new(kind).on(Side::Legacy, Operation::List).times(1));
    let ran = soon(reconcile(&deployment, &["--dry-run"])).await;
    assert_eq!((ran.code, throttled.hits()), (Some(6), 1), "{ran:?}");
    let waits = "waits 1 s: the legacy side answered 429 and asked for it";
    assert!(ran.err.contains(waits), "{ran:?}");
    assert!(ran.err.contains("slowed down after a 429"), "{ran:?}");
}

/// A process that was killed keeps the lease for some seconds.
#[tokio::test]
async fn a_walk_that_waits_for_another_says_for_what() {
    let deployment = deployment("").await;
    seed(&deployment, Side::Legacy, "r", 3, 60);
    reconcile(&deployment, &[]).await;
    let until = Timestamp::now() + SignedDuration::from_secs(4);
    let lease = format!(
        "INSERT INTO ledger_leases (name, holder, until_us) VALUES ('walk default', 'killed-one', {})",
        until.as_microsecond()
    );
    change(&deployment.ledger(), &*lease.leak()).await;
    let ran = reconcile(&deployment, &[]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let waits = format!("waits until {until:.0}");
    assert!(ran.err.contains(&waits) && ran.err.contains("killed-one"), "{waits}: {ran:?}");
}

/// What runs again begins anew.
#[tokio::test]
async fn a_walk_that_cannot_go_on_does_not_say_so() {
    let deployment = deployment("").await;
    seed(&deployment, Side::Legacy, "r", 3, 60);
    deployment.vendor.faults().arm(Fault::new(FaultKind::NotJson).on(Side::New, Operation::List));
    let goes_on = "it goes on from where it stopped";
    let ran = reconcile(&deployment, &[]).await;
    assert!(ran.code == Some(1) && ran.err.contains(goes_on), "{ran:?}");
    let report = deployment.path("report.csv");
    std::fs::write(&report, include_str!("daily_report.csv")).unwrap();
    for more in [&["--dry-run"][..], &["--report", report.to_str().unwrap()]] {
        let ran = reconcile(&deployment, more).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains("could not finish") && !ran.err.contains(goes_on), "{ran:?}");
        assert!(ran.err.contains("begins anew"), "{ran:?}");
    }
}

#[tokio::test]
async fn nothing_is_walked_without_credentials() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.write(&format!("{named}\nstage = \"live\""));
    let ran = reconcile(&deployment, &[]).await;
    assert!(ran.code == Some(1) && ran.err.contains("[auth.lookup]"), "{ran:?}");
    let young = reconcile(&deployment, &["--to", "1m"]).await;
    assert!(young.code == Some(2) && young.err.contains("ten minutes"), "{young:?}");
}

/// A claim that came back from before its side was chosen anew says that the other side was checked. While the hold stands, a walk says
/// where the record is.
#[tokio::test]
async fn a_ledger_on_hold_is_compared_before_it_is_accepted() {
    let deployment = deployment("").await;
    let (replica, caller) = deployment.serve().await;
    let refused = Fault::new(FaultKind::Reset { applied: false }).on(Side::New, Operation::Create);
    deployment.vendor.faults().arm(refused);
    caller.create("r").await;
    replica.kill();
    deployment.vendor.faults().clear();
    let made = (Timestamp::now() - SignedDuration::from_hours(1)).to_string();
    deployment.vendor.inspector().seed_conversion(old_record("r", &made));
    change(
        &deployment.ledger(),
        "INSERT INTO ledger_settings (name, value, at_us) VALUES ('hold', 'a test', 0)",
    )
    .await;

    let ran = reconcile(&deployment, &["--format", "json"]).await;
    assert_eq!((ran.code, &json(&ran)["found"]["wrong_side"]), (Some(6), &Value::from(1)), "{ran:?}");
    let (_replica, caller) = deployment.serve().await;
    assert_eq!(caller.create("r").await.status, 503, "the hold stands");
    assert_eq!(deployment.made("r"), one_on(Side::Legacy));
}
