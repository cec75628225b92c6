//! One vendor, one ledger, two proxies, and what happens to them.

mod ledgers;

use std::collections::BTreeSet;
use std::time::Duration;

use conversion_shim::sandbox::{Mirror, PROFILE, RefMatch, SECOND_PROFILE, Variants};
use conversion_shim::translate::side::Side;
use reqwest::Method;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use self::ledgers::Shelf;
use super::dice::Dice;
use super::faults::{self, LAG_MAX, Trouble};
use super::oracle;
use super::pager::Pager;
use crate::support::test_bed::{Answer, BACK, Keys, LEGACY, Proxy, TestBed, conversion, old_record};
use crate::support::{soon, variants};

/// References that were converted before there was a ledger.
const BEFORE: u64 = 30;
/// How far back a client's retries reach.
const WINDOW: u64 = 6;
const TIMES: Keys<'static> = &[
    // The rate budget is not what this is about.
    ("budget.per_second", "100000"),
    ("budget.cooldown", "0s"),
    ("timeouts.create", "400ms"),
    ("timeouts.get", "300ms"),
    ("timeouts.list", "500ms"),
    ("timeouts.cancel", "300ms"),
];

/// A stage that an operator may choose.
struct Stage {
    keys: Keys<'static>,
    creates_on_new: bool,
    sees_only_legacy: bool,
    sealed: bool,
}

const fn stage(keys: Keys<'static>, creates_on_new: bool) -> Stage {
    Stage { keys, creates_on_new, sees_only_legacy: false, sealed: false }
}

static STAGES: [Stage; 9] = [
    Stage { sees_only_legacy: true, ..stage(&[("stage", "observe")], false) },
    stage(BACK, false),
    stage(BACK, false),
    stage(&[("stage", "hold")], false),
    stage(&[("stage", "canary"), ("canary.profiles", SECOND_PROFILE)], true),
    stage(&[("stage", "canary"), ("canary.percent", "50"), ("canary.salt", "salt")], true),
    stage(&[("stage", "live")], true),
    stage(&[("stage", "live")], true),
    Stage { sealed: true, ..stage(&[("stage", "sealed")], true) },
];

/// What became of everything.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) steps: u64,
    pub(crate) creates: u64,
    pub(crate) accepted: u64,
    pub(crate) conflicts: u64,
    pub(crate) unknown: u64,
    pub(crate) unavailable: u64,
    pub(crate) gets: u64,
    pub(crate) listings: u64,
    pub(crate) flips: u64,
    pub(crate) outages: u64,
    /// Ledgers that were lost, exchanged or replaced by an older copy.
    pub(crate) exchanged: u64,
    /// Starts that were refused, and those that held creates until `ledger accept`.
    pub(crate) refused: u64,
    pub(crate) held: u64,
}

impl Told {
    pub(crate) fn add(&mut self, one: Self) {
        self.steps += one.steps;
        self.creates += one.creates;
        self.accepted += one.accepted;
        self.conflicts += one.conflicts;
        self.unknown += one.unknown;
        self.unavailable += one.unavailable;
        self.gets += one.gets;
        self.listings += one.listings;
        self.flips += one.flips;
        self.outages += one.outages;
        self.exchanged += one.exchanged;
        self.refused += one.refused;
        self.held += one.held;
    }
}

/// One request of a client, and what it was told; nothing, if the answer broke off or the client left.
struct Asked {
    what: What,
    answer: Option<Answer>,
}

#[derive(Clone)]
enum What {
    Create {
        ref_id: String,
        amount: &'static str,
    },
    /// A record that existed before the request was made.
    Get {
        id: String,
    },
    Cancel {
        id: String,
    },
}

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
    shelf: Shelf,
    told: Told,
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let variants = variants::choose(|sides| dice.below(sides));
        let mut house = TestBed::with_ledger(BACK, ledgers::set).await;
        // The proxies here come and go with their ledger.
        house.proxy = Proxy::start(&[("stage", "observe")], None).await;
        let shelf = Shelf::new(house.dir.path());
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
            shelf,
            told: Told::default(),
        }
    }

    pub(crate) async fn live(mut self, rounds: u64) -> Told {
        for _ in 0..rounds {
            self.round().await;
        }
        self.settle().await;
        self.told
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

    /// Turns the wheel on one proxy after the other, perhaps; only in ways that the loader and the operator's rules allow.
    async fn maybe_flip(&mut self, chance: u64, may_seal: bool) {
        for which in [0, 1] {
            if !self.dice.percent(chance) {
                continue;
            }
            let to = self.dice.pick(&STAGES);
            let other = self.stages[1 - which];
            let blind = to.sees_only_legacy && (self.opened || other.creates_on_new);
            let early = to.creates_on_new && other.sees_only_legacy;
            if blind || early || (to.sealed && (!may_seal || self.shelf.has_lost || self.dice.percent(60))) {
                continue;
            }
            if self.proxies[which].try_go(&[to.keys, TIMES].concat()).await.is_ok() {
                self.stages[which] = to;
                self.opened |= to.creates_on_new;
                self.told.flips += 1;
                self.told.steps += 1;
            }
        }
    }

    /// Another process takes the place of a proxy: it remembers nothing but the ledger.
    async fn restart(&mut self) {
        let which = usize::try_from(self.dice.below(2)).unwrap();
        let keys = [self.stages[which].keys, TIMES, &self.facts].concat();
        self.proxies[which] = self.house.replica(&keys).await;
        self.told.steps += 1;
    }

    /// Nobody can write into the ledger for a while.
    fn ledger_outage(&mut self) -> JoinHandle<()> {
        self.told.outages += 1;
        self.told.steps += 1;
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

    /// One request of some client to some proxy.
    fn ask(&mut self, sealed: bool) -> JoinHandle<Asked> {
        self.told.steps += 1;
        let client = self.dice.pick(&self.proxies).client.clone();
        let (method, path, body, what) = match self.dice.below(10) {
            0..7 => {
                let (body, what) = self.create(sealed);
                (Method::POST, LEGACY.to_owned(), body, what)
            }
            one => {
                let known: Vec<_> = self.known.iter().cloned().collect();
                let id = self.dice.pick(&known).clone();
                let path = format!("{LEGACY}/{id}");
                match one {
                    7 => (Method::DELETE, path, String::new(), What::Cancel { id }),
                    _ => (Method::GET, path, String::new(), What::Get { id }),
                }
            }
        };
        tokio::spawn(async move {
            let answer = client.try_ask(method, &path, body).await.ok();
            Asked { what, answer }
        })
    }

    fn create(&mut self, sealed: bool) -> (String, What) {
        self.told.creates += 1;
        // The old API is gone: what it made before there was a ledger cannot be known.
        let ref_id = if !sealed && self.dice.percent(15) {
            format!("before-{}", self.dice.below(BEFORE))
        } else {
            let back = self.dice.below(WINDOW).min(self.next_ref);
            self.next_ref += u64::from(self.dice.percent(50));
            let number = self.next_ref - back.min(self.next_ref);
            self.spelled(number)
        };
        self.tried.insert(ref_id.clone());
        let amount = if self.dice.percent(80) { "1.50" } else { "2" };
        let mut body = conversion(&ref_id);
        body["amount"] = amount.into();
        body["profile_id"] = if self.dice.percent(50) { PROFILE } else { SECOND_PROFILE }.into();
        (body.to_string(), What::Create { ref_id, amount })
    }

    /// A reference, at times as another one that the vendor takes for the same.
    fn spelled(&mut self, number: u64) -> String {
        let usual = if self.variants.plus_is_literal { format!("r {number}+") } else { format!("r{number}") };
        // Without the fact each of them takes all the time that there is.
        let often = if self.facts.is_empty() { 2 } else { 20 };
        match self.variants.ref_match {
            RefMatch::Case if self.dice.percent(often) => usual.to_uppercase(),
            RefMatch::Trim if self.dice.percent(often) => format!(" {usual} "),
            RefMatch::Exact | RefMatch::Case | RefMatch::Trim => usual,
        }
    }

    async fn judge(&mut self, Asked { what, answer }: Asked, sealed: bool) {
        let Some(answer) = answer else { return };
        match (what, answer.status) {
            (What::Create { ref_id, amount }, 200) => {
                self.told.accepted += 1;
                let known = if self.facts.is_empty() { RefMatch::Exact } else { self.variants.ref_match };
                self.known.insert(oracle::accepted(&self.house, (&ref_id, amount), known, &answer).await);
            }
            (What::Create { ref_id, .. }, 409) => {
                self.told.conflicts += 1;
                self.known.extend(oracle::conflict(&self.house, &ref_id, &answer));
            }
            (What::Create { .. }, 504) => self.told.unknown += 1,
            (What::Create { .. }, 503) => self.told.unavailable += 1,
            (What::Create { .. }, _) => {}
            (What::Get { id }, status) => {
                self.told.gets += 1;
                assert!(status != 404 || sealed, "{id} exists: {:?}", answer.body);
            }
            (What::Cancel { id }, status) => {
                assert!(status != 404 || sealed, "{id} exists: {:?}", answer.body);
                let legacy = self.house.sandbox.inspector().record(Side::Legacy, &id);
                let is_cancelled = legacy.is_some_and(|record| record["status"] == "CANCELLED");
                assert!(status != 200 || is_cancelled, "{id} was not cancelled: {:?}", answer.body);
            }
        }
    }

    async fn page(&mut self) {
        for _ in 0..self.dice.below(4) {
            self.told.steps += 1;
            let client = self.dice.pick(&self.proxies).client.clone();
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
                    self.told.listings += 1;
                }
                Ok(false) => {}
                Err(_) => return,
            }
        }
    }

    /// Retries with the same reference as a client would: the machine is busy and the ledger's patience short.
    async fn create_at_last(&mut self, which: u64, ref_id: &str, tries: u64) -> Option<u16> {
        let client = self.proxies[usize::try_from(which).unwrap()].client.clone();
        for _ in 0..tries {
            self.retried += 1;
            let answer = client.try_ask(Method::POST, LEGACY, conversion(ref_id).to_string()).await;
            let status = answer.ok().map(|answer| answer.status);
            if status.is_some_and(|status| ![503, 504].contains(&status)) {
                return status;
            }
        }
        None
    }

    /// Everything works again: every reference that was ever tried ends as exactly one conversion, on whichever replica and
    /// in whichever stage, and a listing shows all of them.
    async fn settle(&mut self) {
        let calm: Keys<'_> = &[("timeouts.create", "20s"), ("timeouts.list", "20s")];
        // Blind readers first.
        for proxy in &self.proxies {
            proxy.go(&[BACK, calm].concat()).await;
        }
        self.proxies[0].go(&[&[("stage", "live")], calm].concat()).await;
        for ref_id in self.tried.clone() {
            self.settle_one(&ref_id).await;
        }
        if let Some(mut pager) = self.pager.take() {
            let mut turns = 0..10_000;
            while !pager.page(&self.proxies[1].client).await {
                assert!(turns.next().is_some(), "the listing does not end");
            }
        }
        let (ids, _) = self.proxies[1].client.all("limit=50").await;
        let missing: Vec<_> = self.certain().into_iter().filter(|id| !ids.contains(id)).collect();
        assert!(missing.is_empty(), "a listing shows everything: {missing:?}");
        self.count(&ids);
    }

    /// The ids under which a listing shows what is known. Where it is known that one side mirrors the other's conversions under other ids,
    /// such a conversion may be shown under either, as its claim says; then their number is all that can be checked.
    fn certain(&self) -> BTreeSet<String> {
        let inspector = self.house.sandbox.inspector();
        let has_two_ids =
            |side, mirror| (mirror == Mirror::OtherId && !self.facts.is_empty()).then_some(side);
        let twofold = [
            has_two_ids(Side::Legacy, self.variants.mirror),
            has_two_ids(Side::New, self.variants.mirror_back),
        ];
        let is_certain =
            |id: &&String| twofold.iter().flatten().all(|side| inspector.record(*side, id).is_none());
        self.known.iter().filter(is_certain).cloned().collect()
    }

    /// Whether a listing may show a mirror beside its original: nobody knows that lists are mirrored, or the mirror has a time of its own,
    /// is on another page, and its original is not in the ledger.
    fn shows_mirrors(&self) -> bool {
        let can_be_told = !self.facts.is_empty() && !self.variants.mirror_own_created_at;
        let is_mirrored = self.variants.mirror != Mirror::Off || self.variants.mirror_back != Mirror::Off;
        is_mirrored && !can_be_told
    }

    /// One reference that was tried ends as one conversion. A vendor that takes two references for one makes one of both.
    async fn settle_one(&mut self, ref_id: &str) {
        let alike: Vec<_> =
            self.tried.iter().filter(|other| self.variants.ref_match.same(other, ref_id)).cloned().collect();
        // Where nobody knows that the vendor takes them for one, the other one's record proves nothing about this one.
        let may_stay_open = alike.len() > 1 && self.facts.is_empty();
        let made = |world: &Self| -> usize {
            alike.iter().map(|ref_id| world.house.made(ref_id)).map(|made| made.legacy + made.new).sum()
        };
        let may_stay_open = may_stay_open && made(self) > 0;
        let turns = if may_stay_open { vec![0] } else { vec![self.dice.below(2), 0, 1] };
        for which in turns {
            let answer = self.create_at_last(which, ref_id, if may_stay_open { 1 } else { 20 }).await;
            let is_one_of_several = alike.len() > 1 && self.facts.is_empty();
            assert!(is_one_of_several || matches!(answer, Some(200 | 409)), "{ref_id}: {answer:?}");
        }
        let made = made(self);
        assert!(made == 1 || made > 0 && alike.len() > 1, "{alike:?}: {made}");
    }

    /// No create was sent twice, and nothing is listed that does not exist.
    fn count(&self, ids: &[String]) {
        let inspector = self.house.sandbox.inspector();
        let posts = self.house.posts(Side::Legacy) + self.house.posts(Side::New);
        let most = self.told.creates + self.retried;
        assert!(posts <= most, "{posts} creates were sent for {most} requests");
        let is_mirrored = self.shows_mirrors();
        let records = inspector.records(Side::Legacy) + inspector.records(Side::New);
        assert!(ids.len() == records || is_mirrored && ids.len() > records, "{} of {records}", ids.len());
    }
}
