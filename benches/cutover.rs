//! What the rules of the cutover cost: a create in `live` (claim, duplicate check, send) against one in `sealed` (send), a get in `both`
//! against one in `new`, a merged list; a create in `live` once more with a ledger that knows every reference of the old side, so that the
//! duplicate check needs no call. Before the embedded sandbox, with SQLite ledgers on this machine's disk.
//!
//! ```text
//! cargo bench --bench cutover
//! cargo bench --bench cutover -- --requests 2000
//! ```
//!
//! One request at a time, the servers in turn, so that drift hits all alike; then fifty at once for the group commit.

#![allow(
    clippy::expect_used,
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "a benchmark measures in fractions, and stops where it cannot go on"
)]

use std::{
    future::Future,
    io::{self, Write as _},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use clap::Parser;
use conversion_shim::{
    config::load::{Flag, Overlay, Sources, load},
    ledger::{Fingerprint, Identity, Key, Ledger, Settings, reload_guard},
    proxy::App,
    sandbox::{Operation, Options, PROFILE, Sandbox, TOKEN},
    server,
    translate::side::Side,
    upstream::UpstreamClient,
};
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};
use tokio::net::TcpListener;

/// What the rules of the cutover cost.
#[derive(Parser)]
struct Flags {
    /// Requests for each number.
    #[arg(long, default_value_t = 1000)]
    requests: usize,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let requests = Flags::parse().requests.max(10);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sandbox = Sandbox::start(Options { settle_after: Duration::MAX, ..Options::default() }).await?;
    sandbox.inspector().credit(PROFILE, "USD", "100000000");
    let dir = tempfile::tempdir()?;
    let live = Shim::live(&sandbox, &dir.path().join("incomplete")).await;
    let complete = Shim::live(&sandbox, &dir.path().join("complete")).await;
    make_complete(&dir.path().join("complete")).await;
    let sealed = Shim::start(&sandbox, &[("stage", "sealed")]).await;
    let bench = Bench { sandbox, live, complete, sealed, requests };
    writeln!(io::stdout().lock(), "{requests} requests for each number, one at a time; milliseconds\n")?;
    writeln!(io::stdout().lock(), "{:44} {:>8} {:>8}", "", "p50", "p99")?;
    bench.creates().await?;
    bench.gets().await?;
    bench.lists().await?;
    bench.at_once().await
}

struct Bench {
    sandbox: Sandbox,
    live: Shim,
    /// As `live`, with a complete ledger.
    complete: Shim,
    sealed: Shim,
    requests: usize,
}

impl Bench {
    async fn creates(&self) -> io::Result<()> {
        let [mut in_live, mut with_complete, mut in_sealed] = [(); 3].map(|()| Vec::new());
        let (mut calls_live, mut calls_complete) = (0, 0);
        for n in 0..self.requests {
            in_sealed.push(timed(self.sealed.create(&format!("sealed-{n}"))).await);
            let before = self.calls();
            in_live.push(timed(self.live.create(&format!("live-{n}"))).await);
            let between = self.calls();
            with_complete.push(timed(self.complete.create(&format!("complete-{n}"))).await);
            calls_live += between - before;
            calls_complete += self.calls() - between;
        }
        let calls = |all: u64| all as f64 / self.requests as f64;
        row("create, sealed: send", &mut in_sealed)?;
        row("create, live: claim, duplicate check, send", &mut in_live)?;
        writeln!(io::stdout().lock(), "  upstream calls: {}", calls(calls_live))?;
        row("create, live, complete ledger: claim, send", &mut with_complete)?;
        writeln!(io::stdout().lock(), "  upstream calls: {}", calls(calls_complete))?;
        let (mut claims, mut lookups) = (Vec::new(), Vec::new());
        for n in 0..self.requests {
            let ref_id = format!("alone-{n}");
            let key = Key::new("bench", &ref_id).expect("a short key");
            claims.push(timed(self.live.ledger().claim(key, Side::New, &Fingerprint([0; 32]))).await);
            let url = format!("{}/conversion/stablecoins?ref_id={ref_id}", self.sandbox.base_url());
            lookups.push(timed(self.live.ask(&url)).await);
        }
        row("  of it, twice: one durable ledger write", &mut claims)?;
        row("  of it, once: the lookup on the other side", &mut lookups)?;
        Ok(())
    }

    /// Calls of both sides that reached the vendor.
    fn calls(&self) -> u64 {
        let arrived = |side| {
            [Operation::Create, Operation::List, Operation::Get]
                .map(|operation| self.sandbox.inspector().arrived(Some(side), operation))
        };
        [Side::Legacy, Side::New].into_iter().flat_map(arrived).sum()
    }

    async fn gets(&self) -> io::Result<()> {
        let id = self.live.create_id("to-get").await;
        let (mut both, mut new) = (Vec::new(), Vec::new());
        for _ in 0..self.requests {
            both.push(timed(self.live.ask(&format!("{}/{id}", self.live.base))).await);
            new.push(timed(self.sealed.ask(&format!("{}/{id}", self.sealed.base))).await);
        }
        let new = row("get, new", &mut new)?;
        let both = row("get, both, record side known", &mut both)?;
        writeln!(io::stdout().lock(), "  both over new, p50: {:.3}", both / new)
    }

    async fn lists(&self) -> io::Result<()> {
        let asked = || {
            [Side::Legacy, Side::New]
                .map(|side| self.sandbox.inspector().arrived(Some(side), Operation::List))
        };
        let (before, mut lists) = (asked(), Vec::new());
        for _ in 0..self.requests {
            lists.push(timed(self.live.ask(&self.live.base)).await);
        }
        row("list of 100, both, merged", &mut lists)?;
        let calls = (asked().iter().sum::<u64>() - before.iter().sum::<u64>()) as f64 / self.requests as f64;
        writeln!(io::stdout().lock(), "  upstream calls a page: {calls}")
    }

    async fn at_once(&self) -> io::Result<()> {
        let before = self.live.ledger().commits();
        let start = Instant::now();
        let creates = (0..50).map(|n| {
            let live = self.live.clone();
            tokio::spawn(async move { live.create(&format!("at-once-{n}")).await })
        });
        for create in creates.collect::<Vec<_>>() {
            create.await.expect("a create");
        }
        let elapsed = start.elapsed().as_secs_f64() * 1e3;
        // What is kept after the answers is part of the count, so it is waited for.
        self.live.app.services.detached.close();
        self.live.app.services.detached.wait().await;
        let syncs = self.live.ledger().commits() - before;
        writeln!(
            io::stdout().lock(),
            "\n50 creates at once: {syncs} syncs for 150 ledger writes, {elapsed:.1} ms"
        )
    }
}

/// Leaves the ledger as `ledger backfill` and a clean `reconcile` do, after the proxy has started, which withdraws completeness.
async fn make_complete(file: &Path) {
    let options = SqliteConnectOptions::new().filename(file);
    let mut connection = options.connect().await.expect("the ledger");
    let statement =
        "UPDATE ledger_completeness SET walked_us = unclaimed_us, until_us = unclaimed_us + 86400000000";
    let changed = sqlx::query(statement).execute(&mut connection).await.expect("the table of completeness");
    assert_eq!(changed.rows_affected(), 2, "a row of each side");
    connection.close().await.expect("the ledger again");
}

fn row(name: &str, times: &mut [Duration]) -> io::Result<f64> {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    writeln!(io::stdout().lock(), "{name:44} {:8.3} {:8.3}", at(0.5), at(0.99))?;
    Ok(at(0.5))
}

/// A proxy under test and a way to ask it.
#[derive(Clone)]
struct Shim {
    base: String,
    http: reqwest::Client,
    ledger: Option<Ledger>,
    app: Arc<App>,
}

impl Shim {
    /// In `live`, with a new ledger in that file.
    async fn live(sandbox: &Sandbox, file: &Path) -> Self {
        let ledger = format!("sqlite:{}", file.display());
        // As `ledger init` and `ledger open-new` make it.
        let identity = Identity {
            id: Some("bench".into()),
            new_in_use: true,
            tenant: Some("default".into()),
            ..Identity::default()
        };
        let made = Ledger::open(&Settings { identity, ..Settings::new(&ledger) }).await;
        made.expect("a ledger").shutdown().await;
        let keys = [("ledger.id", "bench"), ("ledger.new_in_use", "true"), ("ledger.only_door", "true")];
        let settings = [&[("stage", "live"), ("ledger.url", &ledger)][..], &keys].concat();
        Self::start(sandbox, &settings).await
    }

    async fn start(sandbox: &Sandbox, settings: &[(&str, &str)]) -> Self {
        let url = sandbox.base_url();
        let upstreams = [
            ("upstream.legacy.url", url.as_str()),
            ("upstream.new.url", &url),
            ("listen", "127.0.0.1:0"),
            ("budget.per_second", "100000"),
        ];
        let flags =
            upstreams.iter().chain(settings).map(|(key, value)| Flag::new("bench", *key, *value)).collect();
        // A ledger is complete only where somebody may walk over the new API.
        let environment =
            ["CLIENT_ID", "CLIENT_SECRET"].map(|key| (format!("SHIM_AUTH__LOOKUP__{key}"), "bench".into()));
        let environment = environment.to_vec();
        // Without a ledger: only the embedded vendor's config may go to the new API so.
        let overlay = settings.contains(&("stage", "sealed")).then_some(Overlay::Sandbox);
        let config =
            load(&Sources { overlay, environment, flags, ..Sources::default() }).expect("a config").config;
        let ledger = reload_guard::open(&config).await.expect("a ledger");
        let listener = TcpListener::bind(config.listen).await.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let client = UpstreamClient::new(&config.upstream).expect("a client");
        let app = Arc::new(App::new(Arc::new(ArcSwap::new(config)), client, ledger.clone()));
        tokio::spawn(server::serve(listener, app.clone(), None, std::future::pending()));
        Self {
            base: format!("http://{address}/v2/conversion/stablecoins"),
            http: reqwest::Client::new(),
            ledger,
            app,
        }
    }

    async fn create(&self, ref_id: &str) -> String {
        let body = format!(
            r#"{{"ref_id":"{ref_id}","profile_id":"{PROFILE}","amount":"1","source_asset":"USD","target_asset":"PYUSD"}}"#
        );
        let answer =
            self.http.post(&self.base).bearer_auth(TOKEN).body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "a create that is not made measures nothing");
        answer.text().await.expect("a body")
    }

    async fn create_id(&self, ref_id: &str) -> String {
        let made: serde_json::Value = serde_json::from_str(&self.create(ref_id).await).expect("JSON");
        made["id"].as_str().expect("an id").to_owned()
    }

    async fn ask(&self, url: &str) {
        let answer = self.http.get(url).bearer_auth(TOKEN).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.bytes().await.expect("a body");
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().expect("live has a ledger")
    }
}

async fn timed<T>(work: impl Future<Output = T>) -> Duration {
    let start = Instant::now();
    work.await;
    start.elapsed()
}
