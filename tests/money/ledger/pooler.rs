//! A real pgbouncer in front of PostgreSQL: a session pooler works, the other modes are found out.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use conversion_shim::ledger::{Ledger, LedgerError, OpenError, Settings};
use conversion_shim::translate::side::Side::{Legacy, New};

use super::{BODY, key};
use crate::support::postgres::Postgres;

struct Pgbouncer {
    process: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

fn refuses_connections(error: &OpenError) -> bool {
    matches!(error, OpenError::Connect(sqlx::Error::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused)
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Pgbouncer {
    /// `None`, with a message, when this machine has none. In CI (`CI` is set) that is a failure.
    fn start(server: &Postgres, mode: &str) -> Option<Self> {
        let Some(program) =
            ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].iter().find(|path| fs::exists(path).unwrap())
        else {
            assert!(std::env::var_os("CI").is_none(), "pgbouncer is missing, and this is CI");
            eprintln!("skipped: no pgbouncer on this machine");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = server.directory().join(format!("pgbouncer-{mode}.ini"));
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             auth_type = any\npool_mode = {mode}\ndefault_pool_size = 20\nunix_socket_dir =\n",
            server.port()
        );
        fs::write(&config, text.replace("* = host=127.0.0.1", "postgres = user=postgres host=127.0.0.1"))
            .unwrap();
        server.hand_over(&config);
        // Not by way of another program, which would be killed in its place.
        let mut pgbouncer = Command::new(program);
        pgbouncer.args(server.user().map(|user| ["-u", user]).into_iter().flatten()).arg(&config);
        let process =
            pgbouncer.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Some(Self { process, port, _directory: directory })
    }

    fn settings(&self) -> Settings {
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", self.port);
        Settings { timeout: Duration::from_secs(10), ..Settings::new(url) }
    }

    /// Opens the ledger once pgbouncer listens.
    async fn open(&self) -> Result<Ledger, OpenError> {
        let opened = async {
            loop {
                match Ledger::open(&self.settings()).await {
                    Err(OpenError::At { source, .. }) if refuses_connections(&source) => {}
                    opened => return opened,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), opened).await.expect("pgbouncer listens")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_pooler_works() {
    let Some(server) = Postgres::start_new() else { return };
    let Some(pooler) = Pgbouncer::start(&server, "session") else { return };
    let ledger = pooler.open().await.unwrap();
    let calls = (0..20).map(|n| {
        let ledger = ledger.clone();
        async move { ledger.claim(key(&format!("r{n}")), New, &BODY).await.unwrap() }
    });
    let claims = futures_util::future::join_all(calls).await;
    assert!(claims.iter().all(|claimed| claimed.inserted));
    ledger.probe().await.unwrap();
    // One process's sessions end, another one begins on the same server sessions.
    ledger.shutdown().await;
    let again = pooler.open().await.unwrap();
    assert!(!again.claim(key("r0"), Legacy, &BODY).await.unwrap().inserted);
}

async fn is_refused(mode: &str) {
    let Some(server) = Postgres::start_new() else { return };
    let Some(pooler) = Pgbouncer::start(&server, mode) else { return };
    let error = pooler.open().await.err().expect("refused at the start");
    assert!(matches!(error, OpenError::Pooler), "{error:?}");
    assert!(error.to_string().contains("`pool_mode = session`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_pooler_is_refused() {
    is_refused("transaction").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_pooler_is_refused() {
    is_refused("statement").await;
}

/// A pooler that is put in between, or changes its mode, while the process runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_on_another_session_changes_nothing() {
    let Some(server) = Postgres::start_new() else { return };
    let url = server.url();
    let settings = Settings { timeout: Duration::from_secs(20), pool_max: 1, ..Settings::new(&url) };
    let ledger = Ledger::open(&settings).await.unwrap();
    let claim = ledger.claim(key("r"), New, &BODY).await.unwrap().claim;
    // What a transaction pooler does between two statements of one client.
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.unwrap();
    for sql in [
        "CREATE FUNCTION another_session() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         PERFORM set_config('conversion_shim.session', 'another', false); RETURN NULL; END $$",
        "CREATE TRIGGER another_session AFTER UPDATE ON ref_claims FOR EACH STATEMENT EXECUTE FUNCTION another_session()",
    ] {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
    ledger.begin(key("r"), claim.expected(), true).await.unwrap().unwrap();
    let error = ledger.claim(key("s"), New, &BODY).await.unwrap_err();
    assert!(matches!(error, LedgerError::Session), "{error:?}");
    assert!(!ledger.health().is_ready());
    assert_eq!(ledger.reader().claim_by_ref(key("s")).await.unwrap(), None);
    // That connection was dropped; the next one is prepared anew.
    assert!(ledger.claim(key("s"), New, &BODY).await.unwrap().inserted);
}
