//! A success of the old API to a get or a cancel that is not the record: a maintenance page, an empty object, another record.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::test_bed::TestBed;
use crate::support::wire::scripted::{self, Asked, Said, ScriptedVendor, problem};

const ID: &str = "the-id";

/// What legacy answers to a get or a cancel; `None` is its 404. Whether new has the record.
#[derive(Default)]
struct State {
    legacy: Option<Said>,
    is_on_new: bool,
}

struct World {
    state: Arc<Mutex<State>>,
    bed: TestBed,
    url: String,
    _vendor: ScriptedVendor,
}

fn keys<'a>(stage: &'a str, url: &'a str) -> [(&'a str, &'a str); 3] {
    [("stage", stage), ("upstream.legacy.url", url), ("upstream.new.url", url)]
}

fn on_new(id: &str) -> Value {
    json!({
        "id": id, "profile_id": "p", "ref_id": "made-elsewhere", "source_amount": "1", "source_asset": "USD",
        "destination_asset": "PYUSD", "status": "PROCESSING", "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    })
}

fn on_legacy(id: &str, status: &str) -> Value {
    json!({ "id": id, "status": status, "amount": "1" })
}

fn answer(state: &State, asked: &Asked) -> Said {
    match asked.is_for_new() {
        true if state.is_on_new && asked.id() == ID => scripted::json(&on_new(ID)),
        false if state.legacy.is_some() => state.legacy.clone().unwrap(),
        _ => problem(404, "not found"),
    }
}

impl World {
    async fn at(stage: &str) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let answering = state.clone();
        let vendor = ScriptedVendor::start(move |asked| answer(&answering.lock().unwrap(), asked)).await;
        let bed = TestBed::with(&keys(stage, &vendor.url)).await;
        Self { state, bed, url: vendor.url.clone(), _vendor: vendor }
    }

    fn legacy_says(&self, said: Option<Said>) {
        self.state.lock().unwrap().legacy = said;
    }

    fn put_on_new(&self, is_there: bool) {
        self.state.lock().unwrap().is_on_new = is_there;
    }
}

/// Successes that show nothing of the record.
fn foreign() -> Vec<Said> {
    let json = |status, body: &str| (status, "application/json", body.to_owned());
    vec![
        (200, "text/html", "<html>maintenance</html>".into()),
        json(200, ""),
        json(200, "{}"),
        json(200, "null"),
        json(200, "[]"),
        json(200, &on_legacy("another", "CANCELLED").to_string()),
        json(200, r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"x"}"#),
        json(200, r#"{"id":"the-id","status":"CANCELLED""#),
        json(203, "{}"),
        json(204, ""),
    ]
}

#[tokio::test]
async fn a_get_believes_only_the_record() {
    let world = World::at("live").await;
    let client = &world.bed.client;
    for said in foreign() {
        // New has it: another proxy, so that no id is known.
        let replica = world.bed.replica(&keys("live", &world.url)).await;
        world.legacy_says(Some(said.clone()));
        world.put_on_new(true);
        assert_eq!(replica.client.get(ID).await.id(), ID, "{said:?}");
        // Neither has it.
        world.put_on_new(false);
        let detail = client.get(ID).await.problem(502)["detail"].clone();
        assert!(detail.as_str().unwrap().contains("legacy"), "{said:?} {detail}");
        // Nothing was learned of it.
        world.legacy_says(None);
        client.get(ID).await.problem(404);
        client.cancel(ID).await.problem(404);
    }
    // The record itself, byte for byte, whatever else it holds.
    let odd = r#" {"amount":1,"id":"the-id","more":[]} "#;
    world.legacy_says(Some((200, "application/json", odd.into())));
    assert_eq!(client.get(ID).await.body, odd);
}

#[tokio::test]
async fn a_cancel_reports_only_a_cancel_that_happened() {
    let json = |value: Value| (200, "application/json", value.to_string());
    let world = World::at("live").await;
    world.put_on_new(true);
    let mut all = foreign();
    all.extend([json(on_legacy(ID, "CREATED")), json(on_legacy(ID, "SETTLED")), json(json!({ "id": ID }))]);
    for said in all {
        let replica = world.bed.replica(&keys("live", &world.url)).await;
        let client = &replica.client;
        world.legacy_says(Some(said.clone()));
        let detail = client.cancel(ID).await.problem(502)["detail"].clone();
        assert!(detail.as_str().unwrap().contains("may have taken effect"), "{said:?} {detail}");
        world.legacy_says(None);
        if said.2.contains("the-id\",\"status\":\"C") || said.2.starts_with("{\"id\":\"the-id\"") {
            continue;
        }
        // Nothing was learned of it: new holds it.
        assert_eq!(client.get(ID).await.id(), ID, "{said:?}");
        client.cancel(ID).await.problem(403);
        replica.go(&keys("sealed", &world.url)).await;
        assert_eq!(client.get(ID).await.id(), ID, "{said:?}");
        client.cancel(ID).await.problem(403);
    }
    world.put_on_new(false);
    let cancelled = r#" {"status":"CANCELLED","id":"the-id"} "#;
    world.legacy_says(Some((200, "application/json", cancelled.into())));
    let answer = world.bed.client.cancel(ID).await;
    assert_eq!((answer.status, answer.body), (200, cancelled.into()));
    // It is known as legacy's now.
    world.legacy_says(None);
    world.bed.client.get(ID).await.problem(503);
}

/// New's answer to a get is held to the same.
#[tokio::test]
async fn another_record_of_new_is_not_shown() {
    let vendor = ScriptedVendor::start(|asked| match asked.is_for_new() {
        true => scripted::json(&on_new("another")),
        false => problem(404, "not found"),
    })
    .await;
    let bed = TestBed::with(&keys("live", &vendor.url)).await;
    bed.client.get(ID).await.problem(502);
    bed.client.cancel(ID).await.problem(502);
}

/// A route that only passes through shows what the vendor says.
#[tokio::test]
async fn pass_through_stays_as_it_is() {
    let world = World::at("observe").await;
    let page = "<html>maintenance</html>";
    world.legacy_says(Some((200, "text/html", page.into())));
    for answer in [world.bed.client.get(ID).await, world.bed.client.cancel(ID).await] {
        assert_eq!((answer.status, answer.body), (200, page.into()));
    }
}
