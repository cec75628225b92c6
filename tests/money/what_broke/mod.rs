//! What a reviewer broke in an earlier build, row by row of "What broke" in the rules of the cutover: each a test through the socket of the
//! real binary, or of a real server.
//!
//! | row | test |
//! |---|---|
//! | SQLite ledger lost, restored or at another place | `identity::refused` |
//! | PostgreSQL replaced by an older backup | [`backup`]; more ways back in time in `ledger::going_back` |
//! | a create through the new API's own path | [`references`] |
//! | a success that names another record | [`answers`] |
//! | members that the vendor adds to records | [`answers`] |
//! | an HTTP/1.1 upstream that answers twice | [`connections`] |
//! | an empty list that proves nothing | [`answers`] |
//! | `+` read literally | [`references`] |
//! | false 404s | [`answers`] |
//! | a reference that can be read in two ways | [`references`] |
//! | odd statuses with the write applied | [`answers`] |
//! | a withdrawal that uses the reference | [`references`] |
//! | a create without a token, then `sealed` | [`references`] |
//! | a LATIN1 database | `ledger::on_postgres::a_database_of_another_encoding_is_refused` |
//! | mirrored lists, in either direction | [`references`] |
//! | an API whose lists show nothing though it holds records | [`answers`] |
//! | 200 with the existing record for a repeated reference | [`answers`] |
//! | pgbouncer in transaction mode | `ledger::pooler`, against a real pgbouncer |

mod answers;
mod backup;
mod connections;
pub(crate) mod references;

use std::cell::Cell;

use conversion_shim::sandbox::{ArmedFault, Fault, FaultKind, Operation, Sandbox, Tally, Variants};
use conversion_shim::translate::side::Side;
use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;

use crate::processes::ConfigFile;
use crate::support::replica::Replica;
use crate::support::test_bed::{Caller, new_record, old_record, vendor};

const OBSERVE: &str = "stage = \"observe\"";
const READY: &str = "stage = \"ready\"";
const LIVE: &str = "stage = \"live\"";
const SEALED: &str = "stage = \"sealed\"";
/// Creates are back on legacy, readers on both.
const BACK: &str = "stage = \"hold\"\nroutes.create = \"legacy\"";

pub(crate) const ORCHESTRATIONS: &str = "/v2/orchestration/orchestrations";
const LONG_AGO: &str = "2026-01-01T00:00:00Z";

/// A vendor, and the binary before it.
struct World {
    sandbox: Sandbox,
    shim: Shim,
    client: Caller,
}

/// The binary on a ledger of its own.
struct Shim {
    file: ConfigFile,
    stage: Cell<&'static str>,
    new_in_use: Cell<bool>,
    replica: Option<Replica>,
    directory: TempDir,
}

impl Shim {
    /// `more` are further keys.
    async fn before(url: &str, stage: &'static str, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ledger = format!("sqlite:{}", directory.path().join("ledger.sqlite").display());
        Self::on(&ledger, directory, url, stage, more).await
    }

    async fn on(ledger: &str, directory: TempDir, url: &str, stage: &'static str, more: &str) -> Self {
        // Short, so that an outcome that stays unknown does not take long to be so.
        let more = format!("timeouts.create = \"4s\"\n{more}");
        let file = ConfigFile::before(directory.path(), "shim.toml", url, ledger, &more);
        file.write_stage(stage, uses_new(stage));
        let mut shim =
            Self { file, stage: stage.into(), new_in_use: uses_new(stage).into(), replica: None, directory };
        shim.start().await;
        shim
    }

    async fn start(&mut self) {
        self.replica = Some(Replica::start(&self.file.path).await.unwrap());
    }

    fn client(&self) -> Caller {
        Caller::of(self.replica.as_ref().unwrap().address())
    }

    async fn go(&self, stage: &'static str) {
        if self.stage.replace(stage) == stage {
            return;
        }
        self.new_in_use.set(self.new_in_use.get() || uses_new(stage));
        let replica = self.replica.as_ref().unwrap();
        let from = replica.lines();
        self.file.write_stage(stage, self.new_in_use.get());
        let reloaded = replica.line_after(from, |line| line["message"] == "config reloaded").await;
        reloaded.expect("the new stage is in force");
    }
}

impl World {
    async fn at(stage: &'static str) -> Self {
        Self::with(Variants::default(), stage).await
    }

    async fn with(variants: Variants, stage: &'static str) -> Self {
        Self::with_keys(variants, stage, "").await
    }

    async fn with_keys(variants: Variants, stage: &'static str, more: &str) -> Self {
        let sandbox = vendor().await;
        sandbox.inspector().set_variants(variants);
        let shim = Shim::before(&sandbox.base_url(), stage, more).await;
        Self { client: shim.client(), sandbox, shim }
    }

    /// On a ledger in that database.
    async fn on(database: &str, stage: &'static str) -> Self {
        let sandbox = vendor().await;
        let shim = Shim::on(database, tempfile::tempdir().unwrap(), &sandbox.base_url(), stage, "").await;
        Self { client: shim.client(), sandbox, shim }
    }

    /// Tries to move to another stage, and returns the key that the refusal names.
    async fn is_refused(&self, stage: &str) -> String {
        let replica = self.shim.replica.as_ref().unwrap();
        let from = replica.lines();
        self.shim.file.write_stage(stage, true);
        let refused =
            replica.line_after(from, |line| line["message"] == "config refused, nothing changed").await;
        refused.expect("it runs")["key"].as_str().unwrap().to_owned()
    }

    /// Moves to another stage, and returns when it is in force.
    async fn go(&self, stage: &'static str) {
        self.shim.go(stage).await;
    }

    /// Ends the process and starts another one: it remembers what the ledger does.
    async fn restart(&mut self) {
        self.shim.replica.take().unwrap().kill();
        self.shim.start().await;
        self.client = self.shim.client();
    }

    /// As [`restart`](Self::restart), an hour after every claim was made.
    async fn restart_later(&mut self) {
        self.shim.replica.take().unwrap().kill();
        let ledger = self.shim.directory.path().join("ledger.sqlite");
        let mut ledger = sqlx::sqlite::SqliteConnectOptions::new().filename(ledger).connect().await.unwrap();
        let hour = "UPDATE ref_claims SET created_at_us = created_at_us - 3600000000, updated_at_us = updated_at_us - 3600000000";
        sqlx::query(hour).execute(&mut ledger).await.unwrap();
        ledger.close().await.unwrap();
        self.shim.start().await;
        self.client = self.shim.client();
    }

    fn fault(&self, side: Side, operation: Operation, kind: FaultKind) -> ArmedFault {
        self.sandbox.faults().arm(Fault::new(kind).on(side, operation))
    }

    /// A record that was made without the proxy, long ago. Answers its id.
    fn seed(&self, side: Side, ref_id: &str) -> String {
        match side {
            Side::Legacy => self.sandbox.inspector().seed_conversion(old_record(ref_id, LONG_AGO)),
            Side::New => self.sandbox.inspector().seed_orchestration(new_record(ref_id, LONG_AGO)),
        }
    }

    fn made(&self, ref_id: &str) -> Tally {
        self.sandbox.inspector().conversions_by_ref().get(ref_id).copied().unwrap_or_default()
    }

    fn posts(&self, side: Side) -> u64 {
        self.sandbox.inspector().arrived(side, Operation::Create)
    }

    /// The record, as its side shows it.
    fn record(&self, side: Side, id: &str) -> Value {
        self.sandbox.inspector().record(side, id).unwrap_or_else(|| panic!("{side} has no {id}"))
    }
}

/// Whether a create may go to new, or may have gone there.
fn uses_new(stage: &str) -> bool {
    ![OBSERVE, READY].contains(&stage)
}

/// The lines of the stage that creates on that side, with readers on both.
const fn creating_on(side: Side) -> &'static str {
    match side {
        Side::Legacy => BACK,
        Side::New => LIVE,
    }
}
