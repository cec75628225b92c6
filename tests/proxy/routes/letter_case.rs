//! Ids and assets in another letter case than the vendor's, at a vendor that reads a UUID as a UUID and answers it in lower case.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use conversion_shim::translate::create::CreateRequest;
use http::Method;
use serde_json::{Value, json};

use crate::support::test_bed::{Answer, TestBed, conversion};
use crate::support::wire::scripted::{self, Asked, Said, ScriptedVendor, problem};

const PROFILE: &str = "7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c";
const OTHER: &str = "00000000-1d3b-4a5e-9f6c-8b2d7e0a4f1c";

#[derive(Default)]
struct State {
    /// Of both sides, each with `new`: whether it is there.
    records: Mutex<Vec<(bool, Value)>>,
    posts: AtomicU64,
    /// New does not show single records.
    new_lags: AtomicBool,
    /// New knows ids only as it wrote them.
    new_is_strict: AtomicBool,
}

impl State {
    fn answer(&self, asked: &Asked) -> Said {
        let is_new = asked.is_for_new();
        let collection = if is_new { "orchestrations" } else { "stablecoins" };
        let mut records = self.records.lock().unwrap();
        if asked.method == Method::POST {
            self.posts.fetch_add(1, Ordering::Relaxed);
            let body: Value = serde_json::from_slice(&asked.body).unwrap();
            let is_same =
                |(side, record): &&(bool, Value)| *side == is_new && record["ref_id"] == body["ref_id"];
            if let Some((_, existing)) = records.iter().find(is_same) {
                return scripted::json(existing);
            }
            let record = made(body, records.len());
            records.push((is_new, record.clone()));
            return scripted::json(&record);
        }
        let of_side = || records.iter().filter(|(side, _)| *side == is_new).map(|(_, record)| record);
        if asked.id() == collection {
            let profile = asked.parameter("profile_id").map(|id| id.to_lowercase());
            let ref_id = asked.parameter("ref_id");
            let is_listed = |record: &&Value| {
                profile.as_ref().is_none_or(|id| record["profile_id"] == **id)
                    && ref_id.as_ref().is_none_or(|id| record["ref_id"] == **id)
            };
            return scripted::json(&json!({ "items": of_side().filter(is_listed).collect::<Vec<_>>() }));
        }
        let is_strict = is_new && self.new_is_strict.load(Ordering::Relaxed);
        let id = if is_strict { asked.id().to_owned() } else { asked.id().to_lowercase() };
        let lags = is_new && self.new_lags.load(Ordering::Relaxed);
        match of_side().find(|record| record["id"] == id).filter(|_| !lags) {
            Some(record) => scripted::json(record),
            None => problem(404, "not found"),
        }
    }
}

/// What a vendor makes of a create that reads UUIDs and assets without regard to their letter case.
fn made(mut body: Value, number: usize) -> Value {
    let lower = |value: &mut Value| {
        if let Some(text) = value.as_str() {
            *value = text.to_lowercase().into();
        }
    };
    let upper = |value: &mut Value| *value = value.as_str().unwrap().to_uppercase().into();
    for key in ["profile_id", "identity_id", "account_id", "recipient_profile_id"] {
        body.get_mut(key).map(lower);
    }
    for key in ["source", "destination"] {
        body.pointer_mut(&format!("/{key}/profile/profile_id")).map(lower);
    }
    for key in ["source_asset", "target_asset", "destination_asset"] {
        body.get_mut(key).map(upper);
    }
    if let Some(profile) = body.pointer("/source/profile/profile_id").cloned() {
        body["profile_id"] = profile;
    }
    body["id"] = format!("aaaaaaaa-0000-4000-8000-{number:012}").into();
    body["status"] = if body.get("source").is_some() { "PROCESSING" } else { "CREATED" }.into();
    let at = format!("2026-01-01T00:00:{number:02}Z");
    (body["created_at"], body["updated_at"]) = (at.clone().into(), at.into());
    body
}

struct World {
    state: Arc<State>,
    bed: TestBed,
    url: String,
    _vendor: ScriptedVendor,
}

impl World {
    async fn at(stage: &str) -> Self {
        let state = Arc::<State>::default();
        let answering = state.clone();
        let vendor = ScriptedVendor::start(move |asked| answering.answer(asked)).await;
        let bed = TestBed::with(&keys(stage, &vendor.url)).await;
        Self { state, bed, url: vendor.url.clone(), _vendor: vendor }
    }

    async fn go(&self, stage: &str) {
        self.bed.go(&keys(stage, &self.url)).await;
    }

    /// A proxy that has only the ledger to know ids by.
    async fn replica(&self, stage: &str) -> crate::support::test_bed::Proxy {
        self.bed.replica(&keys(stage, &self.url)).await
    }
}

fn keys<'a>(stage: &'a str, url: &'a str) -> [(&'a str, &'a str); 3] {
    [("stage", stage), ("upstream.legacy.url", url), ("upstream.new.url", url)]
}

/// A create with these members changed.
fn create(ref_id: &str, members: Value) -> Value {
    let mut body = conversion(ref_id);
    body["profile_id"] = PROFILE.into();
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn a_create_is_its_own_in_every_letter_case() {
    let world = World::at("live").await;
    let upper = PROFILE.to_uppercase();
    let bare = PROFILE.replace('-', "");
    let all = [
        json!({ "profile_id": upper }),
        json!({ "profile_id": bare }),
        json!({ "account_id": upper, "identity_id": upper }),
        json!({ "source_asset": "usd", "target_asset": "pyusd" }),
        json!({ "profile_id": upper, "recipient_profile_id": PROFILE }),
        json!({ "recipient_profile_id": OTHER.to_uppercase() }),
    ];
    for (number, members) in all.into_iter().enumerate() {
        let ref_id = format!("r{number}");
        let first = world.bed.client.post(&create(&ref_id, members.clone())).await;
        let id = first.id();
        assert_eq!(first.json()["ref_id"], ref_id, "{members}");
        let again = world.bed.client.post(&create(&ref_id, members.clone())).await.problem(409);
        assert_eq!(again["meta"]["existing"]["id"], id, "{members}");
        assert_eq!(world.state.posts.load(Ordering::Relaxed), number as u64 + 1, "{members}");
    }
}

/// New answers a repeated reference with a success and the record that it has, which another request made.
#[tokio::test]
async fn a_record_of_another_request_is_not_taken_for_its_own() {
    for (asked, other) in [
        (json!({ "profile_id": PROFILE.to_uppercase() }), json!({ "profile_id": OTHER })),
        (json!({ "source_asset": "usd" }), json!({ "source_asset": "USDG" })),
        (json!({ "account_id": PROFILE.to_uppercase() }), json!({ "account_id": OTHER })),
        (json!({ "recipient_profile_id": OTHER.to_uppercase() }), json!({})),
        (json!({ "amount": "1.50" }), json!({ "amount": "1.51" })),
    ] {
        let world = World::at("live").await;
        let other = create("r", other);
        let request = CreateRequest::parse(other.to_string().as_bytes()).unwrap().to_orchestration("");
        world.state.records.lock().unwrap().push((true, made(serde_json::from_str(&request).unwrap(), 0)));
        let refused = world.bed.client.post(&create("r", asked.clone())).await.problem(409);
        assert_eq!(refused["meta"]["existing"]["amount"], other["amount"], "{asked}");
        assert_eq!(world.state.posts.load(Ordering::Relaxed), 1, "{asked}");
    }
}

#[tokio::test]
async fn one_asset_in_two_letter_cases_is_no_conversion() {
    let world = World::at("live").await;
    let same = create("r", json!({ "source_asset": "usd", "target_asset": "USD" }));
    world.bed.client.post(&same).await.problem(400);
    assert_eq!(world.state.posts.load(Ordering::Relaxed), 0);
}

fn refs(list: &Answer) -> Vec<String> {
    assert_eq!(list.status, 200, "{:?}", list.body);
    let list = list.json();
    let rows = list["items"].as_array().unwrap().iter();
    rows.map(|row| row["ref_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_list_by_profile_holds_in_every_letter_case() {
    let world = World::at("ready").await;
    let client = &world.bed.client;
    client.post(&create("old", json!({}))).await.id();
    client.post(&create("other", json!({ "profile_id": OTHER }))).await.id();
    world.go("live").await;
    client.post(&create("new", json!({}))).await.id();
    for (stage, expected) in
        [("ready", vec!["new", "old"]), ("live", vec!["new", "old"]), ("sealed", vec!["new"])]
    {
        world.go(stage).await;
        for profile in [PROFILE.to_owned(), PROFILE.to_uppercase()] {
            let list = client.list(&format!("profile_id={profile}")).await;
            assert_eq!(refs(&list), expected, "{stage} {profile}");
        }
    }
}

#[tokio::test]
async fn an_id_that_was_handed_out_is_known_in_every_letter_case() {
    let world = World::at("ready").await;
    let old = world.bed.client.post(&create("old", json!({}))).await.id();
    world.go("live").await;
    let new = world.bed.client.post(&create("new", json!({}))).await.id();
    let spellings = |id: &str| [id.to_owned(), id.to_uppercase(), id.replace('-', "")];
    // One client's proxy remembers the answer, the other's has the ledger alone.
    world.state.new_lags.store(true, Ordering::Relaxed);
    let replica = world.replica("live").await;
    for client in [&world.bed.client, &replica.client] {
        for id in spellings(&new) {
            client.get(&id).await.problem(503);
            client.cancel(&id).await.problem(503);
        }
    }
    world.state.new_lags.store(false, Ordering::Relaxed);
    world.go("sealed").await;
    let sealed = world.replica("sealed").await;
    for client in [&world.bed.client, &sealed.client] {
        for id in spellings(&old) {
            client.get(&id).await.problem(410);
            client.cancel(&id).await.problem(410);
        }
        client.get(&OTHER.to_uppercase()).await.problem(404);
    }
}

/// Legacy reads a UUID in either letter case, and new does not.
#[tokio::test]
async fn a_record_of_new_is_shown_although_new_denies_the_clients_spelling() {
    let world = World::at("live").await;
    let id = world.bed.client.post(&create("r", json!({}))).await.id();
    world.state.new_is_strict.store(true, Ordering::Relaxed);
    for stage in ["live", "sealed"] {
        let replica = world.replica(stage).await;
        for client in [&world.bed.client, &replica.client] {
            world.go(stage).await;
            assert_eq!(client.get(&id.to_uppercase()).await.id(), id, "{stage}");
            client.cancel(&id.to_uppercase()).await.problem(403);
        }
    }
}
