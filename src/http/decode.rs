//! Content codings of bodies that the proxy has to read: a client's `Accept-Encoding` goes on to the legacy API, so its answers may be
//! compressed, and a server that decodes requests reads a compressed create.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};

/// The body as it is read.
#[derive(Debug)]
pub(crate) enum Decoded {
    Plain,
    Bytes(Bytes),
    /// The coding is not supported, the body is not in it, or it is longer than the limit.
    Unreadable,
}

/// Decodes a body in `gzip` or `deflate`, to at most `max` bytes.
#[must_use]
pub(crate) fn decode(headers: &HeaderMap, body: &[u8], max: usize) -> Decoded {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let coding = match (codings.next(), codings.next()) {
        (None, _) => return Decoded::Plain,
        (Some(coding), None) => coding.as_bytes().to_ascii_lowercase(),
        (Some(_), Some(_)) => return Decoded::Unreadable,
    };
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut out = Vec::new();
    let read = match coding.as_slice() {
        b"identity" => return Decoded::Plain,
        b"gzip" | b"x-gzip" => MultiGzDecoder::new(body).take(limit).read_to_end(&mut out),
        b"deflate" => ZlibDecoder::new(body).take(limit).read_to_end(&mut out),
        _ => return Decoded::Unreadable,
    };
    if read.is_ok() && out.len() <= max { Decoded::Bytes(out.into()) } else { Decoded::Unreadable }
}
