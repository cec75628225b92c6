//! What a refused head looks like, for the log: the same 400 answers a client that speaks TLS to the plain port, a load balancer with
//! the PROXY protocol switched on, and a target with raw bytes.

/// The start of a TLS record with a handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: &[u8] = b"\x16\x03";
/// Version 1 of the PROXY protocol.
const PROXY_V1: &[u8] = b"PROXY ";
/// The first line with content of version 2: its signature begins with two empty ones.
const PROXY_V2: &[u8] = b"\0";

/// The kind of a head that begins with this line. `ambiguous`: its framing fields contradict each other. `field`: what is wrong with the
/// first malformed field.
pub(super) fn kind(start_line: &[u8], ambiguous: bool, field: Option<&'static str>) -> &'static str {
    if ambiguous {
        return "ambiguous Content-Length or Transfer-Encoding";
    }
    if start_line.starts_with(TLS_HANDSHAKE) {
        return "TLS on the plain port";
    }
    if start_line.starts_with(PROXY_V1) || start_line == PROXY_V2 {
        return "PROXY protocol";
    }
    let is_raw = |byte: &u8| !byte.is_ascii_graphic();
    let mut words = start_line.splitn(2, |byte| *byte == b' ');
    let (method, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let Some(target) = rest.strip_suffix(b" HTTP/1.1").or_else(|| rest.strip_suffix(b" HTTP/1.0")) else {
        return "not an HTTP/1 request line";
    };
    if method.is_empty() || method.iter().any(is_raw) {
        "not an HTTP/1 request line"
    } else if target.iter().any(is_raw) {
        "raw bytes or blanks in the target"
    } else {
        field.unwrap_or("a malformed header field")
    }
}

/// What is wrong with a header line, if anything is. `whole`: nothing of it is missing.
pub(super) fn defect(line: &[u8], whole: bool) -> Option<&'static str> {
    let (blank, control) =
        (|byte: &u8| b" \t".contains(byte), |byte: &u8| byte.is_ascii_control() && *byte != b'\t');
    if line.first().is_some_and(blank) {
        return Some("a folded header line");
    }
    let colon = memchr::memchr(b':', line);
    let (name, value) = line.split_at(colon.unwrap_or(line.len()));
    if name.iter().any(blank) {
        Some("a blank in a header field's name or before its colon")
    } else if colon.is_none() {
        whole.then_some("a header line without a colon")
    } else if name.is_empty() {
        Some("a header field without a name")
    } else if !name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)) {
        Some("a byte that a header field's name must not have")
    } else {
        value.iter().any(control).then_some("a control byte in a header field")
    }
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn each_kind_has_its_name() {
        for (line, expected) in [
            (&b"\x16\x03\x01\x02\x00\x01\x00"[..], "TLS on the plain port"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2", "PROXY protocol"),
            (b"\0", "PROXY protocol"),
            (b"GET /a\xffb HTTP/1.1", "raw bytes or blanks in the target"),
            (b"GET /a b HTTP/1.1", "raw bytes or blanks in the target"),
            (b"GET /a\x01 HTTP/1.0", "raw bytes or blanks in the target"),
            (b"GET /", "not an HTTP/1 request line"),
            (b"SSH-2.0-OpenSSH_9.2", "not an HTTP/1 request line"),
            (b"\xff\xfe", "not an HTTP/1 request line"),
            (b"", "not an HTTP/1 request line"),
            (b"GET / HTTP/1.1", "a malformed header field"),
        ] {
            assert_eq!(kind(line, false, None), expected, "{line:?}");
        }
        assert_eq!(kind(b"GET / HTTP/1.1", true, Some("x")), "ambiguous Content-Length or Transfer-Encoding");
    }
}
