//! Which scopes a client's token request asks for in every stage, and how the answer tells them.

use super::*;
use conversion_shim::translate::side::Side;

/// The forms in which clients ask, for these scopes, with the demo client's credentials.
fn forms(bed: &TestBed, scope: &str) -> Vec<RequestBuilder> {
    let http = &bed.client.http;
    let url = format!("http://{}/oauth2/token", bed.client.address());
    let encoded: String = form_urlencoded::byte_serialize(scope.as_bytes()).collect();
    let form = "application/x-www-form-urlencoded";
    let both = format!("grant_type=client_credentials&client_id=a&client_secret=s3cret&scope={encoded}");
    // As curl writes --form.
    let field = |name: &str, value: &str| {
        format!(
            "--------------------------d74496d66958873e\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        )
    };
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", "a"),
        ("client_secret", "s3cret"),
        ("scope", scope),
    ];
    let parts: String = fields.iter().map(|(name, value)| field(name, value)).collect();
    let multipart = "multipart/form-data; boundary=------------------------d74496d66958873e";
    vec![
        http.post(&url).header("content-type", form).body(both),
        http.post(&url)
            .header("content-type", multipart)
            .body(format!("{parts}--------------------------d74496d66958873e--\r\n")),
        http.post(&url)
            .header("content-type", form)
            .basic_auth("a", Some("s3cret"))
            .body(format!("scope={encoded}&grant_type=client_credentials")),
    ]
}

/// The scopes of the token that an answer holds, as the vendor sees them: what it says when a token does not suffice.
async fn really_granted(bed: &TestBed, answer: &Answer) -> Vec<&'static str> {
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let mut granted = Vec::new();
    for (path, scope) in [("conversion/stablecoins", READ), ("orchestration/orchestrations", NEW_READ)] {
        let url = format!("{}/{path}", bed.sandbox.base_url());
        let status = answered(bed.client.http.get(url).bearer_auth(&token)).await.status;
        if status == 200 {
            granted.push(scope);
        }
    }
    granted
}

#[tokio::test]
async fn every_stage_and_form_gets_a_token_that_works_there_and_reads_as_asked_for() {
    let all: &[&str] = &[READ, WRITE, NEW_READ, NEW_WRITE, "funding:read_profile"];
    let sandbox = vendor_with(&[("a", all)], Options::default()).await;
    let bed = TestBed::before(sandbox, &[("stage", "observe")], |_| {}).await;
    let asked = format!("{READ} funding:read_profile {WRITE}");
    for (stage, granted) in [
        ("observe", vec![READ]),
        ("hold", vec![READ, NEW_READ]),
        ("canary", vec![READ, NEW_READ]),
        ("live", vec![READ, NEW_READ]),
        ("sealed", vec![NEW_READ]),
    ] {
        bed.go(&[("stage", stage)]).await;
        for (at, request) in forms(&bed, &asked).into_iter().enumerate() {
            let answer = answered(request).await;
            assert_eq!(answer.status, 200, "{stage} {at} {answer:?}");
            assert_eq!(answer.json()["scope"], asked, "{stage} {at}");
            assert_eq!(answer.json()["token_type"], "bearer");
            assert_eq!(answer.headers["content-length"], answer.body.len().to_string());
            assert_eq!(really_granted(&bed, &answer).await, granted, "{stage} {at}");
        }
    }
    assert_eq!(token_calls(&bed), 15, "one call each");
}

#[tokio::test]
async fn the_key_overrides_the_stage() {
    let sandbox = vendor_with(&[("a", &[READ, WRITE, NEW_READ, NEW_WRITE])], Options::default()).await;
    let bed = TestBed::before(sandbox, &[("stage", "live")], |_| {}).await;
    for (key, granted) in [("off", vec![READ]), ("add", vec![READ, NEW_READ]), ("replace", vec![NEW_READ])] {
        bed.go(&[("stage", "live"), ("auth.scopes", key)]).await;
        for request in forms(&bed, READ) {
            let answer = answered(request).await;
            assert_eq!(answer.json()["scope"], READ, "{key}");
            assert_eq!(really_granted(&bed, &answer).await, granted, "{key}");
        }
    }
}

#[tokio::test]
async fn a_client_that_names_no_scope_gets_the_vendors_answer_as_it_is() {
    let bed = TestBed::at("sealed").await;
    let url = format!("http://{}/oauth2/token", bed.client.address());
    let body = "grant_type=client_credentials&client_id=a&client_secret=b";
    let request = bed.client.http.post(url).header("content-type", "application/x-www-form-urlencoded");
    let answer = answered(request.body(body)).await;
    assert_eq!(answer.json()["scope"], SCOPES.join(" "));
    assert_eq!(last_token_call(&bed).body, body);
}

#[tokio::test]
async fn a_client_without_the_new_scopes_gets_its_old_ones_with_one_call_more() {
    let old: &[&str] = &[READ, WRITE];
    let sandbox = vendor_with(&[("a", old)], Options::default()).await;
    let bed = TestBed::before(sandbox, &[("stage", "live")], |_| {}).await;
    for request in forms(&bed, &format!("{READ} {WRITE}")) {
        let before = token_calls(&bed);
        let original = request.try_clone().unwrap().build().unwrap();
        let answer = answered(request).await;
        assert_eq!((answer.status, &answer.json()["scope"]), (200, &format!("{READ} {WRITE}").into()));
        assert_eq!(token_calls(&bed), before + 2);
        let last = last_token_call(&bed);
        assert_eq!(last.body, original.body().unwrap().as_bytes().unwrap(), "as the client wrote it");
        assert_eq!(really_granted(&bed, &answer).await, [READ]);
    }
    // A scope that nobody has is refused twice, and the client hears it once.
    for request in forms(&bed, &format!("{READ} unheard:of")) {
        let before = token_calls(&bed);
        let answer = answered(request).await;
        assert_eq!((answer.status, &answer.json()["error"]), (400, &"invalid_scope".into()));
        assert_eq!(token_calls(&bed), before + 2);
    }
    // At the end an old token would be worth nothing.
    bed.go(&[("stage", "sealed")]).await;
    for request in forms(&bed, READ) {
        let before = token_calls(&bed);
        assert_eq!(answered(request).await.json()["error"], "invalid_scope");
        assert_eq!(token_calls(&bed), before + 1);
    }
}

#[tokio::test]
async fn the_vendors_refusals_pass_untouched_and_are_not_repeated() {
    let sandbox = vendor_with(&[("other", &[READ])], Options::default()).await;
    let bed = TestBed::before(sandbox, &[("stage", "live")], |_| {}).await;
    for request in forms(&bed, READ) {
        let before = token_calls(&bed);
        let direct = request.try_clone().unwrap().build().unwrap();
        let answer = answered(request).await;
        let url = bed.sandbox.token_url();
        let vendors = bed.client.http.post(url).headers(direct.headers().clone());
        let vendors = answered(vendors.body(direct.body().unwrap().as_bytes().unwrap().to_vec())).await;
        assert_eq!((answer.status, &answer.body), (401, &vendors.body));
        assert_eq!(token_calls(&bed), before + 2, "one by the proxy, one direct");
    }
}

#[tokio::test]
async fn a_whole_client_gets_a_token_through_the_proxy_and_converts_in_every_stage() {
    let sandbox = vendor_with(&[("a", &[READ, WRITE, NEW_READ, NEW_WRITE])], Options::default()).await;
    let bed = TestBed::before(sandbox, &[("stage", "observe")], |_| {}).await;
    for stage in ["observe", "live", "sealed"] {
        bed.go(&[("stage", stage)]).await;
        for (at, request) in forms(&bed, &format!("{READ} {WRITE}")).into_iter().enumerate() {
            let token = answered(request).await.json()["access_token"].as_str().unwrap().to_owned();
            let client = bed.client.with_token(&token);
            let id = client.create(&format!("{stage} {at}")).await.id();
            assert_eq!(client.get(&id).await.id(), id, "{stage}");
            assert_eq!(client.list("limit=5").await.status, 200, "{stage}");
        }
    }
}

#[tokio::test]
async fn a_token_with_legacy_scopes_only_gets_the_missing_scope_named_and_converts_nothing() {
    let bed = TestBed::at("live").await;
    let old = bed.client.with_token(&bed.sandbox.issue_token(CUSTOMER, &[READ, WRITE]));
    let problem = old.create("r").await.problem(403);
    assert!(problem["detail"].as_str().unwrap().contains(NEW_WRITE), "{problem}");
    assert_eq!(bed.made("r"), conversion_shim::sandbox::Tally::default());
    let problem = old.list("limit=1").await.problem(403);
    assert!(problem["detail"].as_str().unwrap().contains(NEW_READ), "{problem}");
    let on_legacy = bed.made_on(Side::Legacy, "old").await;
    assert_eq!(old.get(&on_legacy).await.id(), on_legacy, "what it may see is shown");
    old.get("nobody-knows-it").await.problem(403);
    // The same reference with a token that may.
    assert_eq!(bed.client.create("r").await.status, 200);
}

#[tokio::test]
async fn a_client_of_http2_is_served_alike() {
    let bed = TestBed::at("sealed").await;
    let client = bed.client.over_http2();
    let url = format!("http://{}/oauth2/token", bed.client.address());
    let body = format!("grant_type=client_credentials&client_id=a&client_secret=s&scope={READ}");
    let answer = answered(
        client.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body),
    )
    .await;
    assert_eq!(answer.json()["scope"], READ);
    assert_eq!(really_granted(&bed, &answer).await, [NEW_READ]);
}
