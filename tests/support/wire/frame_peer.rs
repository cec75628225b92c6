//! An upstream over TLS that speaks HTTP/2 in bare frames, or HTTP/1.1 where its client asks for it.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::http2_client::{DATA, END_HEADERS, END_STREAM, Frame};
use super::http2_peer::{GOAWAY, HEADERS, SETTINGS, frame};
use super::tls::Pair;
use crate::support::soon;

const PREFACE: usize = 24;
const ACK: u8 = 1;
const MAX_CONCURRENT_STREAMS: u8 = 3;
/// `:status 200` in HPACK's static table.
const OK: u8 = 0x88;

pub(crate) struct FramePeer {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    first: Vec<u8>,
}

pub(crate) struct FrameConnection {
    stream: TlsStream<TcpStream>,
    heard: Vec<u8>,
}

/// SETTINGS that allow so many streams.
fn allowing(streams: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&[0, MAX_CONCURRENT_STREAMS], &streams.to_be_bytes()[..]].concat())
}

impl FramePeer {
    /// Its settings are read before a client can send anything.
    pub(crate) async fn allowing(streams: u32, certificate: &Pair) -> Self {
        let mut tls = (*certificate.server()).clone();
        tls.send_half_rtt_data = true;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, acceptor: TlsAcceptor::from(std::sync::Arc::new(tls)), first: allowing(streams) }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}/v2", self.listener.local_addr().unwrap())
    }

    /// The next connection, once the client's preface was read.
    pub(crate) async fn next(&self) -> FrameConnection {
        let (socket, _) = soon(self.listener.accept()).await.unwrap();
        let first = |tls: &mut rustls::ServerConnection| {
            std::io::Write::write_all(&mut tls.writer(), &self.first).unwrap();
        };
        let stream = soon(self.acceptor.accept_with(socket, first)).await.unwrap();
        let mut connection = FrameConnection { stream, heard: Vec::new() };
        connection.exactly(PREFACE).await;
        connection
    }

    /// The next connection, whose client asked for HTTP/1.1 alone.
    pub(crate) async fn next_http1(&self) -> FrameConnection {
        let (socket, _) = soon(self.listener.accept()).await.unwrap();
        let stream = soon(self.acceptor.accept(socket)).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        FrameConnection { stream, heard: Vec::new() }
    }
}

impl FrameConnection {
    /// False at the end.
    async fn listen(&mut self) -> bool {
        // rustls reports an end without its farewell as an error.
        soon(self.stream.read_buf(&mut self.heard)).await.is_ok_and(|read| read > 0)
    }

    async fn exactly(&mut self, bytes: usize) -> Vec<u8> {
        self.try_exactly(bytes).await.expect("the connection is open")
    }

    async fn try_exactly(&mut self, bytes: usize) -> Option<Vec<u8>> {
        while self.heard.len() < bytes {
            if !self.listen().await {
                return None;
            }
        }
        Some(self.heard.drain(..bytes).collect())
    }

    async fn say(&mut self, bytes: &[u8]) {
        soon(self.stream.write_all(bytes)).await.unwrap();
        soon(self.stream.flush()).await.unwrap();
    }

    /// Changes the number of streams that are allowed. The connection may be closed already.
    pub(crate) async fn allow(&mut self, streams: u32) {
        let _ = soon(self.stream.write_all(&allowing(streams))).await;
        let _ = soon(self.stream.flush()).await;
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        let head = self.try_exactly(9).await?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
        let payload = self.try_exactly(length).await?;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Waits until so many SETTINGS were acknowledged.
    pub(crate) async fn acknowledged(&mut self, times: usize) {
        for _ in 0..times {
            while !self.frame().await.is_some_and(|frame| frame.kind == SETTINGS && frame.flags == ACK) {}
        }
    }

    /// The number of the next stream that opens.
    pub(crate) async fn stream(&mut self) -> u32 {
        loop {
            let frame = self.frame().await.expect("the connection is open");
            if frame.kind == HEADERS {
                return frame.stream;
            }
        }
    }

    /// Whether a stream opens or goes on before the connection ends.
    pub(crate) async fn carries_a_request(&mut self) -> bool {
        while let Some(frame) = self.frame().await {
            if [HEADERS, DATA].contains(&frame.kind) {
                return true;
            }
        }
        false
    }

    pub(crate) async fn answer(&mut self, stream: u32, body: &str) {
        self.say(&frame(HEADERS, END_HEADERS, stream, &[OK])).await;
        self.say(&frame(DATA, END_STREAM, stream, body.as_bytes())).await;
    }

    /// A 103. False if the connection is closed.
    pub(crate) async fn interim(&mut self, stream: u32) -> bool {
        // A literal without indexing, whose name is `:status` of HPACK's static table.
        let head = frame(HEADERS, END_HEADERS, stream, b"\x08\x03103");
        soon(self.stream.write_all(&head)).await.is_ok() && soon(self.stream.flush()).await.is_ok()
    }

    pub(crate) async fn reset(&mut self, stream: u32, reason: h2::Reason) {
        self.say(&frame(super::http2_client::RST_STREAM, 0, stream, &u32::from(reason).to_be_bytes())).await;
    }

    /// Says that no stream above `last` was processed.
    pub(crate) async fn go_away(&mut self, last: u32) {
        self.say(&frame(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat())).await;
    }

    /// The head of the next request over HTTP/1.1, and what came with it.
    pub(crate) async fn http1_request(&mut self) -> String {
        while memchr::memmem::find(&self.heard, b"\r\n\r\n").is_none() {
            assert!(self.listen().await, "the connection is open");
        }
        String::from_utf8(std::mem::take(&mut self.heard)).unwrap()
    }

    pub(crate) async fn http1_answer(&mut self, body: &str) {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.say(head.as_bytes()).await;
    }
}
