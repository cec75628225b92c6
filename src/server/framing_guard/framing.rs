//! Where one HTTP/1 request ends and the next begins, told from the bytes alone. Finds heads that two readers could end in two
//! places, which is what request smuggling lives on.
//!
//! hyper reads such a head in the way that the RFC prescribes and hides that there was another. That is right for a server; a
//! proxy has another reader behind it. Nothing here refuses anything: see [`strict`](super::strict).

/// Longer lines are cut for looking at; a field that matters and is longer than this is never plain.
const LINE_MAX: usize = 256;

/// What some bytes were found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing to object to.
    Plain,
    /// At this index ends a head that leaves open where its request ends.
    Ambiguous(usize),
    /// From this index on nobody can tell what the bytes are: a chunk without a size, a trailer without an end.
    Lost(usize),
}

/// Follows the requests of one connection.
#[derive(Debug, Default)]
pub(super) struct Framing {
    state: HeadState,
    line: LineBuffer,
    lengths: Lengths,
    /// Request lines that have ended.
    heads: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HeadState {
    /// Before a request line; empty lines are skipped, as hyper does.
    #[default]
    Start,
    Head,
    /// This many bytes of a body are to come.
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    /// HTTP/2: its frames have one reading.
    Frames,
}

/// The line being heard.
#[derive(Debug, Default)]
struct LineBuffer {
    bytes: Vec<u8>,
    cut: bool,
    /// Whether the last byte was a carriage return.
    returned: bool,
}

impl LineBuffer {
    fn add(&mut self, bytes: &[u8]) {
        let fits = bytes.len().min(LINE_MAX.saturating_sub(self.bytes.len()));
        self.bytes.extend_from_slice(&bytes[..fits]);
        self.cut |= fits < bytes.len();
        self.returned = bytes.last().map_or(self.returned, |last| *last == b'\r');
    }

    /// Without its end.
    fn text(&self) -> &[u8] {
        self.bytes.strip_suffix(b"\r").filter(|_| !self.cut).unwrap_or(&self.bytes)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.cut = false;
        self.returned = false;
    }
}

/// What a head says about the length of its body.
#[derive(Debug, Default)]
struct Lengths {
    length: Option<u64>,
    chunked: bool,
    plain: Plain,
}

/// Starts out true.
#[derive(Debug)]
struct Plain(bool);

impl Default for Plain {
    fn default() -> Self {
        Self(true)
    }
}

impl Lengths {
    fn hear(&mut self, line: &LineBuffer) {
        let text = line.text();
        let Some(colon) = memchr::memchr(b':', text) else { return };
        let (name, value) = (&text[..colon], text[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = number(value, 10).filter(|_| !line.cut);
            // The same length twice is one length (RFC 9110, 8.6).
            self.plain.0 &= length.is_some() && self.length.is_none_or(|other| Some(other) == length);
            self.length = length;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.plain.0 &= !self.chunked && !line.cut && value.eq_ignore_ascii_case(b"chunked");
            self.chunked = true;
        }
    }

    /// What follows on the head, if there is one answer to that.
    fn body(&self) -> Option<HeadState> {
        match (self.length, self.chunked) {
            _ if !self.plain.0 => None,
            (Some(_), true) => None,
            (Some(0) | None, false) => Some(HeadState::Start),
            (Some(length), false) => Some(HeadState::Body(length)),
            (None, true) => Some(HeadState::ChunkSize),
        }
    }
}

impl Framing {
    /// Goes on with these bytes; after anything but [`Verdict::Plain`] it must not be asked again.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Verdict {
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
                        Err(Unclear::Head) => return Verdict::Ambiguous(at + end),
                        Err(Unclear::Chunk) => return Verdict::Lost(at),
                    }
                    self.line.clear();
                    at += end + 1;
                }
            }
        }
        Verdict::Plain
    }

    /// How many heads have begun.
    pub(super) fn heads(&self) -> usize {
        self.heads + usize::from(self.state == HeadState::Start && !self.line.bytes.is_empty())
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
        let empty = self.line.text().is_empty();
        // In a head hyper takes a bare line feed for the end of a line. Between chunks it does not, and in trailers it goes on
        // with the line, where another reader may see the end of the request.
        let strict = matches!(self.state, HeadState::ChunkSize | HeadState::ChunkEnd | HeadState::Trailers);
        if strict && !self.line.returned {
            return Err(Unclear::Chunk);
        }
        Ok(match self.state {
            HeadState::Start if empty => HeadState::Start,
            HeadState::Start => {
                self.heads += 1;
                if self.line.text() == b"PRI * HTTP/2.0" { HeadState::Frames } else { HeadState::Head }
            }
            HeadState::Head if empty => std::mem::take(&mut self.lengths).body().ok_or(Unclear::Head)?,
            HeadState::Head => {
                self.lengths.hear(&self.line);
                HeadState::Head
            }
            HeadState::ChunkSize => match chunk_size(self.line.text()).ok_or(Unclear::Chunk)? {
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

/// The size before any extension.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t')).unwrap_or(line.len());
    number(&line[..end], 16)
}

/// Digits and nothing else.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    // The parser would take a sign.
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u64::from_str_radix(text, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict however the bytes are cut into reads.
    fn verdict(bytes: &[u8]) -> Verdict {
        let whole = Framing::default().hear(bytes);
        for size in [1, 2, 3, 7] {
            let (mut framing, mut at) = (Framing::default(), 0);
            let pieces = bytes.chunks(size).map(|piece| {
                let heard = framing.hear(piece);
                at += piece.len();
                match heard {
                    Verdict::Ambiguous(end) => Verdict::Ambiguous(at - piece.len() + end),
                    other => other,
                }
            });
            let pieced = pieces.into_iter().find(|heard| *heard != Verdict::Plain).unwrap_or(Verdict::Plain);
            match (whole, pieced) {
                (Verdict::Lost(_), Verdict::Lost(_)) => {}
                (whole, pieced) => assert_eq!(whole, pieced, "in pieces of {size}"),
            }
        }
        whole
    }

    fn head(fields: &str) -> Vec<u8> {
        format!("POST /x HTTP/1.1\r\nhost: shim\r\n{fields}\r\n\r\n").into_bytes()
    }

    #[test]
    fn a_head_with_two_lengths_is_ambiguous_and_its_end_is_named() {
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
            assert_eq!(verdict(&bytes), Verdict::Ambiguous(bytes.len() - 1), "{fields}");
            let bare = String::from_utf8(bytes).unwrap().replace("\r\n", "\n").into_bytes();
            assert_eq!(verdict(&bare), Verdict::Ambiguous(bare.len() - 1), "{fields}");
        }
        let long = head(&format!("transfer-encoding: {}chunked", " ".repeat(LINE_MAX)));
        assert_eq!(verdict(&long), Verdict::Ambiguous(long.len() - 1));
    }

    #[test]
    fn what_follows_a_body_is_a_head_again_and_what_is_in_it_is_not() {
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
            assert_eq!(verdict(&bytes), Verdict::Plain, "{fields}");
            let twice = [bytes.clone(), bytes.clone()].concat();
            assert_eq!(verdict(&twice), Verdict::Plain, "{fields}");
            let then_bad = [twice, bad.clone()].concat();
            assert_eq!(verdict(&then_bad), Verdict::Ambiguous(then_bad.len() - 1), "{fields}");
        }
    }

    #[test]
    fn a_chunk_without_a_size_is_lost() {
        for chunk in ["x\r\n", "\r\n", "-1\r\n", "+5\r\n", "fffffffffffffffff\r\n", "1\r\naXX\r\n", "1\na"] {
            let bytes = [head("transfer-encoding: chunked"), chunk.as_bytes().to_vec()].concat();
            assert!(matches!(verdict(&bytes), Verdict::Lost(_)), "{chunk:?}");
        }
    }

    #[test]
    fn a_trailer_that_two_readers_could_end_in_two_places_is_lost() {
        for trailers in ["\n", "a: b\n", "a: b\r\n\n", &format!("a: {}\n", "b".repeat(LINE_MAX))] {
            let bytes =
                [head("transfer-encoding: chunked"), format!("0\r\n{trailers}").into_bytes()].concat();
            assert!(matches!(verdict(&bytes), Verdict::Lost(_)), "{trailers:?}");
        }
        let long = format!("0\r\na: {}\r\n\r\n", "b".repeat(LINE_MAX));
        assert_eq!(
            verdict(&[head("transfer-encoding: chunked"), long.into_bytes()].concat()),
            Verdict::Plain
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
            assert_eq!(framing.hear(bytes.as_bytes()), Verdict::Plain);
            assert_eq!(framing.heads(), heads, "{bytes:?}");
        }
    }

    #[test]
    fn frames_are_not_looked_into() {
        let frames = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), head("content-length: x")].concat();
        assert_eq!(verdict(&frames), Verdict::Plain);
    }
}
