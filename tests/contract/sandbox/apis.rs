//! Creates, reads, cancels, tokens: every documented answer, and where the money is afterwards.

use super::*;

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
    assert_eq!(sandbox.inspector().balance(PROFILE, "USD"), "900");
    assert_eq!(sandbox.inspector().balance(PROFILE, "PYUSD"), "100");
}

#[tokio::test]
async fn directed_settlement_pays_the_recipient() {
    let (sandbox, client) = funded(quiet()).await;
    let body = but(conversion("r"), &json!({ "recipient_profile_id": SECOND_PROFILE }));
    let (_, created) = client.post(LEGACY, &body).await;
    assert_eq!(created["recipient_profile_id"], SECOND_PROFILE);
    assert!(sandbox.inspector().set_status(created["id"].as_str().unwrap(), "SETTLED"));
    assert_eq!(sandbox.inspector().balance(SECOND_PROFILE, "PYUSD"), "100");
    assert_eq!(sandbox.inspector().balance(PROFILE, "PYUSD"), "0");
}

#[tokio::test]
async fn cancel_returns_the_funds_once() {
    let (sandbox, client) = funded(quiet()).await;
    let path = format!("{LEGACY}/{}", client.create("r").await["id"].as_str().unwrap());
    assert_eq!(sandbox.inspector().balance(PROFILE, "USD"), "900");
    let (status, cancelled) = client.delete(&path).await;
    assert_eq!((status.as_u16(), &cancelled["status"]), (200, &json!("CANCELLED")));
    assert_eq!(cancelled["cancelled_at"], cancelled["updated_at"]);
    assert_eq!(sandbox.inspector().balance(PROFILE, "USD"), "1000");
    let (status, refusal) = client.delete(&path).await;
    assert_eq!((status.as_u16(), &refusal["title"]), (403, &json!("Forbidden")));
    assert_eq!(sandbox.inspector().balance(PROFILE, "USD"), "1000");
    assert_eq!(sandbox.inspector().applied(Side::Legacy, Operation::Cancel), 1);
    assert_eq!(sandbox.inspector().conversions_by_ref()["r"], Tally { legacy: 1, new: 0 });
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
    assert_eq!(sandbox.inspector().conversions_by_ref().len(), 0);
    assert_eq!(sandbox.inspector().balance(PROFILE, "USD"), "1000");
}

#[tokio::test]
async fn documented_refusals_have_the_documented_form() {
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
    assert_eq!(sandbox.inspector().conversions_by_ref()["r"], Tally { legacy: 1, new: 1 });
    assert_eq!(sandbox.inspector().balance(PROFILE, "USD"), "800");
    let (status, _) = client.get(&format!("{NEW}/{}", old["id"].as_str().unwrap())).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn an_orchestration_takes_the_course_its_profile_is_set_to() {
    let options = Options {
        settle_after: Duration::ZERO,
        variants: Variants {
            completed_at: true,
            record_members: members(&json!({ "orchestration_rule_id": "" })),
            ..Variants::default()
        },
        ..Options::default()
    };
    let (sandbox, client) = funded(options).await;
    let inspector = sandbox.inspector();
    let cases = [
        (OrchestrationOutcome::Complete, "PROCESSING", "COMPLETED"),
        (OrchestrationOutcome::AwaitApproval, "PENDING", "PENDING"),
        (OrchestrationOutcome::Reject, "PENDING", "REJECTED"),
        (OrchestrationOutcome::Fail("no luck".to_owned()), "PROCESSING", "FAILED"),
    ];
    let mut last = Vec::new();
    for (outcome, first, then) in cases {
        inspector.set_outcome(PROFILE, outcome);
        let (_, created) = client.post(NEW, &orchestration(then)).await;
        assert_eq!(created["status"], first);
        assert_eq!(created["orchestration_rule_id"], "");
        let (_, read) = client.get(&format!("{NEW}/{}", created["id"].as_str().unwrap())).await;
        assert_eq!(read["status"], then);
        last.push(read);
    }
    assert!(last[0]["completed_at"].is_string());
    assert_eq!(last[3]["fail_reason"]["detail"], "no luck");
    assert_eq!(inspector.balance(PROFILE, "USD"), "800", "one completed, one waits; the others came back");
    let waiting = last[1]["id"].as_str().unwrap();
    assert!(inspector.approve(waiting));
    assert!(!inspector.approve(waiting));
    assert_eq!(inspector.record(Side::New, waiting).unwrap()["status"], "COMPLETED");
    assert_eq!(inspector.balance(PROFILE, "PYUSD"), "200");
    assert!(inspector.set_status(waiting, "PENDING_APPROVAL"));
    let (_, read) = client.get(&format!("{NEW}/{waiting}")).await;
    assert_eq!(read["status"], "PENDING_APPROVAL");
}

#[tokio::test]
async fn money_to_a_wallet_or_a_bank_leaves_the_platform() {
    let (sandbox, client) = funded(Options { settle_after: Duration::ZERO, ..Options::default() }).await;
    let wallet = json!({ "destination": { "crypto": { "address": "0x1", "network": "ETHEREUM" } } });
    let (status, created) = client.post(NEW, &but(orchestration("r"), &wallet)).await;
    assert_eq!((status.as_u16(), &created["destination"]), (200, &wallet["destination"]));
    assert_eq!(sandbox.inspector().balance(PROFILE, "USD"), "900");
    assert_eq!(sandbox.inspector().balance(PROFILE, "PYUSD"), "0");
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
    assert_eq!(sandbox.inspector().arrived(None, Operation::Token), 4);
}

#[tokio::test]
async fn a_token_may_be_granted_less_or_not_say_what() {
    let (sandbox, client) = funded(quiet()).await;
    let url = sandbox.token_url();
    let token = async |granted_scopes| {
        sandbox.inspector().set_variants(Variants { granted_scopes, ..Variants::default() });
        let form = format!(
            "grant_type=client_credentials&client_id=a&client_secret=b&scope={}%20{}",
            SCOPES[0], SCOPES[1]
        );
        let request = client.http.post(&url).header("content-type", "application/x-www-form-urlencoded");
        read(request.body(form)).await.1
    };
    assert_eq!(token(GrantedScopes::Named).await["scope"], format!("{} {}", SCOPES[0], SCOPES[1]));
    assert!(token(GrantedScopes::Unnamed).await.get("scope").is_none());
    let answer = token(GrantedScopes::Reading).await;
    assert_eq!(answer["scope"], SCOPES[0]);
    let reading = Caller::of(&sandbox).with_token(answer["access_token"].as_str().unwrap().to_owned());
    assert_eq!(reading.get(LEGACY).await.0, 200);
    assert_eq!(reading.post(LEGACY, &conversion("r")).await.0, 403);
}

#[tokio::test]
async fn test_funds_are_deposited() {
    let (sandbox, client) = funded(quiet()).await;
    let before = sandbox.inspector().balance(SECOND_PROFILE, "USD");
    let path = |profile: &str| format!("/sandbox/profiles/{profile}/deposit");
    let deposit = json!({ "asset": "USD", "amount": "0.25" });
    assert_eq!(client.post(&path(SECOND_PROFILE), &deposit).await.0, 200);
    assert_eq!(sandbox.inspector().balance(SECOND_PROFILE, "USD"), format!("{before}.25"));
    assert_eq!(client.post(&path("nobody"), &deposit).await.0, 404);
    for (changed, value) in [("amount", json!("x")), ("asset", json!("XYZ")), ("asset", json!(""))] {
        let invalid = but(deposit.clone(), &json!({ changed: value }));
        assert_eq!(client.post(&path(PROFILE), &invalid).await.0, 400, "{invalid}");
    }
}

#[tokio::test]
async fn customers_do_not_see_each_other() {
    let clients = vec![OAuthClient {
        id: "two".to_owned(),
        secret: "s".to_owned(),
        customer: "second".to_owned(),
        scopes: Vec::new(),
    }];
    let (sandbox, client) = funded(Options { clients, ..quiet() }).await;
    let ask = |id: &'static str| {
        let request = client.http.post(sandbox.token_url()).basic_auth(id, Some("s"));
        read(request.body("grant_type=client_credentials"))
    };
    assert_eq!(ask("one").await.0, 401);
    let token = ask("two").await.1["access_token"].as_str().unwrap().to_owned();
    let other = Caller::of(&sandbox).with_token(token);
    sandbox.inspector().open_profile("second", "theirs");
    sandbox.inspector().credit("theirs", "USD", "100");
    let mine = client.create("r").await;
    assert_eq!(other.get(&format!("{LEGACY}/{}", mine["id"].as_str().unwrap())).await.0, 404);
    assert_eq!(other.post(LEGACY, &conversion("r")).await.0, 404, "not their profile");
    assert_eq!(other.post(NEW, &orchestration("r")).await.1["profile_id"], "theirs");
    assert_eq!(other.post(LEGACY, &but(conversion("r"), &json!({ "profile_id": "theirs" }))).await.0, 403);
    assert_eq!(sandbox.inspector().conversions_by_ref_of("second")["r"], Tally { legacy: 0, new: 1 });
    assert_eq!(other.get("/profiles").await.1, json!({ "items": [{ "id": "theirs" }] }));
}
