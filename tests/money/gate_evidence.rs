//! What a gate takes for evidence: windows, ages and numbers of walks and reports that the real commands recorded.

use std::time::Duration;

use conversion_shim::translate::route::Route;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sqlx::Connection as _;

use crate::gates::{Deployment, facts, status};
use crate::support::ledger;
use crate::support::postgres::Postgres;
use crate::support::process::{Ran, Shim, run_with};
use crate::support::story::{HOSTS, green};
use crate::support::test_bed::{new_record, old_record};

/// The furthest modes on record.
pub(crate) const CANARY: &str = "creates some, reads both";
pub(crate) const LIVE: &str = "creates all, reads both";

pub(crate) fn ago(minutes: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_mins(minutes)
}

/// A deployment that has gone so far.
pub(crate) async fn deployment(furthest: &str, more: &str) -> Deployment {
    let deployment = Deployment::new().await;
    deployment.knows_facts.set(true);
    // Opens the ledger for creates on new.
    deployment.write(&format!("stage = \"canary\"\n{more}"));
    deployment
        .tamper(&format!("UPDATE ledger_settings SET value = '{furthest}' WHERE name = 'furthest'"))
        .await;
    deployment
}

pub(crate) async fn reconcile(deployment: &Deployment, more: &[&str]) -> Ran {
    let token = deployment.config.file("token", conversion_shim::sandbox::TOKEN);
    let walk = ["reconcile", "--rate", "50", "--token-file", token.to_str().unwrap()];
    run_with(&deployment.config.path(), &[&walk[..], more].concat()).await
}

pub(crate) async fn clean(deployment: &Deployment, more: &[&str]) {
    let ran = reconcile(deployment, more).await;
    assert_eq!(ran.code, Some(0), "{more:?}: {ran:?}");
}

/// What `gate` says of a condition.
pub(crate) async fn line(deployment: &Deployment, to: &str, condition: &str) -> String {
    let ran = run_with(&deployment.config.path(), &["gate", "--to", to]).await;
    let is_it = |line: &&str| line.contains(&format!(", {condition}: "));
    ran.out.lines().find(is_it).unwrap_or_else(|| panic!("no {condition}: {ran:?}")).to_owned()
}

/// A claim; without a record its outcome is open.
pub(crate) async fn claim(deployment: &Deployment, ref_id: &str, at: Timestamp, record: Option<&str>) {
    let record = record.map_or_else(|| "NULL".to_owned(), |id| format!("'{id}'"));
    let sql = format!(
        "INSERT INTO ref_claims (tenant, ref_id, side, state, fingerprint, record_id, generation, begun, closed, created_at_us, \
         updated_at_us) VALUES ('default', '{ref_id}', 'new', 'fenced', '{}', {record}, 1, 1, 0, {at}, {at})",
        "a7".repeat(32),
        at = at.as_microsecond()
    );
    deployment.tamper(&sql).await;
}

/// The first create on new, with its record.
pub(crate) async fn first_create(deployment: &Deployment, at: Timestamp) {
    let id = deployment.vendor.inspector().seed_orchestration(new_record("first", &at.to_string()));
    claim(deployment, "first", at, Some(&id)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_creates_on_new_need_a_walk_from_the_first_create_on_new_to_now() {
    let deployment = deployment(CANARY, "").await;
    let first = ago(120);
    first_create(&deployment, first).await;
    let (second, next) = (first.to_string(), (first + SignedDuration::from_secs(1)).to_string());
    clean(&deployment, &["--from", &second, "--to", &next]).await;
    assert_eq!(deployment.missing("live").await, ["reconcile"], "one second");
    clean(&deployment, &["--from", "3h", "--to", "1h"]).await;
    assert_eq!(deployment.missing("live").await, ["reconcile"], "not the last hour");
    clean(&deployment, &["--from", "50m"]).await;
    assert_eq!(deployment.missing("live").await, ["reconcile"], "ten minutes between the two");
    clean(&deployment, &[]).await;
    assert_eq!(deployment.missing("live").await, [""; 0]);
    // What was shown stays shown while a later walk covers less.
    clean(&deployment, &["--from", "20m"]).await;
    assert_eq!(deployment.missing("live").await, [""; 0]);
    assert!(line(&deployment, "live", "reconcile").await.starts_with("met"));
    // Eight days later.
    let week = "691200000000";
    deployment
        .tamper(&format!(
            "UPDATE ledger_evidence SET at_us = at_us - {week}, begin_us = begin_us - {week}, end_us = end_us - {week}"
        ))
        .await;
    deployment.tamper(&format!("UPDATE ref_claims SET created_at_us = created_at_us - {week}")).await;
    assert_eq!(deployment.missing("live").await, ["reconcile"], "too old");
    let line = line(&deployment, "live", "reconcile").await;
    assert!(line.contains("at most 7d"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_walk_hides_no_open_claim() {
    let deployment = deployment(CANARY, "").await;
    first_create(&deployment, ago(120)).await;
    claim(&deployment, "open", ago(60), None).await;
    assert_eq!(reconcile(&deployment, &[]).await.code, Some(6), "it is found");
    clean(&deployment, &["--from", "30m"]).await;
    assert!(deployment.missing("live").await.contains(&"unresolved".into()));
    let found = line(&deployment, "live", "unresolved").await;
    assert!(found.contains("1 claim "), "{found}");
    // One that may be under way now is none.
    deployment.tamper("DELETE FROM ref_claims WHERE ref_id = 'open'").await;
    claim(&deployment, "young", ago(1), None).await;
    assert!(!deployment.missing("live").await.contains(&"unresolved".into()));
}

/// A walk that finds less does not hide what one before it found about money.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_about_money_is_not_hidden_by_a_later_finding() {
    let deployment = deployment(CANARY, "").await;
    first_create(&deployment, ago(120)).await;
    clean(&deployment, &[]).await;
    claim(&deployment, "lost", ago(60), Some("nowhere")).await;
    assert_eq!(reconcile(&deployment, &[]).await.code, Some(6));
    assert_eq!(deployment.missing("live").await, ["reconcile"]);
    deployment.vendor.inspector().seed_orchestration(new_record("unclaimed", &ago(30).to_string()));
    assert_eq!(reconcile(&deployment, &["--from", "40m"]).await.code, Some(6));
    assert_eq!(deployment.missing("live").await, ["reconcile"]);
}

/// A walk looks at a window that ends before it begins, so what another one finds meanwhile may be later than that.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_about_money_during_a_walk_counts() {
    let deployment = deployment(CANARY, "").await;
    first_create(&deployment, ago(120)).await;
    claim(&deployment, "lost", ago(60), Some("nowhere")).await;
    assert_eq!(reconcile(&deployment, &[]).await.code, Some(6));
    deployment.tamper("DELETE FROM ref_claims WHERE ref_id = 'lost'").await;
    clean(&deployment, &[]).await;
    assert_eq!(deployment.missing("live").await, [""; 0]);
    let begun = ago(5);
    let earlier =
        format!("UPDATE ledger_evidence SET numbers = json_set(numbers, '$.started_at', '{begun}')");
    deployment.tamper(&earlier).await;
    assert_eq!(deployment.missing("live").await, ["reconcile"]);
    let line = line(&deployment, "live", "reconcile").await;
    assert!(line.contains("found something about money"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_needs_a_walk_up_to_its_own_begin() {
    let deployment = deployment(LIVE, "gate.retry_window = \"1m\"\n").await;
    first_create(&deployment, ago(120)).await;
    clean(&deployment, &["--from", "24h", "--to", "23h"]).await;
    assert!(deployment.missing("sealed").await.contains(&"reconcile".into()));
    let text = line(&deployment, "sealed", "reconcile").await;
    assert!(text.contains(", 23h ago; its window ends too early"), "{text}");
    clean(&deployment, &["--from", "24h"]).await;
    let text = line(&deployment, "sealed", "reconcile").await;
    assert!(text.starts_with("met") && text.contains(", 10m"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_conditions_are_read_from_postgresql_as_well() {
    let Some(postgres) = Postgres::shared() else { return };
    let deployment = Deployment::new().await;
    let url = postgres.fresh_database();
    deployment.config.write_only(&format!(
        "{}{}gate.enforce = true\nstage = \"canary\"\n",
        facts(Timestamp::now()),
        ledger::keys(&url, true)
    ));
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    let sql = format!(
        "UPDATE ledger_settings SET value = '{CANARY}' WHERE name = 'furthest'; \
         INSERT INTO ref_claims (tenant, ref_id, side, state, fingerprint, generation, begun, closed, created_at_us, updated_at_us) \
         VALUES ('default', 'open', 'new', 'fenced', '{}', 1, 1, 0, 1, 1)",
        "a7".repeat(32)
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    assert_eq!(deployment.missing("live").await, ["reconcile", "unresolved"]);
    assert_eq!(reconcile(&deployment, &[]).await.code, Some(6));
    assert_eq!(deployment.missing("live").await, ["reconcile", "unresolved"]);
    sqlx::raw_sql("UPDATE ref_claims SET state = 'refused'").execute(&mut connection).await.unwrap();
    let ran = reconcile(&deployment, &[]).await;
    assert_eq!((ran.code, deployment.missing("live").await), (Some(0), Vec::new()), "{ran:?}");
}

/// A log of the last minutes, all of it as it should be.
pub(crate) fn shadow_log(deployment: &Deployment) -> String {
    let all = [Route::Create, Route::Get, Route::List].map(green).concat();
    let recent = &ago(5).to_string()[..17];
    let log = all.replace("2026-11-21T11:55:", recent).replace(HOSTS, &deployment.hosts());
    deployment.config.file("shadow.log", &log).to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_judged_with_the_thresholds_of_the_gates_config() {
    let deployment = deployment("creates none, reads both", "").await;
    deployment.age_ledger().await;
    let log = shadow_log(&deployment);
    let record = async |more: &[&str]| {
        run_with(&deployment.config.path(), &[&["report", "--record", &log], more].concat()).await
    };
    let report = async || line(&deployment, "canary", "report").await;
    // GO by thresholds that nobody would go by.
    let strict = "shadow.go.judged_min=1000000";
    assert_eq!(record(&[]).await.code, Some(0));
    assert!(report().await.starts_with("met"), "{}", report().await);
    deployment.write(&format!("stage = \"canary\"\n{}\n", strict.replace('=', " = ")));
    let text = report().await;
    assert!(text.starts_with("MISSING") && text.contains("judged_min"), "{text}");
    let loosened = record(&["--set", "shadow.go.judged_min=1", "--set", "shadow.go.money_max=1000"]).await;
    assert_eq!(loosened.code, Some(0), "{loosened:?}");
    assert!(report().await.starts_with("MISSING"), "{}", report().await);
    let audit = run_with(&deployment.config.path(), &["audit"]).await.out;
    let of_evidence = audit.lines().filter(|line| line.contains("  evidence "));
    let shown = of_evidence.filter(|line| line.contains("judged_min 1,") && line.contains("money_max 1000"));
    assert_eq!(shown.count(), 1, "{audit}");
    // One that covers what the gate asks about and does not say how it was found proves nothing.
    deployment.write("stage = \"canary\"\n");
    deployment.tamper("UPDATE ledger_evidence SET numbers = '{\"routes\":{\"create\":{\"verdict\":\"go\"},\"get\":{\"verdict\":\"go\"},\"list\":{\"verdict\":\"go\"}}}'").await;
    let text = report().await;
    assert!(text.starts_with("MISSING") && text.contains("not judged"), "{text}");
}

/// The text of a missing condition has an age, which is no other refusal.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_whose_numbers_change_is_one_refusal() {
    let deployment = Deployment::new().await;
    deployment.write("stage = \"observe\"");
    let shim = Shim::start(&deployment.config).await;
    deployment.write("stage = \"ready\"");
    let refused = || {
        let log = shim.log();
        log.iter().filter(|line| line["message"] == "config refused, nothing changed").count()
    };
    shim.logged("config refused, nothing changed").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = refused();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(refused(), before, "{:?}", shim.log());
    let config = status(&shim).await["config"].clone();
    let reloads = config["reloads"].as_array().unwrap().iter().filter(|reload| reload["result"] == "refused");
    assert_eq!(reloads.count(), 1, "{config}");
    let metrics = reqwest::get(shim.admin("/metrics")).await.unwrap().text().await.unwrap();
    let counted = metrics
        .lines()
        .find(|line| line.starts_with("conversion_shim_reloads_total") && line.contains("refused"));
    assert!(counted.is_some_and(|line| line.ends_with(" 1.0") || line.ends_with(" 1")), "{counted:?}");
    // Another reason is another refusal.
    deployment.age_ledger().await;
    let fewer = async {
        loop {
            let config = status(&shim).await["config"].clone();
            if config["reloads"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|reload| reload["result"] == "refused")
                .count()
                == 2
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), fewer).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_nothing_says_why() {
    let deployment = Deployment::new().await;
    deployment.write("stage = \"observe\"");
    let gate = async |to: &str| run_with(&deployment.config.path(), &["gate", "--to", to]).await.out;
    let shadow = gate("shadow").await;
    assert!(!shadow.contains("on record") && shadow.starts_with("shadow needs nothing: "), "{shadow}");
    deployment
        .tamper(&format!("UPDATE ledger_settings SET value = '{CANARY}' WHERE name = 'furthest'"))
        .await;
    let ready = gate("ready").await;
    assert!(ready.contains("at or behind the furthest modes on record"), "{ready}");
    deployment.tamper("DELETE FROM ledger_settings WHERE name = 'furthest'").await;
    let first = gate("live").await;
    assert!(first.contains("no modes are on record"), "{first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_without_a_name_is_named_as_such() {
    let deployment = deployment(LIVE, "").await;
    deployment
        .tamper("INSERT INTO ledger_settings (name, value, at_us) VALUES ('usage_since', 'kept', 1)")
        .await;
    let at = Timestamp::now().as_microsecond();
    deployment
        .tamper(&format!(
            "INSERT INTO ledger_usage VALUES ('default', 'nothing not identified', {at}, {at}, 'cancel')"
        ))
        .await;
    let text = line(&deployment, "sealed", "usage").await;
    assert!(text.contains("usage: 1 client used ") && !text.contains("nothing"), "{text}");
    let json =
        run_with(&deployment.config.path(), &["gate", "--to", "sealed", "--format", "json"]).await.json();
    assert_eq!(json["met"], Value::from(false));
}

/// A backfill reads the same records.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_backfill_found_about_money_counts() {
    let deployment = deployment(CANARY, "").await;
    first_create(&deployment, ago(120)).await;
    clean(&deployment, &[]).await;
    assert_eq!(deployment.missing("live").await, [""; 0]);
    let id = deployment.vendor.inspector().seed_conversion(old_record("moved", &ago(200).to_string()));
    claim(&deployment, "moved", ago(200), Some(&id)).await;
    let token = deployment.config.file("token", conversion_shim::sandbox::TOKEN);
    let walk = ["ledger", "backfill", "--rate", "50", "--token-file", token.to_str().unwrap()];
    let ran = run_with(&deployment.config.path(), &walk).await;
    assert!(ran.code == Some(6) && ran.out.contains("wrong_side"), "{ran:?}");
    assert_eq!(deployment.missing("live").await, ["reconcile"]);
    // So does one that was killed after it had found it.
    for state in ["running", "abandoned"] {
        let stopped = format!(
            "UPDATE ledger_walks SET state = '{state}', progress = replace(progress, 'wrong_side', 'mirrored') WHERE state <> 'clean'"
        );
        deployment.tamper(&stopped).await;
        assert_eq!(deployment.missing("live").await, ["reconcile"], "{state}");
    }
}
