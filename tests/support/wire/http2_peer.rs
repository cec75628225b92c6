//! An upstream that speaks HTTP/2 over TLS, with every stream and every connection in the test's hands.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::tls::Pair;
use crate::support::soon;

pub(crate) struct Http2Peer {
    address: SocketAddr,
    streams: mpsc::UnboundedReceiver<Stream>,
    frozen: watch::Sender<usize>,
}

/// One request, and the way to answer it.
pub(crate) struct Stream {
    /// Number of its connection, from 1.
    pub(crate) connection: usize,
    pub(crate) request: Request<h2::RecvStream>,
    respond: SendResponse<Bytes>,
}

impl Http2Peer {
    pub(crate) async fn start(certificate: &Pair) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(certificate.server());
        let (sender, streams) = mpsc::unbounded_channel();
        let (frozen, _) = watch::channel(0);
        let freezing = frozen.clone();
        tokio::spawn(async move {
            for connection in 1.. {
                let (socket, _) = listener.accept().await.unwrap();
                let (acceptor, sender, frozen) = (acceptor.clone(), sender.clone(), freezing.subscribe());
                tokio::spawn(async move {
                    let socket = acceptor.accept(socket).await.unwrap();
                    serve(connection, h2::server::handshake(socket).await.unwrap(), sender, frozen).await;
                });
            }
        });
        Self { address, streams, frozen }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}/v2", self.address)
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Stream {
        soon(self.streams.recv()).await.unwrap()
    }

    /// Nothing is read from, or written to, the first so many connections any more, nor are they closed.
    pub(crate) fn freeze(&self, connections: usize) {
        self.frozen.send_replace(connections);
    }
}

async fn serve<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    number: usize,
    mut connection: h2::server::Connection<S, Bytes>,
    sender: mpsc::UnboundedSender<Stream>,
    mut frozen: watch::Receiver<usize>,
) {
    loop {
        tokio::select! {
            biased;
            () = froze(&mut frozen, number) => std::future::pending::<()>().await,
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let _ = sender.send(Stream { connection: number, request, respond });
                }
                Some(Err(_)) | None => return,
            },
        }
    }
}

async fn froze(frozen: &mut watch::Receiver<usize>, number: usize) {
    let _ = frozen.wait_for(|frozen| *frozen >= number).await;
}

impl Stream {
    pub(crate) fn answer(mut self, body: &str) {
        let head = Response::builder().header("content-type", "application/json").body(()).unwrap();
        let mut stream = self.respond.send_response(head, false).unwrap();
        stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
    }

    /// The head of an answer; its body does not come while what this returns lives.
    pub(crate) fn answer_head(mut self) -> h2::SendStream<Bytes> {
        self.respond.send_response(Response::new(()), false).unwrap()
    }

    /// RST_STREAM.
    pub(crate) fn reset(mut self, reason: h2::Reason) {
        self.respond.send_reset(reason);
    }
}
