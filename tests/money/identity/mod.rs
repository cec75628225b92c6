//! Which ledger a process may serve with: the real binary on ledgers that are lost, exchanged, restored, or of another deployment, and
//! the commands that an operator has for them.

mod attempts;
mod backups;
mod hosts;
mod newer;
mod orders;
mod refused;
mod restored;
mod upgraded;

use std::path::{Path, PathBuf};

use conversion_shim::sandbox::{Sandbox, Tally};
use conversion_shim::translate::side::Side;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tempfile::TempDir;

use crate::support::process::{Ran, run};
use crate::support::replica::{Ended, Replica};
use crate::support::test_bed::{Caller, vendor};

/// A folder with a config and the ledger that it names, before a vendor.
pub(crate) struct Deployment {
    pub(crate) vendor: Sandbox,
    folder: TempDir,
}

impl Deployment {
    pub(crate) async fn new() -> Self {
        Self { vendor: vendor().await, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.path("ledger.db")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("shim.toml")
    }

    /// Writes the config: a SQLite ledger by a relative path, and `more`.
    pub(crate) fn write(&self, more: &str) {
        self.write_with("ledger.url = \"sqlite:ledger.db\"", more);
    }

    fn write_with(&self, ledger: &str, more: &str) {
        let (url, token_url) = (self.vendor.base_url(), self.vendor.token_url());
        // By its address alone, because some tests rename the hosts.
        let admin = if more.contains("only_door") { "127.0.0.1:0" } else { "" };
        // Most tests begin where an operator arrives after weeks.
        let gates = if more.contains("gate.") { "" } else { "gate.enforce = false" };
        let config = format!(
            "{more}\n{ledger}\nadmin.listen = \"{admin}\"\nlog.format = \"json\"\nreload.poll_interval = \"100ms\"\n\
             {gates}\nupstream.legacy.url = \"{url}\"\nupstream.new.url = \"{url}\"\nupstream.oauth.url = \"{token_url}\"\n"
        );
        let draft = self.path("draft");
        std::fs::write(&draft, config).unwrap();
        std::fs::rename(draft, self.config()).unwrap();
    }

    /// `ledger init`: the id that it prints.
    pub(crate) async fn init(&self) -> String {
        let ran = self.order(&["init", "--quiet"]).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.out.trim_end().to_owned()
    }

    /// A ledger that may be used for creates on new, named in the config.
    pub(crate) async fn open_for_new(&self) -> String {
        self.write("");
        let id = self.init().await;
        let named = format!("ledger.id = \"{id}\"\nledger.new_in_use = true");
        self.write(&named);
        let ran = self.order(&["open-new", "--why", "first create"]).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        named
    }

    /// A command of `ledger` with the config.
    pub(crate) async fn order(&self, arguments: &[&str]) -> Ran {
        let config = self.config();
        run(&[&["ledger"], arguments, &["--config", config.to_str().unwrap()]].concat()).await
    }

    async fn start(&self) -> Result<Replica, Ended> {
        Replica::start(&self.config()).await
    }

    pub(crate) async fn serve(&self) -> (Replica, Caller) {
        let replica = self.start().await.unwrap_or_else(|ended| panic!("{ended:?}"));
        let caller = Caller::of(replica.address());
        (replica, caller)
    }

    /// What a start that is refused writes.
    async fn refusal(&self) -> String {
        match self.start().await {
            Ok(_) => panic!("it serves"),
            Err(ended) => {
                assert_eq!(ended.code, Some(3), "{ended:?}");
                ended.errors
            }
        }
    }

    /// How many conversions a reference has.
    pub(crate) fn made(&self, ref_id: &str) -> Tally {
        self.vendor.inspector().conversions_by_ref().get(ref_id).copied().unwrap_or_default()
    }
}

/// Runs a statement past the program.
pub(crate) async fn change(ledger: &Path, sql: &'static str) {
    let mut connection: SqliteConnection =
        sqlx::sqlite::SqliteConnectOptions::new().filename(ledger).connect().await.unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Removes a SQLite file with what belongs to it.
fn remove(ledger: &Path) {
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", ledger.display()));
    }
}

const NEW_ONLY: Tally = crate::support::test_bed::one_on(Side::New);
