//! Follows the framing of HTTP/1 requests in the bytes of a connection, and finds heads and bodies that two readers could end at different
//! bytes. It refuses nothing itself; see the [parent module](super).

use super::malformed_kind;

/// How many bytes of a line are kept. A framing field that is longer counts as ambiguous.
const LINE_MAX: usize = 256;

/// The result of checking some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingCheck {
    /// Every head so far says where its request ends.
    Clear,
    /// The head that ends at this index does not say unambiguously where its request ends.
    Ambiguous(usize),
    /// The bytes from this index on cannot be framed: a chunk without a size, or a trailer without an end.
    Invalid(usize),
}

/// The framing state of one connection.
#[derive(Debug, Default)]
pub struct Framing {
    state: HeadState,
    line: LineBuffer,
    /// The first line of the last head.
    start_line: Vec<u8>,
    /// What is wrong with the first malformed field of the last head.
    defect: Option<&'static str>,
    fields: FramingFields,
    heads: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HeadState {
    /// Before a request line. Empty lines are skipped, as hyper does (RFC 9112, 2.2).
    #[default]
    Start,
    Head,
    /// The remaining bytes of a body.
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    /// HTTP/2, whose frames are unambiguous.
    Frames,
}

#[derive(Debug, Default)]
struct LineBuffer {
    bytes: Vec<u8>,
    truncated: bool,
    ends_with_cr: bool,
}

impl LineBuffer {
    fn add(&mut self, bytes: &[u8]) {
        let fits = bytes.len().min(LINE_MAX.saturating_sub(self.bytes.len()));
        self.bytes.extend_from_slice(&bytes[..fits]);
        self.truncated |= fits < bytes.len();
        self.ends_with_cr = bytes.last().map_or(self.ends_with_cr, |last| *last == b'\r');
    }

    fn content(&self) -> &[u8] {
        self.bytes.strip_suffix(b"\r").filter(|_| !self.truncated).unwrap_or(&self.bytes)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.truncated = false;
        self.ends_with_cr = false;
    }
}

/// The framing fields of a head.
#[derive(Debug, Default)]
struct FramingFields {
    length: Option<u64>,
    chunked: bool,
    ambiguous: bool,
}

impl FramingFields {
    fn add(&mut self, line: &LineBuffer) {
        let line_bytes = line.content();
        let Some(colon) = memchr::memchr(b':', line_bytes) else { return };
        let (name, value) = (&line_bytes[..colon], line_bytes[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = number(value, 10).filter(|_| !line.truncated);
            // The same length twice is one length (RFC 9110, 8.6).
            self.ambiguous |= length.is_none() || self.length.is_some_and(|other| Some(other) != length);
            self.length = length;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.ambiguous |= self.chunked || line.truncated || !value.eq_ignore_ascii_case(b"chunked");
            self.chunked = true;
        }
    }

    /// The state after the head; `None` if the head is ambiguous.
    fn body(&self) -> Option<HeadState> {
        match (self.length, self.chunked) {
            _ if self.ambiguous => None,
            (Some(_), true) => None,
            (Some(0) | None, false) => Some(HeadState::Start),
            (Some(length), false) => Some(HeadState::Body(length)),
            (None, true) => Some(HeadState::ChunkSize),
        }
    }
}

impl Framing {
    /// Checks the next bytes of the connection. Must not be called again after a result other than [`FramingCheck::Clear`].
    pub fn advance(&mut self, bytes: &[u8]) -> FramingCheck {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self.state {
                HeadState::Frames => break,
                HeadState::Body(left) => at += self.skip(left, rest, HeadState::Body, HeadState::Start),
                HeadState::ChunkData(left) => {
                    at += self.skip(left, rest, HeadState::ChunkData, HeadState::ChunkEnd)
                }
                _ => {
                    let Some(end) = memchr::memchr(b'\n', rest) else {
                        self.line.add(rest);
                        break;
                    };
                    self.line.add(&rest[..end]);
                    match self.end_of_line() {
                        Ok(state) => self.state = state,
                        Err(Unclear::Head) => return FramingCheck::Ambiguous(at + end),
                        Err(Unclear::Chunk) => return FramingCheck::Invalid(at),
                    }
                    self.line.clear();
                    at += end + 1;
                }
            }
        }
        FramingCheck::Clear
    }

    /// The first line of the head that has started last, as far as it arrived and was kept.
    pub(super) fn start_line(&self) -> &[u8] {
        if self.state == HeadState::Start && !self.line.bytes.is_empty() {
            return self.line.content();
        }
        &self.start_line
    }

    /// What is wrong with the first malformed field of the head that has started last, as far as it arrived.
    pub(super) fn defect(&self) -> Option<&'static str> {
        let unfinished = self.line.content();
        let is_field = self.state == HeadState::Head && !unfinished.is_empty();
        self.defect.or_else(|| is_field.then(|| malformed_kind::defect(unfinished, false)).flatten())
    }

    /// The number of heads that have started.
    #[must_use]
    pub fn heads(&self) -> usize {
        self.heads + usize::from(self.state == HeadState::Start && !self.line.bytes.is_empty())
    }

    /// Whether a body has begun and not ended.
    #[must_use]
    pub fn is_in_body(&self) -> bool {
        match self.state {
            HeadState::Start | HeadState::Head | HeadState::Frames => false,
            HeadState::Body(_)
            | HeadState::ChunkSize
            | HeadState::ChunkData(_)
            | HeadState::ChunkEnd
            | HeadState::Trailers => true,
        }
    }

    /// Whether no body is under way on an HTTP/1 connection.
    pub(super) fn is_between_bodies(&self) -> bool {
        self.state != HeadState::Frames && !self.is_in_body()
    }

    fn skip(&mut self, left: u64, rest: &[u8], same: fn(u64) -> HeadState, next: HeadState) -> usize {
        let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        self.state = match left - skipped as u64 {
            0 => next,
            left => same(left),
        };
        skipped
    }

    fn end_of_line(&mut self) -> Result<HeadState, Unclear> {
        let empty = self.line.content().is_empty();
        // RFC 9112, 2.2 allows a recipient to accept a bare LF as a line ending. hyper does so in a head, but not between chunks, and
        // in trailers it continues the line where another reader may end the request.
        let needs_crlf =
            matches!(self.state, HeadState::ChunkSize | HeadState::ChunkEnd | HeadState::Trailers);
        if needs_crlf && !self.line.ends_with_cr {
            return Err(Unclear::Chunk);
        }
        Ok(match self.state {
            HeadState::Start if empty => HeadState::Start,
            HeadState::Start => {
                self.heads += 1;
                self.start_line.clear();
                self.defect = None;
                self.start_line.extend_from_slice(self.line.content());
                if self.start_line == b"PRI * HTTP/2.0" { HeadState::Frames } else { HeadState::Head }
            }
            HeadState::Head if empty => std::mem::take(&mut self.fields).body().ok_or(Unclear::Head)?,
            HeadState::Head => {
                let line = &self.line;
                self.defect = self.defect.or_else(|| malformed_kind::defect(line.content(), !line.truncated));
                self.fields.add(line);
                HeadState::Head
            }
            HeadState::ChunkSize => match chunk_size(&self.line).ok_or(Unclear::Chunk)? {
                0 => HeadState::Trailers,
                size => HeadState::ChunkData(size),
            },
            HeadState::ChunkEnd if empty => HeadState::ChunkSize,
            HeadState::ChunkEnd => return Err(Unclear::Chunk),
            HeadState::Trailers if empty => HeadState::Start,
            same @ (HeadState::Trailers
            | HeadState::Body(_)
            | HeadState::ChunkData(_)
            | HeadState::Frames) => same,
        })
    }
}

enum Unclear {
    Head,
    Chunk,
}

/// The chunk size, without chunk extensions. `None` where more digits may follow those that were kept.
fn chunk_size(line: &LineBuffer) -> Option<u64> {
    let content = line.content();
    let end = content.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t'));
    let end = end.or_else(|| (!line.truncated).then_some(content.len()))?;
    number(&content[..end], 16)
}

/// A number of digits only.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    // `from_str_radix` accepts a sign.
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u64::from_str_radix(text, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result, which must not depend on how the bytes are split into reads.
    fn check(bytes: &[u8]) -> FramingCheck {
        let whole = Framing::default().advance(bytes);
        for size in [1, 2, 3, 7] {
            let (mut framing, mut at) = (Framing::default(), 0);
            let pieces = bytes.chunks(size).map(|piece| {
                let checked = framing.advance(piece);
                at += piece.len();
                match checked {
                    FramingCheck::Ambiguous(end) => FramingCheck::Ambiguous(at - piece.len() + end),
                    other => other,
                }
            });
            let pieced = pieces
                .into_iter()
                .find(|checked| *checked != FramingCheck::Clear)
                .unwrap_or(FramingCheck::Clear);
            match (whole, pieced) {
                (FramingCheck::Invalid(_), FramingCheck::Invalid(_)) => {}
                (whole, pieced) => assert_eq!(whole, pieced, "in pieces of {size}"),
            }
        }
        whole
    }

    fn head(fields: &str) -> Vec<u8> {
        format!("POST /x HTTP/1.1\r\nhost: shim\r\n{fields}\r\n\r\n").into_bytes()
    }

    #[test]
    fn a_head_with_two_lengths_is_ambiguous_and_its_end_is_reported() {
        for fields in [
            "content-length: 4\r\ntransfer-encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 4",
            "transfer-encoding: chunked\r\ncontent-length: 0",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            "transfer-encoding: chunked\r\ntransfer-encoding: identity",
            "transfer-encoding: gzip, chunked",
            "transfer-encoding: chunked, identity",
            "transfer-encoding: identity",
            "transfer-encoding:\x0bchunked",
            "transfer-encoding:",
            "content-length: 4\r\ncontent-length: 5",
            "content-length: 4, 4",
            "content-length: +4",
            "content-length: 0x4",
            "content-length: 99999999999999999999999",
            "content-length:",
        ] {
            let bytes = head(fields);
            assert_eq!(check(&bytes), FramingCheck::Ambiguous(bytes.len() - 1), "{fields}");
            let bare = String::from_utf8(bytes).unwrap().replace("\r\n", "\n").into_bytes();
            assert_eq!(check(&bare), FramingCheck::Ambiguous(bare.len() - 1), "{fields}");
        }
        let long = head(&format!("transfer-encoding: {}chunked", " ".repeat(LINE_MAX)));
        assert_eq!(check(&long), FramingCheck::Ambiguous(long.len() - 1));
    }

    #[test]
    fn a_body_is_skipped_and_followed_by_a_head() {
        let bad = head("content-length: 4\r\ntransfer-encoding: chunked");
        let bodies: [(&str, Vec<u8>); 4] = [
            ("content-length: 0", Vec::new()),
            ("x: y", b"\r\n\r\n".to_vec()),
            (&format!("content-length: {}\r\nContent-Length: {}", bad.len(), bad.len()), bad.clone()),
            ("Transfer-Encoding: Chunked", {
                let mut chunks = format!("{:X} ;ext=\"{}\"\r\n", bad.len(), "x".repeat(400)).into_bytes();
                chunks.extend(&bad);
                chunks.extend(b"\r\n0\r\ncontent-length: 7\r\ntransfer-encoding: gzip\r\n\r\n");
                chunks
            }),
        ];
        for (fields, body) in bodies {
            let mut bytes = head(fields);
            bytes.extend(body);
            assert_eq!(check(&bytes), FramingCheck::Clear, "{fields}");
            let twice = [bytes.clone(), bytes.clone()].concat();
            assert_eq!(check(&twice), FramingCheck::Clear, "{fields}");
            let then_bad = [twice, bad.clone()].concat();
            assert_eq!(check(&then_bad), FramingCheck::Ambiguous(then_bad.len() - 1), "{fields}");
        }
    }

    #[test]
    fn a_chunk_without_a_size_is_invalid() {
        let long = format!("{}5\r\na\r\n\r\n\r\n", "0".repeat(LINE_MAX));
        for chunk in
            ["x\r\n", "\r\n", "-1\r\n", "+5\r\n", "fffffffffffffffff\r\n", "1\r\naXX\r\n", "1\na", &long]
        {
            let bytes = [head("transfer-encoding: chunked"), chunk.as_bytes().to_vec()].concat();
            assert!(matches!(check(&bytes), FramingCheck::Invalid(_)), "{chunk:?}");
        }
    }

    #[test]
    fn a_trailer_that_two_readers_could_end_differently_is_invalid() {
        for trailers in ["\n", "a: b\n", "a: b\r\n\n", &format!("a: {}\n", "b".repeat(LINE_MAX))] {
            let bytes =
                [head("transfer-encoding: chunked"), format!("0\r\n{trailers}").into_bytes()].concat();
            assert!(matches!(check(&bytes), FramingCheck::Invalid(_)), "{trailers:?}");
        }
        let long = format!("0\r\na: {}\r\n\r\n", "b".repeat(LINE_MAX));
        assert_eq!(
            check(&[head("transfer-encoding: chunked"), long.into_bytes()].concat()),
            FramingCheck::Clear
        );
    }

    #[test]
    fn heads_are_counted_from_their_first_byte() {
        let mut framing = Framing::default();
        for (bytes, heads) in [
            ("\r\n", 0),
            ("G", 1),
            ("ET / HTTP/1.1\r\nhost: x", 1),
            ("\r\n\r\n", 1),
            ("POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nG", 2),
            ("ET", 2),
            ("\x00", 3),
        ] {
            assert_eq!(framing.advance(bytes.as_bytes()), FramingCheck::Clear);
            assert_eq!(framing.heads(), heads, "{bytes:?}");
        }
    }

    #[test]
    fn http2_frames_are_not_inspected() {
        let frames = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), head("content-length: x")].concat();
        assert_eq!(check(&frames), FramingCheck::Clear);
    }
}
