//! A head that is no HTTP/1 request is answered 400, and the log says what it looks like.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::vendor;
use crate::support::process::{Config, Shim};

/// What the log says of these bytes.
async fn kind_of(shim: &Shim, bytes: &[u8]) -> String {
    let address = shim.public("").replace("http://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let client = stream.local_addr().unwrap().to_string();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(
        String::from_utf8_lossy(&answer).contains("HTTP/1.1 400 "),
        "{:?}",
        String::from_utf8_lossy(&answer)
    );
    let refused = "request head refused";
    let line = shim.line_that(refused, |line| line["message"] == refused && line["client"] == client).await;
    line["kind"].as_str().unwrap_or_else(|| panic!("{line}")).to_owned()
}

#[tokio::test]
async fn the_log_tells_kinds_of_malformed_heads_apart() {
    let config = Config::new(&vendor().await);
    config.write("stage = \"observe\"\n");
    let shim = Shim::start(&config).await;
    let hello = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\x0a\x0a";
    let proxied = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let proxied_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01\x03\xe8\x00\x50";
    for (bytes, expected) in [
        (&hello[..], "TLS on the plain port"),
        (proxied, "PROXY protocol"),
        (proxied_2, "PROXY protocol"),
        (b"GET /a\x7f HTTP/1.1\r\nhost: a\r\n\r\n", "raw bytes or blanks in the target"),
        (b"GET /a b HTTP/1.1\r\nhost: a\r\n\r\n", "raw bytes or blanks in the target"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not an HTTP/1 request line"),
        (b"GET / HTTP/1.1\r\nhost : a\r\n\r\n", "a blank in a header field's name or before its colon"),
        (
            b"GET / HTTP/1.1\r\nhost: a\r\nx-a\t: a\r\n\r\n",
            "a blank in a header field's name or before its colon",
        ),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx-a: b\r\n c\r\n\r\n", "a folded header line"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx-a\r\n\r\n", "a header line without a colon"),
        (b"GET / HTTP/1.1\r\nhost: a\r\n: b\r\n\r\n", "a header field without a name"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx(a): b\r\n\r\n", "a byte that a header field's name must not have"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx-a: b\x01\r\n\r\n", "a control byte in a header field"),
        (
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "ambiguous Content-Length or Transfer-Encoding",
        ),
    ] {
        assert_eq!(kind_of(&shim, bytes).await, expected, "{:?}", String::from_utf8_lossy(bytes));
    }
    // The kind is of the head that was refused, not of one before it on the connection.
    let second = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost : a\r\n\r\n";
    assert_eq!(kind_of(&shim, second).await, "a blank in a header field's name or before its colon");
    let second = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\nGET /a b HTTP/1.1\r\n\r\n";
    assert_eq!(kind_of(&shim, second).await, "raw bytes or blanks in the target");
}
