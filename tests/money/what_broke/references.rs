//! References that were looked for in the wrong place, or not at all.

use std::io::Write as _;

use conversion_shim::sandbox::{
    Fault, FaultKind, HiddenRecords, Mirror, Operation, PROFILE, TOKEN, Tally, Variants,
};
use conversion_shim::translate::side::Side;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{BACK, LIVE, OBSERVE, ORCHESTRATIONS, READY, SEALED, World};
use crate::support::test_bed::{Caller, LEGACY, conversion, one_on};

const ANOTHER_KIND: &str = "urn:conversion-shim:problem:ref-id-used-by-another-record";

/// A create in the new API's own shape.
pub(crate) fn orchestration(ref_id: &str, destination: &Value) -> String {
    let source = json!({ "profile": { "profile_id": PROFILE } });
    let destination = if destination.is_null() { source.clone() } else { destination.clone() };
    json!({
        "ref_id": ref_id, "source_amount": "1.50", "source_asset": "USD", "destination_asset": "PYUSD",
        "source": source, "destination": destination,
    })
    .to_string()
}

#[tokio::test]
async fn a_create_through_the_new_apis_own_path_is_found_by_a_legacy_create() {
    for stage in [OBSERVE, READY] {
        let world = World::at(stage).await;
        let native = world.client.ask(Method::POST, ORCHESTRATIONS, orchestration("r", &Value::Null)).await;
        let problem = world.client.create("r").await.problem(409);
        assert_eq!(problem["meta"]["existing"]["id"], native.id(), "{stage}");
        assert_eq!(world.made("r"), one_on(Side::New), "{stage}");
        // And the other way round.
        world.client.create("legacy").await.id();
        let refused =
            world.client.ask(Method::POST, ORCHESTRATIONS, orchestration("legacy", &Value::Null)).await;
        refused.problem(409);
        assert_eq!(world.made("legacy"), one_on(Side::Legacy), "{stage}");
    }
}

#[tokio::test]
async fn a_stray_row_of_the_other_side_does_not_confirm_a_reference() {
    for stage in [OBSERVE, READY] {
        let world = World::at(stage).await;
        for ref_id in ["k", "warm"] {
            world.client.ask(Method::POST, ORCHESTRATIONS, orchestration(ref_id, &Value::Null)).await.id();
        }
        world.client.create("warm").await.problem(409);
        // The check on new is answered twice, and the look on legacy takes the copy.
        let twice = Fault::new(FaultKind::Twice).on(Side::New, Operation::List).times(1);
        world.sandbox.faults().arm(twice);
        world.client.create("k").await.problem(409);
        world.client.create("k").await.problem(409);
        assert_eq!(world.made("k"), one_on(Side::New), "{stage}");
        let id = world.client.create("k").await.problem(409)["meta"]["existing"]["id"].clone();
        assert_eq!(world.record(Side::New, id.as_str().unwrap())["ref_id"], "k", "{stage}");
    }
}

#[tokio::test]
async fn a_reference_with_a_space_is_found_by_a_vendor_that_reads_plus_literally() {
    let world = World::with(Variants { plus_is_literal: true, ..Variants::default() }, LIVE).await;
    for ref_id in ["a b", "a+b", " ", "%20"] {
        let id = world.seed(Side::Legacy, ref_id);
        let problem = world.client.create(ref_id).await.problem(409);
        assert_eq!(problem["meta"]["existing"]["id"], id, "{ref_id:?}");
        assert_eq!(world.made(ref_id), one_on(Side::Legacy));
    }
    assert_eq!(world.posts(Side::New), 0);
}

/// Bodies of a create that a lenient server reads, the coding of each, and the reference that it reads.
fn lenient() -> Vec<(Vec<u8>, Option<&'static str>, &'static str)> {
    let plain = conversion("r").to_string();
    let with = |from: &str, to: &str| plain.replacen(from, to, 1).into_bytes();
    let deep = format!(r#""deep":{}1{},"ref_id":"r""#, "[".repeat(200), "]".repeat(200));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(plain.as_bytes()).unwrap();
    let only_lenient = [
        ("\"ref_id\":\"a\tb\\/c\"", "a\tb/c"),
        ("\"ref_id\":\"a\\ud800b\\/c\"", "a\u{FFFD}b/c"),
        ("\"ref_id\"/*c*/:/*c*/\"r\"", "r"),
        ("\"ref_id\": // c\n\"r\"", "r"),
        ("'ref_id':'r'", "r"),
        ("ref_id:\"r\"", "r"),
        ("\"ref_id\":r", "r"),
        ("\"ref_id\":\"r\",", "r"),
        ("\"x\":NaN,\"ref_id\":\"r\"", "r"),
        ("\"x\":0x10,\"r\\u0065f_id\":\"\\u0072\"", "r"),
    ];
    let only_lenient =
        only_lenient.map(|(written, reference)| (with(r#""ref_id":"r""#, written), None, reference));
    let repeated = vec![
        (with(r#""ref_id":"r""#, r#""ref_id":"other","ref_id":"r""#), None),
        (with(r#""ref_id":"r""#, r#""ref_id":"r","ref_id":"other""#), None),
        (with(r#""ref_id":"r""#, r#""Ref_Id":"r","ref_id":"other""#), None),
        (with(r#""ref_id":"r""#, r#""refId":"r""#), None),
        (with(r#""ref_id":"r""#, &deep), None),
        ([&b"\xef\xbb\xbf"[..], plain.as_bytes()].concat(), None),
        (gzip.finish().unwrap(), Some("gzip")),
        (plain.encode_utf16().flat_map(u16::to_le_bytes).collect(), None),
    ];
    repeated.into_iter().map(|(body, coding)| (body, coding, "r")).chain(only_lenient).collect()
}

async fn send(client: &Caller, body: Vec<u8>, coding: Option<&str>) -> u16 {
    let request =
        client.http.post(format!("http://{}{LEGACY}", client.address())).bearer_auth(TOKEN).body(body);
    let request =
        if let Some(coding) = coding { request.header("content-encoding", coding) } else { request };
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_reference_that_can_be_read_in_two_ways_keeps_its_side() {
    // Side by side, because each waits until its outcome stays unknown.
    join_all(lenient().into_iter().map(|(body, coding, reference)| keeps_its_side(body, coding, reference)))
        .await;
}

async fn keeps_its_side(body: Vec<u8>, coding: Option<&str>, reference: &str) {
    let world = World::at(READY).await;
    let shown = String::from_utf8_lossy(&body).into_owned();
    // The vendor reads the reference and takes its time: the client learns nothing, and lists lag.
    let lost = world.fault(Side::Legacy, Operation::Create, FaultKind::Reset { applied: false });
    assert_eq!(send(&world.client, body, coding).await, 504, "{shown}");
    assert_eq!(world.posts(Side::Legacy), 1, "{shown}");
    world.sandbox.faults().remove(&lost);
    world.seed(Side::Legacy, reference);
    world.fault(Side::Legacy, Operation::List, FaultKind::Lag(HiddenRecords::Newest(usize::MAX)));
    world.go(LIVE).await;
    world.client.create(reference).await.problem(409);
    assert_eq!((world.made(reference), world.posts(Side::New)), (one_on(Side::Legacy), 0), "{shown}");
}

#[tokio::test]
async fn a_withdrawal_that_uses_the_reference_is_no_conversion() {
    for stage in [READY, BACK, LIVE] {
        let world = World::at(stage).await;
        let wallet = json!({ "crypto": { "address": "0x1", "network": "ETHEREUM" } });
        assert_eq!(
            world.client.ask(Method::POST, ORCHESTRATIONS, orchestration("r", &wallet)).await.status,
            200
        );
        let problem = world.client.create("r").await.problem(409);
        assert_eq!(problem["type"], ANOTHER_KIND, "{stage}: {problem}");
        assert!(problem["meta"].is_null(), "{problem}");
        assert_eq!(world.made("r"), Tally { legacy: 0, new: 1 });
    }
}

#[tokio::test]
async fn a_create_without_a_token_does_not_keep_the_owner_from_the_reference() {
    for stage in [OBSERVE, READY] {
        let world = World::at(stage).await;
        let url = format!("http://{}{LEGACY}", world.client.address());
        world.client.create("used before").await.id();
        for ref_id in ["one", "two"] {
            let body = conversion(ref_id).to_string();
            let answer = world.client.http.post(&url).body(body).send().await.unwrap();
            assert_eq!(answer.status(), 401);
        }
        world.go(READY).await;
        world.go(SEALED).await;
        for ref_id in ["one", "two"] {
            world.client.create(ref_id).await.id();
            assert_eq!(world.made(ref_id), one_on(Side::New));
        }
    }
}

#[tokio::test]
async fn a_mirror_does_not_move_a_claim() {
    for (mirror, mirror_own_created_at) in
        [(Mirror::SameId, false), (Mirror::SameId, true), (Mirror::OtherId, false), (Mirror::OtherId, true)]
    {
        let world =
            World::with(Variants { mirror, mirror_own_created_at, ..Variants::default() }, BACK).await;
        let id = world.seed(Side::Legacy, "older");
        for stage in [BACK, LIVE, BACK, LIVE] {
            world.go(stage).await;
            let problem = world.client.create("older").await.problem(409);
            assert_eq!(problem["meta"]["existing"]["id"], id, "{mirror:?}, {stage}");
            assert_eq!((world.made("older"), world.posts(Side::New)), (one_on(Side::Legacy), 0), "{stage}");
        }
    }
}

#[tokio::test]
async fn a_mirror_of_new_on_legacy_makes_no_double_and_no_false_404() {
    for (mirror_back, mirror_own_created_at) in
        [(Mirror::SameId, false), (Mirror::SameId, true), (Mirror::OtherId, false), (Mirror::OtherId, true)]
    {
        let variants = Variants { mirror_back, mirror_own_created_at, ..Variants::default() };
        let world = World::with(variants, LIVE).await;
        let native = |ref_id| orchestration(ref_id, &Value::Null);
        let own = world.client.create("own").await.id();
        let passed = world.client.ask(Method::POST, ORCHESTRATIONS, native("passed")).await.id();
        let vendor = Caller::of(world.sandbox.addr());
        let past = vendor.ask(Method::POST, ORCHESTRATIONS, native("past")).await.id();
        for stage in [BACK, LIVE, BACK] {
            world.go(stage).await;
            for (ref_id, id) in [("own", &own), ("passed", &passed), ("past", &past)] {
                let problem = world.client.create(ref_id).await.problem(409);
                let shown = problem["meta"]["existing"]["id"].as_str().unwrap();
                for id in [id, shown] {
                    assert_eq!(world.client.get(id).await.id(), id, "{mirror_back:?}, {stage}, {ref_id}");
                    assert_ne!(
                        world.client.cancel(id).await.status,
                        404,
                        "{mirror_back:?}, {stage}, {ref_id}"
                    );
                }
                assert_eq!(world.made(ref_id), one_on(Side::New), "{mirror_back:?}, {stage}");
            }
        }
        assert_eq!(world.posts(Side::Legacy), 0);
    }
}
