//! One vendor, one ledger, two proxies, and what happens to them.

mod counts;
mod ledgers;
mod requests;
mod settle;
mod stages;

use std::collections::BTreeSet;
use std::time::Duration;

use conversion_shim::sandbox::{Dice, Mirror, SECOND_PROFILE, Variants};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub(crate) use self::counts::Counts;
use self::ledgers::LedgerFiles;
use self::stages::{STAGES, Stage};
use super::faults::{self, LAG_MAX, Trouble};
use super::oracle;
use super::pager::Pager;
use crate::support::test_bed::{BACK, Keys, Proxy, TestBed, old_record};
use crate::support::{soon, variants};

/// References that were converted before there was a ledger.
const BEFORE: u64 = 30;
const TIMES: Keys<'static> = &[
    // The rate budget is not what this is about.
    ("budget.per_second", "100000"),
    ("budget.cooldown", "0s"),
    ("timeouts.create", "400ms"),
    ("timeouts.get", "300ms"),
    ("timeouts.list", "500ms"),
    ("timeouts.cancel", "300ms"),
];

pub(crate) struct World {
    dice: Dice,
    house: TestBed,
    proxies: Vec<Proxy>,
    stages: [&'static Stage; 2],
    /// Whether a create may have gone to new: from then on no reader may be blind to it.
    opened: bool,
    next_ref: u64,
    /// Creates at the end, when everything works again.
    retried: u64,
    tried: BTreeSet<String>,
    known: BTreeSet<String>,
    pager: Option<Pager>,
    /// How the vendor differs from the documented one, but for rounds in which nothing can be read.
    variants: Variants,
    /// What the proxies know of it.
    facts: Vec<(&'static str, &'static str)>,
    files: LedgerFiles,
    counts: Counts,
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let variants = variants::choose(|sides| dice.below(sides));
        let mut house = TestBed::with_ledger(BACK, ledgers::set).await;
        // The proxies here come and go with their ledger.
        house.proxy = Proxy::start(&[("stage", "observe")], None).await;
        let files = LedgerFiles::new(house.dir.path());
        let inspector = house.sandbox.inspector();
        inspector.set_variants(variants.clone());
        // Mostly the operator knows how the vendor differs.
        let facts = if dice.percent(70) { variants::facts(&variants) } else { Vec::new() };
        if std::env::var_os("MODEL_SEED").is_some() {
            eprintln!("{facts:?} {variants:?}");
        }
        assert!(inspector.credit(SECOND_PROFILE, "USD", "100000000"));
        let mut known = BTreeSet::new();
        for at in 0..=BEFORE + LAG_MAX {
            let ref_id = if at < BEFORE { format!("before-{at}") } else { String::new() };
            known.insert(
                inspector.seed_conversion(old_record(&ref_id, &format!("2026-01-01T00:00:{at:02}Z"))),
            );
        }
        let mut proxies = Vec::new();
        for _ in 0..2 {
            proxies.push(house.replica(&[STAGES[0].keys, TIMES, &facts].concat()).await);
        }
        Self {
            dice,
            house,
            proxies,
            stages: [&STAGES[0]; 2],
            opened: false,
            next_ref: 1,
            retried: 0,
            tried: BTreeSet::new(),
            known,
            pager: None,
            variants,
            facts,
            files,
            counts: Counts::default(),
        }
    }

    pub(crate) async fn live(mut self, rounds: u64) -> Counts {
        for _ in 0..rounds {
            self.round().await;
        }
        self.settle().await;
        self.counts
    }

    async fn round(&mut self) {
        self.maybe_flip(40, true).await;
        if self.dice.percent(5) {
            self.restart().await;
        }
        let sealed = self.stages.iter().any(|stage| stage.sealed);
        // What passes through waits as long as its client does, so no gate may stay closed.
        let passes = self.stages.iter().any(|stage| stage.sees_only_legacy);
        let trouble = self.trouble();
        let outage = self.dice.percent(8).then(|| self.ledger_outage());
        let mut asked = Vec::new();
        for _ in 0..=self.dice.below(6) {
            asked.push(self.ask(sealed));
        }
        if !trouble.gates.is_empty() {
            // Somebody stands at a gate, or nobody ever will: then there is nothing to wait for.
            let _ = timeout(Duration::from_millis(50), trouble.gates[0].reached(1)).await;
        }
        self.maybe_flip(30, false).await;
        for _ in 0..self.dice.below(5) {
            asked.push(self.ask(sealed));
        }
        if !sealed && !trouble.lagging {
            self.page().await;
        }
        for gate in &trouble.gates {
            if !passes && self.dice.percent(50) {
                gate.release(1);
            } else {
                gate.open();
            }
        }
        for one in asked {
            if self.dice.percent(5) {
                // The client leaves.
                one.abort();
            }
            if let Ok(asked) = soon(one).await {
                self.judge(asked, sealed).await;
            }
            oracle::nothing_is_doubled(&self.house);
        }
        self.house.sandbox.faults().clear();
        self.house.sandbox.inspector().set_variants(self.variants.clone());
        if let Some(outage) = outage {
            outage.await.unwrap();
        }
        self.maybe_exchange_ledger().await;
        oracle::nothing_is_doubled(&self.house);
    }

    /// What goes wrong at the vendor in one round.
    fn trouble(&mut self) -> Trouble {
        let mut trouble = faults::arm(&self.house.sandbox, &mut self.dice);
        if self.dice.percent(4) {
            let blind = variants::blind(&self.variants, self.dice.next());
            self.house.sandbox.inspector().set_variants(blind);
            trouble.lagging = true;
        }
        trouble
    }

    /// Another process takes the place of a proxy: it remembers nothing but the ledger.
    async fn restart(&mut self) {
        let which = usize::try_from(self.dice.below(2)).unwrap();
        let keys = [self.stages[which].keys, TIMES, &self.facts].concat();
        self.proxies[which] = self.house.replica(&keys).await;
        self.counts.steps += 1;
    }

    /// Nobody can write into the ledger for a while.
    fn ledger_outage(&mut self) -> JoinHandle<()> {
        self.counts.outages += 1;
        self.counts.steps += 1;
        let file = self.house.dir.path().join("ledger.db");
        let pause = Duration::from_millis(50 + self.dice.below(400));
        tokio::spawn(async move {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
            let mut connection = options.connect().await.unwrap();
            if connection.execute("BEGIN IMMEDIATE").await.is_ok() {
                sleep(pause).await;
                connection.execute("ROLLBACK").await.unwrap();
            }
            connection.close().await.unwrap();
        })
    }

    async fn page(&mut self) {
        for _ in 0..self.dice.below(4) {
            self.counts.steps += 1;
            let client = self.proxies[self.dice.index(self.proxies.len())].client.clone();
            let has_same_id = [self.variants.mirror, self.variants.mirror_back].contains(&Mirror::SameId);
            let repeats = has_same_id && self.shows_mirrors();
            let pager = match self.pager.take() {
                Some(pager) => pager,
                None => {
                    let expected = self.certain();
                    Pager::begin(&mut self.dice, expected, repeats)
                }
            };
            let pager = self.pager.insert(pager);
            // A gate may be closed still.
            match timeout(Duration::from_secs(1), pager.page(&client)).await {
                Ok(true) => {
                    self.pager = None;
                    self.counts.listings += 1;
                }
                Ok(false) => {}
                Err(_) => return,
            }
        }
    }
}
