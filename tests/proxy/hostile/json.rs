//! Bodies made to break a JSON reader, sent to create.

use conversion_shim::sandbox::{PROFILE, TOKEN};
use reqwest::Method;

use super::unharmed;
use crate::support::wire::caller::answer;
use crate::support::wire::{LEGACY, TestBed, bed};

/// Texts that are none, each where it would be the key of the claim; quotes included.
const REF_IDS: [&[u8]; 20] = [
    b"\"a\xff\"",
    b"\"\xc0\xaf\"",
    b"\"\xed\xa0\x80\"",
    b"\"\xf4\x90\x80\x80\"",
    b"\"a\0b\"",
    b"\"a\nb\"",
    b"\"\\ud800\"",
    b"\"\\udc00\"",
    b"\"\\ud800\\u0041\"",
    b"\"\\x41\"",
    b"\"\\u12\"",
    b"\"open",
    b"1",
    b"[\"r\"]",
    b"\"r\",\"ref_id\":\"s\"",
    b"\"r\",\"ref_\\u0069d\":\"s\"",
    b"\"r\",\"amount\":\"2\"",
    b"\"r\"}{\"a\":1",
    b"\"r\",",
    b"\"r\"} x",
];

/// A create with something in the place of its `metadata`.
fn with_metadata(metadata: &str) -> Vec<u8> {
    format!(
        r#"{{"profile_id":"{PROFILE}","amount":"1","source_asset":"USD","target_asset":"PYUSD","ref_id":"r","metadata":{metadata}}}"#
    )
    .into_bytes()
}

/// A create with something in the place of its `ref_id`, quotes included.
fn with_ref_id(ref_id: &[u8]) -> Vec<u8> {
    let start = format!(
        r#"{{"profile_id":"{PROFILE}","amount":"1","source_asset":"USD","target_asset":"PYUSD","ref_id":"#
    );
    [start.as_bytes(), ref_id, b"}"].concat()
}

/// A create with something in the place of its `amount`, quotes included.
fn with_amount(amount: &str) -> Vec<u8> {
    format!(
        r#"{{"profile_id":"{PROFILE}","amount":{amount},"source_asset":"USD","target_asset":"PYUSD","ref_id":"r"}}"#
    )
    .into_bytes()
}

async fn send(bed: &TestBed, body: Vec<u8>) -> u16 {
    let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    let answer = answer(bed.client.ask(Method::POST, LEGACY).body(body)).await;
    assert_eq!(answer.status, 400, "{shown}: {:?}", answer.body);
    answer.problem(400)["status"].as_u64().unwrap().try_into().unwrap()
}

#[tokio::test]
async fn bombs_and_nonsense_are_400_and_convert_nothing() {
    let bed = bed("sealed", &[]).await;
    let deep = 100_000;
    let mut bodies = vec![
        "[".repeat(deep).into_bytes(),
        [vec![b'['; deep], vec![b']'; deep]].concat(),
        "{\"a\":".repeat(deep).into_bytes(),
        with_metadata(&format!("{}{}", "[".repeat(deep), "]".repeat(deep))),
        with_metadata(&format!("{}1{}", "{\"a\":".repeat(deep), "}".repeat(deep))),
        with_metadata(&format!("{{\"a\":{}{}}}", "[".repeat(deep), "]".repeat(deep))),
        format!("[{}0]", "0,".repeat(400_000)).into_bytes(),
        format!("{}1", "0".repeat(900_000)).into_bytes(),
        "\"\\u0000".repeat(50_000).into_bytes(),
        vec![b' '; 1_000_000],
        Vec::new(),
    ];
    bodies.extend(
        [
            "1e999999999",
            "-1",
            "1e5",
            "NaN",
            "Infinity",
            "0x10",
            "1.",
            "null",
            "[]",
            "{}",
            "true",
            "\"1e5\"",
            "\"-1\"",
            "\"NaN\"",
        ]
        .map(with_amount),
    );
    bodies.push(with_amount(&"9".repeat(100_000)));
    bodies.push(with_amount(&format!("1e{}", "9".repeat(10_000))));
    bodies.extend(REF_IDS.map(with_ref_id));
    bodies.push(b"\xef\xbb\xbf{}".to_vec());
    bodies.push("{}".encode_utf16().flat_map(u16::to_le_bytes).collect());
    for body in bodies {
        send(&bed, body).await;
    }
    unharmed(&bed, "JSON").await;
}

/// The same bodies where the old API judges them: what the proxy cannot read it does not claim, and at most passes on.
#[tokio::test]
async fn a_deep_body_on_its_way_to_the_old_api_breaks_nothing() {
    let bed = bed("observe", &[]).await;
    let deep = with_metadata(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)));
    let sent = bed.client.ask(Method::POST, LEGACY).bearer_auth(TOKEN).body(deep.clone());
    let refused = answer(sent).await;
    assert_eq!(refused.status, 400, "{:?}", refused.body);
    assert_eq!(bed.sandbox.inspector().conversions_by_ref().len(), 0);
    assert_eq!(bed.client.create("in-good-faith").await.status, 200);
}
