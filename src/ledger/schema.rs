//! The versions of the schema. The statements that use the tables live beside the values that they read and write.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::connection::{Connection, LedgerRequest};
use super::error::{LedgerError, OpenError};
use super::settings::Settings;

/// Every version of the schema, oldest first. A released file is never edited: its checksum is stored in the database.
pub(super) fn migrator() -> Migrator {
    let versions = [
        (1, "claims", include_str!("schema/0001_claims.sql")),
        (2, "ref_claims", include_str!("schema/0002_ref_claims.sql")),
        (3, "walks", include_str!("schema/0003_walks.sql")),
        (4, "completeness", include_str!("schema/0004_completeness.sql")),
        (5, "gates", include_str!("schema/0005_gates.sql")),
        (6, "probe_refs", include_str!("schema/0006_probe_refs.sql")),
        (7, "drift", include_str!("schema/0007_drift.sql")),
        (8, "times", include_str!("schema/0008_times.sql")),
        (9, "judged", include_str!("schema/0009_judged.sql")),
    ];
    let migration = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(versions.map(migration).into());
    // A name of our own: a PostgreSQL database may be shared with a program that uses the same migration tool.
    migrator.dangerous_set_table_name("conversion_migrations");
    migrator
}

/// What a trip reads and writes, and what opening a ledger reads before.
const TABLES_OF_A_TRIP: [&str; 5] =
    ["ref_claims", "conversion_marks", "ledger_settings", "ledger_tenants", "ledger_audit"];

/// The newest migration of the ledger, if this program does not know it.
pub(super) struct UnknownMigration;

impl LedgerRequest for UnknownMigration {
    type Output = Option<i64>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        if !connection.has_table("conversion_migrations").await? {
            return Ok(None);
        }
        let sql = "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM conversion_migrations";
        let newest: Vec<(i64,)> = connection.rows(sql, &[]).await?;
        Ok(newest.into_iter().map(|(version,)| version).find(|version| *version > known()))
    }
}

/// Whether the tables need no migration.
pub(super) async fn is_current<C: Connection>(connection: &mut C) -> Result<bool, LedgerError> {
    let sql = "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM conversion_migrations";
    let newest: Vec<(i64,)> = connection.rows(sql, &[]).await?;
    Ok(newest.first().is_some_and(|(version,)| *version >= known()))
}

fn known() -> i64 {
    migrator().iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// The refusal of a ledger with that migration.
pub(super) fn newer(found: i64) -> OpenError {
    OpenError::Newer { found, known: known() }
}

/// Whether a newer version brought the tables up to date, so that they are not migrated.
///
/// # Errors
/// [`OpenError::Newer`], unless that is accepted and the tables that are needed are there.
pub(super) async fn is_newer<C: Connection>(
    connection: &mut C,
    settings: &Settings,
) -> Result<bool, OpenError> {
    let Some(found) = UnknownMigration.run(connection).await? else { return Ok(false) };
    for table in TABLES_OF_A_TRIP {
        if !settings.accepts_newer || !connection.has_table(table).await.map_err(LedgerError::from)? {
            return Err(newer(found));
        }
    }
    Ok(true)
}
