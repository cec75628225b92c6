//! Each variant and each fault that changes an answer, as a client meets it.

use super::*;

async fn with(variants: Variants) -> (Sandbox, Caller) {
    funded(Options { variants, ..quiet() }).await
}

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect()
}

/// Status, content type and body.
async fn raw(client: &Caller, method: Method, path: &str, body: String) -> (u16, String, String) {
    let response = client.ask(method, path).body(body).send().await.unwrap();
    let kind = response.headers().get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned();
    (response.status().as_u16(), kind, response.text().await.unwrap())
}

#[tokio::test]
async fn variants_change_over_http_one_by_one() {
    let (sandbox, client) = funded(quiet()).await;
    let url = format!("http://{}/sandbox/variants", sandbox.addr());
    let documented = read(client.http.get(&url)).await.1;
    assert_eq!(documented, json!(Variants::default()));
    assert_eq!((&documented["list_shape"], &documented["mirror"]), (&json!("items"), &json!("off")));
    let change = async |changes: Value| read(client.http.patch(&url).body(changes.to_string())).await;
    let (status, changed) = change(json!({ "list_shape": "orchestrations" })).await;
    assert_eq!(
        (status.as_u16(), changed),
        (200, but(documented, &json!({ "list_shape": "orchestrations" })))
    );
    assert_eq!(client.get(NEW).await.1, json!({ "orchestrations": [] }));
    for wrong in [json!({ "list_shape": "rows" }), json!({ "shape": "both" }), json!([])] {
        assert_eq!(change(wrong).await.0, 400);
    }
    assert_eq!(sandbox.inspector().variants().list_shape, ListShape::Orchestrations);
}

#[tokio::test]
async fn a_mirror_shows_legacy_conversions_on_new() {
    for (mirror, own) in
        [(Mirror::SameId, false), (Mirror::SameId, true), (Mirror::OtherId, false), (Mirror::OtherId, true)]
    {
        let (sandbox, client) =
            with(Variants { mirror, mirror_own_created_at: own, ..Variants::default() }).await;
        let made = client.create("r").await;
        let (_, page) = client.get(&format!("{NEW}?ref_id=r")).await;
        let shown = &page["items"][0];
        assert_eq!(shown["id"] == made["id"], mirror == Mirror::SameId);
        assert_eq!(shown["created_at"] == made["created_at"], !own);
        assert_eq!((&shown["source_amount"], &shown["status"]), (&made["amount"], &json!("PROCESSING")));
        let id = shown["id"].as_str().unwrap();
        assert_eq!(client.get(&format!("{NEW}/{id}")).await.1, *shown);
        // It moves with the original, and is no record of its own.
        assert!(sandbox.inspector().set_status(made["id"].as_str().unwrap(), "SETTLED"));
        assert_eq!(client.get(&format!("{NEW}/{id}")).await.1["status"], "COMPLETED");
        assert_eq!(sandbox.inspector().records(Side::New), 0);
        assert_eq!(client.post(NEW, &orchestration("r")).await.0, 200, "a mirror takes no reference");
        assert_eq!(sandbox.inspector().conversions_by_ref()["r"], Tally { legacy: 1, new: 1 });
    }
}

#[tokio::test]
async fn a_mirror_shows_conversions_of_new_on_legacy() {
    for (mirror_back, own) in
        [(Mirror::SameId, false), (Mirror::SameId, true), (Mirror::OtherId, false), (Mirror::OtherId, true)]
    {
        let (sandbox, client) =
            with(Variants { mirror_back, mirror_own_created_at: own, ..Variants::default() }).await;
        let (_, made) = client.post(NEW, &orchestration("r")).await;
        let (_, page) = client.get(&format!("{LEGACY}?ref_id=r")).await;
        let shown = &page["items"][0];
        assert_eq!(shown["id"] == made["id"], mirror_back == Mirror::SameId);
        assert_eq!(shown["created_at"] == made["created_at"], !own);
        assert_eq!((&shown["amount"], &shown["status"]), (&made["source_amount"], &json!("CREATED")));
        let path = format!("{LEGACY}/{}", shown["id"].as_str().unwrap());
        assert_eq!(client.get(&path).await.1, *shown);
        let refused = client.ask(Method::DELETE, &path).send().await.unwrap();
        assert_eq!(refused.status(), 403, "new cancels nothing");
        // It moves with the original, and is no record of its own.
        assert!(sandbox.inspector().set_status(made["id"].as_str().unwrap(), "FAILED"));
        assert_eq!(client.get(&path).await.1["status"], "CANCELLED");
        assert_eq!(sandbox.inspector().records(Side::Legacy), 0);
        assert_eq!(client.post(LEGACY, &conversion("r")).await.0, 200, "a mirror takes no reference");
        assert_eq!(sandbox.inspector().conversions_by_ref()["r"], Tally { legacy: 1, new: 1 });
        // The old API has no withdrawals.
        let mut withdrawal = orchestration("w");
        withdrawal["destination"] = json!({ "crypto": { "address": "0x1", "network": "ETHEREUM" } });
        assert_eq!(client.post(NEW, &withdrawal).await.0, 200);
        assert_eq!(ids(&client.get(&format!("{LEGACY}?ref_id=w")).await.1), [""; 0]);
    }
}

#[tokio::test]
async fn one_api_lists_nothing_though_it_holds_records() {
    for (lists_nothing, silent, other) in
        [(ListsNothing::Legacy, LEGACY, NEW), (ListsNothing::New, NEW, LEGACY)]
    {
        let (sandbox, client) = funded(quiet()).await;
        let (_, legacy) = client.post(LEGACY, &conversion("r")).await;
        let (_, new) = client.post(NEW, &orchestration("r")).await;
        for (empty_list, body) in [(EmptyList::Items, json!({ "items": [] })), (EmptyList::None, json!({}))] {
            sandbox.inspector().set_variants(Variants { lists_nothing, empty_list, ..Variants::default() });
            for query in ["", "?ref_id=r"] {
                assert_eq!(client.get(&format!("{silent}{query}")).await.1, body);
                assert_eq!(ids(&client.get(&format!("{other}{query}")).await.1).len(), 1);
            }
            for (path, record) in [(LEGACY, &legacy), (NEW, &new)] {
                let id = record["id"].as_str().unwrap();
                assert_eq!(client.get(&format!("{path}/{id}")).await.0, 200);
            }
        }
    }
}

#[tokio::test]
async fn one_space_of_references_is_refused_by_either_api() {
    let (sandbox, client) = with(Variants { shared_refs: true, ..Variants::default() }).await;
    let old = client.create("old").await;
    let (status, problem) = client.post(NEW, &orchestration("old")).await;
    assert_eq!((status.as_u16(), &problem["meta"]["existing"]["id"]), (409, &old["id"]));
    assert_eq!(problem["meta"]["existing"]["source_amount"], "100");
    let (_, new) = client.post(NEW, &orchestration("new")).await;
    let (status, problem) = client.post(LEGACY, &conversion("new")).await;
    assert_eq!((status.as_u16(), &problem["meta"]["existing"]["id"]), (409, &new["id"]));
    assert_eq!(problem["meta"]["existing"]["amount"], "100");
    assert_eq!(sandbox.inspector().conversions_by_ref().len(), 2);
}

#[tokio::test]
async fn references_match_as_configured() {
    for (matching, same) in [(RefMatch::Exact, "Ref"), (RefMatch::Case, "rEF"), (RefMatch::Trim, "%20Ref ")] {
        let (_sandbox, client) = with(Variants { ref_match: matching, ..Variants::default() }).await;
        client.create("Ref").await;
        client.post(NEW, &orchestration("Ref")).await;
        for other in ["Ref", "rEF", "%20Ref "] {
            let is_same = other == "Ref" || other == same;
            for path in [LEGACY, NEW] {
                let page = client.get(&format!("{path}?ref_id={other}")).await.1;
                assert_eq!(ids(&page).len(), usize::from(is_same), "{matching:?} {other}");
            }
            let plain = other.replace("%20", " ");
            for (path, body) in [(LEGACY, conversion(&plain)), (NEW, orchestration(&plain))] {
                let expected = if is_same { 409 } else { 200 };
                assert_eq!(client.post(path, &body).await.0, expected, "{matching:?} {other}");
            }
        }
    }
}

#[tokio::test]
async fn a_plus_in_a_query_is_a_space_or_a_plus() {
    for (plus_is_literal, found) in [(false, "a b"), (true, "a+b")] {
        let (_sandbox, client) = with(Variants { plus_is_literal, ..Variants::default() }).await;
        client.create("a b").await;
        client.create("a+b").await;
        let (_, page) = client.get(&format!("{LEGACY}?ref_id=a+b")).await;
        assert_eq!(page["items"][0]["ref_id"], found);
        assert_eq!(client.get(&format!("{LEGACY}?ref_id=a%20b")).await.1["items"][0]["ref_id"], "a b");
    }
}

#[tokio::test]
async fn an_empty_list_looks_as_configured() {
    for (empty_list, expected, kind) in [
        (EmptyList::Items, r#"{"items":[]}"#, "application/json"),
        (EmptyList::Null, r#"{"items":null}"#, "application/json"),
        (EmptyList::None, "{}", "application/json"),
        (EmptyList::Html, "{}", "text/html; charset=utf-8"),
    ] {
        let (_sandbox, client) = with(Variants { empty_list, ..Variants::default() }).await;
        for path in [LEGACY, NEW] {
            let answer = raw(&client, Method::GET, path, String::new()).await;
            assert_eq!(answer, (200, kind.to_owned(), expected.to_owned()));
        }
        client.create("r").await;
        assert_eq!(ids(&client.get(LEGACY).await.1).len(), 1);
    }
}

#[tokio::test]
async fn a_repeated_reference_on_new_is_answered_as_configured() {
    for (repeated_ref, status, shows, is_problem) in [
        (RepeatedRef::Conflict, 409, true, true),
        (RepeatedRef::WithoutExisting, 409, false, true),
        (RepeatedRef::WithoutProblem, 409, false, false),
        (RepeatedRef::Success, 200, true, false),
    ] {
        let (sandbox, client) = with(Variants { repeated_ref, ..Variants::default() }).await;
        let (_, made) = client.post(NEW, &orchestration("r")).await;
        let other = but(orchestration("r"), &json!({ "source_amount": "2" })).to_string();
        let (got, _, body) = raw(&client, Method::POST, NEW, other).await;
        assert_eq!((got, body.contains(made["id"].as_str().unwrap())), (status, shows), "{body}");
        assert_eq!(body.contains("already-exists"), is_problem, "{body}");
        assert_eq!(sandbox.inspector().conversions_by_ref()["r"], Tally { legacy: 0, new: 1 });
        // The old API documents what it answers.
        client.create("r").await;
        let (_, problem) = client.post(LEGACY, &conversion("r")).await;
        assert!(problem["meta"]["existing"]["id"].is_string());
    }
}

#[tokio::test]
async fn bounds_include_their_instant_as_configured() {
    let (sandbox, client) = with(Variants::default()).await;
    let at = "2026-11-01T00:00:00.000500Z";
    let row = json!({ "created_at": at, "source_asset": "USD", "destination_asset": "PYUSD" });
    sandbox.inspector().seed_conversion(row.clone());
    sandbox.inspector().seed_orchestration(row);
    let later = "2026-11-01T00:00:00.000501Z";
    for (time_bounds, from, until, from_later) in [
        (TimeBounds::Inclusive, 1, 1, 0),
        (TimeBounds::Exclusive, 0, 0, 0),
        (TimeBounds::HalfOpen, 1, 0, 0),
        (TimeBounds::Milliseconds, 1, 1, 1),
    ] {
        sandbox.inspector().set_variants(Variants { time_bounds, ..Variants::default() });
        for (path, begin, end) in
            [(LEGACY, "created_at.begin", "created_at.end"), (NEW, "created_at.gte", "created_at.lte")]
        {
            for (query, rows) in [
                (format!("{begin}={at}"), from),
                (format!("{end}={at}"), until),
                (format!("{begin}={later}"), from_later),
            ] {
                let page = client.get(&format!("{path}?{query}")).await.1;
                assert_eq!(ids(&page).len(), rows, "{time_bounds:?} {path} {query}");
            }
        }
    }
}

#[tokio::test]
async fn lists_are_ordered_as_configured() {
    let (sandbox, client) = with(Variants::default()).await;
    let mut made = Vec::new();
    for ref_id in ["a", "b", "c"] {
        made.push(client.create(ref_id).await["id"].as_str().unwrap().to_owned());
    }
    let oldest = made.clone();
    let newest: Vec<_> = made.iter().rev().cloned().collect();
    made.sort();
    for (list_order, by_default, ascending) in [
        (ListOrder::Newest, &newest, &oldest),
        (ListOrder::Oldest, &oldest, &oldest),
        (ListOrder::Fixed, &newest, &newest),
        (ListOrder::Unsorted, &made, &made),
    ] {
        sandbox.inspector().set_variants(Variants { list_order, ..Variants::default() });
        for (query, expected) in [("", by_default), ("?order=ASC", ascending)] {
            let page = client.get(&format!("{LEGACY}{query}")).await.1;
            assert_eq!(&ids(&page), expected, "{list_order:?} {query}");
        }
    }
}

#[tokio::test]
async fn a_cursor_lives_as_long_as_configured() {
    let (sandbox, client) = with(Variants::default()).await;
    for ref_id in ["a", "b"] {
        client.create(ref_id).await;
    }
    let (_, page) = client.get(&format!("{LEGACY}?limit=1")).await;
    let next = format!("{LEGACY}?limit=1&page_cursor={}", page["next_page_cursor"].as_str().unwrap());
    assert_ne!(ids(&client.get(&next).await.1), ids(&page));
    let cursor_life_ms = 5;
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    sandbox.inspector().set_variants(Variants { cursor_life_ms, ..Variants::default() });
    assert_eq!(client.get(&next).await.0, 400);
    let stale_cursor = StaleCursor::Ignored;
    sandbox.inspector().set_variants(Variants { cursor_life_ms, stale_cursor, ..Variants::default() });
    assert_eq!(ids(&client.get(&next).await.1), ids(&page));
}

#[tokio::test]
async fn a_gateway_says_not_found_in_html() {
    let (_sandbox, client) = with(Variants { html_not_found: true, ..Variants::default() }).await;
    for (method, path) in [(Method::GET, LEGACY), (Method::GET, NEW), (Method::DELETE, LEGACY)] {
        let (status, kind, body) = raw(&client, method, &format!("{path}/nobody"), String::new()).await;
        assert_eq!((status, kind.as_str()), (404, "text/html; charset=utf-8"), "{body}");
    }
    let unknown = but(conversion("r"), &json!({ "profile_id": "nobody" }));
    assert_eq!(
        client.post(LEGACY, &unknown).await.1["title"],
        "Not Found",
        "a create is not found out of a gateway"
    );
}

#[tokio::test]
async fn member_names_of_new_may_be_in_camel_case() {
    let (_sandbox, client) = with(Variants { camel_case: true, ..Variants::default() }).await;
    let body = but(orchestration("r"), &json!({ "metadata": { "snake_key": "1" } }));
    let (_, made) = client.post(NEW, &body).await;
    assert_eq!((&made["refId"], &made["source"]["profile"]["profileId"]), (&json!("r"), &json!(PROFILE)));
    assert_eq!(made["metadata"]["snake_key"], "1");
    assert!(made.get("ref_id").is_none());
    client.post(NEW, &orchestration("s")).await;
    let (_, page) = client.get(&format!("{NEW}?limit=1&order=ASC")).await;
    assert!(page["nextPageCursor"].is_string() && page["items"][0]["refId"] == "r", "{page}");
    assert_eq!(client.post(NEW, &body).await.1["meta"]["existing"]["refId"], "r");
    assert_eq!(client.create("r").await["ref_id"], "r", "the old API keeps its names");
}

#[tokio::test]
async fn orchestrations_have_more_members_where_configured() {
    let more = json!({
        "source": { "label": "x" }, "destination": { "crypto": {} }, "orchestration_rule_id": "rule", "account_id": null,
    });
    let (_sandbox, client) = with(Variants { record_members: members(&more), ..Variants::default() }).await;
    let (_, made) = client.post(NEW, &but(orchestration("r"), &json!({ "account_id": "a" }))).await;
    assert_eq!(
        (&made["source"]["label"], &made["source"]["profile"]["profile_id"]),
        (&json!("x"), &json!(PROFILE))
    );
    assert_eq!(
        (&made["destination"]["crypto"], &made["orchestration_rule_id"]),
        (&json!({}), &json!("rule"))
    );
    assert!(made.get("account_id").is_none());
    assert_eq!(client.get(&format!("{NEW}?orchestration_rule_id=rule")).await.1["items"][0], made);
}

#[tokio::test]
async fn the_profile_filter_of_new_may_mean_the_target() {
    for (profile_filter, by_source, by_target) in
        [(ProfileFilter::Source, 1, 0), (ProfileFilter::Target, 0, 1), (ProfileFilter::Either, 1, 1)]
    {
        let (_sandbox, client) = with(Variants { profile_filter, ..Variants::default() }).await;
        let to = json!({ "destination": { "profile": { "profile_id": SECOND_PROFILE } } });
        assert_eq!(client.post(NEW, &but(orchestration("r"), &to)).await.0, 200);
        for (profile, expected) in [(PROFILE, by_source), (SECOND_PROFILE, by_target)] {
            let (_, page) = client.get(&format!("{NEW}?profile_id={profile}")).await;
            assert_eq!(ids(&page).len(), expected, "{profile_filter:?}");
        }
    }
}

#[tokio::test]
async fn a_list_may_lack_its_rows_or_have_them_elsewhere() {
    let (sandbox, client) = with(Variants { list_shape: ListShape::Data, ..Variants::default() }).await;
    client.post(NEW, &orchestration("r")).await;
    let (_, page) = client.get(NEW).await;
    assert_eq!((&page["items"], &page["data"][0]["ref_id"]), (&json!([]), &json!("r")));
    client.create("r").await;
    client.create("s").await;
    let more =
        json!({ "nextPageCursor": "c", "has_more": true, "error": "timeout", "partial": true, "total": 2 });
    let kind = FaultKind::WithoutRows { members: members(&more) };
    sandbox.faults().arm(Fault::new(kind).on(Side::Legacy, Operation::List));
    let (_, page) = client.get(&format!("{LEGACY}?limit=1")).await;
    assert_eq!(page, but(more, &json!({ "items": [] })));
}

#[tokio::test]
async fn a_success_may_show_another_record() {
    let (sandbox, client) = with(Variants::default()).await;
    for (number, (shows, changed)) in [
        (ForeignRecord::AnotherRef, &["ref_id"][..]),
        (ForeignRecord::AnotherAmount, &["amount", "source_amount"]),
        (ForeignRecord::OnlyId, &[]),
    ]
    .into_iter()
    .enumerate()
    {
        sandbox.faults().arm(Fault::new(FaultKind::Foreign { shows }));
        let ref_id = format!("r{number}");
        for (side, path, body) in
            [(Side::Legacy, LEGACY, conversion(&ref_id)), (Side::New, NEW, orchestration(&ref_id))]
        {
            let (status, shown) = client.post(path, &body).await;
            assert_eq!(status, 200);
            if shows == ForeignRecord::OnlyId {
                assert_eq!(shown, json!({ "id": "x" }));
                continue;
            }
            let record = sandbox.inspector().record(side, shown["id"].as_str().unwrap()).unwrap();
            let differing =
                record.as_object().unwrap().iter().filter(|(name, value)| shown[*name] != **value);
            assert!(differing.clone().all(|(name, _)| changed.contains(&name.as_str())), "{shown}");
            assert_eq!(differing.count(), 1, "{shown}");
        }
        sandbox.faults().clear();
    }
}

#[tokio::test]
async fn an_answer_sent_twice_goes_to_the_next_request_of_its_connection() {
    let (sandbox, client) = with(Variants::default()).await;
    sandbox.faults().arm(Fault::new(FaultKind::Twice).on(Side::Legacy, Operation::List).times(1));
    assert_eq!(client.get(LEGACY).await.1, json!({ "items": [] }));
    assert_eq!(client.get("/profiles").await.1, json!({ "items": [] }), "the copy");
    let (_, late) = client.get(LEGACY).await;
    assert_eq!(late["items"].as_array().unwrap().len(), 2, "the profiles");
    let fresh = Caller::of(&sandbox);
    assert_eq!(fresh.get(LEGACY).await.1, json!({ "items": [] }), "another connection");
}

/// `docs/sandbox.md` is the reference of both; so are its names.
#[test]
fn the_page_lists_every_variant_and_fault() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sandbox.md")).unwrap();
    let variants = json!(Variants::default());
    let faults = include_str!("../../../src/sandbox/fault.rs");
    let (_, kinds) = faults.split_once("pub enum FaultKind {").unwrap();
    let (kinds, _) = kinds.split_once("\n}\n").unwrap();
    let variant = |line: &str| {
        let name = line.strip_prefix("    ")?.trim_end_matches([' ', '{', ',']);
        let name = name.split('(').next()?;
        name.starts_with(|first: char| first.is_ascii_uppercase()).then(|| name.to_owned())
    };
    let kinds: Vec<_> = kinds.lines().filter_map(variant).collect();
    assert_eq!(kinds.len(), 13, "{kinds:?}");
    let snake = |name: &String| {
        let words =
            name.chars().map(|c| if c.is_uppercase() { format!("_{}", c.to_lowercase()) } else { c.into() });
        words.collect::<String>().trim_start_matches('_').to_owned()
    };
    let names = variants.as_object().unwrap().keys().cloned().chain(kinds.iter().map(snake));
    for name in names.chain(["unavailable".to_owned()]) {
        assert!(page.contains(&format!("\n| `{name}` |")), "{name}");
    }
}
