//! Hours in minutes: the real binary under mixed load, before a vendor at which much goes wrong. What a proxy must not gather while it
//! runs is looked at from outside: memory, file descriptors, threads, requests in flight, writes whose client has left.
//!
//! Two processes at once, because no config may go back to shadow after a create on the new API: one in stage live with a ledger, whose
//! creates move to legacy and back all the time, and one that compares in the background.
//!
//! `SOAK_SECONDS` makes it longer (5 s otherwise), `SOAK_RATE` changes how many requests a second each process gets (30 otherwise). The
//! curve is printed: `SOAK_SECONDS=1800 cargo test --test money soak -- --nocapture`.
#![cfg(target_os = "linux")]

mod acts;
mod curve;
mod load;
mod vendor;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use conversion_shim::sandbox::{Fault, FaultKind, Operation, Sandbox};
use reqwest::Method;
use tempfile::TempDir;
use tokio::time::Instant;

use self::acts::{CONVERSIONS, Client};
use self::curve::{Curve, Gauge};
use self::load::Load;
use crate::support::dice;
use crate::support::replica::Replica;
use crate::support::{ledger, soon};

/// Most requests in flight at once. Small, so that a few places that were never given back are missed at the end.
const PLACES: usize = 24;

fn number(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// One process, its vendor, and where its config lies.
struct TestBed {
    name: &'static str,
    vendor: Sandbox,
    shim: Replica,
    admin: SocketAddr,
    directory: TempDir,
}

impl TestBed {
    async fn open(name: &'static str, stage: &str) -> Self {
        let (vendor, directory) = (vendor::rich().await, tempfile::tempdir().unwrap());
        write(directory.path(), stage, &vendor);
        let shim = Replica::start(&path(directory.path())).await.unwrap();
        let ready = shim.line_after(0, |line| line["message"] == "admin listener ready").await.unwrap();
        let admin = ready["address"].as_str().unwrap().parse().unwrap();
        Self { name, vendor, shim, admin, directory }
    }

    /// Puts other modes into force and waits until they are.
    async fn go(&self, stage: &str) {
        let from = self.shim.lines();
        write(self.directory.path(), stage, &self.vendor);
        let accepted = self.shim.line_after(from, |line| line["message"] == "config reloaded").await;
        assert!(accepted.is_some(), "the process has ended");
    }

    fn gauge(&self) -> Gauge {
        Gauge::new(self.shim.id(), self.admin)
    }

    /// The soak itself: load with bad weather, reloads between these modes, then silence.
    async fn soak(self, stages: &[&str]) {
        let length = Duration::from_secs(number("SOAK_SECONDS", 5).into());
        let mut dice = dice::from_environment();
        let gauge = self.gauge();
        self.warm_up().await;
        let before = gauge.at_rest(&Curve::default(), None).await;
        let load = Arc::new(Load::new(self.shim.address(), number("SOAK_RATE", 30)));
        let end = Instant::now() + length;
        let clients = load.start(end, &mut dice);
        vendor::bad_weather(&self.vendor, &mut dice);
        let (every, mut curve) = ((length / 60).max(Duration::from_millis(250)), Curve::named(self.name));
        let (mut stages, mut next) = (stages.iter().cycle(), Instant::now());
        while Instant::now() < end {
            curve.push(gauge.look(load.in_flight(), load.sent()).await);
            if Instant::now() >= next {
                self.go(stages.next().unwrap()).await;
                next = Instant::now() + (length / 12).max(Duration::from_millis(500));
            }
            tokio::time::sleep_until((Instant::now() + every).min(end)).await;
        }
        soon(clients.join_all()).await;
        self.vendor.faults().clear();
        let after = gauge.at_rest(&curve, Some(before)).await;
        eprintln!("{}: at rest before: {before}", self.name);
        eprintln!("{}: at rest after:  {after}", self.name);
        eprintln!("{}: answers: {:?}", self.name, load.answers());
        self.every_place_is_free(&load).await;
        load.assert_mixed();
        curve.assert_level();
        self.assert_books();
        let broken = self.shim.line_after(0, |line| line["message"] == "a request panicked; this is a bug");
        assert!(tokio::time::timeout(Duration::ZERO, broken).await.is_err(), "a request panicked");
    }

    /// What a process opens once and keeps: connections of its ledger, threads.
    async fn warm_up(&self) {
        let client = Client::new(self.shim.address(), false);
        let lists = (0..PLACES).map(|_| client.send(Method::GET, CONVERSIONS.to_owned(), Vec::new()));
        futures_util::future::join_all(lists).await;
        let creates = (0..PLACES).map(|number| {
            client.send(Method::POST, CONVERSIONS.to_owned(), acts::order(&format!("warm-{number}")))
        });
        futures_util::future::join_all(creates).await;
    }

    /// As many requests as there are places, all at once, and none is shed: nobody has kept one.
    async fn every_place_is_free(&self, load: &Load) {
        let gate = Fault::new(FaultKind::Gate { applied: false }).on(None, Operation::Other);
        let gate = self.vendor.faults().arm(gate);
        let client = Client::new(load.address(), true);
        let asked: Vec<_> = (0..PLACES)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(
                    async move { client.send(Method::GET, "/v2/profiles".to_owned(), Vec::new()).await },
                )
            })
            .collect();
        soon(gate.reached(PLACES as u64)).await;
        let one_too_many = client.send(Method::GET, "/v2/profiles".to_owned(), Vec::new()).await;
        assert_eq!(one_too_many, Some(503), "the cap is in force");
        gate.open();
        for answer in asked {
            assert_eq!(soon(answer).await.unwrap(), Some(200));
        }
    }

    /// For every reference at most one conversion, here as everywhere.
    fn assert_books(&self) {
        let twice: Vec<_> = self.vendor.inspector().conversions_by_ref().into_iter().collect();
        assert!(!twice.is_empty());
        let twice: Vec<_> = twice.into_iter().filter(|(_, tally)| tally.legacy + tally.new > 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("shim.toml")
}

/// Puts the config there in one step, so that nobody reads half of it.
fn write(directory: &Path, stage: &str, vendor: &Sandbox) {
    let (url, token_url) = (vendor.base_url(), vendor.token_url());
    let file = |name: &str| directory.join(name).display().to_string();
    let config = format!(
        "{stage}
{}admin.listen = \"127.0.0.1:0\"
upstream.legacy.url = \"{url}\"
upstream.new.url = \"{url}\"
upstream.oauth.url = \"{token_url}\"
# Short, so that what is kept for later ends soon after the load.
upstream.pool_idle_timeout = \"1s\"
limits.keep_alive_timeout = \"2s\"
limits.header_read_timeout = \"2s\"
limits.in_flight.all = {PLACES}
# Each connection of the pool keeps two files and a thread once it was needed; few, so that they do not look like a leak.
ledger.pool_max = 2
timeouts.create = \"4s\"
shadow.log = \"{}\"
shadow.log_max = \"1MiB\"
shadow.log_keep = 1
shadow.cooldown = \"1s\"
reload.poll_interval = \"100ms\"
gate.enforce = false
# A collector that is not there: its spans wait, are tried, and go.
tracing.endpoint = \"http://127.0.0.1:9\"
log.format = \"json\"
log.filter = \"warn,config=info,server=info,ledger=info,access=info\"
",
        ledger::keys(&format!("sqlite:{}", file("ledger.sqlite")), stage.contains("live")),
        file("shadow.log")
    );
    let draft = directory.join("draft.toml");
    std::fs::write(&draft, config).unwrap();
    std::fs::rename(&draft, path(directory)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_does_not_leak() {
    let bed = TestBed::open("live", "stage = \"live\"").await;
    bed.soak(&["stage = \"live\"\nroutes.create = \"legacy\"", "stage = \"live\""]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shadow_does_not_leak() {
    let bed = TestBed::open("shadow", "stage = \"shadow\"").await;
    bed.soak(&[
        "stage = \"observe\"",
        "stage = \"shadow\"",
        "stage = \"shadow\"\nroutes.list = \"legacy\"",
        "stage = \"shadow\"",
    ])
    .await;
}
