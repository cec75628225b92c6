//! What shadow costs the client: reads and creates passed through in stage `observe` against the same in stage `shadow` with
//! every one compared, the servers in turn, before the embedded sandbox.
//!
//! ```text
//! cargo bench --bench shadow
//! cargo bench --bench shadow -- --requests 5000 --pause 0
//! ```

#![allow(
    clippy::expect_used,
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark measures in fractions, and stops where it cannot go on"
)]

#[path = "support/cpu.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod cpu;

use std::{
    io::{self, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use clap::Parser;
use conversion_shim::{
    config::load::{Flag, Sources, load},
    proxy::App,
    sandbox::{Options, PROFILE, Sandbox, TOKEN},
    server,
    shadow::{Shadow, ShadowThread},
    upstream::UpstreamClient,
};
use cpu::Clock;
use serde_json::json;
use tokio::{net::TcpListener, runtime::Runtime};

/// What shadow costs the client.
#[derive(Parser)]
struct Flags {
    /// Requests for each number.
    #[arg(long, default_value_t = 2000)]
    requests: usize,
    /// Milliseconds between two requests; 0 is one after the other.
    #[arg(long, default_value_t = 2)]
    pause: u64,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> io::Result<()> {
    let flags = Flags::parse();
    let clock = Clock::checked()?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (client, vendor) = (runtime("client")?, runtime("vendor")?);
    let sandbox = vendor.block_on(Sandbox::start(Options::default()))?;
    sandbox.inspector().credit(PROFILE, "USD", "100000000");
    let ids: Vec<String> = (0..100).map(|number| seed(&sandbox, number)).collect();
    let plain = Server::start("plain", &sandbox, "observe")?;
    let shadowed = Server::start("shadowed", &sandbox, "shadow")?;
    let servers = [&plain, &shadowed];
    writeln!(
        io::stdout().lock(),
        "{} requests for each number, {} ms apart; CPU time by {clock:?}\n\n{:10} {:>22} {:>22} {:>22}",
        flags.requests,
        flags.pause,
        "",
        "p50 us (of plain)",
        "p99 us (of plain)",
        "CPU us (of plain)"
    )?;
    for (name, ask) in [("get", Ask::Get), ("list100", Ask::List), ("create", Ask::Create)] {
        let figures = client.block_on(measure(&servers, ask, &ids, &flags, clock))?;
        for (server, figure) in servers.iter().zip(&figures) {
            let of = |at: usize| format!("{:.1} ({:.3})", figure[at], figure[at] / figures[0][at]);
            let name = format!("{name} {}", server.name);
            writeln!(io::stdout().lock(), "{name:18} {:>18} {:>22} {:>22}", of(0), of(1), of(2))?;
        }
    }
    let tally = shadowed.shadow.as_ref().expect("it has one").stats();
    let (due, done, dropped) = (tally.all_due(), tally.all_done(), tally.all_dropped());
    writeln!(io::stdout().lock(), "\n{due} comparisons due, {done} made, dropped: {dropped:?}")
}

fn seed(sandbox: &Sandbox, number: usize) -> String {
    let when = format!("2026-04-20T11:{:02}:{:02}Z", number / 60, number % 60);
    let ref_id = format!("r{number}");
    sandbox.inspector().seed_orchestration(json!({
        "profile_id": PROFILE, "source_amount": "1.50", "source_asset": "USD", "destination_asset": "PYUSD",
        "status": "COMPLETED", "ref_id": ref_id, "created_at": when, "updated_at": when,
        "source": { "profile": { "profile_id": PROFILE } }, "destination": { "profile": { "profile_id": PROFILE } },
    }));
    sandbox.inspector().seed_conversion(json!({
        "profile_id": PROFILE, "amount": "1.50", "source_asset": "USD", "target_asset": "PYUSD", "status": "SETTLED",
        "ref_id": ref_id, "created_at": when, "updated_at": when, "settled_at": when,
    }))
}

#[derive(Clone, Copy)]
enum Ask {
    Get,
    List,
    Create,
}

/// Median and 99th percentile of the latency, and CPU time per request, of each server, in microseconds. CPU time holds what
/// shadow itself spends on its own thread.
async fn measure(
    servers: &[&Server; 2],
    ask: Ask,
    ids: &[String],
    flags: &Flags,
    clock: Clock,
) -> io::Result<[[f64; 3]; 2]> {
    let mut times = [Vec::new(), Vec::new()];
    let mut spent = [Duration::ZERO; 2];
    for number in 0..flags.requests {
        // Who goes first changes, so that neither always meets the warmer caches.
        for at in [number % 2, (number + 1) % 2] {
            let server = servers[at];
            let before = server.cpu(clock)?;
            let start = Instant::now();
            server.ask(ask, &ids[number % ids.len()], number).await;
            times[at].push(start.elapsed());
            tokio::time::sleep(Duration::from_millis(flags.pause)).await;
            spent[at] += server.cpu(clock)?.saturating_sub(before);
        }
    }
    Ok([0, 1].map(|at| {
        let times = &mut times[at];
        times.sort_unstable();
        let percentile = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
        [percentile(0.5), percentile(0.99), spent[at].as_secs_f64() * 1e6 / times.len() as f64]
    }))
}

fn runtime(name: &'static str) -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(format!("{name}-0"))
        .enable_all()
        .build()
}

/// A proxy on threads of its own.
struct Server {
    name: &'static str,
    base: String,
    http: reqwest::Client,
    shadow: Option<Shadow>,
    _thread: Option<ShadowThread>,
    _runtime: Runtime,
}

impl Server {
    fn start(name: &'static str, sandbox: &Sandbox, stage: &str) -> io::Result<Self> {
        let url = sandbox.base_url();
        let flags = [
            ("upstream.legacy.url", url.as_str()),
            ("upstream.new.url", &url),
            ("stage", stage),
            ("budget.per_second", "100000"),
            ("budget.shadow_share", "1.0"),
        ];
        let flags = flags.into_iter().map(|(key, value)| Flag::new("bench", key, value)).collect();
        let config = load(&Sources { flags, ..Sources::default() }).expect("a config").config;
        let runtime = runtime(name)?;
        let client = UpstreamClient::new(&config.upstream).expect("a client");
        let current = Arc::new(ArcSwap::new(config));
        let mut app = App::new(Arc::clone(&current), client.clone(), None);
        let (mut shadow, mut thread) = (None, None);
        if stage == "shadow" {
            let (started, running) =
                Shadow::start(current, &app.services.upstream, Box::new(io::sink())).expect("a shadow");
            app = app.with_shadow(started.clone());
            (shadow, thread) = (Some(started), Some(running));
        }
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let base = format!("http://{}/v2/conversion/stablecoins", listener.local_addr()?);
        runtime.spawn(server::serve(listener, Arc::new(app), None, std::future::pending()));
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Ok(Self { name, base, http, shadow, _thread: thread, _runtime: runtime })
    }

    async fn ask(&self, ask: Ask, id: &str, number: usize) {
        let request = match ask {
            Ask::Get => self.http.get(format!("{}/{id}", self.base)),
            Ask::List => {
                self.http.get(format!("{}?limit=100&created_at.end=2026-04-20T12:00:00Z", self.base))
            }
            Ask::Create => self.http.post(&self.base).body(
                json!({ "ref_id": format!("{}-{number}", self.name), "profile_id": PROFILE, "amount": "1",
                        "source_asset": "USD", "target_asset": "PYUSD" })
                .to_string(),
            ),
        };
        let answer = request.bearer_auth(TOKEN).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.bytes().await.expect("a body");
    }

    /// CPU time of the server's threads, shadow's included.
    fn cpu(&self, clock: Clock) -> io::Result<Duration> {
        let used = |name: &str| Ok::<_, io::Error>(clock.sample(name)?.since(&cpu::Sample::default()).all);
        let shadow = if self.shadow.is_some() { used("shim")? } else { Duration::ZERO };
        Ok(used(self.name)? + shadow)
    }
}
