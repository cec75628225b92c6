//! Content codings of bodies that the proxy has to read: a client's `Accept-Encoding` goes on to the legacy API, a server may use any
//! coding when a request names none (RFC 9110, section 12.5.3), and some compress whatever was asked for.

use std::borrow::Cow;
use std::io::Read;

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use flate2::read::{DeflateDecoder, ZlibDecoder};
use http::{HeaderMap, header};

/// Begins each member of a gzip stream (RFC 1952, section 2.3.1).
const GZIP_MAGIC: &[u8] = b"\x1f\x8b";
/// Begins each zstd frame with content (RFC 8878, section 3.1.1), in the order of the wire.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The first number of a skippable frame (RFC 8878, section 3.1.2); its last four bits are free.
const ZSTD_SKIPPABLE: u32 = 0x184d_2a50;
/// Maximum number of codings that are undone. More than one is a mistake already.
const CODINGS_MAX: usize = 3;
const BROTLI_BUFFER: usize = 4096;

/// The body as it is read.
#[derive(Debug)]
pub(crate) enum Decoded {
    Plain,
    Bytes(Bytes),
    /// The body is not in its coding, or is longer than the limit.
    Unreadable,
    /// In a coding that is not supported here.
    Unsupported,
}

/// Decodes a body in `gzip`, `deflate`, `br` or `zstd`, to at most `max` bytes.
#[must_use]
pub(crate) fn decode(headers: &HeaderMap, body: &[u8], max: usize) -> Decoded {
    let Some(codings) = codings(headers) else { return Decoded::Unreadable };
    if codings.is_empty() {
        return Decoded::Plain;
    }
    // Each coding may expand the body again, and an answer may name any number.
    if codings.len() > CODINGS_MAX {
        return Decoded::Unreadable;
    }
    let mut body = Cow::Borrowed(body);
    // The last one was applied last.
    for coding in codings.iter().rev() {
        match undo(coding, &body, max) {
            Ok(undone) => body = Cow::Owned(undone),
            Err(why) => return why,
        }
    }
    Decoded::Bytes(body.into_owned().into())
}

/// Whether the request asks for each coding of the answer by name, so that its sender can decode what is not supported here. `*` is no
/// name: many clients send it without decoding anything.
pub(crate) fn is_asked_for(request: &HeaderMap, answer: &HeaderMap) -> bool {
    let accepted = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let accepted: Vec<_> = accepted.flat_map(|value| value.split(',')).filter_map(accepted_coding).collect();
    codings(answer).is_some_and(|codings| codings.iter().all(|coding| accepted.contains(coding)))
}

/// The coding of one member of `Accept-Encoding`, unless its weight refuses it (RFC 9110, section 12.4.2).
fn accepted_coding(member: &str) -> Option<String> {
    let (name, weight) = member.split_once(';').unwrap_or((member, ""));
    let is_refused = weight.trim().strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0));
    (!is_refused).then(|| name.trim().to_ascii_lowercase())
}

/// The codings of a body in lower case, in the order in which they were applied; `None` if they cannot be read.
fn codings(headers: &HeaderMap) -> Option<Vec<String>> {
    let mut codings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let names = value.to_str().ok()?.split(',').map(|name| name.trim().to_ascii_lowercase());
        codings.extend(names.filter(|name| !name.is_empty() && name != "identity"));
    }
    Some(codings)
}

/// The body without that coding, or why there is none.
fn undo(coding: &str, body: &[u8], max: usize) -> Result<Vec<u8>, Decoded> {
    let undone = match coding {
        "gzip" | "x-gzip" => members(body, max),
        // RFC 9110 means zlib's format, and some servers send the bare stream.
        "deflate" => whole(ZlibDecoder::new(body), max).or_else(|| whole(DeflateDecoder::new(body), max)),
        "br" => whole(brotli_decompressor::Decompressor::new(body, BROTLI_BUFFER), max),
        "zstd" => frames(body, max),
        _ => return Err(Decoded::Unsupported),
    };
    undone.ok_or(Decoded::Unreadable)
}

/// The members of a gzip stream. What follows them and is none is ignored, as most clients do: it is padding as a rule.
fn members(mut body: &[u8], max: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        out.append(&mut whole(GzDecoder::new(&mut body), max - out.len())?);
        if !body.starts_with(GZIP_MAGIC) {
            return Some(out);
        }
    }
}

/// The frames of a zstd stream, as [`members`].
fn frames(mut body: &[u8], max: usize) -> Option<Vec<u8>> {
    let mut out = None;
    while let Some((magic, rest)) = body.split_first_chunk() {
        if *magic == ZSTD_MAGIC {
            let so_far = out.get_or_insert_with(Vec::new);
            let frame = ruzstd::decoding::StreamingDecoder::new(&mut body).ok()?;
            so_far.append(&mut whole(frame, max - so_far.len())?);
        } else if u32::from_le_bytes(*magic) & !0xf == ZSTD_SKIPPABLE {
            let (length, content) = rest.split_first_chunk()?;
            body = content.get(usize::try_from(u32::from_le_bytes(*length)).ok()?..)?;
        } else {
            break;
        }
    }
    out
}

fn whole(decoder: impl Read, max: usize) -> Option<Vec<u8>> {
    // One byte more than allowed tells a body that fits from one that was cut; a small bomb never expands beyond it.
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut out = Vec::new();
    decoder.take(limit).read_to_end(&mut out).ok()?;
    (out.len() <= max).then_some(out)
}
