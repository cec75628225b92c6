//! What only the shared ledger does: a server that goes away, sessions, cancelled calls.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use conversion_shim::ledger::{Claim, Health, Ledger, LedgerError, OpenError, Settings};
use conversion_shim::translate::side::Side::{Legacy, New};

use sqlx::Connection;
use tokio::sync::mpsc::UnboundedSender;

use super::{BODY, Place, key};
use crate::support::postgres::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_means_errors_in_time_and_recovery_without_reopening() {
    let Some(server) = Postgres::start_new() else { return };
    let settings = Settings { timeout: Duration::from_millis(500), ..Settings::new(server.url()) };
    let open = async {
        // A machine under load may need more than one attempt to open in so short a time.
        loop {
            match Ledger::open(&settings).await {
                Ok(ledger) => break ledger,
                Err(OpenError::At { source, .. }) if matches!(*source, OpenError::Timeout(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
    };
    let ledger = tokio::time::timeout(Duration::from_secs(30), open).await.unwrap();
    until_it_works(&ledger).await;
    let claim = ledger.claim(key("before"), New, &BODY).await.unwrap().claim;

    server.stop();
    for n in 0..5 {
        let reference = format!("during{n}");
        let call = ledger.claim(key(&reference), New, &BODY);
        let error = tokio::time::timeout(Duration::from_secs(10), call).await.unwrap().unwrap_err();
        assert!(matches!(error, LedgerError::Unavailable(_) | LedgerError::Timeout), "{error:?}");
    }
    assert!(ledger.reader().claim_by_ref(key("before")).await.is_err(), "could not look is never absent");
    assert!(matches!(ledger.health(), Health::Down { .. }));

    server.start();
    until_it_works(&ledger).await;
    assert!(ledger.health().is_ready());
    assert_eq!(ledger.reader().claim_by_ref(key("before")).await.unwrap(), Some(claim));
    assert!(ledger.claim(key("after"), New, &BODY).await.unwrap().inserted);
}

async fn until_it_works(ledger: &Ledger) {
    let works = async { while ledger.probe().await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(30), works).await.expect("recovery without reopening");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_way_when_the_server_dies_never_lie() {
    let Some(server) = Postgres::start_new() else { return };
    let settings = Settings { timeout: Duration::from_secs(5), ..Settings::new(server.url()) };
    let ledger = Ledger::open(&settings).await.unwrap();
    let (first, mut answered) = tokio::sync::mpsc::unbounded_channel();
    let callers: Vec<_> = (0..16)
        .map(|caller| tokio::spawn(claim_until_it_fails(ledger.clone(), caller, first.clone())))
        .collect();
    answered.recv().await.expect("a first answer");
    server.stop();
    for caller in callers {
        caller.await.unwrap();
    }
    server.start();
    drop(first);
    until_it_works(&ledger).await;
    while let Some((reference, claim)) = answered.recv().await {
        let kept = ledger.reader().claim_by_ref(key(&reference)).await.unwrap();
        assert_eq!(kept, Some(claim), "{reference} was answered and is gone");
    }
}

async fn claim_until_it_fails(ledger: Ledger, caller: u32, answered: UnboundedSender<(String, Claim)>) {
    for n in 0..100_000 {
        let reference = format!("r{caller}-{n}");
        match ledger.claim(key(&reference), New, &BODY).await {
            Ok(claimed) => answered.send((reference, claimed.claim)).unwrap(),
            Err(LedgerError::Unavailable(_) | LedgerError::Timeout) => return,
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_fsync_is_refused() {
    let Some(server) = Postgres::start_new() else { return };
    server.stop();
    server.start_with("-c fsync=off");
    let settings = Settings { timeout: Duration::from_secs(20), ..Settings::new(server.url()) };
    assert!(matches!(Ledger::open(&settings).await, Err(OpenError::Unsuitable(_))));
}

async fn why_not(url: String) -> String {
    let settings = Settings { timeout: Duration::from_secs(20), ..Settings::new(url) };
    match Ledger::open(&settings).await.err() {
        Some(OpenError::Unsuitable(why)) => why.to_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_full_page_writes_is_refused() {
    let Some(server) = Postgres::start_new() else { return };
    server.stop();
    server.start_with("-c full_page_writes=off");
    assert!(why_not(server.url()).await.contains("`full_page_writes=off`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_encoding_is_refused() {
    let Some(server) = Postgres::shared() else { return };
    assert!(why_not(server.database_in("LATIN1")).await.contains("encoding is not UTF8"));
    let url = server.database_in("UTF8");
    let settings = Settings { timeout: Duration::from_secs(20), ..Settings::new(url) };
    let ledger = Ledger::open(&settings).await.unwrap();
    assert!(ledger.claim(key("🦀"), New, &BODY).await.unwrap().inserted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused() {
    let Some(server) = Postgres::start_new() else { return };
    let standby = server.standby("one");
    assert!(why_not(standby.url()).await.contains("is a standby"));
}

/// Whatever the role, the database or the URL prefers: a claim is answered after it was synced, and sees what others committed.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_made_durable() {
    let Some(place) = Place::postgres() else { return };
    place.open().await.shutdown().await;
    for sql in [
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''serializable''', \
         current_database()); END $$",
        "CREATE FUNCTION check_session() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF current_setting('synchronous_commit') <> 'on' OR current_setting('transaction_isolation') <> 'read committed' \
         OR current_setting('statement_timeout') <> '20s' THEN RAISE 'a session that promises too little'; END IF; \
         RETURN NEW; END $$",
        "CREATE TRIGGER check_session BEFORE INSERT ON ref_claims FOR EACH ROW EXECUTE FUNCTION check_session()",
    ] {
        place.tamper(sql).await;
    }
    let ledger = place.open().await;
    ledger.claim(key("r"), New, &BODY).await.unwrap();
    ledger.claim(key("s"), New, &BODY).await.unwrap();
    ledger.claim(key("t"), Legacy, &BODY).await.unwrap();
}

/// A call dropped at any point, the middle of a transaction included, must not leave a connection on which later writes are
/// answered but never committed.
#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_call_spoils_no_connection() {
    let Some(place) = Place::postgres() else { return };
    let watcher = place.open().await;
    // Which poll meets which step varies a little with the machine's load: each is tried several times.
    for attempt in 0..60 {
        // One connection, to meet it again. A probe is a transaction of several statements.
        let ledger = Ledger::open(&Settings { pool_max: 1, ..place.settings() }).await.unwrap();
        ledger.probe().await.unwrap();
        let abandoned = format!("abandoned{attempt}");
        abandon(attempt % 12, ledger.claim(key(&abandoned), New, &BODY)).await;
        abandon(attempt % 12, ledger.probe()).await;

        let reference = format!("r{attempt}");
        ledger.claim(key(&reference), Legacy, &BODY).await.unwrap();
        let seen = watcher.reader().claim_by_ref(key(&reference)).await.unwrap();
        assert!(seen.is_some(), "{reference} was answered and nobody else sees it");
    }
}

/// Polls a future so many times, then drops it.
async fn abandon(polls: usize, call: impl Future) {
    let mut call = pin!(call);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        call.as_mut().poll(context).map(drop)
    })
    .await;
}

/// A server that neither answers nor breaks off, as behind a network that swallows everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_means_a_timeout() {
    let Some(place) = Place::postgres() else { return };
    let ledger =
        Ledger::open(&Settings { timeout: Duration::from_secs(2), pool_max: 1, ..place.settings() }).await;
    let ledger = ledger.unwrap();
    until_it_works(&ledger).await;
    let backends: Vec<(i32,)> = place
        .query(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    signal("STOP", &backends);
    let answer = tokio::time::timeout(Duration::from_secs(20), ledger.claim(key("r"), New, &BODY)).await;
    signal("CONT", &backends);
    assert!(matches!(answer.expect("an answer at all"), Err(LedgerError::Timeout)));
    assert!(!ledger.health().is_ready());
    until_it_works(&ledger).await;
    ledger.claim(key("r"), New, &BODY).await.unwrap();
}

fn signal(name: &str, backends: &[(i32,)]) {
    assert!(!backends.is_empty());
    for (pid,) in backends {
        let kill = format!("kill -{name} {pid}");
        assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }
}

/// A statement that waits for someone else's lock ends on the server too.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_means_a_timeout() {
    let Some(place) = Place::postgres() else { return };
    let ledger =
        Ledger::open(&Settings { timeout: Duration::from_secs(2), ..place.settings() }).await.unwrap();
    until_it_works(&ledger).await;
    let mut intruder = sqlx::PgConnection::connect(&place.url).await.unwrap();
    let mut lock = intruder.begin().await.unwrap();
    sqlx::query("LOCK TABLE ref_claims").execute(&mut *lock).await.unwrap();
    let error = ledger.reader().claim_by_ref(key("r")).await.unwrap_err();
    assert!(matches!(error, LedgerError::Timeout), "{error:?}");
    let gave_up = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND wait_event_type = 'Lock'";
        while place.query::<(i64,)>(waiting).await != [(0,)] {}
    };
    tokio::time::timeout(Duration::from_secs(20), gave_up).await.expect("the server gives up waiting");
    drop(lock);
}

#[tokio::test]
async fn a_server_that_never_speaks_cannot_hold_up_the_start() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://u:hunter2@{}/db?sslmode=disable", silent.local_addr().unwrap());
    let settings = Settings { timeout: Duration::from_millis(200), ..Settings::new(url) };
    let opened = tokio::time::timeout(Duration::from_secs(20), Ledger::open(&settings)).await;
    let error = opened.expect("an answer at all").err().expect("nobody answered");
    let OpenError::At { place, source } = &error else { panic!("{error}") };
    assert!(matches!(**source, OpenError::Timeout(_)) && *place == silent.local_addr().unwrap().to_string());
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_at_once_make_the_tables_once() {
    let Some(place) = Place::postgres() else { return };
    let settings = place.settings();
    let opened = futures_util::future::join_all((0..8).map(|_| Ledger::open(&settings))).await;
    for ledger in opened {
        ledger.unwrap().claim(key("r"), New, &BODY).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_verified_when_the_url_asks_for_it() {
    let Some(server) = Postgres::start_new() else { return };
    let made = rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()]).unwrap();
    let (certificate, private) = (server.directory().join("cert.pem"), server.directory().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&private, made.signing_key.serialize_pem()).unwrap();
    server.hand_over(&certificate);
    server.hand_over(&private);
    let with = |mode: &str| Settings {
        timeout: Duration::from_secs(20),
        ..Settings::new(server.url().replace("sslmode=disable", mode))
    };
    let trusting = format!("sslmode=verify-full&sslrootcert={}", certificate.display());
    assert!(Ledger::open(&with(&trusting)).await.is_err(), "no TLS, no connection");

    server.stop();
    let files = format!("{} -c ssl_key_file={}", certificate.display(), private.display());
    server.start_with(&format!("-c ssl=on -c ssl_cert_file={files}"));
    Ledger::open(&with(&trusting)).await.unwrap().claim(key("r"), New, &BODY).await.unwrap();
    assert!(Ledger::open(&with("sslmode=verify-full")).await.is_err(), "a certificate nobody vouches for");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_no_line_of_the_servers_own_source() {
    let Some(place) = Place::postgres() else { return };
    let ledger = place.open().await;
    place.tamper("ALTER TABLE ref_claims RENAME TO elsewhere").await;
    let error = ledger.claim(key("r"), New, &BODY).await.unwrap_err().to_string();
    assert!(error.starts_with("the ledger is not available: error returned from database: "), "{error}");
    assert!(error.contains("ref_claims") && !error.contains("at line"), "{error}");
}
