//! Which version of HTTP a connection speaks, found before hyper has it. hyper-util finds it too, and hands hyper the bytes that it read apart from
//! the rest: hyper then makes room for the rest in a buffer of 16 KiB instead of 8, which the connection keeps while it lives (hyper-util
//! 0.1.21, hyper 1.12, measured: `docs/performance.md`).

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
    /// Perhaps the start of HTTP/2's preface: hyper-util decides.
    Undecided,
}

/// The first bytes of HTTP/2's preface (RFC 9113, section 3.4). No method of HTTP/1.1 in use begins so.
const PREFACE: &[u8; 3] = b"PRI";

impl Protocol {
    /// Waits for the first byte, which stays to be read; `None` if the client closed the connection instead.
    pub(super) async fn peeked(stream: &TcpStream) -> io::Result<Option<Self>> {
        let mut first = [0; PREFACE.len()];
        let length = stream.peek(&mut first).await?;
        let first = first.get(..length).filter(|first| !first.is_empty());
        Ok(first.map(|first| if PREFACE.starts_with(first) { Self::Undecided } else { Self::Http1 }))
    }

    /// What the client chose by ALPN.
    pub(super) fn negotiated<S: AsyncRead + AsyncWrite>(stream: &TlsStream<S>) -> Self {
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Self::Http2,
            Some(b"http/1.1") => Self::Http1,
            Some(_) | None => Self::Undecided,
        }
    }
}
