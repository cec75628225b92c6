//! Ledgers that go back in time under a running process: restored in place, and rows deleted.

use std::path::Path;
use std::process::Command;

use conversion_shim::translate::side::Side;

use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use super::{Deployment, change, remove};
use crate::support::ledger::{self, vacuum_into};
use crate::support::postgres::Postgres;
use crate::support::test_bed::Caller;

/// Copies files as `cp -p` does: into the same inodes, with the times of the originals.
fn copy_in_place(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-p").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[tokio::test]
async fn a_backup_that_is_put_in_place_is_noticed_though_it_keeps_its_times() {
    for parts in [&["", "-wal"][..], &["-wal"], &["", "-wal", "-shm"]] {
        let deployment = Deployment::new().await;
        let named = deployment.open_for_new().await;
        deployment.write(&format!("{named}\nstage = \"live\""));
        let (replica, caller) = deployment.serve().await;
        assert_eq!(caller.create("before").await.status, 200);
        let file = |folder: &str, part: &str| deployment.path(folder).join(format!("ledger.db{part}"));
        std::fs::create_dir(deployment.path("backup")).unwrap();
        for part in parts {
            copy_in_place(&file("", part), &file("backup", part));
        }
        for ref_id in ["one", "two", "three"] {
            assert_eq!(caller.create(ref_id).await.status, 200, "{parts:?}");
        }
        for part in parts {
            copy_in_place(&file("backup", part), &file("", part));
        }
        assert_eq!(caller.create("after").await.status, 503, "{parts:?}");
        assert_eq!(deployment.made("after").new, 0);
        replica.kill();
        // A restart does not forget it: the claims of the last three may be gone.
        deployment.write(&format!("{named}\nstage = \"sealed\""));
        let (replica, caller) = deployment.serve().await;
        for ref_id in ["one", "two", "three"] {
            assert_ne!(caller.create(ref_id).await.status, 200, "{parts:?}");
            assert_eq!(deployment.made(ref_id), crate::support::test_bed::one_on(Side::New), "{parts:?}");
        }
        let accepted = deployment.order(&["accept", "--why", "compared with the vendor"]).await;
        assert!(accepted.out.starts_with("hold lifted: "), "{parts:?}: {accepted:?}");
        replica.kill();
    }
}

/// SQLite's log belongs to the file that it was written for. What it makes of another one is often damaged: a write fails, as it does on a
/// damaged disk, before anything has looked at the file.
#[tokio::test]
async fn a_backup_that_is_put_in_place_is_noticed_though_it_only_looks_damaged() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.write(&format!("{named}\nstage = \"live\""));
    let mut noticed = 0;
    for claims in [1, 3, 10, 30, 60] {
        let (replica, caller) = deployment.serve().await;
        let backup = deployment.path(&format!("backup-{claims}.db"));
        vacuum_into(&deployment.ledger(), &backup).await;
        for claim in 0..claims {
            assert_eq!(caller.create(&format!("{claims}-{claim}")).await.status, 200, "{claims}");
        }
        // A write that cannot have the lock fails: the next one has a connection of its own, which has read little of the file.
        let mut locking: SqliteConnection =
            SqliteConnectOptions::new().filename(deployment.ledger()).connect().await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut locking).await.unwrap();
        assert_eq!(caller.create("locked").await.status, 503);
        sqlx::query("ROLLBACK").execute(&mut locking).await.unwrap();
        locking.close().await.unwrap();
        std::fs::copy(&backup, deployment.ledger()).unwrap();
        let first = caller.create(&format!("after-{claims}")).await.status;
        replica.kill();
        // As it was put there; the next start does not forget it.
        remove(&deployment.ledger());
        std::fs::copy(&backup, deployment.ledger()).unwrap();
        let mut marker = deployment.ledger().into_os_string();
        marker.push(".replaced");
        if !std::fs::exists(marker).unwrap() {
            // The copy came while a connection that had failed was replaced: `docs/money-safety.md` excludes that.
            continue;
        }
        assert_eq!(first, 503, "{claims}");
        noticed += 1;
        let (replica, caller) = deployment.serve().await;
        assert_eq!(caller.create("after").await.status, 503, "{claims}");
        let accepted = deployment.order(&["accept", "--why", "compared with the vendor"]).await;
        assert!(accepted.out.starts_with("hold lifted: "), "{claims}: {accepted:?}");
        replica.kill();
    }
    assert!(noticed >= 3, "{noticed} of five copies were noticed");
    assert_eq!(deployment.made("after").new, 0);
}

#[tokio::test]
async fn rows_that_are_deleted_put_creates_on_hold_until_they_are_accepted() {
    let deployment = Deployment::new().await;
    let named = deployment.open_for_new().await;
    deployment.write(&format!("{named}\nstage = \"live\""));
    let (replica, caller) = deployment.serve().await;
    assert_eq!(caller.create("deleted").await.status, 200);
    let lines = replica.lines();
    change(&deployment.ledger(), "DELETE FROM ref_claims").await;
    let held = replica.line_after(lines, |line| is_refused_for(line, "lacks 1")).await;
    assert!(!held.unwrap().to_string().contains("deleted\""), "no reference is logged");
    accepted_once_and_for_all(&deployment, &caller).await;
}

#[tokio::test]
async fn rows_that_are_deleted_from_postgresql_put_creates_on_hold_though_no_connection_broke() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.fresh_database();
    let deployment = Deployment::new().await;
    let named = ledger::keys(&url, true);
    deployment.write_with(&named, "stage = \"live\"");
    let (replica, caller) = deployment.serve().await;
    assert_eq!(caller.create("deleted").await.status, 200);
    let lines = replica.lines();
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.unwrap();
    sqlx::query("DELETE FROM ref_claims").execute(&mut connection).await.unwrap();
    assert!(replica.line_after(lines, |line| is_refused_for(line, "lacks 1")).await.is_some());
    accepted_once_and_for_all(&deployment, &caller).await;
}

/// Logged once the hold is committed; the line that says why it is placed comes before that.
pub(super) fn is_refused_for(line: &Value, why: &str) -> bool {
    line["message"] == "the ledger fails; creates are refused until it works again"
        && line["error"].as_str().is_some_and(|error| error.contains(why))
}

/// The claims that were lost are missed no more after the operator's word.
async fn accepted_once_and_for_all(deployment: &Deployment, caller: &Caller) {
    assert_eq!(caller.create("held").await.status, 503);
    for _ in 0..2 {
        let ran = deployment.order(&["accept", "--why", "looked into it"]).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let again = caller.create("held").await;
    assert_eq!(again.status, 200, "{:?} {:?}", again.body, deployment.order(&["stats"]).await);
    let ready = deployment.order(&["stats"]).await;
    assert_eq!(ready.code, Some(0));
    // Many at once need new connections, each of which is verified.
    let all = (0..12).map(|number| {
        let (caller, ref_id) = (caller.clone(), format!("later-{number}"));
        async move { caller.create(&ref_id).await.status }
    });
    for status in futures_util::future::join_all(all).await {
        assert_eq!(status, 200);
    }
}
