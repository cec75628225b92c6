//! The bytes of an HTTP/1 connection, as the framing guard follows them.
//!
//! Held: the verdict, where it falls and the state after it do not depend on how the bytes are split into reads; and as long as the parser that
//! the server uses reads requests, the guard sees the same heads and bodies begin and end at the same bytes, or refuses.

use conversion_shim::server::{Framing, FramingCheck};

const FIELDS_MAX: usize = 64;
/// The bytes of a line that the guard keeps.
const LINE_MAX: usize = 256;

/// The result, with indexes from the start, and the state where it is clear.
fn split(bytes: &[u8], sizes: &mut dyn Iterator<Item = usize>) -> (FramingCheck, Framing, usize) {
    let (mut framing, mut at) = (Framing::default(), 0);
    while at < bytes.len() {
        let size = sizes.next().unwrap_or(bytes.len()).clamp(1, bytes.len() - at);
        match framing.advance(&bytes[at..at + size]) {
            FramingCheck::Clear => at += size,
            FramingCheck::Ambiguous(end) => return (FramingCheck::Ambiguous(at + end), framing, at),
            FramingCheck::Invalid(start) => return (FramingCheck::Invalid(at + start), framing, at),
        }
    }
    (FramingCheck::Clear, framing, at)
}

fn check_split(bytes: &[u8], sizes: &mut dyn Iterator<Item = usize>) {
    let (whole, one, _) = split(bytes, &mut std::iter::empty());
    let (pieced, other, piece) = split(bytes, sizes);
    match (whole, pieced) {
        (FramingCheck::Clear, FramingCheck::Clear) => {
            assert_eq!(format!("{one:?}"), format!("{other:?}"));
        }
        // Of a line that began in an earlier read, the bytes of that read are gone.
        (FramingCheck::Invalid(start), FramingCheck::Invalid(found)) => assert_eq!(found, start.max(piece)),
        (whole, pieced) => assert_eq!(whole, pieced),
    }
}

/// How a request of a head goes on.
enum Body {
    Length(u64),
    Chunked,
    /// No two readers are sure to agree.
    Ambiguous,
}

fn body(fields: &[httparse::Header<'_>]) -> Body {
    let named = |name: &'static str| {
        let named = fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value.trim_ascii()).collect::<Vec<_>>()
    };
    match (named("content-length").as_slice(), named("transfer-encoding").as_slice()) {
        ([], []) => Body::Length(0),
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Body::Chunked,
        ([first, more @ ..], []) if first.iter().all(u8::is_ascii_digit) => {
            let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u64>().ok();
            match number(first) {
                Some(length) if more.iter().all(|other| number(other) == Some(length)) => {
                    Body::Length(length)
                }
                Some(_) | None => Body::Ambiguous,
            }
        }
        _ => Body::Ambiguous,
    }
}

/// The end of a chunked body that every reader ends there; `None` where it is not complete or not plain.
fn chunked_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let line = |at: usize| {
        let rest = &bytes[at..];
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
        rest[end..].starts_with(b"\r\n").then_some((&rest[..end], at + end + 2))
    };
    loop {
        let (size, next) = line(at)?;
        let digits = size.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next()?;
        let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
        let size = u64::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| is_plain)?, 16).ok()?;
        at = next;
        if size == 0 {
            break;
        }
        at = at.checked_add(usize::try_from(size).ok()?)?;
        at = bytes.get(at..)?.starts_with(b"\r\n").then_some(at + 2)?;
    }
    loop {
        let (trailer, next) = line(at)?;
        at = next;
        if trailer.is_empty() {
            return Some(at);
        }
    }
}

/// Follows the bytes with the server's own parser.
fn check_parser(bytes: &[u8]) {
    let (mut framing, mut at, mut heads) = (Framing::default(), 0, 0);
    loop {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        let Ok(httparse::Status::Complete(length)) = request.parse(&bytes[at..]) else { return };
        let checked = framing.advance(&bytes[at..at + length]);
        let body = body(request.headers);
        let (FramingCheck::Clear, Body::Length(_) | Body::Chunked) = (checked, &body) else {
            let last = length - 1;
            match (checked, body) {
                (FramingCheck::Ambiguous(end), _) => assert_eq!(end, last, "refused within a head"),
                (FramingCheck::Invalid(_), _) => panic!("a head is no chunk"),
                (FramingCheck::Clear, _) => panic!("an ambiguous head is clear"),
            }
            return;
        };
        heads += 1;
        assert_eq!(framing.heads(), heads);
        at += length;
        let end = match body {
            Body::Length(length) => {
                assert_eq!(framing.is_in_body(), length > 0);
                usize::try_from(length).ok().and_then(|length| at.checked_add(length))
            }
            Body::Chunked => {
                assert!(framing.is_in_body());
                chunked_end(bytes, at)
            }
            Body::Ambiguous => return,
        };
        let Some(end) = end.filter(|end| *end <= bytes.len()) else { return };
        if end > at {
            let checked = framing.advance(&bytes[at..end - 1]);
            if checked != FramingCheck::Clear {
                // Only of a line that is kept whole the guard knows what it says.
                let has_long_line =
                    bytes[at..end].split(|byte| *byte == b'\n').any(|line| line.len() > LINE_MAX);
                assert!(has_long_line, "a good body is {checked:?}");
                return;
            }
            assert!(framing.is_in_body(), "the body ends too early");
            assert_eq!(framing.advance(&bytes[end - 1..end]), FramingCheck::Clear);
        }
        assert!(!framing.is_in_body(), "the body ends too late");
        assert_eq!(framing.heads(), heads, "a body held a head");
        at = end;
    }
}

pub(crate) fn check(data: &[u8]) {
    let Some((sizes, bytes)) = data.split_first_chunk::<4>() else { return };
    check_split(bytes, &mut std::iter::repeat(1));
    check_split(bytes, &mut sizes.iter().map(|size| usize::from(*size)).cycle());
    check_parser(bytes);
}
