//! What a step rests on must be true of the ledger as it is now, and cover all that the step would leave behind.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::gate_evidence::{CANARY, LIVE, ago, claim, clean, deployment, first_create, line, reconcile};
use crate::gates::{Deployment, facts, status};
use crate::support::process::{Shim, run_with};
use crate::support::soon;
use crate::support::test_bed::old_record;

const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 24 * 60 * MINUTE_US;

/// What was recorded of walks is so much older.
async fn age_walks(deployment: &Deployment, by_us: i64) {
    deployment
        .tamper(&format!(
            "UPDATE ledger_evidence SET at_us = at_us - {by_us}, begin_us = begin_us - {by_us}, end_us = end_us - {by_us}, \
             numbers = json_remove(numbers, '$.started_at') WHERE kind = 'reconcile'"
        ))
        .await;
}

/// All creates have gone to new for eight days, and usage is kept for as long.
async fn live_for_eight_days(deployment: &Deployment) {
    let at = Timestamp::now().as_microsecond() - 8 * DAY_US;
    let modes = "create new, get both, list both, cancel both";
    for (name, value) in [("modes", modes), ("usage_since", "kept")] {
        deployment
            .tamper(&format!("INSERT OR REPLACE INTO ledger_settings (name, value, at_us) VALUES ('{name}', '{value}', {at})"))
            .await;
    }
}

/// A conversion of the old API from then, with its claim.
async fn old_create(deployment: &Deployment, ref_id: &str, at: Timestamp) -> String {
    let id = deployment.vendor.inspector().seed_conversion(old_record(ref_id, &at.to_string()));
    claim(deployment, ref_id, at, Some(&id)).await;
    deployment.tamper(&format!("UPDATE ref_claims SET side = 'legacy' WHERE ref_id = '{ref_id}'")).await;
    id
}

async fn is_missing(deployment: &Deployment, to: &str, condition: &str) -> bool {
    deployment.missing(to).await.contains(&condition.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_over_nothing_of_a_short_retry_window_does_not_count() {
    let deployment = deployment(LIVE, "gate.retry_window = \"1m\"\n").await;
    // Made a moment ago: too young for any walk.
    claim(&deployment, "young", ago(2), Some("young")).await;
    clean(&deployment, &["--from", "30m"]).await;
    assert!(is_missing(&deployment, "sealed", "reconcile").await);
    let text = line(&deployment, "sealed", "reconcile").await;
    assert!(text.contains("its window begins too late"), "{text}");
    clean(&deployment, &[]).await;
    assert!(is_missing(&deployment, "sealed", "reconcile").await, "over no record, and the ledger has one");
    let text = line(&deployment, "sealed", "reconcile").await;
    assert!(text.contains("the newest 2m") && text.contains("none was walked"), "{text}");
    deployment.tamper("DELETE FROM ref_claims").await;
    assert!(!is_missing(&deployment, "sealed", "reconcile").await, "there is nothing to walk");
    first_create(&deployment, ago(20)).await;
    assert!(is_missing(&deployment, "sealed", "reconcile").await);
    clean(&deployment, &[]).await;
    assert!(!is_missing(&deployment, "sealed", "reconcile").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_walk_counts_only_with_later_ones_without_a_gap() {
    let deployment = deployment(LIVE, "").await;
    first_create(&deployment, ago(30)).await;
    clean(&deployment, &[]).await;
    for to in ["live", "sealed"] {
        // `live` is on record; what it needed is what is judged.
        let furthest = if to == "live" { CANARY } else { LIVE };
        deployment
            .tamper(&format!("UPDATE ledger_settings SET value = '{furthest}' WHERE name = 'furthest'"))
            .await;
        assert!(!is_missing(&deployment, to, "reconcile").await, "{to}");
    }
    // Young enough, and everything of the retry window was made since.
    deployment.tamper(&format!("UPDATE ref_claims SET created_at_us = created_at_us - {}", 7 * DAY_US)).await;
    age_walks(&deployment, 7 * DAY_US - 30 * MINUTE_US).await;
    for (to, furthest) in [("live", CANARY), ("sealed", LIVE)] {
        deployment
            .tamper(&format!("UPDATE ledger_settings SET value = '{furthest}' WHERE name = 'furthest'"))
            .await;
        assert!(is_missing(&deployment, to, "reconcile").await, "{to}");
        let text = line(&deployment, to, "reconcile").await;
        assert!(text.contains("what is younger is not walked"), "{text}");
    }
    clean(&deployment, &["--from", "6d"]).await;
    assert!(is_missing(&deployment, "sealed", "reconcile").await, "the walks leave a day out");
    clean(&deployment, &["--from", "7d"]).await;
    assert!(
        !is_missing(&deployment, "sealed", "reconcile").await,
        "{}",
        line(&deployment, "sealed", "reconcile").await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_needs_every_record_of_the_old_api_to_be_final() {
    let deployment = deployment(LIVE, "").await;
    live_for_eight_days(&deployment).await;
    first_create(&deployment, ago(20)).await;
    clean(&deployment, &["--from", "8d"]).await;
    assert!(is_missing(&deployment, "sealed", "legacy_open").await, "nobody has looked");
    let id = old_create(&deployment, "old-open", ago(60 * 24 * 20)).await;
    assert!(deployment.vendor.inspector().set_status(&id, "CREATED"));
    assert_eq!(reconcile(&deployment, &[]).await.code, Some(6));
    clean(&deployment, &["--from", "8d"]).await;
    assert_eq!(deployment.missing("sealed").await, ["legacy_open"]);
    let text = line(&deployment, "sealed", "legacy_open").await;
    assert!(text.contains("1 record of the old API not final, at most 0: old-open;"), "{text}");
    // A walk that waits longer than that does not see it.
    clean(&deployment, &["--stuck-after", "30d"]).await;
    assert_eq!(deployment.missing("sealed").await, ["legacy_open"]);
    let text = line(&deployment, "sealed", "legacy_open").await;
    assert!(text.contains("--stuck-after is longer than 7d"), "{text}");
    assert!(deployment.vendor.inspector().set_status(&id, "SETTLED"));
    clean(&deployment, &[]).await;
    assert_eq!(deployment.missing("sealed").await, [""; 0]);
    // Found by a later walk of a part: a walk of everything has to look again.
    assert!(deployment.vendor.inspector().set_status(&id, "CREATED"));
    assert_eq!(reconcile(&deployment, &["--from", "21d", "--to", "19d"]).await.code, Some(6));
    assert_eq!(deployment.missing("sealed").await, ["legacy_open"]);
    deployment.tamper("UPDATE ledger_findings SET finding = json_set(finding, '$.legacy_id', NULL)").await;
    assert_eq!(deployment.missing("sealed").await, [""; 0], "of the new API");
    deployment.tamper("UPDATE ledger_walks SET end_us = end_us - 864000000000 WHERE begin_us = 0").await;
    assert_eq!(deployment.missing("sealed").await, ["legacy_open"], "before all creates went to new");
}

/// A deployment that only lacks nothing before `sealed`.
async fn ready_to_seal() -> Deployment {
    let deployment = deployment(LIVE, "").await;
    live_for_eight_days(&deployment).await;
    first_create(&deployment, ago(60)).await;
    clean(&deployment, &[]).await;
    assert_eq!(deployment.missing("sealed").await, [""; 0]);
    deployment
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_a_hold_and_an_open_attempt_stop_every_step_forward() {
    let deployment = ready_to_seal().await;
    claim(&deployment, "open", ago(60), None).await;
    deployment.tamper("UPDATE ref_claims SET side = 'legacy', created_at_us = created_at_us - 1209600000000 WHERE ref_id = 'open'").await;
    assert_eq!(reconcile(&deployment, &[]).await.code, Some(6));
    clean(&deployment, &["--from", "8d"]).await;
    let tripped = run_with(&deployment.config.path(), &["trip", "now", "--why", "two payouts"]).await;
    assert_eq!(tripped.code, Some(0), "{tripped:?}");
    let hold = |at: i64| {
        format!("INSERT INTO ledger_settings (name, value, at_us) VALUES ('hold', 'a restored backup', {at})")
    };
    deployment.tamper(&hold(1)).await;
    for (to, furthest) in [("canary", "creates none, reads both"), ("live", CANARY), ("sealed", LIVE)] {
        deployment
            .tamper(&format!("UPDATE ledger_settings SET value = '{furthest}' WHERE name = 'furthest'"))
            .await;
        let missing = deployment.missing(to).await;
        for condition in ["unresolved", "trip", "hold"] {
            assert!(missing.contains(&condition.to_owned()), "{to}: {missing:?}");
        }
    }
    let text = line(&deployment, "sealed", "hold").await;
    assert!(text.contains("a restored backup"), "{text}");
    // The loader says the same.
    deployment.write("stage = \"live\"");
    let shim = Shim::start(&deployment.config).await;
    deployment.write("stage = \"sealed\"");
    for condition in ["unresolved", "trip", "hold"] {
        let lacks = format!("the step \"sealed\" lacks {condition}: ");
        let is_it =
            |line: &Value| line["problem"].as_str().is_some_and(|problem| problem.starts_with(&lacks));
        shim.line_that(&lacks, is_it).await;
    }
    assert_eq!(status(&shim).await["stage"], "live");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_ledger_needs_new_evidence() {
    let deployment = deployment(CANARY, "").await;
    first_create(&deployment, ago(120)).await;
    clean(&deployment, &[]).await;
    assert_eq!(deployment.missing("live").await, [""; 0]);
    let backup = deployment.config.file("backup.db", "");
    std::fs::remove_file(&backup).unwrap();
    let made = run_with(&deployment.config.path(), &["ledger", "backup", backup.to_str().unwrap()]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    for beside in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{beside}", deployment.config.sqlite().display()));
    }
    std::fs::rename(&backup, deployment.config.sqlite()).unwrap();
    assert!(is_missing(&deployment, "live", "hold").await);
    let accepted = run_with(&deployment.config.path(), &["ledger", "accept", "--why", "restored"]).await;
    assert_eq!(accepted.code, Some(0), "{accepted:?}");
    assert_eq!(deployment.missing("live").await, ["reconcile"]);
    let text = line(&deployment, "live", "reconcile").await;
    assert!(text.contains("it began before the ledger was accepted as it is"), "{text}");
    clean(&deployment, &[]).await;
    assert_eq!(deployment.missing("live").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_accepted_ledger_says_of_the_time_before_does_not_count() {
    let deployment = ready_to_seal().await;
    let accepted = run_with(&deployment.config.path(), &["ledger", "accept", "--why", "a fail-over"]).await;
    assert_eq!(accepted.code, Some(0), "{accepted:?}");
    // The modes in between, and the clients, may be lost as well.
    assert_eq!(deployment.missing("sealed").await, ["reconcile", "all_on_new", "legacy_open", "usage"]);
    let a_week = 8 * DAY_US;
    deployment
        .tamper(&format!("UPDATE ledger_settings SET at_us = at_us - {a_week} WHERE name = 'accepted'"))
        .await;
    clean(&deployment, &[]).await;
    assert_eq!(deployment.missing("sealed").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_says_what_the_loader_says_of_a_way_back() {
    let deployment = deployment(LIVE, "").await;
    deployment.write("stage = \"live\"");
    let shim = Shim::start(&deployment.config).await;
    for (to, reads) in [("observe", "get is legacy"), ("shadow", "get is shadow")] {
        assert_eq!(deployment.missing(to).await, ["reads"], "{to}");
        let text = line(&deployment, to, "reads").await;
        assert!(text.starts_with("MISSING  going back, reads: ") && text.contains(reads), "{text}");
        let seen = shim.log().len();
        deployment.write(&format!("stage = \"{to}\""));
        soon(async {
            let is_it = |line: &Value| line["message"] == "config refused, nothing changed";
            while !shim.log().iter().skip(seen).any(is_it) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        deployment.write("stage = \"live\"");
    }
    for to in ["ready", "hold", "canary", "live"] {
        assert_eq!(deployment.missing(to).await, [""; 0], "{to}");
    }
    assert_eq!(status(&shim).await["stage"], "live");
}

/// The newest report alone is judged, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn the_report_that_is_judged_is_named() {
    let deployment = deployment("creates none, reads both", "").await;
    deployment.record_report(2000).await;
    let older = Timestamp::now().to_string()[..13].to_owned();
    deployment.record_report(3).await;
    let text = line(&deployment, "canary", "report").await;
    assert!(text.starts_with("MISSING") && text.contains(&format!("of {older}")), "{text}");
    assert!(text.contains("an older one does not count"), "{text}");
    deployment.record_report(2000).await;
    assert!(line(&deployment, "canary", "report").await.starts_with("met"));
    let hosts = Timestamp::now() + SignedDuration::from_secs(1);
    deployment
        .tamper(&format!(
            "INSERT OR REPLACE INTO ledger_settings (name, value, at_us) VALUES ('hosts', '{}', {})",
            deployment.hosts(),
            hosts.as_microsecond()
        ))
        .await;
    let text = line(&deployment, "canary", "report").await;
    assert!(text.starts_with("MISSING") && text.contains("before the ledger's hosts were"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_has_the_same_conditions() {
    let deployment = deployment(LIVE, "").await;
    let found =
        run_with(&deployment.config.path(), &["gate", "--to", "observe", "--format", "json"]).await.json();
    assert_eq!(found["met"], json!(false), "{found}");
    assert_eq!(found["conditions"][0]["step"], "going back", "{found}");
}

/// They are asked for at each step, not only at the first that relies on them.
#[tokio::test(flavor = "multi_thread")]
async fn facts_that_are_too_old_stop_every_step_forward() {
    let deployment = deployment(CANARY, "").await;
    deployment.knows_facts.set(false);
    let old = Timestamp::now() - SignedDuration::from_hours(31 * 24);
    for (furthest, to) in [("creates none, reads both", "canary"), (CANARY, "live"), (LIVE, "sealed")] {
        deployment
            .tamper(&format!("UPDATE ledger_settings SET value = '{furthest}' WHERE name = 'furthest'"))
            .await;
        deployment.write(&format!("stage = \"canary\"\n{}", facts(old)));
        assert!(is_missing(&deployment, to, "facts").await, "{to}");
        assert!(line(&deployment, to, "facts").await.contains("too old: 31d"));
        deployment.write(&format!("stage = \"canary\"\n{}", facts(Timestamp::now())));
        assert!(!is_missing(&deployment, to, "facts").await, "{to}");
    }
    let json = run_with(&deployment.config.path(), &["gate", "--to", "sealed", "--format", "json"]).await;
    assert_eq!(json.out.matches("\"facts\"").count(), 1, "{json:?}");
    // How old they are is a metric, which an alert rests on.
    deployment.write(&format!("stage = \"hold\"\n{}", facts(old)));
    let shim = Shim::start(&deployment.config).await;
    let metrics = reqwest::get(shim.admin("/metrics")).await.unwrap().text().await.unwrap();
    let expected = format!("conversion_shim_facts_found_timestamp_seconds {}", old.as_second());
    assert!(metrics.contains(&expected), "{metrics}");
}
