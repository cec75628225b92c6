//! Who still calls: in `/status` and by the command, with what stands in the way; and the headers that tell clients of the end.

use base64::Engine as _;
use conversion_shim::sandbox::{Fault, FaultKind, Operation, PROFILE, RefusalBody, TOKEN};
use conversion_shim::translate::side::Side;
use futures_util::StreamExt as _;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{get, vendor};
use crate::support::process::{Config, Shim, run};
use crate::support::wire::binary;

pub(crate) const HEADER: &str = "usage.client_header = \"x-client\"\n";

fn request(shim: &Shim, method: Method, path: &str) -> RequestBuilder {
    let url = shim.public(&format!("/v2/conversion/stablecoins{path}"));
    reqwest::Client::new().request(method, url).bearer_auth(TOKEN)
}

async fn usage(shim: &Shim) -> Value {
    get(shim.admin("/status")).await.1["usage"].clone()
}

/// What one client of these tests does: everything that stands in the way.
pub(crate) async fn make_trouble(shim: &Shim, client: &[u8]) {
    let name = reqwest::header::HeaderValue::from_bytes(client).unwrap();
    let send = |request: RequestBuilder| request.header("x-client", name.clone()).send();
    let body = json!({"profile_id": PROFILE, "amount": "1", "source_asset": "USD", "target_asset": "PYUSD"});
    let made = send(request(shim, Method::POST, "").json(&body)).await.unwrap();
    assert_eq!(made.status(), StatusCode::OK);
    let made: Value = serde_json::from_str(&made.text().await.unwrap()).unwrap();
    let id = format!("/{}", made["id"].as_str().unwrap());
    assert_eq!(send(request(shim, Method::GET, &id)).await.unwrap().status(), StatusCode::OK);
    let filtered = "?limit=1&updated_at%2Ebegin=2020-01-01T00:00:00Z";
    assert_eq!(send(request(shim, Method::GET, filtered)).await.unwrap().status(), StatusCode::OK);
    send(request(shim, Method::GET, "?limit=1")).await.unwrap();
    send(request(shim, Method::DELETE, &id)).await.unwrap();
}

#[tokio::test]
async fn a_client_is_reported_with_all_its_blocking_requests() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write(&format!("stage = \"ready\"\n{HEADER}"));
    let shim = Shim::start(&config).await;
    make_trouble(&shim, b"treasury").await;
    let reported = usage(&shim).await;
    let client = &reported["clients"][0];
    assert_eq!(
        (&client["client"], &client["identified_by"], &client["requests"]),
        (&"treasury".into(), &"header".into(), &5.into())
    );
    assert_eq!(client["routes"], json!({"create": 1, "get": 1, "list": 2, "cancel": 1}));
    assert_eq!(
        client["blocking"],
        json!({"cancel": 1, "change_filter": 1, "legacy_record": 1, "no_reference": 1}),
        "{reported}"
    );
    let admin = shim.admin_address().to_string();
    let people = run(&["usage", "--admin", &admin]).await;
    assert_eq!(people.code, Some(0), "{people:?}");
    assert!(people.row("treasury").starts_with("identified by header; 5 requests, last 20"), "{people:?}");
    assert!(people.out.contains("BLOCKING: 1 creates without ref_id"), "{people:?}");
    let machine = run(&["usage", "--json", "--admin", &admin]).await.json();
    assert_eq!(machine["clients"][0]["requests"], 5, "{machine}");
}

#[tokio::test]
async fn one_client_is_shown_with_the_calls_that_replace_its_own() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write(&format!("stage = \"ready\"\n{HEADER}"));
    let shim = Shim::start(&config).await;
    make_trouble(&shim, b"treasury").await;
    request(&shim, Method::GET, "?limit=1").header("x-client", "payroll").send().await.unwrap();
    let admin = shim.admin_address().to_string();
    let people = run(&["usage", "--client", "treasury", "--admin", &admin]).await;
    assert_eq!(people.code, Some(0), "{people:?}");
    assert!(people.row("treasury").starts_with("identified by header; 5 requests, last 20"), "{people:?}");
    assert_eq!(people.row("list"), "2 requests");
    for line in [
        "old  DELETE /conversion/stablecoins/{id}\n",
        "new  no such call\n",
        "old  GET /conversion/stablecoins/{id}\n",
        "new  GET /orchestration/orchestrations/{id}\n",
        "BLOCKING  1 creates without ref_id, which the new API requires\n",
        "\nPOST /conversion/stablecoins\n{\n",
        "\nPOST /orchestration/orchestrations\n{\n  \"ref_id\": \"invoice-1047\"",
    ] {
        assert!(people.out.contains(line), "{line:?} is not in {}", people.out);
    }
    assert!(!people.out.contains("payroll"), "{people:?}");
    let machine = run(&["usage", "--json", "--client", "treasury", "--admin", &admin]).await.json();
    let found = &machine["found"][0];
    let call = found["calls"].as_array().unwrap().iter().find(|call| call["route"] == "cancel").unwrap();
    assert_eq!((&call["requests"], &call["new"]), (&json!(1), &Value::Null), "{machine}");
    assert_eq!(found["blocking"]["no_reference"], 1);

    // The example is what the proxy itself would send: the other command translates it to the same request.
    let create = &found["create"];
    assert_eq!(create["legacy"].get("ref_id"), None, "this client sends none");
    let mut before = create["legacy"].clone();
    before["ref_id"] = create["new"]["ref_id"].clone();
    let (code, printed, _) = binary::run(&["translate"], &before.to_string());
    let (_, body) = printed.split_once("\n\n").unwrap();
    assert_eq!((code, serde_json::from_str::<Value>(body).unwrap()), (0, create["new"].clone()));
    let other = run(&["usage", "--json", "--client", "payroll", "--admin", &admin]).await.json();
    assert_eq!(other["found"][0]["create"]["legacy"]["ref_id"], "invoice-1047", "{other}");
}

#[tokio::test]
async fn an_unknown_client_is_answered_with_similar_names() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write(&format!("stage = \"observe\"\n{HEADER}"));
    let shim = Shim::start(&config).await;
    for client in ["treasury-eu", "payroll"] {
        request(&shim, Method::GET, "?limit=1").header("x-client", client).send().await.unwrap();
    }
    let admin = shim.admin_address().to_string();
    let people = run(&["usage", "--client", "Tresury", "--admin", &admin]).await;
    assert_eq!((people.code, people.row("similar")), (Some(5), "treasury-eu"), "{people:?}");
    assert!(people.row("no client").starts_with("Tresury with an accepted request"), "{people:?}");
    let machine = run(&["usage", "--json", "--client", "nobody-at-all", "--admin", &admin]).await;
    assert_eq!(machine.code, Some(5), "{machine:?}");
    assert_eq!(
        machine.json(),
        json!({"client": "nobody-at-all", "found": [], "similar": [], "on_record": []})
    );
}

/// The client by that name, if it is listed.
fn named<'a>(reported: &'a Value, name: &str) -> Option<&'a Value> {
    reported["clients"].as_array().unwrap().iter().find(|client| client["client"] == name)
}

#[tokio::test]
async fn refused_requests_are_not_counted_as_client_usage() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write(&format!("stage = \"live\"\n{HEADER}"));
    let shim = Shim::start(&config).await;
    let client = reqwest::Client::new();
    let url = shim.public("/v2/conversion/stablecoins");
    let waves = futures_util::stream::iter((0..1001).map(|number| {
        let (body, token) = if number % 2 == 0 { ("{", TOKEN) } else { ("", "forged") };
        let method = if body.is_empty() { Method::GET } else { Method::POST };
        let request = client.request(method, &url).bearer_auth(token).body(body);
        request.header("x-client", format!("nobody-{number}")).send()
    }));
    let answers: Vec<_> = waves.buffer_unordered(20).collect().await;
    for answer in answers {
        let status = answer.unwrap().status();
        assert!([StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED].contains(&status), "{status}");
    }
    let real = request(&shim, Method::GET, "?limit=1").header("x-client", "treasury");
    assert_eq!(real.send().await.unwrap().status(), StatusCode::OK);
    let reported = usage(&shim).await;
    assert_eq!(named(&reported, "treasury").expect("a real client is there")["requests"], 1);
    assert_eq!(reported["clients"].as_array().unwrap().len(), 1, "{reported}");
    assert_eq!((&reported["other_requests"], reported.get("full_since")), (&json!(0), None));

    // Who is known is counted with what fails, but not with what others send in its name without a token that holds.
    let failed = request(&shim, Method::POST, "").header("x-client", "treasury").body("{");
    assert_eq!(failed.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    let forged = client.get(&url).bearer_auth("forged").header("x-client", "treasury");
    assert_eq!(forged.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(named(&usage(&shim).await, "treasury").unwrap()["requests"], 2);
}

#[tokio::test]
async fn a_full_table_takes_a_new_client_and_says_since_when_it_is_full() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write(&format!("stage = \"observe\"\nbudget.per_second = 100000\n{HEADER}"));
    let shim = Shim::start(&config).await;
    let client = reqwest::Client::new();
    let url = shim.public("/v2/conversion/stablecoins?limit=1");
    let call = |name: String| client.get(&url).bearer_auth(TOKEN).header("x-client", name).send();
    let waves = futures_util::stream::iter((0..1000).map(|number| call(format!("one-{number}"))));
    let answers: Vec<_> = waves.buffer_unordered(20).collect().await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().status() == StatusCode::OK));
    assert_eq!(usage(&shim).await.get("full_since"), None);
    assert_eq!(call("late".into()).await.unwrap().status(), StatusCode::OK);
    let reported = usage(&shim).await;
    assert!(named(&reported, "late").is_some(), "{}", reported["clients"].as_array().unwrap().len());
    assert_eq!((&reported["evicted"], &reported["other_requests"]), (&json!(1), &json!(0)));
    let since = reported["full_since"].as_str().unwrap().to_owned();
    let people = run(&["usage", "--admin", &shim.admin_address().to_string()]).await;
    assert!(people.row("FULL").starts_with(&format!("since {since}, with 1000 clients; 1 ")), "{people:?}");
}

#[tokio::test]
async fn names_are_trimmed_over_http2_and_an_empty_one_is_none() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write(&format!("stage = \"observe\"\n{HEADER}"));
    let shim = Shim::start(&config).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    for name in ["  treasury ", "treasury", "", "  "] {
        let request = client.get(shim.public("/v2/conversion/stablecoins?limit=1")).bearer_auth(TOKEN);
        assert_eq!(request.header("x-client", name).send().await.unwrap().status(), StatusCode::OK);
    }
    let reported = usage(&shim).await;
    let names: Vec<_> = reported["clients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["client"], &one["requests"]))
        .collect();
    let [treasury, unknown] = [json!("treasury"), json!("not identified")];
    assert_eq!(names, [(&treasury, &json!(2)), (&unknown, &json!(2))], "{reported}");
}

#[tokio::test]
async fn a_client_that_calls_itself_not_identified_is_another_row() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write(&format!("stage = \"observe\"\n{HEADER}"));
    let shim = Shim::start(&config).await;
    let client = reqwest::Client::new();
    for name in ["not identified", ""] {
        let request = client.get(shim.public("/v2/conversion/stablecoins?limit=1")).bearer_auth(TOKEN);
        assert_eq!(request.header("x-client", name).send().await.unwrap().status(), StatusCode::OK);
    }
    let admin = shim.admin_address().to_string();
    let on_record = |reported: &crate::support::process::Ran| {
        reported.out.contains("all that nothing identifies, last ")
            && reported.out.contains("header not identified, last ")
    };
    super::until(|| async { run(&["usage", "--admin", &admin]).await }, on_record).await;
    // Readiness is of `status`.
    let refused = run(&["usage", "--ready", "--admin", &admin]).await;
    assert!(refused.code == Some(2) && refused.err.contains("--ready"), "{refused:?}");
}

#[tokio::test]
async fn a_token_names_its_client_without_being_kept() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"observe\"\n");
    let shim = Shim::start(&config).await;
    let payload =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"client_id":"from-the-token"}"#);
    let token = format!("e30.{payload}.secret-signature");
    let url = shim.public("/v2/conversion/stablecoins?limit=1");
    // A vendor that takes this token.
    let taken = FaultKind::Status {
        code: StatusCode::OK,
        retry_after: None,
        body: RefusalBody::Problem,
        applied: false,
    };
    vendor.faults().arm(Fault::new(taken).on(Side::Legacy, Operation::List).times(1));
    assert_eq!(
        reqwest::Client::new().get(url).bearer_auth(&token).send().await.unwrap().status(),
        StatusCode::OK
    );
    request(&shim, Method::GET, "?limit=1").send().await.unwrap();
    let reported = usage(&shim).await;
    let mut names: Vec<_> = reported["clients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["client"].as_str(), one["identified_by"].as_str()))
        .collect();
    names.sort_unstable();
    assert_eq!(names, [(Some("from-the-token"), Some("token")), (Some("not identified"), Some("nothing"))]);
    let all = get(shim.admin("/status")).await.1.to_string()
        + &shim.log().iter().map(Value::to_string).collect::<String>();
    for secret in [TOKEN, &payload, "secret-signature"] {
        assert!(!all.contains(secret), "{secret} is in {all}");
    }
}

#[tokio::test]
async fn a_hostile_name_is_cut_and_harms_no_terminal() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write(&format!("stage = \"ready\"\n{HEADER}"));
    let shim = Shim::start(&config).await;
    let name = "\u{202e}<script>\u{9b}31m\tx".to_owned() + &"y".repeat(500);
    make_trouble(&shim, name.as_bytes()).await;
    let reported = usage(&shim).await;
    assert_eq!(reported["clients"][0]["client"].as_str().unwrap(), name.chars().take(64).collect::<String>());
    let people = run(&["usage", "--admin", &shim.admin_address().to_string()]).await;
    assert!(people.out.contains("\\u{202e}<script>\\u{9b}31m\\txyyy"), "{people:?}");
    assert!(!people.out.contains(['\u{202e}', '\u{9b}', '\t']), "{people:?}");
    for command in ["usage", "status"] {
        let machine = run(&[command, "--json", "--admin", &shim.admin_address().to_string()]).await;
        assert!(!machine.out.contains(['\u{202e}', '\u{9b}']), "{machine:?}");
        let read = machine.json();
        let clients = if command == "usage" { &read["clients"] } else { &read["usage"]["clients"] };
        assert_eq!(clients, &reported["clients"], "whoever parses it reads the same");
    }
}

#[tokio::test]
async fn deprecation_headers_are_on_answers_of_the_four_routes_only() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"observe\"\n");
    let shim = Shim::start(&config).await;
    let quiet = request(&shim, Method::GET, "?limit=1").send().await.unwrap();
    for name in ["deprecation", "sunset", "link"] {
        assert_eq!(quiet.headers().get(name), None, "off by default");
    }
    config.write(
        "stage = \"observe\"\ndeprecation.deprecated_at = \"2026-04-01T00:00:00Z\"\n\
         deprecation.sunset_at = \"2027-01-01T02:00:00+02:00\"\ndeprecation.link = \"https://example.com/moving?a=1\"\n",
    );
    let reported = super::until(
        || async { request(&shim, Method::GET, "?limit=1").send().await.unwrap().headers().clone() },
        |headers| headers.contains_key("deprecation"),
    )
    .await;
    assert_eq!(reported["deprecation"], "@1775001600");
    assert_eq!(reported["sunset"], "Fri, 01 Jan 2027 00:00:00 GMT");
    assert_eq!(reported["link"], "<https://example.com/moving?a=1>; rel=\"deprecation\"; type=\"text/html\"");
    let refused = request(&shim, Method::GET, "/none").send().await.unwrap();
    assert_eq!((refused.status(), refused.headers().contains_key("sunset")), (StatusCode::NOT_FOUND, true));
    let passed = reqwest::get(shim.public("/v2/profiles")).await.unwrap();
    assert_eq!(passed.headers().get("deprecation"), None);
}
