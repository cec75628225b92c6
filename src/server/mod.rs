//! The server's whole life: accept, serve, drain. It owns both ends: `serve` takes a listener and a signal, and returns what
//! became of the connections.

mod framing_guard;
mod idle_timeout;
mod middleware;
pub mod tls;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::framing_guard::FramingGuard;
use self::idle_timeout::{Activity, IdleTimeoutStream};
use self::tls::Certificates;
use crate::config::Limits;
use crate::proxy::{App, Peer};

/// How the drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that had to be cut off at the deadline.
    pub connections_cut: usize,
    /// Writes that were still under way at the deadline, their client's connection or not.
    pub writes_cut: usize,
}

impl Drained {
    /// Whether everything came to its own end.
    #[must_use]
    pub const fn is_clean(self) -> bool {
        self.connections_cut == 0 && self.writes_cut == 0
    }
}

/// Accepts clients from `listener` until `shutdown`, then gives what is in flight `drain_deadline` to end.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    certificates: Option<Certificates>,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let config = app.config.load_full();
    let permits = Arc::new(Semaphore::new(config.limits.connections_max));
    let door = ConnectionHandler {
        builder: builder(&config.limits),
        limits: config.limits.clone(),
        app,
        certificates,
    };
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = async {
            // Past the cap, clients wait in the kernel's queue. The semaphore is never closed.
            let permit = permits.clone().acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (permit, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let connection = door.clone().open(stream, graceful.watcher());
                    connections.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => recover(&error).await,
            },
        }
    }
    drop(listener);
    drain(door.app, graceful, connections, config.server.drain_deadline).await
}

/// Out of file descriptors or the like: it passes, and a busy loop would not help.
pub(crate) async fn recover(error: &std::io::Error) {
    tracing::warn!(target: "server", %error, "a connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn drain(
    app: Arc<App>,
    graceful: GracefulShutdown,
    mut connections: JoinSet<()>,
    deadline: Duration,
) -> Drained {
    tracing::info!(target: "server", connections = connections.len(), "draining");
    app.shared.detached.close();
    let all = async {
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
        // Last, when no connection is left that could begin another.
        app.shared.detached.wait().await;
    };
    let drained = match timeout(deadline, all).await {
        Ok(()) => Drained { connections_cut: 0, writes_cut: 0 },
        Err(_) => {
            let connections_cut = connections.len();
            connections.shutdown().await;
            // Those of the connections that were cut have become tasks of their own by now.
            Drained { connections_cut, writes_cut: app.shared.detached.len() }
        }
    };
    if !drained.is_clean() {
        let Drained { connections_cut, writes_cut } = drained;
        tracing::error!(target: "server", connections_cut, writes_cut, "the drain deadline has passed; cut off");
    }
    drained
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new()).preserve_header_case(true);
    builder
        .http1()
        .timer(TokioTimer::new())
        // Both times, for heads and for silence, are kept by `quiet`.
        .header_read_timeout(None)
        // A client that has closed its sending half still gets its answer.
        .half_close(true)
        // An upstream's answer is passed on as it is; `proxy` dates its own.
        .auto_date_header(false)
        .max_headers(limits.headers_max)
        .max_buf_size(limits.header_bytes_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .adaptive_window(true)
        .max_concurrent_streams(limits.http2_streams_max)
        // A client in good faith makes few of either; a flood ends the connection (CVE-2023-44487 and CVE-2025-8671).
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(PROVOKED_RESETS_MAX)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(limits.keep_alive_timeout))
        .keep_alive_timeout(limits.header_read_timeout);
    builder
}

/// Most streams of one HTTP/2 connection that its client has reset before anybody looked at them.
const PENDING_RESETS_MAX: usize = 100;
/// Most streams that the proxy had to reset in the life of one HTTP/2 connection. A load balancer's lasts long and carries many clients.
const PROVOKED_RESETS_MAX: usize = 1024;

/// What every connection needs.
#[derive(Clone)]
struct ConnectionHandler {
    builder: auto::Builder<TokioExecutor>,
    limits: Limits,
    app: Arc<App>,
    certificates: Option<Certificates>,
}

impl ConnectionHandler {
    async fn open(self, stream: TcpStream, watcher: Watcher) {
        let Ok(address) = stream.peer_addr() else { return };
        // Answers are written whole; waiting for more to say would only delay them.
        let _ = stream.set_nodelay(true);
        let Some(certificates) = &self.certificates else {
            let peer = Peer { address, tls: false, certificate: None };
            return self.speak(stream, peer, watcher).await;
        };
        match timeout(self.limits.header_read_timeout, certificates.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => {
                let certificate = tls::client_certificate(stream.get_ref().1);
                if let Some(shown) = &certificate {
                    let (subject, fingerprint) = (&shown.subject, shown.fingerprint());
                    tracing::debug!(target: "server", client = %address, subject, fingerprint, "client certificate verified");
                }
                self.speak(stream, Peer { address, tls: true, certificate }, watcher).await;
            }
            Ok(Err(error)) => tracing::debug!(target: "server", %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(target: "server", "TLS handshake took too long"),
        }
    }

    async fn speak<S>(self, stream: S, peer: Peer, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let activity = Activity::default();
        let stream = IdleTimeoutStream::new(stream, activity.clone(), &self.limits);
        let stream = FramingGuard::new(stream, peer.address, activity.clone());
        let service = middleware::service(self.app, peer, activity);
        let connection = self.builder.serve_connection(TokioIo::new(stream), service).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(target: "server", error, "a connection ended early");
        }
    }
}
