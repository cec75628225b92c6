//! Raw sockets, for tests that compare bytes: [`RawConnection`] is one end of a connection, [`RawListener`] accepts the upstream end.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::soon;

/// One end of a connection.
pub(crate) struct RawConnection {
    pub(crate) stream: TcpStream,
    heard: Vec<u8>,
}

/// An HTTP/1 message as it was on the wire.
#[derive(Debug)]
pub(crate) struct Message {
    /// Start line and headers, without the empty line.
    pub(crate) head: String,
    /// With chunk sizes and trailers, if it was chunked.
    pub(crate) body: Vec<u8>,
}

impl Message {
    pub(crate) fn start(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    /// Names as written. Repeated ones in their order; names sorted, for their order means nothing.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let fields = self.head.lines().skip(1).map(|line| line.split_once(':').unwrap());
        let mut all: Vec<_> =
            fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
        all.sort_by_key(|(name, _)| name.to_lowercase());
        all
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let mut all = self.headers().into_iter();
        all.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> &str {
        self.start().split(' ').nth(1).unwrap()
    }
}

impl RawConnection {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        Self::over(soon(TcpStream::connect(address)).await.unwrap())
    }

    /// Over a connection that was made elsewhere.
    pub(crate) fn over(stream: TcpStream) -> Self {
        Self { stream, heard: Vec::new() }
    }

    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Listens once; false at the end.
    async fn listen(&mut self) -> bool {
        soon(self.stream.read_buf(&mut self.heard)).await.unwrap() > 0
    }

    async fn until(&mut self, mark: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.heard, mark) {
                return self.heard.drain(..at + mark.len()).collect();
            }
            assert!(self.listen().await, "closed after {:?}", String::from_utf8_lossy(&self.heard));
        }
    }

    pub(crate) async fn exactly(&mut self, bytes: usize) -> Vec<u8> {
        while self.heard.len() < bytes {
            assert!(self.listen().await, "closed after {} of {bytes} bytes", self.heard.len());
        }
        self.heard.drain(..bytes).collect()
    }

    /// A message's head alone, as of an answer to HEAD.
    pub(crate) async fn head(&mut self) -> Message {
        let head = self.until(b"\r\n\r\n").await;
        let head = String::from_utf8(head).unwrap().trim_end().to_owned();
        Message { head, body: Vec::new() }
    }

    /// A whole message whose head says how long it is.
    pub(crate) async fn message(&mut self) -> Message {
        let mut message = self.head().await;
        message.body = match (message.header("transfer-encoding"), message.header("content-length")) {
            (Some(_), None) => self.chunks().await,
            (None, length) => self.exactly(length.map_or(0, |length| length.parse().unwrap())).await,
            both => panic!("{both:?}"),
        };
        message
    }

    /// Chunks and trailers, to the empty line after the last.
    async fn chunks(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let size = self.until(b"\r\n").await;
            let length = usize::from_str_radix(std::str::from_utf8(&size).unwrap().trim_end(), 16).unwrap();
            all.extend(size);
            if length == 0 {
                break;
            }
            all.extend(self.exactly(length + 2).await);
        }
        loop {
            let trailer = self.until(b"\r\n").await;
            all.extend_from_slice(&trailer);
            if trailer == b"\r\n" {
                return all;
            }
        }
    }

    /// Forgets what was heard beyond the last message, and answers how much it was.
    pub(crate) fn heard_already(&mut self) -> usize {
        std::mem::take(&mut self.heard).len()
    }

    /// Everything until the other end closes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.listen().await {}
        std::mem::take(&mut self.heard)
    }

    /// As [`Self::rest`], where the other end may close with what was said still unread.
    pub(crate) async fn rest_or_reset(&mut self) -> Vec<u8> {
        while soon(self.stream.read_buf(&mut self.heard)).await.is_ok_and(|bytes| bytes > 0) {}
        std::mem::take(&mut self.heard)
    }

    /// Whether the other end closes without another byte, by FIN or by RST.
    pub(crate) async fn is_cut(&mut self) -> bool {
        let read = soon(self.stream.read_buf(&mut self.heard)).await;
        read.is_err() || self.heard.is_empty()
    }
}

/// Accepts connections as an upstream.
pub(crate) struct RawListener(TcpListener);

impl RawListener {
    pub(crate) async fn open() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub(crate) async fn next(&self) -> RawConnection {
        RawConnection::over(soon(self.0.accept()).await.unwrap().0)
    }

    /// Whether nobody is waiting: what was going to connect has done so when its client has its answer.
    pub(crate) fn is_quiet(&self) -> bool {
        use std::task::{Context, Poll, Waker};
        matches!(self.0.poll_accept(&mut Context::from_waker(Waker::noop())), Poll::Pending)
    }
}
