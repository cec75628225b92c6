//! A ledger that a newer version of the program has brought up to date.

use super::{Deployment, change};
use crate::support::process::{Ran, run_with};

const LOOKUP: &str = "auth.lookup.client_id = \"looker\"\nauth.lookup.client_secret = \"secret\"";

fn is_refused(ran: &Ran, what: &str) {
    assert_eq!(ran.code, Some(3), "{what}: {ran:?}");
    let said = "ledger.url: the ledger was made by a newer version of conversion-shim (migration 9000)";
    assert!(ran.err.contains(said) && ran.err.contains("(file "), "{what}: {ran:?}");
}

#[tokio::test]
async fn it_is_named_by_every_command_and_can_be_tripped_all_the_same() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.write(&format!("{named}\nstage = \"live\"\n{LOOKUP}"));
    let sql = "INSERT INTO conversion_migrations (version, description, installed_on, success, checksum, execution_time) \
               SELECT 9000, 'later', installed_on, success, checksum, execution_time FROM conversion_migrations WHERE version = 1";
    change(&deployment.ledger(), sql).await;
    let refusal = deployment.refusal().await;
    assert!(refusal.contains("newer version of conversion-shim (migration 9000)"), "{refusal}");
    let backup = deployment.path("backup.db");
    let config = deployment.config();
    for command in [
        &["ledger", "init"][..],
        &["ledger", "stats"],
        &["ledger", "show", "R"],
        &["ledger", "open-new", "--why", "x"],
        &["ledger", "accept", "--why", "x"],
        &["ledger", "release", "R", "--why", "x"],
        &["ledger", "backfill"],
        &["ledger", "backup", backup.to_str().unwrap()],
        &["audit"],
        &["gate", "--to", "sealed"],
        &["reconcile"],
        &["reconcile", "--dry-run"],
    ] {
        is_refused(&run_with(&config, command).await, &format!("{command:?}"));
    }
    assert!(!backup.exists());
    // Who is on call after a roll-back must be able to stop creates.
    for (command, said) in [("now", "tripped: "), ("now", "it was tripped before"), ("reset", "reset: ")] {
        let ran = run_with(&config, &["trip", command, "--why", "two payouts"]).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.out.starts_with(said), "{ran:?}");
    }
    // Not if what it writes is no longer there.
    change(&deployment.ledger(), "ALTER TABLE ledger_settings RENAME TO settings_of_a_later_version").await;
    is_refused(&run_with(&config, &["trip", "now", "--why", "x"]).await, "trip");
}
