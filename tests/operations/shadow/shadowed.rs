//! The real proxy with shadow on, before the sandbox; every line that shadow writes is a signal to wait for.

use std::io::Write;
use std::sync::Arc;

use arc_swap::ArcSwap;
use conversion_shim::config::Config;
use conversion_shim::config::load::{Flag, Sources, load};
use conversion_shim::proxy::App;
use conversion_shim::sandbox::Sandbox;
use conversion_shim::server;
use conversion_shim::shadow::record::{ComparisonRecord, ShadowLine};
use conversion_shim::shadow::stats::ShadowStats;
use conversion_shim::shadow::{Shadow, ShadowThread};
use conversion_shim::upstream::UpstreamClient;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::support::soon;
use crate::support::test_bed::{Caller, FILE, Keys};

/// Keys under which every comparison is written at once, and no budget is in the way.
const OPEN: Keys<'_> = &[
    ("stage", "shadow"),
    ("shadow.match_sample", "1.0"),
    ("budget.per_second", "100000"),
    ("budget.shadow_share", "1.0"),
];

pub(crate) fn config(keys: Keys<'_>) -> Arc<Config> {
    let (files, keys): (Vec<_>, Vec<_>) = OPEN.iter().chain(keys).copied().partition(|(key, _)| *key == FILE);
    let file = files.last().map(|(_, path)| path.into());
    let flags = keys.into_iter().map(|(key, value)| Flag::new("--set", key, value)).collect();
    // A flag may hold no secret.
    let environment = vec![("SHIM_SHADOW__REDACTION_KEY".to_owned(), "a key for the tests".to_owned())];
    let sources = Sources { file, flags, environment, ..Sources::default() };
    load(&sources).unwrap_or_else(|problems| panic!("{problems:?}")).config
}

/// A proxy in mode `shadow`.
pub(crate) struct Shadowed {
    pub(crate) client: Caller,
    pub(crate) shadow: Shadow,
    pub(crate) current: Arc<ArcSwap<Config>>,
    lines: mpsc::UnboundedReceiver<String>,
    running: Option<ShadowThread>,
    served: JoinHandle<server::Drained>,
}

impl Shadowed {
    /// One before `vendor`, with these keys.
    pub(crate) async fn before(vendor: &Sandbox, keys: Keys<'_>) -> Self {
        let url = vendor.base_url();
        let urls = [("upstream.legacy.url", url.as_str()), ("upstream.new.url", url.as_str())];
        Self::start(&[&urls[..], keys].concat()).await
    }

    /// One with these keys.
    pub(crate) async fn start(keys: Keys<'_>) -> Self {
        let config = config(keys);
        let upstream = UpstreamClient::new(&config.upstream).unwrap();
        let current = Arc::new(ArcSwap::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Caller::of(listener.local_addr().unwrap());
        let (tell, lines) = mpsc::unbounded_channel();
        let (shadow, running) =
            Shadow::start(Arc::clone(&current), &upstream, Box::new(LineSender(tell))).unwrap();
        let app = App::new(Arc::clone(&current), upstream, None).with_shadow(shadow.clone());
        let served = tokio::spawn(server::serve(listener, Arc::new(app), None, std::future::pending()));
        Self { client, shadow, current, lines, running: Some(running), served }
    }

    /// The next line.
    pub(crate) async fn line(&mut self) -> String {
        soon(self.lines.recv()).await.expect("shadow runs")
    }

    /// The next comparison, and the line as it was written.
    pub(crate) async fn record_and_line(&mut self) -> (ComparisonRecord, String) {
        loop {
            let line = self.line().await;
            match serde_json::from_str(&line).unwrap() {
                ShadowLine::Comparison(record) => return (*record, line),
                ShadowLine::Heartbeat(_) | ShadowLine::End(_) => {}
            }
        }
    }

    /// The next comparison.
    pub(crate) async fn record(&mut self) -> ComparisonRecord {
        self.record_and_line().await.0
    }

    /// The first of the next comparisons that is so.
    pub(crate) async fn until(&mut self, is_so: impl Fn(&ComparisonRecord) -> bool) -> ComparisonRecord {
        for _ in 0..1000 {
            let record = self.record().await;
            if is_so(&record) {
                return record;
            }
        }
        panic!("none of a thousand is so");
    }

    /// The next heartbeat.
    pub(crate) async fn heartbeat(&mut self) -> Value {
        loop {
            let line: Value = serde_json::from_str(&self.line().await).unwrap();
            if line["line"] == "heartbeat" {
                return line;
            }
        }
    }

    /// Waits until the counts are so.
    pub(crate) async fn counted(&self, are_so: impl Fn(&ShadowStats) -> bool) {
        soon(async {
            while !are_so(self.shadow.stats()) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Ends shadow and hands over what it had still to say.
    pub(crate) fn end(&mut self) -> Vec<ShadowLine> {
        drop(self.running.take());
        let mut rest = Vec::new();
        while let Ok(line) = self.lines.try_recv() {
            rest.push(serde_json::from_str(&line).unwrap());
        }
        rest
    }
}

impl Drop for Shadowed {
    fn drop(&mut self) {
        self.served.abort();
    }
}

/// A request id at whose comparison the writer panics.
pub(crate) const BREAKS: &str = "this-one-breaks";

/// Hands on whole lines.
struct LineSender(mpsc::UnboundedSender<String>);

impl Write for LineSender {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        assert!(line.ends_with(b"\n") && line.iter().filter(|byte| **byte == b'\n').count() == 1, "one line");
        let text = String::from_utf8(line.to_vec()).unwrap();
        assert!(!text.contains(BREAKS), "planted");
        // Nobody listens any more when a test has seen enough.
        let _ = self.0.send(text);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
