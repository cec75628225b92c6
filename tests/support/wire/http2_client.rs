//! An HTTP/2 client of bare frames: it acknowledges nothing and opens no window by itself.

use std::net::SocketAddr;

use conversion_shim::sandbox::TOKEN;
use tokio::net::TcpStream;

use super::http2_peer::{HEADERS, SETTINGS, frame};
use super::raw::RawConnection;

pub(crate) const DATA: u8 = 0;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const PING: u8 = 6;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const INITIAL_WINDOW_SIZE: u8 = 4;

pub(crate) struct RawHttp2(RawConnection);

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn ends_stream(&self) -> bool {
        [DATA, HEADERS].contains(&self.kind) && self.flags & END_STREAM != 0
    }
}

/// A literal header, not indexed, from plain bytes.
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

/// A GET with the sandbox's token, as a header block.
fn get(path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    let target = [&[0x82, 0x86, 0x04, length], path.as_bytes(), &[0x41, 1, b'a']].concat();
    [target, field("authorization", &format!("Bearer {TOKEN}"))].concat()
}

impl RawHttp2 {
    /// A connection on which each stream's window begins with that size.
    pub(crate) async fn to(address: SocketAddr, window: u32) -> Self {
        let mut line = RawConnection::over(crate::support::soon(TcpStream::connect(address)).await.unwrap());
        let setting = [&[0, INITIAL_WINDOW_SIZE], &window.to_be_bytes()[..]].concat();
        line.say([PREFACE, &frame(SETTINGS, 0, 0, &setting)].concat()).await;
        Self(line)
    }

    pub(crate) async fn get(&mut self, stream: u32, path: &str) {
        self.say(HEADERS, END_HEADERS | END_STREAM, stream, &get(path)).await;
    }

    /// The head of a GET whose body follows.
    pub(crate) async fn get_with_body(&mut self, stream: u32, path: &str) {
        self.say(HEADERS, END_HEADERS, stream, &get(path)).await;
    }

    pub(crate) async fn say(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.0.say(frame(kind, flags, stream, payload)).await;
    }

    pub(crate) async fn open_window(&mut self, stream: u32, bytes: u32) {
        self.say(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes()).await;
    }

    pub(crate) async fn next(&mut self) -> Frame {
        let head = self.0.exactly(9).await;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        Frame { kind: head[3], flags: head[4], stream, payload: self.0.exactly(length).await }
    }

    /// Reads on, past everything else, to the end of that stream: its last frame, or a reset.
    pub(crate) async fn end_of(&mut self, stream: u32) -> Frame {
        loop {
            let frame = self.next().await;
            if frame.stream == stream && (frame.ends_stream() || frame.kind == RST_STREAM) {
                return frame;
            }
        }
    }

    /// Reads on until the other end closes.
    pub(crate) async fn closed(mut self) {
        self.0.rest_or_reset().await;
    }
}
