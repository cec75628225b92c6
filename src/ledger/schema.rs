//! The tables and how they come to be. The statements that use them live in `change` and `question`.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Every version of the schema, oldest first. A released file is never edited: its checksum is stored in the database.
pub(super) fn migrator() -> Migrator {
    let claims = include_str!("schema/0001_claims.sql");
    let mut migrator = Migrator::with_migrations(vec![Migration::new(
        1,
        "claims".into(),
        MigrationType::Simple,
        claims.into_sql_str(),
        false,
    )]);
    // A name of our own: a PostgreSQL database may be shared with a program that uses the same migration tool.
    migrator.dangerous_set_table_name("conversion_migrations");
    migrator
}
