//! The project's own server, on its defaults but for where it listens and what lies upstream. It logs, as it does in production.

use std::{future::Future, io, net::SocketAddr, pin::Pin, sync::Arc};

use arc_swap::ArcSwap;
use conversion_shim::{
    config::load::{Flag, Sources, load},
    proxy::App,
    server,
    telemetry::{self, traces::Collecting},
    upstream::UpstreamClient,
};
use tokio::net::TcpListener;

/// Starts it in front of `upstream`, everything on the new side.
pub(crate) fn start(upstream: SocketAddr) -> Pin<Box<dyn Future<Output = io::Result<SocketAddr>>>> {
    Box::pin(async move {
        let url = format!("http://{upstream}/v2");
        let flags = [
            ("listen", "127.0.0.1:0"),
            ("stage", "sealed"),
            // In the config alone: none is opened.
            ("ledger.url", "sqlite:unused.db"),
            ("ledger.id", "bench"),
            ("ledger.new_in_use", "true"),
            // What is measured is the proxy, not how it waits.
            ("budget.per_second", "100000"),
            ("upstream.legacy.url", &url),
            ("upstream.new.url", &url),
        ];
        let mut flags = flags.map(|(key, value)| Flag::new("bench", key, value)).to_vec();
        // Traces to a collector that is not there: what recording them costs, not what sending them does.
        if let Ok(ratio) = std::env::var("BENCH_SAMPLE_RATIO") {
            flags.push(Flag::new("bench", "tracing.endpoint", "http://127.0.0.1:9"));
            flags.push(Flag::new("bench", "tracing.sample_ratio", ratio));
        }
        let loaded = load(&Sources { flags, ..Sources::default() })
            .map_err(|problems| io::Error::other(format!("{problems:?}")))?;
        let config = loaded.config;
        // A file, as in production; its pages are dropped with it.
        let file = tempfile::tempfile()?;
        let collecting = Collecting::start(&config.traces).map_err(io::Error::other)?;
        let log = telemetry::start_to(&config.log, collecting.as_ref(), file, false);
        let log = log.map_err(io::Error::other)?;
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let client = UpstreamClient::new(&config.upstream).map_err(io::Error::other)?;
        let app = Arc::new(App::new(Arc::new(ArcSwap::new(config)), client, None));
        tokio::spawn(async move {
            let (_log, _collecting) = (log, collecting);
            server::serve(listener, app, None, std::future::pending()).await
        });
        Ok(address)
    })
}
