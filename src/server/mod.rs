//! The public listener: accepts connections, serves them, and drains them at shutdown. [`serve`] returns what the drain had to cut off.

mod framing_guard;
mod idle_timeout;
mod lifecycle;
mod middleware;
mod protocol;
pub mod tls;
mod unread;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use self::framing_guard::FramingGuard;
pub use self::framing_guard::{Framing, FramingCheck};
use self::idle_timeout::{Activity, IdleTimeoutStream, Reset};
use self::lifecycle::Lifecycle;
use self::protocol::Protocol;
use self::tls::Certificates;
use self::unread::StreamExecutor;
use crate::config::Limits;
use crate::failure::BoxError;
use crate::http::accept::{AcceptFailures, accept};
use crate::http::descriptors::Headroom;
use crate::http::peer::Peer;
use crate::proxy::App;

/// The result of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections with a request in flight that were closed at the deadline. Idle ones have nothing to lose and do not count.
    pub connections_cut: usize,
    /// Writes still running at the deadline, including those whose client has disconnected.
    pub writes_cut: usize,
}

impl Drained {
    /// Whether everything ended before the deadline.
    #[must_use]
    pub(crate) const fn is_clean(self) -> bool {
        self.connections_cut == 0 && self.writes_cut == 0
    }
}

/// Serves connections from `listener` until `shutdown` completes, then drains them for at most `server.drain_deadline`.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    certificates: Option<Certificates>,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let config = app.config.load_full();
    let permits = Arc::new(Semaphore::new(config.limits.connections_max));
    let handler = ConnectionHandler {
        builder: builder(&config.limits),
        limits: config.limits.clone(),
        app,
        certificates,
    };
    let (graceful, lifecycle) = (GracefulShutdown::new(), Lifecycle::default());
    let mut connections = JoinSet::new();
    let (mut failures, headroom) = (AcceptFailures::of("public"), Headroom::of_clients());
    tokio::pin!(shutdown);
    loop {
        let accepted = async {
            // Above `connections_max`, connections wait in the kernel's backlog. The semaphore is never closed, hence `ok`.
            let permit = permits.clone().acquire_owned().await.ok();
            (permit, accept(&listener, headroom).await)
        };
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (permit, accepted) = accepted => match accepted {
                Ok(stream) => {
                    let (activity, lifecycle) = (Activity::default(), lifecycle.clone());
                    // Boxed, or the future that it is moved into has room for it twice.
                    let connection = Box::pin(handler.clone().handle(stream, activity.clone(), graceful.watcher()));
                    connections.spawn(async move {
                        let cut = lifecycle.run(connection, &activity).await;
                        drop(permit);
                        cut
                    });
                }
                Err(error) => failures.pause_after(&error).await,
            },
        }
    }
    drop(listener);
    lifecycle.begin_drain();
    Drain { app: handler.app, connections, lifecycle }.run(graceful, config.server.drain_deadline).await
}

/// What is left when the listener is closed.
struct Drain {
    app: Arc<App>,
    /// Each returns whether a request of it was cut off.
    connections: JoinSet<bool>,
    lifecycle: Lifecycle,
}

impl Drain {
    async fn run(mut self, graceful: GracefulShutdown, deadline: Duration) -> Drained {
        tracing::info!(target: "server", connections = self.connections.len(), "draining");
        self.app.services.detached.close();
        let all = async {
            graceful.shutdown().await;
            while self.connections.join_next().await.is_some() {}
            // After the connections, each of which could start another write.
            self.app.services.detached.wait().await;
        };
        match timeout(deadline, all).await {
            Ok(()) => Drained { connections_cut: 0, writes_cut: 0 },
            Err(_) => self.cut().await,
        }
    }

    /// Closes what is left at the deadline, and logs the requests that this cuts off.
    async fn cut(mut self) -> Drained {
        let request_ids = self.app.admission.request_ids();
        self.lifecycle.reach_deadline();
        let mut connections_cut = 0;
        while let Some(ended) = self.connections.join_next().await {
            connections_cut += usize::from(ended.unwrap_or(false));
        }
        // Dropping the connections has detached their writes, so that the tracker counts them.
        let drained = Drained { connections_cut, writes_cut: self.app.services.detached.len() };
        if !drained.is_clean() {
            log_cut(drained, &request_ids);
        }
        drained
    }
}

/// Maximum number of request ids in one line.
const IDS_PER_LINE: usize = 100;

fn log_cut(drained: Drained, request_ids: &[String]) {
    let Drained { connections_cut, writes_cut } = drained;
    let (first, more) = request_ids.split_at(request_ids.len().min(IDS_PER_LINE));
    let (requests, first) = (request_ids.len(), first.join(" "));
    tracing::error!(target: "server", connections_cut, writes_cut, requests, request_ids = first, "drain deadline exceeded; closed what was left");
    for ids in more.chunks(IDS_PER_LINE) {
        tracing::error!(target: "server", request_ids = ids.join(" "), "drain deadline exceeded; further requests");
    }
}

fn builder(limits: &Limits) -> auto::Builder<StreamExecutor> {
    let mut builder = auto::Builder::new(StreamExecutor { write_timeout: limits.write_timeout });
    builder = builder.preserve_header_case(true);
    builder
        .http1()
        .timer(TokioTimer::new())
        // `IdleTimeoutStream` limits both the head and the idle time.
        .header_read_timeout(None)
        // An upstream's response keeps its own Date; `proxy` dates the responses that it writes.
        .auto_date_header(false)
        .max_buf_size(limits.header_bytes_max);
    // Even the same limit, once it is set, moves hyper's table of headers from the stack to the heap.
    if limits.headers_max != HYPER_HEADERS_MAX {
        builder.http1().max_headers(limits.headers_max);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .adaptive_window(true)
        .max_concurrent_streams(limits.http2_streams_max)
        // Regular clients cause few resets; above these limits the connection is closed (CVE-2023-44487, CVE-2025-8671).
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(PROVOKED_RESETS_MAX)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(limits.keep_alive_timeout))
        .keep_alive_timeout(limits.header_read_timeout);
    builder
}

/// How much longer than for its slowest route a client is waited for that sends no more.
const HALF_CLOSED_MARGIN: Duration = Duration::from_secs(1);
/// hyper's own limit of header lines (hyper 1.12, `proto/h1/role.rs`).
const HYPER_HEADERS_MAX: usize = 100;
/// Maximum number of streams that a client has reset before they were accepted, for one HTTP/2 connection.
const PENDING_RESETS_MAX: usize = 100;
/// Maximum number of streams that the proxy has reset because of client errors, for one HTTP/2 connection. High enough for the long-lived
/// connection of a load balancer, which carries many clients.
const PROVOKED_RESETS_MAX: usize = 1024;

/// Serves one connection; cloned for each.
#[derive(Clone)]
struct ConnectionHandler {
    builder: auto::Builder<StreamExecutor>,
    limits: Limits,
    app: Arc<App>,
    certificates: Option<Certificates>,
}

impl ConnectionHandler {
    async fn handle(self, stream: TcpStream, activity: Activity, watcher: Watcher) {
        let Ok(address) = stream.peer_addr() else { return };
        // A dual-stack listener shows IPv4 clients as IPv6; logs, limits and headers name them as they are.
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        // Responses are written in few large writes; Nagle's algorithm would only delay the last one.
        let _ = stream.set_nodelay(true);
        let tracked = Tracked { activity, watcher, accepted_at: Instant::now() };
        let connection = match self.certificates.clone() {
            None => self.accept_plain(stream, address, tracked).await,
            // Apart, or each connection keeps room for a handshake.
            Some(certificates) => Box::pin(self.accept_tls(&certificates, stream, address, tracked)).await,
        };
        let Some(connection) = connection else { return };
        if let Err(error) = connection.await {
            tracing::debug!(target: "server", error, "connection closed with an error");
        }
    }

    async fn accept_plain(
        self,
        stream: TcpStream,
        address: SocketAddr,
        tracked: Tracked,
    ) -> Option<Connection> {
        // One that never sends a byte costs no more than this until then.
        let peeked = timeout(self.limits.header_read_timeout, Protocol::peeked(&stream)).await;
        let protocol = peeked.ok()?.ok()??;
        let peer = Peer { address, tls: false, certificate: None };
        Some(self.serve(stream, protocol, peer, tracked))
    }

    async fn accept_tls(
        self,
        certificates: &Certificates,
        stream: TcpStream,
        address: SocketAddr,
        tracked: Tracked,
    ) -> Option<Connection> {
        match timeout(self.limits.header_read_timeout, certificates.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => {
                let certificate = tls::client_certificate(stream.get_ref().1);
                if let Some(certificate) = &certificate {
                    let (subject, fingerprint) = (&certificate.subject, certificate.fingerprint());
                    tracing::debug!(target: "server", client = %address, subject, fingerprint, "client certificate verified");
                }
                let peer = Peer { address, tls: true, certificate };
                let protocol = Protocol::negotiated(&stream);
                let tracked = Tracked { accepted_at: Instant::now(), ..tracked };
                return Some(self.serve(stream, protocol, peer, tracked));
            }
            Ok(Err(error)) => tracing::debug!(target: "server", %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(target: "server", "TLS handshake timed out"),
        }
        None
    }

    /// Not `async`: such a future would keep what the connection is made of beside it.
    fn serve<S>(self, stream: S, protocol: Protocol, peer: Peer, tracked: Tracked) -> Connection
    where
        S: AsyncRead + AsyncWrite + Reset + Send + Unpin + 'static,
    {
        let Tracked { activity, watcher, accepted_at } = tracked;
        let half_closed_timeout = self.app.config.load().timeouts.longest() + HALF_CLOSED_MARGIN;
        let stream = IdleTimeoutStream::new(stream, activity.clone(), &self.limits, accepted_at);
        let stream = FramingGuard::new(stream, peer.address, activity.clone(), half_closed_timeout);
        let service = middleware::service(self.app, peer, activity);
        let builder = match protocol {
            Protocol::Http1 => self.builder.http1_only(),
            Protocol::Http2 => self.builder.http2_only(),
            Protocol::Undecided => self.builder,
        };
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        Box::pin(watcher.watch(connection))
    }
}

/// A connection until its end.
type Connection = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// What knows of a connection while it lives.
struct Tracked {
    activity: Activity,
    watcher: Watcher,
    accepted_at: Instant,
}
