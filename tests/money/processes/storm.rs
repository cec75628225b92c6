//! The storm: creates and retries over changes of stage, kills, fail-overs of the ledger's server, restores of an older backup of it and bad
//! weather at the vendor, as many as `STORM_CREATES` says, or as fit into `STORM_SECONDS`. It prints what happened.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use conversion_shim::ledger::{Reader, Settings};

use super::chaos::{Scene, Until, run};
use crate::support::failover::{Address, synchronous};
use crate::support::postgres::Postgres;
use crate::support::{process, soon};

/// Many, because most of them wait for an outcome that stays unknown.
const CLIENTS: u64 = 64;
/// A fail-over stops creates for up to a minute, when a replica was killed shortly before.
const BETWEEN_FAILOVERS: Duration = Duration::from_secs(150);
/// So many orders are seen through after a backup before it takes the place of the ledger.
const LOST: usize = 100;
/// How long a server that lost its data is down at least: longer than a create is under way, and than lists lag.
const RESTORING: Duration = Duration::from_secs(8);
const FAR: Duration = Duration::from_secs(7 * 24 * 3600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_creates_over_flips_kills_and_failovers() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<usize>().expect("a number"));
    let creates = number("STORM_CREATES").unwrap_or(3000);
    let end = number("STORM_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds as u64));
    let Some(primary) = Postgres::start_new() else { return };
    let address = Address::of(&primary).await;
    let standby = synchronous(&primary, "standby").await;
    let ledger = address.url();
    let until =
        Until { creates, end: end.unwrap_or_else(|| Instant::now() + FAR), calm: Duration::from_secs(3) };
    let failovers = Failovers { address, primary, standby, first: creates.min(4000) / 4 };
    let (scene, audit) = run(&ledger, CLIENTS, until, Some(failovers)).await;
    println!("{}", scene.figures(&audit));
    audit.assert_clean();
    assert!(scene.failovers.load(Ordering::Relaxed) > 0 && audit.legacy > 0 && audit.new > 0);
    assert!(scene.restores.load(Ordering::Relaxed) > 0);
}

/// A server and its synchronous standby, which takes its place.
pub(super) struct Failovers {
    address: Address,
    primary: Postgres,
    standby: Postgres,
    /// After so many references, the first time.
    first: usize,
}

impl Failovers {
    /// Fails over and loses claims now and then until the storm is over. Returns the servers, which the last look at the ledger needs.
    /// `config`: of a replica, for the operator's commands.
    pub(super) async fn run(mut self, scene: Arc<Scene>, config: &Path) -> Self {
        while scene.orders() < self.first && !scene.is_over() {
            sleep(Duration::from_millis(50)).await;
        }
        loop {
            self = self.fail_over().await;
            scene.failovers.fetch_add(1, Ordering::Relaxed);
            self = self.go_back(&scene, config).await;
            scene.may_kill.store(true, Ordering::Relaxed);
            let next = Instant::now() + BETWEEN_FAILOVERS;
            while Instant::now() < next {
                if scene.is_over() {
                    return self;
                }
                sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// The primary dies, its standby takes over and gets a standby of its own.
    async fn fail_over(self) -> Self {
        let Self { address, primary, standby, first } = self;
        let promoted = tokio::task::spawn_blocking(move || {
            primary.stop();
            standby.promote();
            standby
        });
        let primary = promoted.await.unwrap();
        address.switch_to(&primary);
        let standby = synchronous(&primary, "standby").await;
        Self { address, primary, standby, first }
    }

    /// The server loses what was written since a backup. A replica that misses its claims holds creates, and the operator accepts the ledger
    /// as it is, with no create under way and lists that show everything.
    async fn go_back(self, scene: &Scene, config: &Path) -> Self {
        let Self { address, primary, standby, first } = self;
        scene.stop_killing().await;
        scene.begin_to_lose();
        let primary = tokio::task::spawn_blocking(move || {
            primary.base_backup();
            primary
        });
        let primary = primary.await.unwrap();
        let before = scene.seen_through();
        while scene.seen_through() < before + LOST && !scene.is_over() {
            sleep(Duration::from_millis(50)).await;
        }
        let restored = tokio::task::spawn_blocking(move || {
            primary.stop();
            drop(standby);
            std::thread::sleep(RESTORING);
            primary.restore();
            // The standby of the backup is gone.
            primary.set("synchronous_standby_names = ''");
            primary.start();
            primary
        });
        let primary = restored.await.unwrap();
        scene.end_to_lose();
        held(&address.url()).await;
        let accept =
            ["ledger", "accept", "--why", "restored from a backup", "--config", config.to_str().unwrap()];
        let accepted = process::run(&accept).await;
        assert_eq!(accepted.code, Some(0), "{accepted:?}");
        scene.restores.fetch_add(1, Ordering::Relaxed);
        let standby = synchronous(&primary, "standby").await;
        Self { address, primary, standby, first }
    }
}

/// Waits until the ledger says that creates are on hold.
async fn held(url: &str) {
    let holding = async {
        loop {
            if let Ok(reader) = Reader::open(&Settings::new(url)).await
                && matches!(reader.hold().await, Ok(Some(_)))
            {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    soon(holding).await;
}
