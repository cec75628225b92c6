//! The ledger through its front door. One suite of behaviours runs on both backends; what only one of them can do follows.

mod behaviours;
mod beside_commands;
mod drift;
mod full_disk;
mod going_back;
mod on_postgres;
mod on_sqlite;
mod pooler;

use std::path::PathBuf;
use std::time::Duration;

use crate::support::postgres::Postgres;
use conversion_shim::ledger::{Fingerprint, Key, Ledger, Settings};
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

/// An empty place for a ledger.
pub(crate) struct Place {
    url: String,
    directory: TempDir,
}

impl Place {
    fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { url: format!("sqlite:{}", directory.path().join("ledger.sqlite").display()), directory }
    }

    fn postgres() -> Option<Self> {
        let url = Postgres::shared()?.fresh_database();
        Some(Self { url, directory: tempfile::tempdir().unwrap() })
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("ledger.sqlite")
    }

    fn settings(&self) -> Settings {
        // Long enough for a busy machine; tests that wait for a timeout choose their own.
        Settings { timeout: Duration::from_secs(20), ..Settings::new(&self.url) }
    }

    /// Runs a statement behind the ledger's back.
    async fn tamper(&self, sql: &'static str) {
        if self.url.starts_with("sqlite:") {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.file());
            sqlx::query(sql).execute(&mut options.connect().await.unwrap()).await.unwrap();
        } else {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            sqlx::query(sql).execute(&mut connection).await.unwrap();
        }
    }

    /// Reads rows on a connection of its own.
    async fn query<R>(&self, sql: &'static str) -> Vec<R>
    where
        R: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>
            + for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>
            + Send
            + Unpin,
    {
        if self.url.starts_with("sqlite:") {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.file());
            sqlx::query_as(sql).fetch_all(&mut options.connect().await.unwrap()).await.unwrap()
        } else {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
        }
    }

    /// Puts a ledger there as 0.1 left it: its first migration, claims of each kind, and the mark.
    async fn put_ledger_of_0_1(&self) {
        let mut migrator = sqlx::migrate::Migrator::with_migrations(vec![sqlx::migrate::Migration::new(
            1,
            "claims".into(),
            sqlx::migrate::MigrationType::Simple,
            sqlx::SqlSafeStr::into_sql_str(include_str!("../../../src/ledger/schema/0001_claims.sql")),
            false,
        )]);
        migrator.dangerous_set_table_name("conversion_migrations");
        if self.url.starts_with("sqlite:") {
            let options =
                sqlx::sqlite::SqliteConnectOptions::new().filename(self.file()).create_if_missing(true);
            let options = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
            migrator.run(&mut options.connect().await.unwrap()).await.unwrap();
        } else {
            migrator.run(&mut sqlx::PgConnection::connect(&self.url).await.unwrap()).await.unwrap();
        }
        self.tamper(
            "INSERT INTO conversion_claims (tenant, ref_id, side, state, fingerprint, record_id, created_at_us, updated_at_us) \
             VALUES \
             ('tenant', 'fenced', 'new', 'fenced', 'a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7', NULL, 1700000000000001, 1700000000000002), \
             ('tenant', 'known', 'legacy', 'fenced', 'a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7', 'id-1', 1700000000000003, 1700000000000004), \
             ('tenant', 'claimed', 'legacy', 'claimed', 'a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7', NULL, 1700000000000005, 1700000000000005)",
        )
        .await;
        self.tamper("INSERT INTO conversion_marks (name, at_us) VALUES ('new_since', 1700000000000001)")
            .await;
    }

    async fn open(&self) -> Ledger {
        Ledger::open(&self.settings()).await.unwrap()
    }
}

fn key(ref_id: &str) -> Key<'_> {
    Key::new("tenant", ref_id).unwrap()
}

const BODY: Fingerprint = Fingerprint([0xa7; 32]);

#[tokio::test]
async fn urls_that_make_no_sense_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = format!("sqlite:{}", directory.path().join("no/such/ledger.sqlite").display());
    let urls = [
        ("mysql://user:hunter2@host/db", "must begin with"),
        ("hunter2", "must begin with"),
        ("sqlite:", "names no file"),
        ("sqlite::memory:", "in memory"),
        ("sqlite:ledger.sqlite?mode=ro&key=hunter2", "takes none"),
        (&nowhere, "no/such"),
        ("postgres://user:hunter2@host:x/db", "PostgreSQL url"),
        ("postgres://user@host/db?sslmod=hunter2", "unknown parameter"),
        ("postgres://user@host/db?sslmode=hunter2", "an sslmode that is none of disable, allow"),
    ];
    for (url, expected) in urls {
        let settings = Settings::new(url);
        let error = Ledger::open(&settings).await.err().expect(url);
        assert!(error.to_string().contains(expected), "{url}: {error}");
        assert!(!format!("{error} {error:?} {settings:?}").contains("hunter2"), "{url}: {error:?}");
    }
}
