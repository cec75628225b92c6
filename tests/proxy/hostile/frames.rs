//! HTTP/2 as bytes: frames out of shape, out of turn, without end.

use tokio::io::AsyncWriteExt as _;

use super::{asked, unharmed};
use crate::support::wire::http2_peer::{GOAWAY, HEADERS, SETTINGS, frame};
use crate::support::wire::raw::RawConnection;
use crate::support::wire::{TestBed, bed};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const RST_STREAM: u8 = 3;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET /` with scheme and authority, from the static table.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'a'];

fn opened() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat()
}

/// A literal header, not indexed, from plain bytes.
fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
    [&[0, length(name)], name, &[length(value)], value].concat()
}

/// Sends all that and hears everything to the end, which has to come.
async fn ended(bed: &TestBed, bytes: Vec<u8>, attack: &str) -> Vec<u8> {
    let mut line = RawConnection::to(bed.shim.address).await;
    // The proxy may have heard enough before the end.
    let _ = line.stream.write_all(&bytes).await;
    let heard = line.rest_or_reset().await;
    assert!(!heard.starts_with(b"HTTP/1.1 2"), "{attack}");
    heard
}

/// The error code of a GOAWAY, if there is one.
fn goaway(mut heard: &[u8]) -> Option<u32> {
    let mut code = None;
    while heard.len() >= 9 {
        let length = u32::from_be_bytes([0, heard[0], heard[1], heard[2]]) as usize;
        let payload = heard.get(9..9 + length)?;
        if heard[3] == GOAWAY {
            code = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
        heard = &heard[9 + length..];
    }
    code
}

#[tokio::test]
async fn what_is_no_frame_or_out_of_turn_ends_the_connection() {
    let bed = bed("sealed", &[]).await;
    let after = |bytes: Vec<u8>| [opened(), bytes].concat();
    let attacks: [(&str, Vec<u8>); 15] = [
        ("a preface that is none", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX".to_vec()),
        ("settings of a wrong length", [PREFACE, &frame(SETTINGS, 0, 0, &[0; 5])].concat()),
        ("settings on a stream", after(frame(SETTINGS, 0, 1, b""))),
        ("a frame that is too long", after(frame(DATA, 0, 1, &vec![0; 1 << 20]))),
        ("data on no stream", after(frame(DATA, 0, 0, b"x"))),
        ("data on a stream that is not open", after(frame(DATA, 0, 5, b"x"))),
        ("headers on no stream", after(frame(HEADERS, END_HEADERS | END_STREAM, 0, GET))),
        ("headers on a stream of the server's", after(frame(HEADERS, END_HEADERS | END_STREAM, 2, GET))),
        ("headers that do not decode", after(frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 50]))),
        ("padding past the frame", after(frame(HEADERS, END_HEADERS | 8, 1, &[200, 0x82]))),
        ("a push by a client", after(frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82]))),
        ("a continuation of nothing", after(frame(CONTINUATION, END_HEADERS, 1, GET))),
        ("a ping of a wrong length", after(frame(PING, 0, 0, &[0; 7]))),
        ("a window that overflows", after(frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]))),
        ("a reset of nothing", after(frame(RST_STREAM, 0, 7, &[0; 4]))),
    ];
    for (attack, bytes) in attacks {
        ended(&bed, bytes, attack).await;
    }
    assert!(bed.sandbox.inspector().requests().is_empty());
    unharmed(&bed, "bad frames").await;
}

/// Streams that are out of shape are refused one by one, before anything is asked upstream.
#[tokio::test]
async fn a_stream_that_is_no_request_is_reset() {
    let bed = bed("sealed", &[]).await;
    let base = [0x82, 0x86, 0x84];
    let blocks = [
        [&base[..], &field(b"connection", b"close")].concat(),
        [&base[..], &field(b"transfer-encoding", b"chunked")].concat(),
        [&base[..], &field(b"te", b"gzip")].concat(),
        [&base[..], &field(b"Upper", b"x")].concat(),
        [&base[..], &field(b"x", b"a\r\nx-evil: 1")].concat(),
        [&base[..], &field(b"x", b"a\0b")].concat(),
        [&base[..], &field(b"x\r\ny", b"a")].concat(),
        [&base[..], &field(b":path", b"/v2/other")].concat(),
        [&field(b"x", b"y")[..], &base].concat(),
        vec![0x82],
        vec![0x86, 0x84],
    ];
    for block in blocks {
        let mut line = RawConnection::to(bed.shim.address).await;
        let bytes =
            [opened(), frame(HEADERS, END_HEADERS | END_STREAM, 1, &block), frame(PING, 0, 0, b"finished")]
                .concat();
        line.say(bytes).await;
        let is_reset = crate::support::soon(async {
            loop {
                let head = line.exactly(9).await;
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let payload = line.exactly(length).await;
                match head[3] {
                    RST_STREAM | GOAWAY => return true,
                    // An answer, which must be a refusal: nothing was asked upstream.
                    HEADERS => return true,
                    PING if payload == b"finished" && head[4] == 1 => {}
                    _ => {}
                }
            }
        });
        assert!(is_reset.await, "{block:?}");
    }
    assert_eq!(asked(&bed.sandbox), [""; 0]);
    unharmed(&bed, "bad streams").await;
}

#[tokio::test]
async fn two_lengths_over_http_2_are_reset() {
    let bed = bed("sealed", &[]).await;
    let block =
        [&[0x83, 0x86, 0x84][..], &field(b"content-length", b"1"), &field(b"content-length", b"2")].concat();
    let mut line = RawConnection::to(bed.shim.address).await;
    line.say([opened(), frame(HEADERS, END_HEADERS, 1, &block), frame(DATA, END_STREAM, 1, b"x")].concat())
        .await;
    loop {
        let head = line.exactly(9).await;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let payload = line.exactly(length).await;
        assert_ne!(head[3], HEADERS, "no answer");
        if head[3] == RST_STREAM {
            assert_eq!(payload, 1_u32.to_be_bytes(), "PROTOCOL_ERROR");
            break;
        }
    }
    assert!(bed.sandbox.inspector().requests().is_empty());
    unharmed(&bed, "two lengths").await;
}

#[tokio::test]
async fn headers_that_go_on_for_ever_end_the_connection() {
    let bed = bed("sealed", &[]).await;
    let mut bytes = [opened(), frame(HEADERS, END_STREAM, 1, GET)].concat();
    for _ in 0..2000 {
        bytes.extend(frame(CONTINUATION, 0, 1, &field(b"x", &[b'y'; 100])));
    }
    let heard = ended(&bed, bytes, "continuations").await;
    assert!(goaway(&heard).is_none_or(|code| code != 0), "{heard:?}");
    let mut empty = [opened(), frame(HEADERS, END_STREAM, 1, GET)].concat();
    empty.extend(frame(CONTINUATION, 0, 1, b"").repeat(20_000));
    ended(&bed, empty, "empty continuations").await;
    assert!(bed.sandbox.inspector().requests().is_empty());
    unharmed(&bed, "continuations").await;
}

#[tokio::test]
async fn streams_that_are_reset_as_soon_as_they_are_opened_end_the_connection() {
    let bed = bed("sealed", &[]).await;
    let mut bytes = opened();
    for stream in (1..20_001).step_by(2) {
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, GET));
        bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    let heard = ended(&bed, bytes, "rapid reset").await;
    assert!(goaway(&heard).is_none_or(|code| code != 0));
    let asked = bed.sandbox.inspector().requests().len();
    assert!(asked < 5000, "it was cut off half-way at the latest: {asked}");
    unharmed(&bed, "rapid reset").await;
}

/// The proxy is made to do the resetting: each stream's window is opened too far.
#[tokio::test]
async fn resets_that_a_client_provokes_end_the_connection() {
    let bed = bed("sealed", &[]).await;
    let mut bytes = opened();
    for stream in (1..20_001).step_by(2) {
        bytes.extend(frame(HEADERS, END_HEADERS, stream, GET));
        bytes.extend(frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]));
    }
    let heard = ended(&bed, bytes, "provoked resets").await;
    assert!(goaway(&heard).is_none_or(|code| code != 0));
    unharmed(&bed, "provoked resets").await;
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused_and_the_rest_is_served() {
    let bed = bed("sealed", &[("limits.http2_streams_max", "3")]).await;
    let fault =
        conversion_shim::sandbox::Fault::new(conversion_shim::sandbox::FaultKind::Gate { applied: false });
    let gate = bed.sandbox.faults().arm(fault);
    let mut line = RawConnection::to(bed.shim.address).await;
    let mut bytes = opened();
    for stream in [1, 3, 5, 7, 9] {
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, GET));
    }
    line.say(bytes).await;
    let mut refused = Vec::new();
    crate::support::soon(gate.reached(3)).await;
    while refused.len() < 2 {
        let head = line.exactly(9).await;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let payload = line.exactly(length).await;
        if head[3] == RST_STREAM {
            assert_eq!(payload, 7_u32.to_be_bytes(), "REFUSED_STREAM: a client may send it again");
            refused.push(head[8]);
        }
    }
    assert_eq!(refused, [7, 9]);
    assert_eq!(gate.hits(), 3);
    gate.open();
    unharmed(&bed, "many streams").await;
}

#[tokio::test]
async fn floods_of_frames_that_ask_for_an_answer_are_survived() {
    let bed = bed("sealed", &[]).await;
    let floods =
        [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, b""), frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])];
    for flood in floods {
        let mut line = RawConnection::to(bed.shim.address).await;
        // Nobody reads the answers; past what fits into the buffers the proxy stops to listen, or hangs up.
        let bytes = [opened(), flood.repeat(20_000)].concat();
        let written = tokio::time::timeout(std::time::Duration::from_secs(2), line.stream.write_all(&bytes));
        let _ = written.await;
        assert_eq!(bed.client.get("/v2/profiles").await.status, 200);
    }
    unharmed(&bed, "floods").await;
}
