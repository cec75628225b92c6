//! An HTTP/1.1 upstream that answers one request twice on a pooled connection.

use conversion_shim::sandbox::{Fault, FaultKind, Operation};
use conversion_shim::translate::side::Side;
use serde_json::{Value, json};

use super::{BACK, LIVE, SEALED, Shim, World};
use crate::support::test_bed::{conversion, new_record, one_on};
use crate::support::wire::raw::{RawConnection, RawListener};

#[tokio::test]
async fn another_clients_record_is_not_the_answer_to_a_create() {
    let world = World::at(SEALED).await;
    world.sandbox.faults().arm(Fault::new(FaultKind::Twice).on(Side::New, Operation::Create).times(1));
    let first = world.client.create("first").await.id();
    let second = world.client.create("second").await;
    match second.status {
        200 => assert_eq!(world.record(Side::New, &second.id())["ref_id"], "second"),
        _ => assert_eq!(second.problem(504)["meta"]["ref_id"], "second"),
    }
    let problem = world.client.create("second").await.problem(409);
    let existing = &problem["meta"]["existing"];
    assert_eq!((existing["id"] == first, &existing["ref_id"]), (false, &json!("second")));
    assert_eq!(world.made("second"), one_on(Side::New));
}

#[tokio::test]
async fn a_stray_list_is_not_the_answer_to_a_create_on_legacy() {
    let world = World::at(BACK).await;
    // What the check was answered comes twice.
    world.sandbox.faults().arm(Fault::new(FaultKind::Twice).on(Side::New, Operation::List).times(1));
    let id = world.client.create("r").await.id();
    assert_eq!(world.record(Side::Legacy, &id)["ref_id"], "r");
    assert_eq!((world.posts(Side::Legacy), world.made("r")), (1, one_on(Side::Legacy)));
}

#[tokio::test]
async fn a_stray_empty_list_is_not_absence() {
    let world = World::at(LIVE).await;
    for ref_id in ["found", "r"] {
        world.seed(Side::Legacy, ref_id);
    }
    // It is found on legacy, and what new says of it, nothing, comes twice.
    world.sandbox.faults().arm(Fault::new(FaultKind::Twice).on(Side::New, Operation::List).times(1));
    world.client.create("found").await.problem(409);
    let problem = world.client.create("r").await.problem(409);
    assert_eq!(problem["meta"]["existing"]["ref_id"], "r");
    assert_eq!((world.posts(Side::New), world.made("r")), (0, one_on(Side::Legacy)));
}

/// Reads one request and answers it so many times in one write. Returns the request line.
async fn answer(line: &mut RawConnection, body: &str, times: usize) -> String {
    let request = line.message().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
    line.say(format!("{head}: {}\r\n\r\n{body}", body.len()).repeat(times)).await;
    request.start().to_owned()
}

#[tokio::test]
async fn a_connection_with_bytes_that_nobody_asked_for_is_closed() {
    let listener = RawListener::open().await;
    let shim = Shim::before(&listener.url("/v2"), LIVE, "").await;
    for (number, times) in [2, 1].into_iter().enumerate() {
        let ref_id = format!("r{number}");
        let client = shim.client();
        let create = tokio::spawn({
            let ref_id = ref_id.clone();
            async move { client.create(&ref_id).await }
        });
        let mut line = listener.next().await;
        assert!(answer(&mut line, r#"{"items":[]}"#, 1).await.starts_with("GET"), "the check");
        let mut record = new_record(&ref_id, super::LONG_AGO);
        (record["id"], record["status"]) = (json!(ref_id), json!("PROCESSING"));
        assert!(answer(&mut line, &record.to_string(), times).await.starts_with("POST"));
        assert_eq!(create.await.unwrap().id(), ref_id);
        if times == 2 {
            assert!(line.is_cut().await, "the next request gets a connection of its own");
        }
    }
}

/// Answers every POST with the same record, without a reference, and every list with nothing.
async fn forgets_references(mut line: RawConnection) {
    let mut record = new_record("", super::LONG_AGO);
    record.as_object_mut().unwrap().remove("ref_id");
    (record["id"], record["status"]) = (json!("rec-1"), json!("CREATED"));
    loop {
        let request = line.message().await;
        let body =
            if request.start().starts_with("POST") { record.to_string() } else { r#"{"items":[]}"#.into() };
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
        line.say(format!("{head}: {}\r\n\r\n{body}", body.len())).await;
    }
}

#[tokio::test]
async fn a_success_without_a_reference_on_a_reused_connection_is_looked_up() {
    let listener = RawListener::open().await;
    let shim = Shim::before(&listener.url("/v2"), super::OBSERVE, "").await;
    let vendor = tokio::spawn(async move {
        loop {
            tokio::spawn(forgets_references(listener.next().await));
        }
    });
    let client = shim.client();
    assert_eq!(client.create("first").await.id(), "rec-1", "on a connection that carried no other answer");
    // It may be the answer to another request once more.
    assert_eq!(client.create("second").await.problem(504)["meta"]["ref_id"], "second");
    // The log says why it was not believed, not that the proxy has a bug.
    let replica = shim.replica.as_ref().unwrap();
    let doubted = "the record names no ref_id, and the connection carried another answer before";
    let is_doubted = |line: &Value| line["source"].as_str().is_some_and(|source| source.contains(doubted));
    let unknown = |line: &Value| line["message"] == "the outcome of a create is unknown; looking it up";
    let line = replica.line_after(0, unknown).await.unwrap();
    assert!(is_doubted(&line) && line["cause"] == "broken", "{line}");
    let failed = replica
        .line_after(0, |line| line["target"] == "proxy" && line["error"] == "outcome-unknown")
        .await
        .unwrap();
    assert!(is_doubted(&failed), "{failed}");
    vendor.abort();
}

#[tokio::test]
async fn a_stray_record_does_not_change_where_it_was_made() {
    let world = World::at(LIVE).await;
    world.sandbox.faults().arm(Fault::new(FaultKind::Twice).on(Side::New, Operation::Create).times(1));
    let id = world.client.create("first").await.id();
    world.go(BACK).await;
    let mut body = conversion("");
    body.as_object_mut().unwrap().remove("ref_id");
    assert_eq!(world.client.post(&body).await.json()["id"], id, "a create on legacy gets the copy");
    world.go(SEALED).await;
    assert_eq!(world.client.get(&id).await.id(), id, "it is no record of the retired API");
}
