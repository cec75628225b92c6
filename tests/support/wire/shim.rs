//! The proxy in this process: the real config, client and server, on a port of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use conversion_shim::config::load::{Flag, Sources, load};
use conversion_shim::config::reload::{ReloadHandle, watcher};
use conversion_shim::proxy::App;
use conversion_shim::server::tls::Certificates;
use conversion_shim::server::{self, Drained};
use conversion_shim::upstream::UpstreamClient;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::ledger::UNUSED;
use crate::support::soon;

pub(crate) struct Shim {
    pub(crate) address: SocketAddr,
    /// Has the config looked at, when there is a file.
    pub(crate) handle: ReloadHandle,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Drained>,
    watching: JoinHandle<()>,
}

impl Shim {
    /// Starts it with these keys.
    pub(crate) async fn start(flags: &[(&str, &str)]) -> Self {
        Self::start_with(None, flags).await
    }

    pub(crate) async fn start_with(file: Option<PathBuf>, flags: &[(&str, &str)]) -> Self {
        let flags = UNUSED.iter().chain(flags);
        let flags = flags.map(|(key, value)| Flag::new("--set", *key, *value)).collect();
        let sources = Sources { file, flags, ..Sources::default() };
        let loaded = load(&sources).unwrap_or_else(|problems| panic!("{problems:?}"));
        let config = loaded.config.clone();
        let certificates = config.tls.as_ref().map(|tls| Certificates::load(tls).unwrap());
        let upstream = UpstreamClient::new(&config.upstream).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let current = Arc::new(ArcSwap::new(config));
        let consult = Box::new(|_| Box::pin(async { Vec::new() }) as _);
        let (watcher, handle) = watcher(sources, loaded, current.clone(), Vec::new(), consult).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async { drop(stopped.await) };
        let app = Arc::new(App::new(current, upstream, None));
        let served = tokio::spawn(server::serve(listener, app, certificates, shutdown));
        Self { address, handle, stop: Some(stop), served, watching: tokio::spawn(watcher.run()) }
    }

    /// Tells it to stop.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// How it ended.
    pub(crate) async fn drained(&mut self) -> Drained {
        soon(&mut self.served).await.unwrap()
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        self.served.abort();
        self.watching.abort();
    }
}
