//! A database that goes back in time: promoted standbys, restored backups, deleted rows.

use std::time::Duration;

use conversion_shim::ledger::{Health, Identity, Ledger, LedgerError, OpenError, OperatorReason, Settings};
use conversion_shim::translate::side::Side::New;
use sqlx::Connection;

use super::{BODY, key};
use crate::support::failover::{Address, synchronous};
use crate::support::postgres::Postgres;

fn settings(address: &Address, failover_keeps_commits: bool) -> Settings {
    let timeout = Duration::from_secs(20);
    Settings { timeout, failover_keeps_commits, ..Settings::new(address.url()) }
}

async fn open(settings: &Settings) -> Ledger {
    let ledger = Ledger::open(settings).await.unwrap();
    ledger.probe().await.unwrap();
    ledger
}

async fn claim(ledger: &Ledger, references: &[&str]) {
    for reference in references {
        assert!(ledger.claim(key(reference), New, &BODY).await.unwrap().inserted, "{reference}");
    }
}

fn reason() -> OperatorReason {
    OperatorReason { operator: "ops".into(), why: "looked into it".into() }
}

/// Tries until the call reaches the new server: connections of the old one break first.
async fn until_answered<T, F: Future<Output = Result<T, LedgerError>>>(
    mut call: impl FnMut() -> F,
) -> Result<T, LedgerError> {
    let answered = async {
        loop {
            match call().await {
                Err(LedgerError::Unavailable(_) | LedgerError::Timeout) => {}
                answer => return answer,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), answered).await.expect("an answer")
}

async fn probe(ledger: &Ledger) -> Result<(), LedgerError> {
    until_answered(|| ledger.probe()).await
}

/// No attempt begins on this replica, for that reason.
async fn assert_held(ledger: &Ledger, reason: &str) {
    let error = until_answered(|| ledger.claim(key("after"), New, &BODY)).await.unwrap_err();
    assert!(matches!(&error, LedgerError::Held(why) if why.contains(reason)), "{error}");
    assert!(matches!(ledger.probe().await, Err(LedgerError::Held(_))));
    let Health::Down { why, .. } = ledger.health() else { panic!("ready while creates are on hold") };
    assert!(why.to_string().contains(reason), "{why}");
    assert_eq!(ledger.reader().claim_by_ref(key("after")).await.unwrap(), None, "reads go on");
}

async fn assert_lifted_by_accept(ledgers: &[&Ledger]) {
    let lifted = ledgers[0].accept(reason(), Identity::default()).await.unwrap().lifted;
    assert!(!lifted.is_empty());
    for (number, ledger) in ledgers.iter().enumerate() {
        ledger.probe().await.unwrap();
        assert!(ledger.health().is_ready());
        claim(ledger, &[&format!("accepted{number}")]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_standby_that_lost_claims_is_held() {
    let Some(primary) = Postgres::start_new() else { return };
    let address = Address::of(&primary).await;
    let (writer, other) = (open(&settings(&address, true)).await, open(&settings(&address, true)).await);
    claim(&writer, &["kept"]).await;
    let standby = primary.standby("one");
    standby.stop();
    claim(&writer, &["lost"]).await;
    primary.stop();
    standby.start();
    standby.promote();
    address.switch_to(&standby);

    // Another replica has lost nothing; it waits for the one that has.
    assert_held(&other, "is on timeline").await;
    assert!(matches!(probe(&writer).await, Err(LedgerError::Held(_))));
    assert_held(&writer, "of the newest claims").await;
    assert_held(&other, "of the newest claims").await;
    assert_lifted_by_accept(&[&other, &writer]).await;
    assert!(writer.reader().claim_by_ref(key("kept")).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synchronous_standby_is_held_until_it_is_accepted() {
    let Some(primary) = Postgres::start_new() else { return };
    let address = Address::of(&primary).await;
    let ledger = open(&settings(&address, false)).await;
    let standby = synchronous(&primary, "one").await;
    claim(&ledger, &["a", "b"]).await;
    primary.stop();
    standby.promote();
    address.switch_to(&standby);
    assert_held(&ledger, "is on timeline 00000002, and on record is 00000001").await;
    assert_lifted_by_accept(&[&ledger]).await;
    assert!(ledger.reader().claim_by_ref(key("b")).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synchronous_standby_is_accepted_once_every_replica_found_its_claims() {
    let Some(primary) = Postgres::start_new() else { return };
    let address = Address::of(&primary).await;
    let (one, two) = (open(&settings(&address, true)).await, open(&settings(&address, true)).await);
    let standby = synchronous(&primary, "one").await;
    claim(&one, &["a", "b", "c"]).await;
    claim(&two, &["d"]).await;
    primary.stop();
    standby.promote();
    address.switch_to(&standby);

    assert_held(&one, "is on timeline").await;
    assert_eq!(probe(&two).await.map_err(|error| error.to_string()), Ok(()));
    one.probe().await.unwrap();
    claim(&one, &["e"]).await;
    claim(&two, &["f"]).await;
    for reference in ["a", "b", "c", "d"] {
        assert!(one.reader().claim_by_ref(key(reference)).await.unwrap().is_some(), "{reference}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_does_not_come_back_is_waited_for_a_minute() {
    let Some(primary) = Postgres::start_new() else { return };
    let address = Address::of(&primary).await;
    let (one, gone) = (open(&settings(&address, true)).await, open(&settings(&address, true)).await);
    let standby = synchronous(&primary, "one").await;
    claim(&gone, &["a"]).await;
    drop(gone);
    primary.stop();
    standby.promote();
    address.switch_to(&standby);
    assert_held(&one, "is on timeline").await;
    let mut connection = sqlx::PgConnection::connect(&standby.url()).await.unwrap();
    let age = "UPDATE ledger_settings SET at_us = at_us - 61000000 WHERE name = 'hold_timeline'";
    sqlx::query(age).execute(&mut connection).await.unwrap();
    one.probe().await.unwrap();
    claim(&one, &["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_one_of_two_standbys_is_held() {
    let Some(primary) = Postgres::start_new() else { return };
    let address = Address::of(&primary).await;
    let ledger = open(&settings(&address, true)).await;
    let behind = primary.standby("behind");
    let _in_step = synchronous(&primary, "in_step").await;
    behind.stop();
    claim(&ledger, &["a"]).await;
    primary.stop();
    behind.start();
    behind.promote();
    address.switch_to(&behind);
    assert_held(&ledger, "of the newest claims").await;
    assert_lifted_by_accept(&[&ledger]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_restored_under_a_running_process_is_held() {
    let Some(server) = Postgres::start_new() else { return };
    let address = Address::of(&server).await;
    let ledger = open(&settings(&address, true)).await;
    claim(&ledger, &["before"]).await;
    server.base_backup();
    claim(&ledger, &["lost"]).await;
    server.stop();
    server.restore();
    server.start();
    // The same system on the same timeline: only what this process wrote gives it away.
    assert_held(&ledger, "of the newest claims").await;
    assert_lifted_by_accept(&[&ledger]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_state_of_a_claim_is_held() {
    let Some(server) = Postgres::start_new() else { return };
    let address = Address::of(&server).await;
    let ledger = open(&settings(&address, true)).await;
    let claim = ledger.claim(key("r"), New, &BODY).await.unwrap().claim;
    server.base_backup();
    ledger.begin(key("r"), claim.expected(), true).await.unwrap().unwrap();
    server.stop();
    server.restore();
    server.start();
    assert_held(&ledger, "of the newest claims").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_recovered_while_every_process_was_stopped_is_held() {
    let Some(server) = Postgres::start_new() else { return };
    let address = Address::of(&server).await;
    let ledger = open(&settings(&address, true)).await;
    server.base_backup();
    claim(&ledger, &["lost"]).await;
    ledger.shutdown().await;
    server.stop();
    server.restore();
    server.recover_at_next_start();
    server.start();
    // It accepts connections before the recovery has ended.
    let opened = async {
        loop {
            match Ledger::open(&settings(&address, false)).await {
                Err(OpenError::Unsuitable(_)) => {}
                opened => break opened.unwrap(),
            }
        }
    };
    let ledger = tokio::time::timeout(Duration::from_secs(60), opened).await.expect("the recovery ends");
    assert_held(&ledger, "is on timeline 00000002").await;
    assert_lifted_by_accept(&[&ledger]).await;
}

/// Its marks are gone with its claims, which the config knows: see `reload_guard`.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_from_before_the_mark_has_no_mark() {
    let Some(server) = Postgres::start_new() else { return };
    let address = Address::of(&server).await;
    let ledger = open(&settings(&address, false)).await;
    server.base_backup();
    ledger.open_new(reason()).await.unwrap();
    claim(&ledger, &["lost"]).await;
    ledger.shutdown().await;
    server.stop();
    server.restore();
    server.start();
    let ledger = open(&settings(&address, false)).await;
    assert!(!ledger.reader().created_on_new().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_somebody_deleted_are_held() {
    let Some(server) = Postgres::start_new() else { return };
    let address = Address::of(&server).await;
    let ledger = open(&settings(&address, true)).await;
    claim(&ledger, &["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10"]).await;
    let mut connection = sqlx::PgConnection::connect(&server.url()).await.unwrap();
    // The eleventh newest is not remembered.
    sqlx::query("DELETE FROM ref_claims WHERE ref_id = 'r0'").execute(&mut connection).await.unwrap();
    address.switch_to(&server);
    probe(&ledger).await.unwrap();
    sqlx::query("DELETE FROM ref_claims WHERE ref_id = 'r1'").execute(&mut connection).await.unwrap();
    address.switch_to(&server);
    assert_held(&ledger, "of the newest claims").await;
}

/// The process decided that claims are missing, and its hold waits for a lock while an operator accepts the database.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_was_decided_on_before_an_accept_does_not_outlive_it() {
    let Some(server) = Postgres::start_new() else { return };
    let address = Address::of(&server).await;
    let settings = settings(&address, false);
    let ledger = open(&settings).await;
    claim(&ledger, &["r"]).await;
    let mut blocking = sqlx::PgConnection::connect(&server.url()).await.unwrap();
    sqlx::query("DELETE FROM ref_claims").execute(&mut blocking).await.unwrap();
    let mut watching = sqlx::PgConnection::connect(&server.url()).await.unwrap();
    // Another hold that is not committed keeps the process's own waiting.
    sqlx::query("BEGIN").execute(&mut blocking).await.unwrap();
    let hold = "INSERT INTO ledger_settings (name, value, at_us) VALUES ('hold', 'not committed', 0)";
    sqlx::query(hold).execute(&mut blocking).await.unwrap();
    let probing = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.probe().await }
    });
    until_waiting(&mut watching, |waiting| waiting == 1).await;
    let command = open(&settings).await;
    let mut accepting = tokio::spawn(async move { command.accept(reason(), Identity::default()).await });
    // It is through, or it waits as well.
    let waits = until_waiting(&mut watching, |waiting| waiting == 2);
    tokio::select! { _ = &mut accepting => {}, () = waits => {} }
    sqlx::query("ROLLBACK").execute(&mut blocking).await.unwrap();
    let _ = probing.await.unwrap();
    if !accepting.is_finished() {
        accepting.await.unwrap().unwrap();
    }
    ledger.probe().await.unwrap();
    claim(&ledger, &["after"]).await;
}

/// How many sessions wait for a lock.
async fn until_waiting(connection: &mut sqlx::PgConnection, is: impl Fn(i64) -> bool) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let seen = async {
        while !is(sqlx::query_scalar(sql).fetch_one(&mut *connection).await.unwrap()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("a session that waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_system_with_the_same_claims_is_held() {
    let Some((server, other)) = Postgres::start_new().zip(Postgres::start_new()) else { return };
    let address = Address::of(&server).await;
    let ledger = open(&settings(&address, true)).await;
    claim(&ledger, &["r"]).await;
    let copy = format!(
        "pg_dump -h 127.0.0.1 -p {} -U postgres postgres | psql -q -h 127.0.0.1 -p {} -U postgres postgres",
        server.port(),
        other.port()
    );
    let copied = server.command("sh").args(["-c", &copy]).stdout(std::process::Stdio::null()).status();
    assert!(copied.unwrap().success());
    address.switch_to(&other);
    assert_held(&ledger, "is on the system").await;
    assert_lifted_by_accept(&[&ledger]).await;
}

/// A role that may not ask for the timeline: nothing is held for it, and the ledger says that it cannot tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_say_its_timeline_is_used() {
    let Some(server) = Postgres::start_new() else { return };
    let mut connection = sqlx::PgConnection::connect(&server.url()).await.unwrap();
    for sql in [
        "CREATE ROLE shim LOGIN",
        "GRANT ALL ON SCHEMA public TO shim",
        "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC",
    ] {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
    let url = server.url().replace("postgres@", "shim@");
    let ledger = open(&Settings { timeout: Duration::from_secs(20), ..Settings::new(url) }).await;
    assert_eq!(ledger.says_its_timeline(), Some(false));
    claim(&ledger, &["r"]).await;
    let open = open(&Settings { timeout: Duration::from_secs(20), ..Settings::new(server.url()) }).await;
    assert_eq!(open.says_its_timeline(), Some(true));
}
