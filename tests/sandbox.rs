//! The stand-in for the vendor does what the vendor documents, and breaks as it is told. All through its socket.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic, in its helpers as well")]

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use conversion_shim::sandbox::{
    CUSTOMER, Client, Fault, Hidden, Kind, ListShape, Operation, Options, Outcome, PROFILE, RefusalBody,
    SECOND_PROFILE, Sandbox, TOKEN, Tally,
};
use conversion_shim::side::Side;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

const LEGACY: &str = "/conversion/stablecoins";
const NEW: &str = "/orchestration/orchestrations";

struct Caller {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Caller {
    fn of(sandbox: &Sandbox) -> Self {
        crypto();
        Self { http: reqwest::Client::new(), base: sandbox.base_url(), token: TOKEN.to_owned() }
    }

    fn with_token(mut self, token: String) -> Self {
        self.token = token;
        self
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        read(self.ask(Method::GET, path)).await
    }

    async fn delete(&self, path: &str) -> (StatusCode, Value) {
        read(self.ask(Method::DELETE, path)).await
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        read(self.ask(Method::POST, path).body(body.to_string())).await
    }

    async fn create(&self, ref_id: &str) -> Value {
        let (status, body) = self.post(LEGACY, &conversion(ref_id)).await;
        assert_eq!(status, 200, "{body}");
        body
    }
}

/// The HTTP client refuses to be built without it, plain HTTP or not.
fn crypto() {
    // The first of the tests wins, which is all that is needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

async fn read(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// A signal that does not come is a failure, not a hang.
async fn soon<T>(signal: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), signal).await.expect("the signal comes")
}

fn quiet() -> Options {
    Options { settle_after: Duration::MAX, ..Options::default() }
}

/// A sandbox with 1000 USD in the default profile.
async fn funded(options: Options) -> (Sandbox, Caller) {
    let sandbox = Sandbox::start(options).await.unwrap();
    assert!(sandbox.books().credit(PROFILE, "USD", "1000"));
    let client = Caller::of(&sandbox);
    (sandbox, client)
}

fn conversion(ref_id: &str) -> Value {
    json!({
        "profile_id": PROFILE, "amount": "100", "source_asset": "USD", "target_asset": "PYUSD", "ref_id": ref_id,
        "metadata": { "zebra": "1", "apple": "2" },
    })
}

fn orchestration(ref_id: &str) -> Value {
    json!({ "ref_id": ref_id, "source_amount": "100", "source_asset": "USD", "destination_asset": "PYUSD" })
}

/// `fields` of `changes` put over `base`; null takes a field away.
fn but(mut base: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        base[name] = value.clone();
    }
    base.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    base
}

#[tokio::test]
async fn a_conversion_is_created_then_settled_and_the_money_follows() {
    let (sandbox, client) = funded(Options { settle_after: Duration::ZERO, ..Options::default() }).await;
    let request =
        client.ask(Method::POST, LEGACY).header("content-type", "application/x-www-form-urlencoded");
    let text = request.body(conversion("r1").to_string()).send().await.unwrap().text().await.unwrap();
    assert!(text.contains(r#""metadata":{"zebra":"1","apple":"2"}"#), "{text}");
    let created: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(created["status"], "CREATED");
    assert_eq!(created.get("identity_id"), None);
    assert_eq!(created.get("settled_at"), None);
    let (_, read) = client.get(&format!("{LEGACY}/{}", created["id"].as_str().unwrap())).await;
    assert_eq!(read["status"], "SETTLED");
    assert!(read["settled_at"].is_string());
    assert_eq!(read["updated_at"], read["settled_at"]);
    assert_eq!(sandbox.books().balance(PROFILE, "USD"), "900");
    assert_eq!(sandbox.books().balance(PROFILE, "PYUSD"), "100");
}

#[tokio::test]
async fn directed_settlement_pays_the_recipient() {
    let (sandbox, client) = funded(quiet()).await;
    let body = but(conversion("r"), &json!({ "recipient_profile_id": SECOND_PROFILE }));
    let (_, created) = client.post(LEGACY, &body).await;
    assert_eq!(created["recipient_profile_id"], SECOND_PROFILE);
    assert!(sandbox.books().set_status(created["id"].as_str().unwrap(), "SETTLED"));
    assert_eq!(sandbox.books().balance(SECOND_PROFILE, "PYUSD"), "100");
    assert_eq!(sandbox.books().balance(PROFILE, "PYUSD"), "0");
}

#[tokio::test]
async fn cancel_returns_the_funds_once() {
    let (sandbox, client) = funded(quiet()).await;
    let path = format!("{LEGACY}/{}", client.create("r").await["id"].as_str().unwrap());
    assert_eq!(sandbox.books().balance(PROFILE, "USD"), "900");
    let (status, cancelled) = client.delete(&path).await;
    assert_eq!((status.as_u16(), &cancelled["status"]), (200, &json!("CANCELLED")));
    assert_eq!(cancelled["cancelled_at"], cancelled["updated_at"]);
    assert_eq!(sandbox.books().balance(PROFILE, "USD"), "1000");
    let (status, refusal) = client.delete(&path).await;
    assert_eq!((status.as_u16(), &refusal["title"]), (403, &json!("Forbidden")));
    assert_eq!(sandbox.books().balance(PROFILE, "USD"), "1000");
    assert_eq!(sandbox.books().applied(Side::Legacy, Operation::Cancel), 1);
    assert_eq!(sandbox.books().conversions_by_ref()["r"], Tally { legacy: 1, new: 0 });
}

#[tokio::test]
async fn invalid_creates_are_refused_and_move_nothing() {
    let (sandbox, client) = funded(Options { maximum: Some("10000".to_owned()), ..quiet() }).await;
    let cases = [
        (json!({ "amount": null }), "amount is required"),
        (json!({ "amount": null, "amount'": "100" }), "amount is required"),
        (json!({ "profile_id": "" }), "profile_id is required"),
        (json!({ "target_asset": null }), "target_asset is required"),
        (json!({ "amount": 100 }), "amount is not a string"),
        (json!({ "amount": "1e3" }), "1e3 is not a valid amount"),
        (json!({ "amount": "0.00" }), "0.00 amount must be positive"),
        (json!({ "amount": "0.001" }), "0.001 amount has more than 2 decimals for USD to PYUSD"),
        (json!({ "amount": "11000" }), "11000 amount is above the maximum 10000 USD"),
        (json!({ "target_asset": "USD" }), "source_asset and target_asset must differ"),
        (json!({ "metadata": { "a": 1 } }), "metadata values must be strings"),
    ];
    for (change, detail) in cases {
        let (status, problem) = client.post(LEGACY, &but(conversion("r"), &change)).await;
        let expected =
            json!({ "type": "about:blank", "title": "Bad Request", "status": 400, "detail": detail });
        assert_eq!((status.as_u16(), problem), (400, expected));
    }
    let cases = [
        (json!({ "ref_id": null }), "ref_id is required"),
        (json!({ "source_amount": "0" }), "0 amount must be positive"),
        (json!({ "destination_asset": "USD" }), "source_asset and destination_asset must differ"),
    ];
    for (change, detail) in cases {
        let (status, problem) = client.post(NEW, &but(orchestration("r"), &change)).await;
        assert_eq!((status.as_u16(), &problem["detail"]), (400, &json!(detail)));
    }
    assert_eq!(sandbox.books().conversions_by_ref().len(), 0);
    assert_eq!(sandbox.books().balance(PROFILE, "USD"), "1000");
}

#[tokio::test]
async fn documented_refusals_look_as_documented() {
    let (_sandbox, client) = funded(quiet()).await;
    let (status, problem) = client.post(LEGACY, &but(conversion("r"), &json!({ "amount": "1000.01" }))).await;
    assert_eq!(status, 403);
    assert_eq!(problem["type"], "https://developer.paxos.com/docs/v2/problems/insufficient-funds");
    assert_eq!(problem["title"], "Insufficient Funds");
    let meta = json!({ "profile_id": PROFILE, "asset": "USD", "available": "1000", "needed": "1000.01" });
    assert_eq!(problem["meta"], meta);

    let existing = client.create("r").await;
    let (status, problem) = client.post(LEGACY, &but(conversion("r"), &json!({ "amount": "7" }))).await;
    assert_eq!(status, 409);
    assert_eq!(problem["type"], "https://developer.paxos.com/docs/v2/problems/already-exists");
    assert_eq!(problem["detail"], "conversion already exists with ref_id 'r'");
    assert_eq!(problem["meta"]["existing"], existing);

    for (path, noun) in [(LEGACY, "conversion"), (NEW, "orchestration")] {
        let (status, problem) = client.get(&format!("{path}/nope")).await;
        let detail = format!("{noun} with id nope not found for customer with id {CUSTOMER}");
        assert_eq!((status.as_u16(), &problem["detail"]), (404, &json!(detail)));
    }
    let (status, _) = client.post(LEGACY, &but(conversion("x"), &json!({ "profile_id": "stranger" }))).await;
    assert_eq!(status, 404);
    let (status, _) = client.get("/nowhere").await;
    assert_eq!(status, 404);
    let (status, _) = client.delete(&format!("{NEW}/{}", existing["id"].as_str().unwrap())).await;
    assert_eq!(status, 404, "there is no cancel on the new side");
}

#[tokio::test]
async fn each_api_has_its_own_ref_ids_and_both_spend_the_same_money() {
    let (sandbox, client) = funded(quiet()).await;
    let old = client.create("r").await;
    let (status, new) = client.post(NEW, &orchestration("r")).await;
    assert_eq!(status, 200);
    assert_eq!(new["status"], "PROCESSING");
    assert_eq!(new["profile_id"], PROFILE);
    assert_eq!(new["source"]["profile"]["profile_id"], PROFILE);
    assert_ne!(old["id"], new["id"]);
    let (status, problem) = client.post(NEW, &orchestration("r")).await;
    assert_eq!((status.as_u16(), &problem["meta"]["existing"]), (409, &new));
    assert_eq!(problem["detail"], "orchestration already exists with ref_id 'r'");
    assert_eq!(sandbox.books().conversions_by_ref()["r"], Tally { legacy: 1, new: 1 });
    assert_eq!(sandbox.books().balance(PROFILE, "USD"), "800");
    let (status, _) = client.get(&format!("{NEW}/{}", old["id"].as_str().unwrap())).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn an_orchestration_takes_the_course_its_profile_is_set_to() {
    let options = Options {
        settle_after: Duration::ZERO,
        completed_at: true,
        empty_rule_id: true,
        ..Options::default()
    };
    let (sandbox, client) = funded(options).await;
    let books = sandbox.books();
    let cases = [
        (Outcome::Complete, "PROCESSING", "COMPLETED"),
        (Outcome::AwaitApproval, "PENDING", "PENDING"),
        (Outcome::Reject, "PENDING", "REJECTED"),
        (Outcome::Fail("no luck".to_owned()), "PROCESSING", "FAILED"),
    ];
    let mut last = Vec::new();
    for (outcome, first, then) in cases {
        books.set_outcome(PROFILE, outcome);
        let (_, created) = client.post(NEW, &orchestration(then)).await;
        assert_eq!(created["status"], first);
        assert_eq!(created["orchestration_rule_id"], "");
        let (_, read) = client.get(&format!("{NEW}/{}", created["id"].as_str().unwrap())).await;
        assert_eq!(read["status"], then);
        last.push(read);
    }
    assert!(last[0]["completed_at"].is_string());
    assert_eq!(last[3]["fail_reason"]["detail"], "no luck");
    assert_eq!(books.balance(PROFILE, "USD"), "800", "one completed, one waits; the others came back");
    let waiting = last[1]["id"].as_str().unwrap();
    assert!(books.approve(waiting));
    assert!(!books.approve(waiting));
    assert_eq!(books.record(Side::New, waiting).unwrap()["status"], "COMPLETED");
    assert_eq!(books.balance(PROFILE, "PYUSD"), "200");
    assert!(books.set_status(waiting, "PENDING_APPROVAL"));
    let (_, read) = client.get(&format!("{NEW}/{waiting}")).await;
    assert_eq!(read["status"], "PENDING_APPROVAL");
}

#[tokio::test]
async fn money_to_a_wallet_or_a_bank_leaves_the_platform() {
    let (sandbox, client) = funded(Options { settle_after: Duration::ZERO, ..Options::default() }).await;
    let wallet = json!({ "destination": { "crypto": { "address": "0x1", "network": "ETHEREUM" } } });
    let (status, created) = client.post(NEW, &but(orchestration("r"), &wallet)).await;
    assert_eq!((status.as_u16(), &created["destination"]), (200, &wallet["destination"]));
    assert_eq!(sandbox.books().balance(PROFILE, "USD"), "900");
    assert_eq!(sandbox.books().balance(PROFILE, "PYUSD"), "0");
}

/// Pages through a list and answers the ids in the order in which they came.
async fn page_through(client: &Caller, path: &str, query: &str, rows: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    for _ in 0..100 {
        let (status, page) = client.get(&format!("{path}?{query}{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        let items = page[rows].as_array().unwrap();
        assert!(!items.is_empty());
        ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page.get("next_page_cursor") {
            Some(next) => cursor = format!("&page_cursor={}", next.as_str().unwrap()),
            None => return ids,
        }
    }
    panic!("the list never ends");
}

#[tokio::test]
async fn paging_yields_every_row_once_in_both_orders() {
    let (sandbox, client) = funded(quiet()).await;
    let mut made = BTreeSet::new();
    for number in 0..23 {
        // Equal instants, and some that differ by a nanosecond.
        let at = format!("2026-04-20T12:30:01.00000000{}Z", number % 3);
        made.insert(sandbox.books().seed_conversion(json!({ "created_at": at, "status": "SETTLED" })));
        sandbox.books().seed_orchestration(json!({ "created_at": at, "status": "COMPLETED" }));
    }
    for limit in [1, 4, 22, 23, 1000] {
        let mut ascending = page_through(&client, LEGACY, &format!("order=ASC&limit={limit}"), "items").await;
        assert_eq!(ascending.len(), 23);
        assert_eq!(ascending.iter().cloned().collect::<BTreeSet<_>>(), made);
        let descending = page_through(&client, LEGACY, &format!("limit={limit}"), "items").await;
        ascending.reverse();
        assert_eq!(ascending, descending);
        assert_eq!(page_through(&client, NEW, &format!("limit={limit}"), "items").await.len(), 23);
    }
}

#[tokio::test]
async fn lists_filter_as_documented() {
    let (sandbox, client) = funded(quiet()).await;
    let seed = |ref_id: &str, profile: &str, second: u8| {
        let at = format!("2026-04-20T12:00:0{second}Z");
        let record = json!({ "ref_id": ref_id, "profile_id": profile, "created_at": at, "status": "X" });
        sandbox.books().seed_conversion(record.clone());
        sandbox.books().seed_orchestration(record);
    };
    (1..=4).for_each(|second| seed(&format!("r{second}"), if second < 3 { "p" } else { "q" }, second));
    let at = |second: u8| format!("2026-04-20T12:00:0{second}Z");
    let cases = [
        (LEGACY, "profile_id=p".to_owned(), "r2 r1"),
        (LEGACY, "ref_id=r3".to_owned(), "r3"),
        (LEGACY, "status=Y&cursor=z".to_owned(), "r4 r3 r2 r1"),
        (LEGACY, format!("created_at.begin={}&created_at.end={}", at(2), at(3)), "r3 r2"),
        (LEGACY, format!("updated_at.begin={}&order=ASC", at(3)), "r3 r4"),
        (NEW, "ref_id=r1&ref_id=r3".to_owned(), "r3 r1"),
        (NEW, "profile_id=q&status=X".to_owned(), "r4 r3"),
        (NEW, "status=Y".to_owned(), ""),
        (NEW, format!("created_at.gt={}&created_at.lte={}", at(1), at(3)), "r3 r2"),
        (NEW, format!("created_at.gte={}&created_at.lt={}", at(1), at(3)), "r2 r1"),
        (NEW, format!("created_at.eq={}", at(2)), "r2"),
        (NEW, format!("updated_at.begin={}", at(4)), "r4 r3 r2 r1"),
    ];
    for (path, query, expected) in cases {
        let (status, page) = client.get(&format!("{path}?{query}")).await;
        let refs = page["items"].as_array().unwrap().iter().map(|row| row["ref_id"].as_str().unwrap());
        assert_eq!(
            (status.as_u16(), refs.collect::<Vec<_>>().join(" ").as_str()),
            (200, expected),
            "{query}"
        );
    }
}

#[tokio::test]
async fn bad_list_parameters_are_400() {
    let (_sandbox, client) = funded(quiet()).await;
    let too_many = "ref_id=x&".repeat(101);
    let bad_on_both = [
        "limit=0",
        "limit=-1",
        "limit=1001",
        "limit=ten",
        "order=desc",
        "page_cursor=%21",
        "limit=1&limit=1",
    ];
    let bad = bad_on_both.iter().flat_map(|query| [(LEGACY, *query), (NEW, *query)]).chain([
        (LEGACY, "ref_id=a&ref_id=b"),
        (LEGACY, "created_at.begin=yesterday"),
        (NEW, "created_at.gte=yesterday"),
        (NEW, too_many.as_str()),
    ]);
    for (path, query) in bad {
        let (status, problem) = client.get(&format!("{path}?{query}")).await;
        assert_eq!((status.as_u16(), &problem["title"]), (400, &json!("Bad Request")), "{path}?{query}");
    }
}

#[tokio::test]
async fn the_new_list_has_the_shape_it_is_told_to_have() {
    for (shape, items, older) in [
        (ListShape::Items, true, false),
        (ListShape::Orchestrations, false, true),
        (ListShape::Both, true, true),
    ] {
        let (_sandbox, client) = funded(Options { list_shape: shape, demo: true, ..quiet() }).await;
        let (_, page) = client.get(NEW).await;
        assert_eq!((page.get("items").is_some(), page.get("orchestrations").is_some()), (items, older));
        let rows = page.get("items").or(page.get("orchestrations")).unwrap();
        assert_eq!(
            rows.as_array().unwrap().len(),
            4,
            "the demo's orchestrations that never were conversions"
        );
    }
}

#[tokio::test]
async fn tokens_come_three_ways_and_carry_scopes() {
    let (sandbox, client) = funded(quiet()).await;
    let scope = "conversion:read_conversion_stablecoin orchestration:read_orchestration";
    let form =
        |pairs: &[(&str, &str)]| form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let plain = [("grant_type", "client_credentials"), ("scope", scope)];
    let named = [plain[0], plain[1], ("client_id", "me"), ("client_secret", "s")];
    let multipart: String = named
        .iter()
        .map(|(name, value)| {
            format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        })
        .chain(["--B--\r\n".to_owned()])
        .collect();
    let ask = || client.http.post(sandbox.token_url());
    let ways = [
        ask().header("content-type", "application/x-www-form-urlencoded").body(form(&named)),
        ask().header("content-type", "multipart/form-data; boundary=B").body(multipart),
        ask().basic_auth("me", Some("s")).body(form(&plain)),
    ];
    for way in ways {
        let (status, answer) = read(way).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!((&answer["scope"], &answer["expires_in"]), (&json!(scope), &json!(3599)));
        assert_eq!(answer["token_type"], "bearer");
        let reader = Caller::of(&sandbox).with_token(answer["access_token"].as_str().unwrap().to_owned());
        assert_eq!(reader.get(LEGACY).await.0, 200);
        let (status, problem) = reader.post(NEW, &orchestration("r")).await;
        let found = format!(
            "insufficient scopes: found '{scope}', required one of '[orchestration:write_orchestration]'"
        );
        assert_eq!((status.as_u16(), &problem["detail"]), (403, &json!(found)));
        sandbox.revoke_tokens();
        assert_eq!(reader.get(LEGACY).await.0, 401);
    }
    let unknown = form(&[("grant_type", "client_credentials"), ("scope", "everything")]);
    let (status, answer) = read(ask().basic_auth("me", Some("s")).body(unknown)).await;
    assert_eq!((status.as_u16(), &answer["error"]), (400, &json!("invalid_scope")));
    assert_eq!(sandbox.books().arrived(None, Operation::Token), 4);
}

#[tokio::test]
async fn customers_do_not_see_each_other() {
    let clients =
        vec![Client { id: "two".to_owned(), secret: "s".to_owned(), customer: "second".to_owned() }];
    let (sandbox, client) = funded(Options { clients, ..quiet() }).await;
    let ask = |id: &'static str| {
        let request = client.http.post(sandbox.token_url()).basic_auth(id, Some("s"));
        read(request.body("grant_type=client_credentials"))
    };
    assert_eq!(ask("one").await.0, 401);
    let token = ask("two").await.1["access_token"].as_str().unwrap().to_owned();
    let other = Caller::of(&sandbox).with_token(token);
    sandbox.books().open_profile("second", "theirs");
    sandbox.books().credit("theirs", "USD", "100");
    let mine = client.create("r").await;
    assert_eq!(other.get(&format!("{LEGACY}/{}", mine["id"].as_str().unwrap())).await.0, 404);
    assert_eq!(other.post(LEGACY, &conversion("r")).await.0, 404, "not their profile");
    assert_eq!(other.post(NEW, &orchestration("r")).await.1["profile_id"], "theirs");
    assert_eq!(other.post(LEGACY, &but(conversion("r"), &json!({ "profile_id": "theirs" }))).await.0, 403);
    assert_eq!(sandbox.books().conversions_by_ref_of("second")["r"], Tally { legacy: 0, new: 1 });
    assert_eq!(other.get("/profiles").await.1, json!({ "items": [{ "id": "theirs" }] }));
}

#[tokio::test]
async fn resets_come_before_or_after_the_write() {
    let (sandbox, client) = funded(quiet()).await;
    for (applied, tally) in [(false, None), (true, Some(Tally { legacy: 1, new: 0 }))] {
        let fault = Fault::new(Kind::Reset { applied }).on(Side::Legacy, Operation::Create).times(1);
        let planted = sandbox.faults().plant(fault);
        let error =
            client.ask(Method::POST, LEGACY).body(conversion("r").to_string()).send().await.unwrap_err();
        assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");
        assert_eq!(sandbox.books().conversions_by_ref().get("r").copied(), tally);
        assert_eq!(planted.hits(), 1);
    }
    assert_eq!(sandbox.books().arrived(Side::Legacy, Operation::Create), 2);
    assert_eq!(sandbox.books().applied(Side::Legacy, Operation::Create), 1);
}

#[tokio::test]
async fn http2_streams_are_reset_and_cut_off_as_well() {
    let sandbox = Sandbox::start(quiet()).await.unwrap();
    crypto();
    let http = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let client = Caller { http, ..Caller::of(&sandbox) };
    assert_eq!(client.ask(Method::GET, LEGACY).send().await.unwrap().version(), reqwest::Version::HTTP_2);
    sandbox.faults().plant(Fault::new(Kind::Truncate).times(1));
    let response = client.ask(Method::GET, LEGACY).send().await.unwrap();
    assert!(response.bytes().await.is_err());
    sandbox.faults().plant(Fault::new(Kind::Reset { applied: false }).times(1));
    assert!(client.ask(Method::POST, LEGACY).body("{}").send().await.is_err());
    assert_eq!(client.get(LEGACY).await.0, 200);
}

#[tokio::test]
async fn it_speaks_tls_with_both_versions() {
    crypto();
    let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(vec![pair.cert.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let sandbox = Sandbox::start(Options { tls: Some(config.into()), ..quiet() }).await.unwrap();
    assert!(sandbox.base_url().starts_with("https://") && sandbox.base_url().ends_with("/v2"));
    let trust = || {
        let root = reqwest::Certificate::from_der(pair.cert.der()).unwrap();
        reqwest::Client::builder().tls_certs_only([root])
    };
    for (http, version) in
        [(trust(), reqwest::Version::HTTP_2), (trust().http1_only(), reqwest::Version::HTTP_11)]
    {
        let client = Caller { http: http.build().unwrap(), ..Caller::of(&sandbox) };
        let response = client.ask(Method::GET, LEGACY).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, version));
        sandbox.faults().plant(Fault::new(Kind::Reset { applied: true }).times(1));
        let error = client.ask(Method::POST, LEGACY).body("{}").send().await.unwrap_err();
        assert!(!error.is_connect(), "{error:?}");
    }
}

#[tokio::test]
async fn a_gate_holds_a_request_until_it_is_released_even_if_the_client_leaves() {
    let (sandbox, client) = funded(quiet()).await;
    for (applied, ref_id) in [(false, "before"), (true, "after")] {
        let gate = sandbox.faults().plant(Fault::new(Kind::Gate { applied }));
        let post = || tokio::spawn(client.ask(Method::POST, LEGACY).body(conversion(ref_id).to_string()).send());
        let leaving = post();
        soon(gate.reached(1)).await;
        leaving.abort();
        assert!(leaving.await.unwrap_err().is_cancelled());
        let again = post();
        soon(gate.reached(2)).await;
        gate.open();
        // Which of the two came first through an open gate is nobody's business; one of them made the record.
        let status = soon(again).await.unwrap().unwrap().status();
        assert!(status == 200 || status == 409, "{status}");
        sandbox.faults().remove(&gate);
        assert_eq!(sandbox.books().conversions_by_ref()[ref_id].legacy, 1);
    }
}

#[tokio::test]
async fn a_gate_stands_before_or_after_the_write_and_lets_through_as_many_as_it_is_told() {
    let (sandbox, client) = funded(quiet()).await;
    for (applied, made) in [(false, 0), (true, 2)] {
        let gate = sandbox.faults().plant(Fault::new(Kind::Gate { applied }));
        let post = |name: &str| {
            let ref_id = format!("{name}-{applied}");
            tokio::spawn(client.ask(Method::POST, LEGACY).body(conversion(&ref_id).to_string()).send())
        };
        let before = sandbox.books().records(Side::Legacy);
        let both = [post("a"), post("b")];
        soon(gate.reached(2)).await;
        if !applied {
            assert_eq!(sandbox.books().records(Side::Legacy) - before, made);
        }
        gate.release(2);
        for one in both {
            assert_eq!(soon(one).await.unwrap().unwrap().status(), 200);
        }
        assert_eq!(sandbox.books().records(Side::Legacy) - before, 2);
        sandbox.faults().remove(&gate);
    }
}

#[tokio::test]
async fn statuses_come_with_or_without_effect_and_in_three_bodies() {
    let (sandbox, client) = funded(quiet()).await;
    for (code, retry_after, body, applied) in [
        (StatusCode::TOO_MANY_REQUESTS, Some(7), RefusalBody::Problem, false),
        (StatusCode::BAD_GATEWAY, None, RefusalBody::Html, true),
        (StatusCode::REQUEST_TIMEOUT, None, RefusalBody::Empty, true),
    ] {
        sandbox.faults().plant(Fault::new(Kind::Status { code, retry_after, body, applied }).times(1));
        let ref_id = code.as_str();
        let sent =
            client.ask(Method::POST, LEGACY).body(conversion(ref_id).to_string()).send().await.unwrap();
        assert_eq!(sent.status(), code);
        let seconds = sent.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(seconds, retry_after.map(|seconds: u64| seconds.to_string()));
        let text = sent.text().await.unwrap();
        match body {
            RefusalBody::Problem => assert!(text.contains("about:blank")),
            RefusalBody::Html => assert!(text.starts_with("<html>")),
            RefusalBody::Empty => assert!(text.is_empty()),
        }
        assert_eq!(sandbox.books().conversions_by_ref().contains_key(ref_id), applied);
    }
}

#[tokio::test]
async fn answers_can_break_off_or_lie() {
    let (sandbox, client) = funded(quiet()).await;
    let path = format!("{LEGACY}/{}", client.create("r").await["id"].as_str().unwrap());
    let once = |kind| sandbox.faults().plant(Fault::new(kind).on(None, Operation::Get).times(1));
    once(Kind::Truncate);
    let cut = client.ask(Method::GET, &path).send().await.unwrap();
    assert_eq!(cut.status(), 200);
    assert!(cut.bytes().await.is_err());
    once(Kind::WrongTypes);
    let (status, wrong) = client.get(&path).await;
    assert_eq!((status.as_u16(), &wrong["id"], &wrong["metadata"]), (200, &json!(7), &json!("an object")));
    once(Kind::NotJson);
    let page = client.ask(Method::GET, &path).send().await.unwrap();
    assert_eq!(
        (page.status().as_u16(), &page.headers()["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    once(Kind::EmptyBody);
    let empty = client.ask(Method::GET, &path).send().await.unwrap();
    assert_eq!((empty.status().as_u16(), empty.bytes().await.unwrap().len()), (200, 0));
    assert_eq!(client.get(&path).await.0, 200, "each struck once");
}

#[tokio::test]
async fn reads_can_lag_or_ignore_filters_while_writes_do_not() {
    let (sandbox, client) = funded(quiet()).await;
    let first = client.create("r1").await;
    let second = client.create("r2").await;
    let found = async |query: &str| {
        client.get(&format!("{LEGACY}{query}")).await.1["items"].as_array().unwrap().len()
    };
    let ignoring =
        sandbox.faults().plant(Fault::new(Kind::IgnoreFilters).on(Side::Legacy, Operation::List).after(1));
    assert_eq!(found("?ref_id=r1").await, 1, "the first passes");
    assert_eq!(found("?ref_id=r1").await, 2);
    sandbox.faults().remove(&ignoring);
    for hidden in [Hidden::Newest(1), Hidden::YoungerThan(Duration::from_secs(3600))] {
        let shown = usize::from(hidden == Hidden::Newest(1));
        let lag = sandbox.faults().plant(Fault::new(Kind::Lag(hidden)));
        assert_eq!(found("").await, shown);
        assert_eq!(client.get(&format!("{LEGACY}/{}", second["id"].as_str().unwrap())).await.0, 404);
        assert_eq!(client.post(LEGACY, &conversion("r2")).await.0, 409);
        sandbox.faults().remove(&lag);
    }
    assert_eq!(found("?ref_id=r1").await, 1);
    assert_eq!(client.get(&format!("{LEGACY}/{}", first["id"].as_str().unwrap())).await.0, 200);
}

#[tokio::test]
async fn chance_is_the_same_for_the_same_seed() {
    let (sandbox, client) = funded(quiet()).await;
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let kind = Kind::Status {
            code: StatusCode::BAD_GATEWAY,
            retry_after: None,
            body: RefusalBody::Problem,
            applied: false,
        };
        let fault = sandbox.faults().plant(Fault::new(kind).sometimes(50, seed));
        let mut run = Vec::new();
        for _ in 0..40 {
            run.push(client.get(LEGACY).await.0.is_success());
        }
        sandbox.faults().remove(&fault);
        assert!(run.contains(&true) && run.contains(&false));
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test]
async fn it_goes_down_and_comes_up_on_the_same_port() {
    let (sandbox, client) = funded(quiet()).await;
    for _ in 0..3 {
        client.get(LEGACY).await;
        sandbox.faults().go_down().await;
        let error = client.ask(Method::GET, LEGACY).send().await.unwrap_err();
        assert!(error.is_connect(), "{error:?}");
        sandbox.faults().come_up().await.unwrap();
        assert_eq!(client.get(LEGACY).await.0, 200);
    }
}

#[tokio::test]
async fn faults_and_books_are_there_over_http() {
    let (sandbox, client) = funded(quiet()).await;
    let faults = format!("http://{}/sandbox/faults", sandbox.addr());
    let plant = |fault: Value| read(client.http.post(&faults).body(fault.to_string()));
    let fault = json!({ "kind": "status", "code": 503, "side": "new", "operation": "list", "times": 1 });
    assert_eq!(plant(fault).await.0, 200);
    assert_eq!(plant(json!({ "kind": "rest" })).await.0, 400);
    assert_eq!(plant(json!({ "kind": "reset", "time": 1 })).await.0, 400);
    assert_eq!(client.get(LEGACY).await.0, 200);
    assert_eq!(client.get(NEW).await.0, 503);
    assert_eq!(client.get(NEW).await.0, 200);
    client.create("r").await;
    let (_, books) = read(client.http.get(format!("http://{}/sandbox/books", sandbox.addr()))).await;
    assert_eq!(books["conversions_by_ref"], json!({ "r": { "legacy": 1, "new": 0 } }));
    assert_eq!(books["balances"][PROFILE]["USD"], "900");
    assert_eq!(books["arrived"]["new.list"], 2);
    assert_eq!(books["applied"], json!({ "legacy.create": 1 }));
    assert_eq!(books["faults"][0]["hits"], 1);
    assert_eq!(read(client.http.delete(&faults)).await.0, 200);
    assert_eq!(sandbox.faults().all().len(), 0);
}

#[tokio::test]
async fn what_arrived_can_be_looked_at() {
    let (sandbox, client) = funded(quiet()).await;
    let path = format!("{NEW}?ref_id=a%20b");
    let waiting = sandbox.books().wait_arrived(Side::New, Operation::List, 1);
    let (_, (status, _)) = soon(async { tokio::join!(waiting, client.get(&path)) }).await;
    assert_eq!(status, 200);
    client.create("r").await;
    let seen = sandbox.books().requests();
    assert_eq!(seen.iter().map(|one| one.sequence).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(seen[0].path_and_query, "/v2/orchestration/orchestrations?ref_id=a%20b");
    assert_eq!((seen[1].side, seen[1].operation), (Some(Side::Legacy), Operation::Create));
    assert_eq!(seen[1].headers["authorization"], "Bearer sandbox");
    assert_eq!(seen[1].body, conversion("r").to_string());
}
