//! Attacks through the socket: one file a theme. After each the proxy is up, serves a client in good faith, and has converted
//! nothing that nobody asked for, by the vendor's own records.

mod crowd;
mod descriptors;
mod frames;
mod injection;
mod json;
mod oversized;
mod paths;
mod slow;
mod smuggling;
mod windows;

use conversion_shim::sandbox::{Operation, Sandbox, TOKEN};
use conversion_shim::translate::side::Side;

use crate::support::wire::raw::{Message, RawConnection};
use crate::support::wire::{LEGACY, TestBed, conversion};

/// The proxy is up and what was done to it converted nothing: a client in good faith makes the one conversion that there is.
async fn unharmed(bed: &TestBed, attack: &str) {
    let inspector = bed.sandbox.inspector();
    assert_eq!(inspector.conversions_by_ref().len(), 0, "{attack}");
    assert_eq!(inspector.records(Side::Legacy) + inspector.records(Side::New), 0, "{attack}");
    bed.client.id_of_new("in-good-faith").await;
    let (legacy, new) = (inspector.records(Side::Legacy), inspector.records(Side::New));
    assert_eq!((legacy, new), (0, 1), "{attack}");
    let arrived = [Side::Legacy, Side::New].map(|side| inspector.arrived(side, Operation::Create));
    assert_eq!(arrived, [0, 1], "{attack}");
}

/// What arrived at the vendor, as `METHOD path`.
fn asked(sandbox: &Sandbox) -> Vec<String> {
    let seen = sandbox.inspector().requests();
    seen.iter().map(|seen| format!("{} {}", seen.method, seen.path_and_query)).collect()
}

/// A create as bytes, with everything it needs to succeed.
fn create(ref_id: &str) -> String {
    let body = conversion(ref_id).to_string();
    format!(
        "POST {LEGACY} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Says these bytes on a connection of their own and hears a refusal of that status in the legacy shape, then the end.
async fn refused(bed: &TestBed, bytes: impl AsRef<[u8]>, status: &str) -> Message {
    let bytes = bytes.as_ref();
    let attack = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
    let mut line = RawConnection::to(bed.shim.address).await;
    line.say(bytes).await;
    let answer = problem(&mut line, status, &attack).await;
    assert_eq!(answer.header("connection").as_deref(), Some("close"), "{attack}");
    assert!(line.is_cut().await, "{attack}");
    answer
}

/// Hears a problem document of that status.
async fn problem(line: &mut RawConnection, status: &str, attack: &str) -> Message {
    let answer = line.message().await;
    assert_eq!(answer.status(), status, "{attack}");
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"), "{attack}");
    assert!(answer.header("x-request-id").is_some(), "{attack}");
    let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(document["status"].to_string(), status, "{attack}");
    assert_eq!(document["type"], "about:blank", "{attack}");
    answer
}
