//! Ledgers that are lost, exchanged for another deployment's, or replaced by an older copy, under running proxies and while they are
//! stopped: creates are held or the start is refused, and after the right file is back, or `ledger accept`, things go on.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use conversion_shim::ledger::{Identity, Ledger, LedgerError, OpenError, OperatorReason, Settings, back_up};
use reqwest::Method;

use super::super::oracle;
use super::stages::STAGES;
use super::{LAG_MAX, TIMES, World};
use crate::support::test_bed::{LEGACY, conversion, new_record, old_record};
use crate::support::{ledger, soon};

/// SQLite's files beside the database.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

/// What is found in the ledger's place.
#[derive(Clone, Debug)]
enum Found {
    Nothing,
    /// Another deployment's.
    Another,
    /// From before it was opened for creates on new.
    Unopened,
    Older(Backup),
}

#[derive(Clone, Debug)]
struct Backup {
    path: PathBuf,
    /// Made by `ledger backup`, which puts creates on hold in the copy.
    is_held: bool,
}

/// What an operator may put in the ledger's place.
pub(super) struct LedgerFiles {
    directory: PathBuf,
    backups: Vec<Backup>,
    /// References that nobody else uses.
    held: u64,
    fillers: u64,
    /// Claims were lost and the ledger was accepted: from then on no stage may be `sealed`.
    pub(super) has_lost: bool,
}

/// The settings of the ledger of these worlds, which is made: the same checks as those of `serve`.
pub(super) fn set(settings: &mut Settings) {
    let path = PathBuf::from(settings.url.trim_start_matches("sqlite:"));
    ledger::make(&settings.url, false);
    fs::copy(&path, path.with_file_name("unopened.db")).unwrap();
    ledger::make(&settings.url, true);
    *settings = serving(path.parent().unwrap());
}

fn url(directory: &Path, name: &str) -> String {
    format!("sqlite:{}", directory.join(name).display())
}

fn serving(directory: &Path) -> Settings {
    let identity = Identity {
        id: Some(ledger::ID.into()),
        create: false,
        agrees: true,
        new_in_use: true,
        tenant: Some("default".into()),
        ..Identity::default()
    };
    Settings { timeout: Duration::from_millis(500), identity, ..Settings::new(url(directory, "ledger.db")) }
}

impl LedgerFiles {
    pub(super) fn new(directory: &Path) -> Self {
        ledger::make_another(&url(directory, "another.db"));
        Self { directory: directory.to_owned(), backups: Vec::new(), held: 0, fillers: 0, has_lost: false }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn remove(&self) {
        for part in PARTS {
            let _ = fs::remove_file(self.path(&format!("ledger.db{part}")));
        }
    }

    /// Gives the files of one ledger other names. No part of another ledger stays beside them: SQLite would replay its log.
    fn rename(&self, from: &str, to: &str) {
        for part in PARTS {
            let _ = fs::remove_file(self.path(&format!("{to}{part}")));
            let _ = fs::rename(self.path(&format!("{from}{part}")), self.path(&format!("{to}{part}")));
        }
    }

    /// Copies what is found into the ledger's place, into the file that is there if there is one.
    fn put(&self, found: &Found) {
        let from = match found {
            Found::Nothing => return,
            Found::Another => self.path("another.db"),
            Found::Unopened => self.path("unopened.db"),
            Found::Older(backup) => backup.path.clone(),
        };
        fs::copy(from, self.path("ledger.db")).unwrap();
    }
}

/// Opens it; on a busy machine that may take longer than a call may.
async fn open(settings: &Settings) -> Result<Ledger, OpenError> {
    for _ in 0..100 {
        match Ledger::open(settings).await {
            Err(OpenError::At { source, .. }) if matches!(*source, OpenError::Timeout(_)) => {}
            opened => return opened,
        }
    }
    panic!("the ledger does not open in time")
}

fn reason() -> OperatorReason {
    OperatorReason { operator: "test".into(), why: "compared with the vendor".into() }
}

impl World {
    /// After a round, perhaps.
    pub(super) async fn maybe_exchange_ledger(&mut self) {
        if self.dice.percent(25) {
            self.back_up().await;
        }
        if self.dice.percent(8) {
            self.exchange_ledger().await;
        }
    }

    async fn back_up(&mut self) {
        let path = self.files.path(&format!("backup-{}.db", self.files.backups.len()));
        let is_held = self.dice.percent(50);
        let settings = Settings { timeout: Duration::from_secs(10), ..serving(&self.files.directory) };
        // On a busy machine.
        if back_up(&settings, &path).await.is_err() {
            return;
        }
        if !is_held {
            // As SQLite's own tools make one: with what the ledger says about itself, and no hold.
            fs::remove_file(&path).unwrap();
            ledger::vacuum_into(&self.files.path("ledger.db"), &path).await;
        }
        self.files.backups.push(Backup { path, is_held });
    }

    async fn exchange_ledger(&mut self) {
        let found = self.find();
        let is_older = matches!(found, Found::Older(_));
        let while_running = self.dice.percent(60);
        // Then nothing is left of the right one.
        let in_place = while_running && is_older && self.dice.percent(40);
        self.counts.exchanged += 1;
        self.counts.steps += 1;
        if std::env::var_os("MODEL_SEED").is_some() {
            eprintln!("{found:?} while running: {while_running}, in place: {in_place}");
        }
        if while_running {
            if !in_place {
                self.files.rename("ledger.db", "aside.db");
            }
            self.files.put(&found);
            self.creates_are_refused().await;
        }
        self.stop().await;
        if !while_running {
            self.files.rename("ledger.db", "aside.db");
        }
        self.files.remove();
        self.files.put(&found);
        let held = match &found {
            Found::Older(backup) => backup.is_held || while_running,
            Found::Nothing | Found::Another | Found::Unopened => {
                self.start_is_refused(&found).await;
                self.files.remove();
                self.files.rename("aside.db", "ledger.db");
                while_running
            }
        };
        if is_older {
            self.lose_claims();
        }
        self.start(held).await;
    }

    /// What was made without a claim is known from the lists alone: none may stop showing it, and `sealed` does not ask the old API.
    fn lose_claims(&mut self) {
        self.files.has_lost = true;
        self.opened = true;
        for stage in &mut self.stages {
            *stage = if stage.sealed || stage.sees_only_legacy { &STAGES[1] } else { stage };
        }
        let inspector = self.house.sandbox.inspector();
        for _ in 0..LAG_MAX {
            self.files.fillers += 1;
            let (ref_id, at) = (format!("filler-{}", self.files.fillers), "2026-01-01T00:00:00Z");
            self.known.insert(inspector.seed_orchestration(new_record(&ref_id, at)));
            self.known.insert(inspector.seed_conversion(old_record("", at)));
        }
    }

    fn find(&mut self) -> Found {
        match self.dice.below(6) {
            0 => Found::Nothing,
            1 => Found::Another,
            2 => Found::Unopened,
            _ if self.files.backups.is_empty() => Found::Nothing,
            _ => Found::Older(self.files.backups[self.dice.index(self.files.backups.len())].clone()),
        }
    }

    /// Whatever the stage, neither a retry nor another reference is sent, and no reader is answered that a record does not exist.
    async fn creates_are_refused(&mut self) {
        for which in 0..self.proxies.len() {
            self.files.held += 1;
            let fresh = format!("held-{}", self.files.held);
            self.tried.insert(fresh.clone());
            let known = self.tried.iter().nth(self.dice.index(self.tried.len())).unwrap().clone();
            for ref_id in [fresh.clone(), known] {
                let before = self.house.made(&ref_id);
                let client = self.proxies[which].client.clone();
                let answer = client.ask(Method::POST, LEGACY, conversion(&ref_id).to_string()).await;
                // What the ledger knows of a record stays true while creates are held.
                let is_known = answer.status == 409 && ref_id != fresh;
                assert!(is_known || answer.status == 503, "{ref_id}: {} {:?}", answer.status, answer.body);
                if is_known {
                    oracle::conflict(&self.house, &ref_id, &answer);
                }
                assert_eq!(self.house.made(&ref_id), before, "{ref_id}");
            }
            let id = self.known.iter().nth(self.dice.index(self.known.len())).unwrap().clone();
            let status = self.proxies[which].client.get(&id).await.status;
            assert!(status != 404 || self.stages[which].sealed, "{id} exists");
        }
    }

    /// Stops both proxies, and waits until nothing of theirs is under way any more, here or at the vendor.
    async fn stop(&mut self) {
        self.proxies.clear();
        let nothing = open(&Settings::new(url(&self.files.directory, "nothing.db"))).await.unwrap();
        let ledger = std::mem::replace(&mut self.house.ledger, nothing);
        // Ends when the last create has.
        soon(ledger.shutdown()).await;
        // What the vendor has not read yet never takes effect.
        self.house.sandbox.faults().go_down().await;
        soon(self.house.sandbox.inspector().wait_idle()).await;
        self.house.sandbox.faults().come_up().await.unwrap();
    }

    async fn start_is_refused(&mut self, found: &Found) {
        self.counts.refused += 1;
        match (found, open(&serving(&self.files.directory)).await) {
            (Found::Nothing, Err(OpenError::Missing { .. })) => {
                assert!(!self.files.path("ledger.db").exists(), "none is made in its place");
            }
            (Found::Another | Found::Unopened, Err(OpenError::Mismatch(_))) => {}
            (_, opened) => panic!("{found:?}: {:?}", opened.map(|_| "it opens")),
        }
    }

    /// Starts both proxies with the ledger that is there. Where creates are held, they go on after `ledger accept` alone.
    async fn start(&mut self, held: bool) {
        let ledger = open(&serving(&self.files.directory)).await.unwrap();
        let nothing = std::mem::replace(&mut self.house.ledger, ledger);
        nothing.shutdown().await;
        for stage in self.stages {
            let keys = [stage.keys, TIMES, &self.facts].concat();
            self.proxies.push(self.house.replica(&keys).await);
        }
        if !held {
            return;
        }
        self.counts.held += 1;
        self.creates_are_refused().await;
        let identity = Identity { agrees: false, tenant: None, ..serving(&self.files.directory).identity };
        let timeout = Duration::from_secs(10);
        let settings = Settings { timeout, identity: identity.clone(), ..serving(&self.files.directory) };
        let beside = Ledger::open_beside(&settings).await.unwrap();
        let mut lifted = beside.accept(reason(), identity.clone()).await;
        for _ in 0..100 {
            // On a busy machine: then it happened or not.
            let Err(LedgerError::Timeout) = lifted else { break };
            lifted = beside.accept(reason(), identity.clone()).await;
        }
        beside.shutdown().await;
        assert!(lifted.is_ok(), "{lifted:?}");
        self.goes_on().await;
    }

    /// A reference that was held is converted, where the stage allows creates.
    async fn goes_on(&mut self) {
        let holds = |stage: &super::Stage| stage.keys == [("stage", "hold")];
        let Some(which) = self.stages.iter().position(|stage| !holds(stage)) else { return };
        let ref_id = format!("held-{}", self.files.held);
        let status = self.create_at_last(which as u64, &ref_id, 20).await;
        assert!(matches!(status, Some(200 | 409)), "{ref_id}: {status:?}");
    }
}
