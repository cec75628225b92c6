//! The yardstick: the least that a correct streaming reverse proxy on hyper can do. Both bodies stream, hop-by-hop headers are
//! removed, Host becomes the upstream's; no routes, no deadlines, no log, no configuration.

use std::{io, net::SocketAddr, pin::Pin};

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, Uri,
    header::{
        CONNECTION, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::{TcpListener, TcpStream};

/// Starts the yardstick on a port of its own.
pub(crate) fn start(upstream: SocketAddr) -> Pin<Box<dyn Future<Output = io::Result<SocketAddr>>>> {
    Box::pin(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(accept(listener, Proxy::new(upstream)));
        Ok(address)
    })
}

async fn accept(listener: TcpListener, proxy: Proxy) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(serve(socket, proxy.clone()));
    }
}

/// A connection that breaks is its client's loss: the load generator notices.
async fn serve(socket: TcpStream, proxy: Proxy) {
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |request| {
        let proxy = proxy.clone();
        async move { proxy.pass(request).await }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}

#[derive(Clone)]
struct Proxy {
    client: Client<HttpConnector, Incoming>,
    authority: Authority,
    host: HeaderValue,
}

impl Proxy {
    fn new(upstream: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let host = upstream.to_string();
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            authority: host.parse().expect("a socket address is an authority"),
            host: host.parse().expect("a socket address is a header value"),
        }
    }

    async fn pass(&self, mut request: Request<Incoming>) -> Result<Response<Incoming>, Error> {
        *request.uri_mut() = self.target(request.uri().path_and_query());
        remove_hop_by_hop(request.headers_mut());
        request.headers_mut().insert(HOST, self.host.clone());
        let mut response = self.client.request(request).await?;
        remove_hop_by_hop(response.headers_mut());
        Ok(response)
    }

    fn target(&self, path: Option<&PathAndQuery>) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path.cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
        Uri::from_parts(parts).expect("scheme, authority and path make a URI")
    }
}

/// RFC 9110 7.6.1: what concerns one connection, and whatever `Connection` names besides, does not travel.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION]
    {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
}
