//! What is known about the vendor beyond its documents, and what follows from it for lists and lookups.

use conversion_shim::ledger::{Fingerprint, Key};
use conversion_shim::sandbox::{
    FaultKind, Mirror, Operation, PROFILE, ProfileFilter, SECOND_PROFILE, Variants,
};
use conversion_shim::translate::side::Side;
use serde_json::{Value, json};

use super::outcome::Bare;
use crate::support::test_bed::{BACK, Caller, TestBed, new_record, old_record};

const LIMITS: [usize; 6] = [1, 2, 3, 7, 40, 1000];

/// A legacy conversion, and the same as new mirrors it.
fn pair(number: usize, at: &str, same_id: bool) -> (Value, Value) {
    let ref_id = format!("r-{number}");
    let (mut old, mut new) = (old_record(&ref_id, at), new_record(&ref_id, at));
    // In no order, so that ties meet in both orders.
    old["id"] = format!("{:02}-legacy", number * 17 % 37).into();
    new["id"] = if same_id { old["id"].clone() } else { format!("{:02}-new", number * 23 % 41).into() };
    (old, new)
}

fn seed(house: &TestBed, (old, new): (Value, Value)) -> String {
    house.sandbox.inspector().seed_orchestration(new);
    house.sandbox.inspector().seed_conversion(old)
}

/// Mirrored conversions, several of one instant, and conversions of new alone; the ids that a client may see, oldest first.
fn fill(house: &TestBed, same_id: bool) -> Vec<String> {
    let mut expected = Vec::new();
    for number in 0..30 {
        let at = format!("2026-01-01T00:00:{:02}.000001Z", number / 4);
        expected.push((at.clone(), seed(house, pair(number, &at, same_id))));
        if number % 3 == 0 {
            let mut own = new_record(&format!("own-{number}"), &at);
            own["id"] = format!("{:02}-own", number * 7 % 31).into();
            expected.push((at, house.sandbox.inspector().seed_orchestration(own)));
        }
    }
    expected.sort();
    expected.into_iter().map(|(_, id)| id).collect()
}

async fn both_orders(client: &Caller, query: &str, expected: &[String]) {
    for limit in LIMITS {
        let (ids, pages) = client.all(&format!("order=ASC&limit={limit}{query}")).await;
        assert_eq!(ids, expected, "limit {limit}");
        assert_eq!(
            pages,
            expected.len().div_ceil(limit),
            "full pages, and a cursor exactly when there is more"
        );
        let (ids, _) = client.all(&format!("limit={limit}{query}")).await;
        assert!(ids.iter().rev().eq(expected), "limit {limit}: {ids:?}");
    }
}

#[tokio::test]
async fn a_mirrored_record_is_shown_once_whatever_the_page_size() {
    for (fact, same_id) in [("same_id", true), ("other_id", false)] {
        let house = TestBed::with(&[("stage", "live"), ("facts.mirror", fact)]).await;
        let expected = fill(&house, same_id);
        both_orders(&house.client, "", &expected).await;
    }
}

#[tokio::test]
async fn a_record_that_legacy_mirrors_is_shown_as_new_shows_it() {
    let house = TestBed::with(&[("stage", "live"), ("facts.mirror_back", "other_id")]).await;
    let at = "2026-01-01T00:00:00Z";
    for number in 0..3 {
        seed(&house, pair(number, at, false));
    }
    let (ids, _) = house.client.all("limit=2").await;
    assert!(ids.len() == 3 && ids.iter().all(|id| id.ends_with("new")), "{ids:?}");
}

/// Both sides list each other's records: the claim says whose it is.
#[tokio::test]
async fn the_side_that_the_claim_names_is_shown() {
    let house =
        TestBed::with(&[("stage", "live"), ("facts.mirror", "other_id"), ("facts.mirror_back", "other_id")])
            .await;
    let mut expected = Vec::new();
    for number in 0..9 {
        let (old, new) = pair(number, "2026-01-01T00:00:00Z", false);
        let (old_id, new_id) =
            (old["id"].as_str().unwrap().to_owned(), new["id"].as_str().unwrap().to_owned());
        seed(&house, (old, new));
        let ref_id = format!("r-{number}");
        let key = Key::new("default", &ref_id).unwrap();
        let claimed = [Some(Side::Legacy), Some(Side::New), None][number % 3];
        if let Some(side) = claimed {
            house.ledger.claim(key, side, &Fingerprint([0; 32])).await.unwrap();
        }
        expected.push(if claimed == Some(Side::New) { new_id } else { old_id });
    }
    expected.sort();
    both_orders(&house.client, "", &expected).await;
}

#[tokio::test]
async fn a_reload_changes_what_is_known() {
    let house = TestBed::at("live").await;
    let once = fill(&house, false);
    for facts in [&[][..], &[("facts.mirror", "no"), ("facts.mirror_back", "no")]] {
        house.go(&[&[("stage", "live")], facts].concat()).await;
        let (ids, _) = house.client.all("limit=7").await;
        assert_eq!(ids.len(), once.len() + 30, "both are shown while nobody knows that they are one");
    }
    house.go(&[("stage", "live"), ("facts.mirror", "other_id")]).await;
    assert_eq!(house.client.all("limit=7").await.0.len(), once.len());
}

/// A mirror that was written a moment later has the same id, and another time.
#[tokio::test]
async fn a_mirror_with_the_same_id_and_another_time_is_shown_once() {
    let house = TestBed::with(&[("stage", "live"), ("facts.mirror", "same_id")]).await;
    for number in 0..5 {
        let (old, mut new) = pair(number, &format!("2026-01-01T00:00:0{number}Z"), true);
        new["created_at"] = format!("2026-01-01T00:00:0{number}.25Z").into();
        seed(&house, (old, new));
    }
    for query in ["limit=100", "limit=100&order=ASC"] {
        assert_eq!(house.client.all(query).await.0.len(), 5);
    }
}

/// However late the mirrors are written, and whichever page they fall on: the ledger knows whose the ids are.
#[tokio::test]
async fn a_late_mirror_of_a_known_record_is_shown_once_whatever_the_page_size() {
    let house = TestBed::with(&[("stage", "live"), ("facts.mirror", "same_id")]).await;
    let mut expected = Vec::new();
    for number in 0..8 {
        let (old, mut new) = pair(number, &format!("2026-01-01T00:00:{number:02}Z"), true);
        new["created_at"] = format!("2026-01-01T00:00:{:02}.5Z", number + 3).into();
        let id = seed(&house, (old, new));
        let ref_id = format!("r-{number}");
        let key = Key::new("default", &ref_id).unwrap();
        house.ledger.claim(key, Side::Legacy, &Fingerprint([0; 32])).await.unwrap();
        house.ledger.remember_id(key, 1, Side::Legacy, &id).await.unwrap().unwrap();
        expected.push(id);
    }
    both_orders(&house.client, "", &expected).await;
    // New alone holds nothing but mirrors.
    house.go(&[("stage", "sealed")]).await;
    both_orders(&house.client, "", &expected).await;
}

/// The sandbox's mirrors. With an id and a time of their own, nobody can tell them from doubles.
#[tokio::test]
async fn mirrors_of_creates_are_shown_once_where_they_can_be_told() {
    for (mirror, mirror_own_created_at, fact, rows) in [
        (Mirror::SameId, false, "same_id", 1),
        (Mirror::SameId, true, "same_id", 1),
        (Mirror::OtherId, false, "other_id", 1),
        (Mirror::OtherId, true, "other_id", 2),
    ] {
        let house = TestBed::with(&[("stage", "live"), ("facts.mirror", fact)]).await;
        house.go(BACK).await;
        let variants = Variants { mirror, mirror_own_created_at, ..Variants::default() };
        house.sandbox.inspector().set_variants(variants);
        for number in 0..6 {
            house.client.create(&format!("r-{number}")).await.id();
        }
        for limit in [1, 3, 100] {
            let (ids, _) = house.client.all(&format!("limit={limit}")).await;
            assert_eq!(ids.len(), 6 * rows, "{mirror:?} {mirror_own_created_at}, limit {limit}: {ids:?}");
        }
    }
}

/// The old API takes creates without a reference; the new one does not, so what it lists without one is a mirror.
#[tokio::test]
async fn a_mirror_without_a_reference_is_shown_once() {
    for (fact, same_id) in [("same_id", true), ("other_id", false)] {
        let house = TestBed::with(&[("stage", "live"), ("facts.mirror", fact)]).await;
        for (number, ref_id) in [Value::Null, "".into()].into_iter().enumerate() {
            let (mut old, mut new) = pair(number, "2026-01-01T00:00:00Z", same_id);
            (old["ref_id"], new["ref_id"]) = (ref_id.clone(), ref_id);
            seed(&house, (old, new));
        }
        let (ids, _) = house.client.all("limit=1").await;
        assert!(ids.len() == 2 && ids.iter().all(|id| id.ends_with("legacy")), "{ids:?}");
    }
}

#[tokio::test]
async fn a_true_double_is_never_hidden() {
    let house =
        TestBed::with(&[("stage", "live"), ("facts.mirror", "other_id"), ("facts.mirror_back", "same_id")])
            .await;
    let at = "2026-01-01T00:00:00Z";
    let differing = [
        ("created_at", "2026-01-01T00:00:00.000000001Z".into()),
        ("source_amount", "1.51".into()),
        ("source_asset", "USDP".into()),
        ("destination_asset", "USDG".into()),
        ("source", json!({ "profile": { "profile_id": SECOND_PROFILE } })),
        ("destination", json!({ "profile": { "profile_id": SECOND_PROFILE } })),
    ];
    for (number, (member, value)) in differing.iter().enumerate() {
        let (old, mut new) = pair(number, at, false);
        new[member] = value.clone();
        seed(&house, (old, new));
    }
    for limit in [1, 3, 100] {
        let (ids, _) = house.client.all(&format!("limit={limit}")).await;
        assert_eq!(ids.len(), 2 * differing.len(), "{ids:?}");
    }
    let (old, mut new) = pair(90, at, true);
    new["source_amount"] = "2".into();
    let id = seed(&house, (old, new));
    let (ids, _) = house.client.all("").await;
    assert_eq!(ids.iter().filter(|shown| **shown == id).count(), 2, "one id is not enough: {ids:?}");
}

/// More rows of one instant than the calls bring: they cannot all be paired, and none may be missing.
#[tokio::test]
async fn a_crowded_instant_is_shown_to_its_end() {
    let keys = [("stage", "live"), ("facts.mirror", "other_id"), ("list.upstream_calls_max", "2")];
    let house = TestBed::with(&keys).await;
    let expected: Vec<_> =
        (0..30).map(|number| seed(&house, pair(number, "2026-01-01T00:00:00Z", false))).collect();
    for limit in [1, 2, 5] {
        let (ids, _) = house.client.all(&format!("limit={limit}")).await;
        assert!(expected.iter().all(|id| ids.contains(id)), "limit {limit}: {ids:?}");
    }
}

/// A directed settlement credits another profile, by which new filters.
#[tokio::test]
async fn a_filter_by_target_misses_no_directed_settlement() {
    let house = TestBed::with(&[("stage", "live"), ("facts.profile_filter", "target")]).await;
    house
        .sandbox
        .inspector()
        .set_variants(Variants { profile_filter: ProfileFilter::Target, ..Variants::default() });
    let mut expected = Vec::new();
    for number in 0..12 {
        let at = format!("2026-01-01T00:00:{number:02}Z");
        let mut record = new_record(&format!("r-{number}"), &at);
        match number % 3 {
            0 => record["destination"] = json!({ "profile": { "profile_id": SECOND_PROFILE } }),
            1 => record["source"] = json!({ "profile": { "profile_id": SECOND_PROFILE } }),
            _ => {}
        }
        let id = house.sandbox.inspector().seed_orchestration(record);
        if number % 3 != 1 {
            expected.push(id);
        }
        if number % 4 == 0 {
            expected.push(house.sandbox.inspector().seed_conversion(old_record("", &at.replace('Z', ".5Z"))));
        }
    }
    both_orders(&house.client, &format!("&profile_id={PROFILE}"), &expected).await;
    // No page asks more than it may.
    let keys = [("stage", "live"), ("facts.profile_filter", "target"), ("list.upstream_calls_max", "2")];
    house.go(&keys).await;
    let (ids, _) = house.client.all(&format!("order=ASC&limit=7&profile_id={PROFILE}")).await;
    assert_eq!(ids, expected);
    // Without the fact the filter is believed.
    house.go(&[("facts.profile_filter", "")]).await;
    let (ids, _) = house.client.all(&format!("profile_id={PROFILE}")).await;
    assert!(ids.len() < expected.len(), "{ids:?}");
}

/// New compares references without regard to case; a list and a duplicate check find the same record.
#[tokio::test]
async fn references_match_as_the_vendor_is_known_to_compare_them() {
    let house = TestBed::with(&[("stage", "live"), ("timeouts.create", "2s")]).await;
    house.client.create("somebody else's").await.id();
    house.go(BACK).await;
    let id = house.sandbox.inspector().seed_orchestration(new_record("Ref", "2026-01-01T00:00:00Z"));
    // What such a vendor answers to a lookup of `ref`.
    house.fault(Side::New, Operation::List, FaultKind::IgnoreFilters);
    let with = |fact: &'static str| [BACK, &[("facts.ref_match", fact)]].concat();
    for (fact, refused) in [("", 503), ("exact", 503), ("trimmed", 503), ("case", 409)] {
        house.go(&with(fact)).await;
        let problem = house.client.create("ref").await.problem(refused);
        assert!(refused == 503 || problem["meta"]["existing"]["id"] == id, "{problem}");
        let (ids, _) = house.client.all("ref_id=ref").await;
        assert_eq!(ids.contains(&id), fact == "case", "{fact:?}: {ids:?}");
    }
    assert_eq!(house.posts(Side::Legacy), 0);
}

#[tokio::test]
async fn another_body_is_an_empty_list_only_where_that_is_known() {
    let house = TestBed::with(&[("stage", "live"), ("timeouts.create", "2s")]).await;
    house.client.create("somebody else's").await.id();
    let (absent, null) = ("{}", r#"{"items":null}"#);
    let both = format!("{absent},{null}");
    let cases = [
        (absent, "", false),
        (null, "", false),
        (absent, null, false),
        (null, absent, false),
        (absent, absent, true),
        (null, null, true),
        (absent, &both, true),
        // Known or not, a list that is not whole proves nothing.
        (r#"{"next_page_cursor":"c"}"#, &both, false),
        (r#"{"conversions":[{}]}"#, &both, false),
        (r#"{"items":null,"has_more":true}"#, &both, false),
        (r#"{"total":0}"#, &both, false),
    ];
    for (number, (body, known, is_absent)) in cases.into_iter().enumerate() {
        let bare = Bare::answering(body, "{}").await;
        let url = bare.url();
        house.go(&[("upstream.legacy.url", &url), ("facts.empty_list", known)]).await;
        let answer = house.client.create(&format!("r-{number}")).await;
        assert_eq!(answer.status, if is_absent { 200 } else { 503 }, "{body} with {known:?}: {answer:?}");
    }
}
