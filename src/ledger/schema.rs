//! The versions of the schema. The statements that use the tables live beside the values that they read and write.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

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
    ];
    let migration = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(versions.map(migration).into());
    // A name of our own: a PostgreSQL database may be shared with a program that uses the same migration tool.
    migrator.dangerous_set_table_name("conversion_migrations");
    migrator
}
