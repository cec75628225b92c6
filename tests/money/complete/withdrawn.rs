//! What ends completeness, at once and for all replicas, and how it comes back.

use conversion_shim::translate::side::Side;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use sqlx::Connection as _;

use super::Bed;
use crate::support::postgres::Postgres;
use crate::support::test_bed::LEGACY;
use crate::trip::served;
use crate::what_broke::ORCHESTRATIONS;
use crate::what_broke::references::orchestration;

/// A complete ledger that every replica relies on.
async fn complete_beds() -> Vec<Bed> {
    let mut beds = Bed::each().await;
    for bed in &mut beds {
        bed.start().await;
        bed.complete().await;
        assert!(!bed.looks(Side::Legacy, "complete").await);
    }
    beds
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_starts_may_have_run_without_the_ledger() {
    for mut bed in complete_beds().await {
        if !bed.is_shared() {
            bed.replicas.clear();
        }
        // Made meanwhile, past the ledger.
        bed.seed(Side::Legacy, "meanwhile", 30);
        bed.start().await;
        assert!(bed.looks(Side::Legacy, "started").await);
        let found = bed.caller().create("meanwhile").await;
        assert_eq!(found.status, 409, "{:?}", found.body);
        assert_eq!(bed.vendor.inspector().conversions_by_ref()["meanwhile"].new, 0);
        // A walk that ends too early restores nothing.
        bed.walk(&["reconcile"], 0).await;
        assert!(bed.looks(Side::Legacy, "too-early").await);
        bed.again().await;
        assert!(!bed.looks(Side::Legacy, "again").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_ledger_is_walked_from_the_first_record_on() {
    for bed in complete_beds().await {
        assert_eq!(bed.order(&["ledger", "accept", "--why", "test"]).await.code, Some(0));
        assert!(bed.looks(Side::Legacy, "accepted").await);
        bed.an_hour_later().await;
        bed.walk(&["reconcile", "--from", "25h"], 0).await;
        assert!(bed.looks(Side::Legacy, "not-walked").await);
        bed.complete().await;
        assert!(!bed.looks(Side::Legacy, "again").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_no_claim_knows_shows_another_door() {
    for bed in complete_beds().await {
        bed.seed(Side::Legacy, "beside", 20);
        bed.walk(&["reconcile"], 6).await;
        assert!(bed.looks(Side::Legacy, "found").await);
        let found = bed.stands("legacy").await;
        assert!(found["missing"].as_str().unwrap().contains("no claim knew"), "{found}");
        bed.complete().await;
        assert!(!bed.looks(Side::Legacy, "again").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_did_before_its_start_shows_no_other_door() {
    let mut bed = complete_beds().await.remove(0);
    bed.replicas.clear();
    bed.an_hour_later().await;
    bed.seed(Side::Legacy, "meanwhile", 30);
    bed.start().await;
    // Found, claimed, and walked over from where the last walk ended.
    bed.walk(&["reconcile", "--from", "25h"], 6).await;
    assert!(bed.stands("legacy").await["walked_to"].is_string());
    bed.an_hour_later().await;
    bed.walk(&["reconcile", "--from", "25h"], 0).await;
    assert!(!bed.looks(Side::Legacy, "again").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_a_walk_should_have_seen_shows_that_its_list_lagged() {
    let mut bed = complete_beds().await.remove(0);
    bed.replicas.clear();
    // Made before the end of the walks that did not see it.
    bed.seed(Side::Legacy, "late", 40);
    bed.start().await;
    bed.walk(&["reconcile", "--from", "25h"], 6).await;
    assert!(bed.stands("legacy").await["walked_to"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_that_is_late_or_finds_a_double_ends_it() {
    for bed in complete_beds().await {
        bed.change("UPDATE ledger_completeness SET until_us = 1").await;
        assert!(bed.looks(Side::Legacy, "late").await);
        bed.again().await;
        assert!(!bed.looks(Side::Legacy, "again").await);
        bed.seed(Side::Legacy, "again-0", 20);
        bed.walk(&["reconcile"], 6).await;
        // It trips as well, so that no create is served before an operator has looked.
        let reset = bed.order(&["trip", "reset", "--why", "planted"]).await;
        assert_eq!(reset.code, Some(0), "{reset:?}");
        for (_, caller) in &bed.replicas {
            served(caller).await;
        }
        assert!(bed.looks(Side::Legacy, "double").await);
    }
}

/// A backfill reads the same records as a reconcile.
#[tokio::test(flavor = "multi_thread")]
async fn a_double_that_a_backfill_finds_ends_it_and_is_counted() {
    for bed in complete_beds().await {
        let doubles = async || {
            bed.order(&["status", "--json", "--admin", &bed.admin()]).await.json()["trip"]["doubles"].take()
        };
        assert_eq!(doubles().await, 0);
        bed.seed(Side::Legacy, "complete-0", 20);
        bed.walk(&["ledger", "backfill"], 6).await;
        assert_eq!(doubles().await, 1);
        let reset = bed.order(&["trip", "reset", "--why", "planted"]).await;
        assert_eq!(reset.out, "reset: ledger backfill confirmed a double of complete-0\n", "{reset:?}");
        for (_, caller) in &bed.replicas {
            served(caller).await;
        }
        assert!(bed.looks(Side::Legacy, "double").await);
        // Once it is found again, it is not counted twice.
        bed.walk(&["ledger", "backfill"], 6).await;
        bed.walk(&["reconcile"], 6).await;
        assert_eq!(doubles().await, 1);
    }
}

/// What a walk that was stopped looked at first is as old as its begin.
#[tokio::test(flavor = "multi_thread")]
async fn a_walk_that_goes_on_counts_from_its_own_begin() {
    for bed in complete_beds().await {
        bed.change("UPDATE ledger_completeness SET until_us = 1").await;
        // One that was killed, twenty minutes ago: completeness lasts thirty from its begin on.
        bed.change(
            "INSERT INTO ledger_walks (walk, kind, tenant, sides, begin_us, end_us, state, program, format, progress, started_at_us, \
             updated_at_us, judged) SELECT 'stopped', kind, tenant, sides, begin_us, end_us, 'running', program, format, \
             '{\"position\":0,\"claims_position\":0,\"rows\":[0,0],\"pages\":[0,0],\"claims\":0,\"adopted\":0,\"resolved\":0,\"without_reference\":0,\"not_conversions\":0,\"hashes\":[\"\",\"\"],\"found\":{}}', \
             started_at_us - 1200000000, updated_at_us - 1200000000, judged FROM ledger_walks \
             WHERE kind = 'reconcile' AND state = 'clean' AND begin_us = 0 ORDER BY started_at_us DESC LIMIT 1",
        )
        .await;
        let ran = bed.order(&["reconcile", "--rate", "50", "--format", "json"]).await;
        assert_eq!((ran.code, &ran.json()["resumed"]), (Some(0), &true.into()), "{ran:?}");
        let found = bed.stands("legacy").await;
        let until: Timestamp = found["until"].as_str().unwrap().parse().unwrap();
        let left = until.duration_since(Timestamp::now());
        assert!(left < SignedDuration::from_mins(11) && left > SignedDuration::from_mins(1), "{found}");
        // One that was stopped before that counts for nothing any more.
        bed.change("UPDATE ledger_completeness SET until_us = 1").await;
        bed.change(
            "UPDATE ledger_walks SET state = 'running', started_at_us = started_at_us - 1200000000 WHERE walk = 'stopped'",
        )
        .await;
        let again = bed.order(&["reconcile", "--rate", "50", "--format", "json"]).await;
        assert_eq!((again.code, &again.json()["resumed"]), (Some(0), &true.into()), "{again:?}");
        assert!(bed.looks(Side::Legacy, "too-old").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_between_walks_is_not_skipped() {
    let bed = complete_beds().await.remove(0);
    let before = bed.stands("legacy").await["walked_to"].clone();
    bed.change("UPDATE ledger_completeness SET walked_us = walked_us - 172800000000, until_us = 0").await;
    bed.walk(&["reconcile", "--from", "25h"], 0).await;
    assert!(bed.looks(Side::Legacy, "gap").await);
    bed.walk(&["reconcile", "--from", "72h"], 0).await;
    assert!(!bed.looks(Side::Legacy, "closed").await);
    assert!(bed.stands("legacy").await["walked_to"].as_str() >= before.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_body_whose_reference_cannot_be_read_ends_it() {
    let mut bed = Bed::on(None, "stage = \"live\"").await;
    bed.start().await;
    bed.complete().await;
    // Nothing of new is read, as before the first create there.
    bed.change("DELETE FROM conversion_marks").await;
    bed.replicas.clear();
    bed.named = bed.named.replace("new_in_use = true", "new_in_use = false");
    bed.write("stage = \"observe\"");
    bed.start().await;
    bed.an_hour_later().await;
    bed.walk(&["reconcile"], 0).await;
    let readable = bed.caller().create("readable").await;
    assert_eq!(readable.status, 200, "{:?}", readable.body);
    assert_eq!(bed.stands("legacy").await["complete"], true);
    let body = (0..5).map(|number| format!("\"ref_id\":\"r{number}\"")).collect::<Vec<_>>().join(",");
    bed.caller().ask(Method::POST, LEGACY, format!("{{{body}}}")).await;
    let found = bed.stands("legacy").await;
    assert!(found["missing"].as_str().unwrap().contains("cannot be read"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_create_that_cannot_be_recorded_ends_it_on_new_alone() {
    let mut bed = Bed::on(None, "stage = \"live\"\nlimits.request_body_max = \"1KiB\"").await;
    bed.start().await;
    bed.complete().await;
    let long = format!("{{\"ref_id\":\"long\",\"note\":\"{}\"}}", "x".repeat(4096));
    bed.caller().ask(Method::POST, ORCHESTRATIONS, long).await;
    let (legacy, new) = (bed.stands("legacy").await, bed.stands("new").await);
    assert_eq!(legacy["complete"], true, "{legacy}");
    assert!(new["missing"].as_str().unwrap().contains("could not be recorded"), "{new}");
}

impl Bed {
    /// Reloads the config that the first replica started with.
    async fn records_natives_again(&self) {
        self.write("stage = \"live\"");
        let shim = &self.replicas[0].0;
        let hash = shim.logged("modes in force").await["hash"].take();
        shim.line_that("the first config again", |line| {
            line["message"] == "config reloaded" && line["hash"] == hash
        })
        .await;
    }
}

/// What is forwarded unrecorded because of `pass` is known to nobody, whatever a reload says later.
#[tokio::test(flavor = "multi_thread")]
async fn a_native_create_that_is_passed_ends_it_on_new_before_it_is_sent() {
    for bed in complete_beds().await {
        bed.write("stage = \"live\"\nledger.native_creates = \"pass\"");
        bed.replicas[0].0.logged("config reloaded").await;
        let native = orchestration("passed", &serde_json::Value::Null);
        let sent = bed.caller().ask(Method::POST, ORCHESTRATIONS, native).await;
        assert!(sent.status < 300, "{:?}", sent.body);
        bed.records_natives_again().await;
        let (legacy, new) = (bed.stands("legacy").await, bed.stands("new").await);
        assert_eq!(legacy["complete"], true, "{legacy}");
        assert_eq!(new["complete"], false, "{new}");
        assert!(new["missing"].as_str().unwrap().contains("not recorded"), "{new}");
    }
}

/// The reload that begins to pass them ends it as well, before the first of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_passes_native_creates_ends_it_on_new() {
    for bed in complete_beds().await {
        bed.write("stage = \"live\"\nledger.native_creates = \"pass\"");
        bed.replicas[0].0.logged("config reloaded").await;
        bed.records_natives_again().await;
        let (legacy, new) = (bed.stands("legacy").await, bed.stands("new").await);
        assert_eq!((&legacy["complete"], &new["complete"]), (&true.into(), &false.into()), "{new}");
    }
}

/// A window that ended long ago says nothing about now, and a double that is not in it is as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_clean_reconcile_of_an_old_window_restores_nothing() {
    for bed in complete_beds().await {
        bed.seed(Side::Legacy, "complete-0", 20);
        bed.walk(&["reconcile"], 6).await;
        let reset = bed.order(&["trip", "reset", "--why", "planted"]).await;
        assert_eq!(reset.code, Some(0), "{reset:?}");
        for (_, caller) in &bed.replicas {
            served(caller).await;
        }
        bed.walk(&["reconcile", "--from", "25h", "--to", "40m"], 0).await;
        assert_eq!(bed.stands("legacy").await["complete"], false);
        assert!(bed.looks(Side::Legacy, "old-window").await);
    }
}

/// The claim that a backfill writes hides the record from every later reconcile.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_no_claim_knows_shows_another_door_to_a_backfill_too() {
    for bed in complete_beds().await {
        bed.seed(Side::Legacy, "beside", 20);
        bed.walk(&["ledger", "backfill"], 0).await;
        let found = bed.stands("legacy").await;
        assert_eq!(found["complete"], false, "{found}");
        assert!(found["missing"].as_str().unwrap().contains("no claim knew"), "{found}");
        assert!(bed.looks(Side::Legacy, "found").await);
    }
}

/// The clock of the database is an hour behind this machine's, whose processes are ahead as one replica of several may be.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_clock_is_ahead_prolongs_nothing() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.fresh_database();
    let mut database = sqlx::PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(
        "CREATE SCHEMA behind; \
         CREATE FUNCTION behind.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE \
         AS 'SELECT pg_catalog.clock_timestamp() - interval ''1 hour'''; \
         DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, behind, pg_catalog', current_database()); END $$",
    )
    .execute(&mut database)
    .await
    .unwrap();
    let mut bed = Bed::on(Some(url), "stage = \"live\"").await;
    bed.start().await;
    bed.walk(&["ledger", "backfill"], 0).await;
    bed.an_hour_later().await;
    bed.walk(&["reconcile"], 0).await;
    let sql = "SELECT until_us, CAST(EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - interval '1 hour') * 1000000 AS BIGINT) \
               FROM ledger_completeness WHERE side = 'legacy'";
    let (until, now): (i64, i64) = sqlx::query_as(sql).fetch_one(&mut database).await.unwrap();
    let half_an_hour = 2 * 15 * 60 * 1_000_000;
    assert!(now < until && until <= now + half_an_hour, "{until} {now}");
    // The claims of creates go by the same clock.
    assert!(!bed.looks(Side::Legacy, "complete").await);
    sqlx::query("UPDATE ledger_completeness SET until_us = $1")
        .bind(now)
        .execute(&mut database)
        .await
        .unwrap();
    assert!(bed.looks(Side::Legacy, "over").await);
    // So do leases: one that ended a minute ago by this machine's clock has not ended.
    let lease = "INSERT INTO ledger_leases (name, holder, until_us) VALUES ('walk default', 'another', $1) \
                 ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_us = excluded.until_us";
    let minute_ago = Timestamp::now().as_microsecond() - 60_000_000;
    sqlx::query(lease).bind(minute_ago).execute(&mut database).await.unwrap();
    let refused = bed.order(&["reconcile", "--rate", "50"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("another process walks"), "{refused:?}");
}
