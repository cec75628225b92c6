//! Content codings of bodies that the proxy has to read: a client's `Accept-Encoding` goes on to the legacy API, a server may use any
//! coding when a request names none (RFC 9110, section 12.5.3), and some compress whatever was asked for.

use std::borrow::Cow;
use std::io::{self, Read, Take};

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, HeaderValue, header};

/// A body is coded more than once by mistake alone; more codings than this are not undone.
const CODINGS_MAX: usize = 3;
const BROTLI_BUFFER: usize = 4096;

/// The body as it is read.
#[derive(Debug)]
pub(crate) enum Decoded {
    Plain,
    Bytes(Bytes),
    /// The coding is not supported, the body is not in it, or it is longer than the limit.
    Unreadable,
}

/// Decodes a body in `gzip`, `deflate`, `br` or `zstd`, to at most `max` bytes.
#[must_use]
pub(crate) fn decode(headers: &HeaderMap, body: &[u8], max: usize) -> Decoded {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter().peekable();
    if values.peek().is_none() {
        return Decoded::Plain;
    }
    decode_values(values, body, max).unwrap_or(Decoded::Unreadable)
}

fn decode_values<'a>(
    values: impl Iterator<Item = &'a HeaderValue>,
    body: &[u8],
    max: usize,
) -> Option<Decoded> {
    let mut codings = Vec::new();
    for value in values {
        let names = value.to_str().ok()?.split(',').map(|name| name.trim().to_ascii_lowercase());
        codings.extend(names.filter(|name| !name.is_empty() && name != "identity"));
    }
    if codings.is_empty() {
        return Some(Decoded::Plain);
    }
    if codings.len() > CODINGS_MAX {
        return None;
    }
    let mut body = Cow::Borrowed(body);
    // The last one was applied last.
    for coding in codings.iter().rev() {
        body = Cow::Owned(undo(coding, &body, max)?);
    }
    Some(Decoded::Bytes(body.into_owned().into()))
}

fn undo(coding: &str, body: &[u8], max: usize) -> Option<Vec<u8>> {
    match coding {
        "gzip" | "x-gzip" => whole(MultiGzDecoder::new(body), max),
        // RFC 9110 means zlib's format, and some servers send the bare stream.
        "deflate" => whole(ZlibDecoder::new(body), max).or_else(|| whole(DeflateDecoder::new(body), max)),
        "br" => whole(brotli_decompressor::Decompressor::new(body, BROTLI_BUFFER), max),
        "zstd" => whole(ruzstd::decoding::StreamingDecoder::new(body).ok()?, max),
        _ => None,
    }
}

fn whole(decoder: impl Read, max: usize) -> Option<Vec<u8>> {
    let mut limited: Take<_> = decoder.take(u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1));
    let mut out = Vec::new();
    let read: io::Result<usize> = limited.read_to_end(&mut out);
    (read.is_ok() && out.len() <= max).then_some(out)
}
