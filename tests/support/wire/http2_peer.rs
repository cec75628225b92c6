//! An upstream that speaks HTTP/2 over TLS, with every stream and every connection in the test's hands.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::tls::Pair;
use crate::support::soon;

pub(crate) struct Http2Peer {
    address: SocketAddr,
    streams: mpsc::UnboundedReceiver<Stream>,
    frozen: watch::Sender<usize>,
    closed: watch::Sender<usize>,
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
        Self::allowing(None, certificate).await
    }

    /// Allows so many streams on a connection; `None`: without a word on it.
    pub(crate) async fn allowing(streams_max: Option<u32>, certificate: &Pair) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(certificate.server());
        let (sender, streams) = mpsc::unbounded_channel();
        let (frozen, closed) = (watch::Sender::new(0), watch::Sender::new(0));
        let (freezing, closing) = (frozen.clone(), closed.clone());
        tokio::spawn(async move {
            for connection in 1.. {
                let (socket, _) = listener.accept().await.unwrap();
                let (acceptor, sender, frozen) = (acceptor.clone(), sender.clone(), freezing.subscribe());
                let mut closed = closing.subscribe();
                tokio::spawn(async move {
                    let socket = acceptor.accept(socket).await.unwrap();
                    let serving = async {
                        let mut builder = h2::server::Builder::new();
                        if let Some(max) = streams_max {
                            builder.max_concurrent_streams(max);
                        }
                        // A client may open one more than it needs, and close it at once.
                        let Ok(opened) = builder.handshake(socket).await else { return };
                        serve(connection, opened, sender, frozen).await;
                    };
                    tokio::select! {
                        () = serving => {}
                        () = reached(&mut closed, connection) => {}
                    }
                });
            }
        });
        Self { address, streams, frozen, closed }
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

    /// Ends the first so many connections without a word.
    pub(crate) fn close(&self, connections: usize) {
        self.closed.send_replace(connections);
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
            () = reached(&mut frozen, number) => std::future::pending::<()>().await,
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let _ = sender.send(Stream { connection: number, request, respond });
                }
                Some(Err(_)) | None => return,
            },
        }
    }
}

async fn reached(connections: &mut watch::Receiver<usize>, number: usize) {
    let _ = connections.wait_for(|reached| *reached >= number).await;
}

pub(crate) const HEADERS: u8 = 1;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;

/// A frame as bytes (RFC 9113, section 4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Accepts one connection, waits for a request on it, and says that it acted on no stream.
pub(crate) async fn goes_away(listener: &TcpListener, certificate: &Pair) {
    let (socket, _) = soon(listener.accept()).await.unwrap();
    let mut socket = soon(TlsAcceptor::from(certificate.server()).accept(socket)).await.unwrap();
    let mut preface = [0; 24];
    soon(socket.read_exact(&mut preface)).await.unwrap();
    socket.write_all(&frame(SETTINGS, 0, 0, b"")).await.unwrap();
    loop {
        let mut head = [0; 9];
        soon(socket.read_exact(&mut head)).await.unwrap();
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        soon(socket.read_exact(&mut vec![0; length])).await.unwrap();
        if head[3] == HEADERS {
            break;
        }
    }
    // The last stream, none, and NO_ERROR.
    socket.write_all(&frame(GOAWAY, 0, 0, &[0; 8])).await.unwrap();
    socket.shutdown().await.unwrap();
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
