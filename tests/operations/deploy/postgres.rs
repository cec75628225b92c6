//! The role in `deploy/postgres`: the proxy serves with it, and cannot change or remove a row of the audit.

use std::process::Stdio;

use sqlx::{Connection as _, PgConnection};

use super::repository;
use crate::support::postgres::Postgres;
use crate::support::process::{Config, Shim, run_with};
use crate::support::test_bed::vendor;

/// Runs one of the files as the superuser.
fn psql(server: &Postgres, file: &str, database: &str) {
    let text = std::fs::read_to_string(repository("deploy/postgres").join(file)).unwrap();
    // The server's user may not enter the repository.
    let copy = server.directory().join(file);
    std::fs::write(&copy, text).unwrap();
    server.hand_over(&copy);
    let port = server.port().to_string();
    let mut command = server.command("psql");
    command.args(["-X", "-q", "-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-d", database]);
    command.args(["--set", "password=it's a secret", "-f"]).arg(&copy).stdout(Stdio::null());
    assert!(command.status().unwrap().success(), "{file}");
}

async fn refused(connection: &mut PgConnection, sql: &'static str) {
    let error = sqlx::query(sql).execute(connection).await.expect_err(sql);
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    assert_eq!(code.as_deref(), Some("42501"), "{sql}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_of_the_proxy_adds_to_the_audit_and_changes_nothing_in_it() {
    let Some(server) = Postgres::start_new() else { return };
    psql(&server, "role.sql", "postgres");
    let url =
        server.url().replace("postgres@", "conversion_shim@").replace("/postgres?", "/conversion_shim?");
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    let write = |stage: &str| {
        config.write_only(&format!(
            "ledger.url = \"{url}\"\nadmin.listen = \"127.0.0.1:0\"\nstage = \"{stage}\"\n"
        ));
    };
    write("observe");
    drop(Shim::start(&config).await);
    // Twice, as after a restore.
    psql(&server, "audit.sql", "conversion_shim");
    psql(&server, "audit.sql", "conversion_shim");

    // A start, with its migrations, and a change that is audited.
    write("shadow");
    let shim = Shim::start(&config).await;
    let accepted = run_with(&config.path(), &["ledger", "accept", "--why", "a test"]).await;
    assert_eq!(accepted.code, Some(0), "{accepted:?}");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    for sql in [
        "UPDATE ledger_audit SET reason = 'another'",
        "DELETE FROM ledger_audit",
        "DELETE FROM ledger_evidence",
        "UPDATE ledger_evidence SET verdict = 'go'",
        "TRUNCATE ledger_audit",
        "ALTER TABLE ledger_audit ADD COLUMN x TEXT",
        "DROP TABLE ledger_audit",
        "ALTER TABLE ledger_audit OWNER TO conversion_shim",
        "CREATE RULE hide AS ON INSERT TO ledger_audit DO INSTEAD NOTHING",
        "CREATE TRIGGER hide BEFORE INSERT ON ledger_audit FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ] {
        refused(&mut connection, sql).await;
    }
    let audit = run_with(&config.path(), &["audit"]).await;
    assert!(audit.out.contains("accept  by ") && audit.out.contains(": a test"), "{audit:?}");
    drop(shim);
}
