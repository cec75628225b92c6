//! Who still calls: in `/status` and by the command, with what stands in the way; and the headers that tell clients of the end.

use base64::Engine as _;
use conversion_shim::sandbox::{PROFILE, TOKEN};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::process::{Config, Shim, run};
use crate::{get, vendor};

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
async fn a_client_is_told_with_all_that_stands_in_the_way() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write(&format!("stage = \"ready\"\n{HEADER}"));
    let shim = Shim::start(&config).await;
    make_trouble(&shim, b"treasury").await;
    let told = usage(&shim).await;
    let client = &told["clients"][0];
    assert_eq!(
        (&client["client"], &client["by"], &client["requests"]),
        (&"treasury".into(), &"header".into(), &5.into())
    );
    assert_eq!(client["routes"], json!({"create": 1, "get": 1, "list": 2, "cancel": 1}));
    assert_eq!(
        client["blocking"],
        json!({"cancel": 1, "change_filter": 1, "legacy_record": 1, "no_reference": 1}),
        "{told}"
    );
    let admin = shim.admin_address().to_string();
    let people = run(&["usage", "--admin", &admin]).await;
    assert_eq!(people.code, Some(0), "{people:?}");
    assert!(people.row("treasury").starts_with("known by header; 5 requests, last 20"), "{people:?}");
    assert!(people.out.contains("IN THE WAY: 1 creates without ref_id"), "{people:?}");
    let machine = run(&["usage", "--json", "--admin", &admin]).await.json();
    assert_eq!(machine["clients"][0]["requests"], 5, "{machine}");
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
    reqwest::Client::new().get(url).bearer_auth(&token).send().await.unwrap();
    request(&shim, Method::GET, "?limit=1").send().await.unwrap();
    let told = usage(&shim).await;
    let mut names: Vec<_> = told["clients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["client"].as_str(), one["by"].as_str()))
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
    let told = usage(&shim).await;
    assert_eq!(told["clients"][0]["client"].as_str().unwrap(), name.chars().take(64).collect::<String>());
    let people = run(&["usage", "--admin", &shim.admin_address().to_string()]).await;
    assert!(people.out.contains("\\u{202e}<script>\\u{9b}31m\\txyyy"), "{people:?}");
    assert!(!people.out.contains(['\u{202e}', '\u{9b}', '\t']), "{people:?}");
}

#[tokio::test]
async fn answers_of_the_four_routes_tell_of_the_end_and_others_do_not() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"observe\"\n");
    let shim = Shim::start(&config).await;
    let quiet = request(&shim, Method::GET, "?limit=1").send().await.unwrap();
    for name in ["deprecation", "sunset", "link"] {
        assert_eq!(quiet.headers().get(name), None, "off by default");
    }
    config.write(
        "stage = \"observe\"\nretirement.deprecated_at = \"2026-04-01T00:00:00Z\"\n\
         retirement.sunset_at = \"2027-01-01T02:00:00+02:00\"\nretirement.link = \"https://example.com/moving?a=1\"\n",
    );
    let told = crate::until(
        || async { request(&shim, Method::GET, "?limit=1").send().await.unwrap().headers().clone() },
        |headers| headers.contains_key("deprecation"),
    )
    .await;
    assert_eq!(told["deprecation"], "@1775001600");
    assert_eq!(told["sunset"], "Fri, 01 Jan 2027 00:00:00 GMT");
    assert_eq!(told["link"], "<https://example.com/moving?a=1>; rel=\"deprecation\"; type=\"text/html\"");
    let refused = request(&shim, Method::GET, "/none").send().await.unwrap();
    assert_eq!((refused.status(), refused.headers().contains_key("sunset")), (StatusCode::NOT_FOUND, true));
    let passed = reqwest::get(shim.public("/v2/profiles")).await.unwrap();
    assert_eq!(passed.headers().get("deprecation"), None);
}
