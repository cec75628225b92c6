//! Connections to an upstream: DNS, TCP and TLS (rustls, HTTP/2 by ALPN), all within `upstream.connect_timeout`.
//!
//! Of several addresses the next one is tried when one has failed or [`NEXT_ADDRESS_AFTER`] has passed, whatever their families (RFC 8305
//! does so for two families; hyper-util 0.1's connector, read and not measured, tries a second family so and divides the time among the
//! addresses of one).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::Uri;
use http::uri::Scheme;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsConnector;
use tower::Service;

use super::counted_stream::CountedStream;
pub(super) use super::counted_stream::Uses;
use super::http1_hosts::Http1Hosts;
use super::peer_streams::PoolStreams;
use crate::config::{HttpVersion, Upstreams};
use crate::failure::call_error::{CallError, CallPhase};
use crate::http::descriptors::Headroom;

type TcpIo = TokioIo<TcpStream>;
type Stream = CountedStream<MaybeHttpsStream<TcpIo>>;

/// hyper-util clones it for every request, connection or none.
#[derive(Clone)]
pub(super) struct Connector(Arc<Dialer>);

/// Time after which the next address is tried beside one that does not answer (RFC 8305, section 8).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);
/// TCP probes without an answer after which a connection is dead.
const TCP_PROBES: u32 = 2;

#[derive(Clone)]
struct Dialer {
    tcp: HttpConnector,
    tls: TlsConnector,
    /// Offers HTTP/1.1 alone.
    tls_http1: TlsConnector,
    timeout: Duration,
    max_age: Duration,
    pool: PoolStreams,
    http1: Http1Hosts,
    headroom: Headroom,
}

/// A connector for these settings. `answers_late`: the connections carry requests that may stall for minutes and go on, so that bytes
/// without an acknowledgement do not end them. `http1`: where HTTP/2 is not offered.
pub(super) fn build(
    settings: &Upstreams,
    tls: ClientConfig,
    answers_late: bool,
    http1: Http1Hosts,
) -> Connector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(settings.keep_alive_interval));
    tcp.set_keepalive_interval(Some(settings.keep_alive_timeout));
    tcp.set_keepalive_retries(Some(TCP_PROBES));
    // Not on the lane of pass-through, whose requests may stall for minutes and go on: there only the probes above decide.
    if !answers_late {
        tcp.set_tcp_user_timeout(Some(settings.keep_alive_interval + settings.keep_alive_timeout));
    }
    let offering = |protocols: &[&[u8]]| {
        let mut tls = tls.clone();
        tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        TlsConnector::from(Arc::new(tls))
    };
    let tls_http1 = offering(&[b"http/1.1"]);
    let tls = match settings.http_version {
        HttpVersion::Auto => offering(&[b"h2", b"http/1.1"]),
        HttpVersion::Http11 => tls_http1.clone(),
    };
    let (timeout, max_age) = (settings.connect_timeout, settings.connection_max_age);
    let (pool, headroom) = (PoolStreams::default(), Headroom::of_upstreams());
    Connector(Arc::new(Dialer { tcp, tls, tls_http1, timeout, max_age, pool, http1, headroom }))
}

impl Connector {
    /// The same for another pool.
    pub(super) fn of_pool(&self, pool: PoolStreams) -> Self {
        Self(Arc::new(Dialer { pool, ..(*self.0).clone() }))
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, CallError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.0.clone();
        Box::pin(async move { dialer.connect(&uri).await })
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Dialer {
    async fn connect(&self, uri: &Uri) -> Result<Stream, CallError> {
        let start = Instant::now();
        let until = start + self.timeout;
        let host = uri.host().unwrap_or_default();
        // A URI writes an IPv6 address in brackets (RFC 3986, section 3.2.2); the resolver and the certificate have none.
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let failed = |phase: CallPhase, peer: String| {
            move |source: io::Error| CallError {
                phase,
                peer,
                elapsed: start.elapsed(),
                source: source.into(),
            }
        };
        // One deadline for DNS, TCP and TLS: a slow resolver leaves less for the rest, so the call fails within `connect_timeout`.
        let found = within(until, lookup_host((bare, port))).await;
        let addresses: Vec<_> = found.map_err(failed(CallPhase::Resolve, host.to_owned()))?.collect();
        let name =
            is_tls.then(|| ServerName::try_from(bare.to_owned()).map_err(io::Error::other)).transpose();
        let name = name.map_err(failed(CallPhase::Tls, host.to_owned()))?;
        let target = ConnectTarget { uri, name, until };
        let (stream, _) = self.any_of(&addresses, &target).await.map_err(|failures| {
            let none = || (CallPhase::Connect, io::Error::other("the name has no address"));
            let (phase, source) = failures.last.unwrap_or_else(none);
            let is_secured = phase == CallPhase::Tls;
            let peer = if is_secured { format!("{host} ({})", failures.peers) } else { failures.peers };
            failed(phase, peer)(source)
        })?;
        Ok(stream)
    }

    /// The first connection to any of the addresses that is ready for a request. One that does not answer is not waited for alone, nor is
    /// one that answers and then says nothing.
    async fn any_of(
        &self,
        addresses: &[SocketAddr],
        target: &ConnectTarget<'_>,
    ) -> Result<(Stream, SocketAddr), Failures> {
        let (mut waiting, mut attempts) = (interleaved(addresses).into_iter(), FuturesUnordered::new());
        let mut failures = Failures::default();
        loop {
            attempts.extend(waiting.next().map(|address| self.attempt(address, target)));
            let next = Instant::now() + NEXT_ADDRESS_AFTER;
            tokio::select! {
                Some((address, outcome)) = attempts.next() => match outcome {
                    Ok(stream) => {
                        failures.log();
                        return Ok((stream, address));
                    }
                    Err(failed) => failures.add(address, failed),
                },
                () = sleep_until(next), if waiting.len() > 0 => {}
                else => return Err(failures),
            }
        }
    }

    async fn attempt(
        &self,
        address: SocketAddr,
        target: &ConnectTarget<'_>,
    ) -> (SocketAddr, Result<Stream, (CallPhase, io::Error)>) {
        let ready = async {
            let tcp = within(target.until, self.tcp(address, target.uri)).await;
            let tcp = tcp.map_err(|error| (CallPhase::Connect, error))?;
            let Some(name) = target.name.clone() else {
                return Ok(CountedStream::new(MaybeHttpsStream::Http(tcp), self.max_age, None));
            };
            let is_http1 = target.uri.authority().is_some_and(|authority| self.http1.contains(authority));
            let tls = if is_http1 { &self.tls_http1 } else { &self.tls };
            let secured = within(target.until, tls.connect(name, TokioIo::new(tcp))).await;
            let secured = secured.map_err(|error| (CallPhase::Tls, error))?;
            let is_http2 = secured.get_ref().1.alpn_protocol() == Some(b"h2");
            let pool = is_http2.then(|| self.pool.clone());
            Ok(CountedStream::new(MaybeHttpsStream::Https(TokioIo::new(secured)), self.max_age, pool))
        };
        (address, ready.await)
    }

    async fn tcp(&self, address: SocketAddr, uri: &Uri) -> io::Result<TcpIo> {
        let mut parts = uri.clone().into_parts();
        // Cannot fail: an address is an authority.
        // The connector resolves what it is given: an address, so that each attempt goes to the address that was chosen here.
        parts.authority = address.to_string().parse().ok();
        let uri = Uri::from_parts(parts).unwrap_or_default();
        let stream = self.tcp.clone().call(uri).await.map_err(io::Error::other)?;
        if self.headroom.allows(stream.inner()) { Ok(stream) } else { Err(Headroom::exhausted()) }
    }
}

/// What a connection is for.
struct ConnectTarget<'a> {
    uri: &'a Uri,
    /// The name in the certificate; `None` without TLS.
    name: Option<ServerName<'static>>,
    until: Instant,
}

/// The addresses that failed, and how the last of them did.
#[derive(Default)]
struct Failures {
    peers: String,
    last: Option<(CallPhase, io::Error)>,
}

impl Failures {
    fn add(&mut self, address: SocketAddr, failed: (CallPhase, io::Error)) {
        let separator = if self.peers.is_empty() { "" } else { ", " };
        self.peers.push_str(&format!("{separator}{address}"));
        self.last = Some(failed);
    }

    /// Another address answered, so nothing else reports these.
    fn log(&self) {
        if let Some((phase, error)) = &self.last {
            let (peers, phase) = (&self.peers, phase.as_str());
            tracing::warn!(target: "upstream", peers, phase, %error, "an address does not answer; another one does");
        }
    }
}

async fn within<T>(until: Instant, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout_at(until, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The resolver's order, families taking turns from the second address on (RFC 8305, section 4).
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else { return Vec::new() };
    let (mut same, mut other): (Vec<_>, Vec<_>) =
        addresses.iter().partition(|address| address.is_ipv4() == first.is_ipv4());
    same.reverse();
    other.reverse();
    let turns = std::iter::repeat_n((), addresses.len()).flat_map(|()| [same.pop(), other.pop()]);
    turns.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_no_address_is_lost() {
        let all = ["1.1.1.1:1", "2.2.2.2:1", "[::3]:1", "3.3.3.3:1"].map(|text| text.parse().unwrap());
        let expected = [all[0], all[2], all[1], all[3]];
        assert_eq!(interleaved(&all), expected);
        assert_eq!(interleaved(&[]), []);
    }

    fn dialer(settings: &Upstreams) -> Dialer {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let trust = crate::upstream::Trust::load(settings).unwrap();
        let tls = TlsConnector::from(Arc::new(trust.tls().unwrap()));
        Dialer {
            tcp,
            tls: tls.clone(),
            tls_http1: tls,
            timeout: Duration::from_secs(60),
            max_age: Duration::MAX,
            pool: PoolStreams::default(),
            http1: Http1Hosts::default(),
            headroom: Headroom::of_upstreams(),
        }
    }

    #[tokio::test]
    async fn an_address_that_is_silent_after_tcp_does_not_take_the_time_of_the_next_one() {
        let settings = crate::config::load::load(&crate::config::load::Sources::default()).unwrap();
        let dialer = dialer(&settings.config.upstream);
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closing = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [silent.local_addr().unwrap(), closing.local_addr().unwrap()];
        let closed = tokio::spawn(async move { drop(closing.accept().await.unwrap()) });
        let uri = Uri::from_static("https://vendor.test/");
        let name = Some(ServerName::try_from("vendor.test").unwrap());
        let target = ConnectTarget { uri: &uri, name, until: Instant::now() + Duration::from_secs(60) };
        tokio::select! {
            _ = dialer.any_of(&addresses, &target) => panic!("the silent one has a minute"),
            tried = closed => tried.unwrap(),
        }
    }

    #[tokio::test]
    async fn a_silent_address_does_not_take_the_time_of_the_next_one() {
        let settings = crate::config::load::load(&crate::config::load::Sources::default()).unwrap();
        let good = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Its queue of connections is full, so the kernel drops what else arrives.
        let silent = tokio::net::TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let silent = silent.listen(0).unwrap();
        let peer = silent.local_addr().unwrap();
        let mut fill = Vec::new();
        while let Ok(filled) =
            tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(peer)).await
        {
            fill.push(filled);
        }
        let dialer = dialer(&settings.config.upstream);
        let uri = Uri::from_static("http://vendor.test/");
        let target = ConnectTarget { uri: &uri, name: None, until: Instant::now() + Duration::from_secs(60) };
        let addresses = [peer, peer, good.local_addr().unwrap()];
        let (_, found) = dialer.any_of(&addresses, &target).await.ok().unwrap();
        assert_eq!(found, good.local_addr().unwrap());
    }
}
