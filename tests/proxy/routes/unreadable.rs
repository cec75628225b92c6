//! Creates in which it cannot be told whether they carry a reference. The old API may read one all the same, so they pass
//! only while nothing can be on the new side.

use conversion_shim::sandbox::{Operation, PROFILE, TOKEN};
use conversion_shim::translate::side::Side;

use crate::support::test_bed::{Answer, BACK, Caller, LEGACY, TestBed, conversion, vendor};

struct Odd {
    coding: Option<&'static str>,
    body: Vec<u8>,
    /// How it is refused, and the word that the refusal must hold.
    refused: (u16, &'static str),
}

fn odd() -> Vec<Odd> {
    let whole = conversion("odd").to_string();
    let with = |from: &str, to: &[u8]| {
        let at = whole.find(from).unwrap();
        [&whole.as_bytes()[..at], to, &whole.as_bytes()[at + from.len()..]].concat()
    };
    let key = r#""ref_id":"odd""#;
    let plain = |body, word| Odd { coding: None, body, refused: (400, word) };
    let coded =
        |coding| Odd { coding: Some(coding), body: whole.clone().into(), refused: (415, "Content-Encoding") };
    vec![
        coded("gzip"),
        coded("br"),
        coded("identity, gzip"),
        plain(with(r#""apple":"2""#, b"\"apple\":\"\xe9\""), "body"),
        plain([b"\xef\xbb\xbf", whole.as_bytes()].concat(), "body"),
        plain(with(key, br#""ref_id":"\ud800""#), "ref_id"),
        plain(with(key, br#""refId":"odd""#), "ref_id"),
        plain(with(key, br#""REF_ID":"odd""#), "ref_id"),
        plain(with(key, br#""ref\u005fId":"odd""#), "ref_id"),
        plain(with(key, br#""ref-id":"odd""#), "ref_id"),
        plain(with(key, br#""refid":"odd","ref_id":"odd""#), "ref_id"),
        plain(with(key, br#""ref_id":"odd","ref_id":"odder""#), "ref_id"),
        plain(with(key, br#""ref_id":null,"ref_id":"odd""#), "ref_id"),
        plain(with(key, br#""ref_id":"odd","ref_id":null"#), "ref_id"),
        plain(with(key, br#""ref_id":"odd","ref_id":"""#), "ref_id"),
        plain(with(key, br#""Ref_Id":"odd""#), "ref_id"),
        plain(with(key, br#""ref_id":7"#), "ref_id"),
        plain(with(key, br#""ref_id":["odd"]"#), "ref_id"),
        plain(with(key, b"\"ref_id\":\"odd\xe4\xb8\""), "body"),
        plain(with(key, br#""ref_id":"odd\q""#), "body"),
        plain(with(key, br#""ref_id":0x10"#), "body"),
    ]
}

async fn send(bed: &TestBed, odd: &Odd) -> Answer {
    send_to(&bed.client, odd).await
}

async fn send_to(client: &Caller, odd: &Odd) -> Answer {
    let url = format!("http://{}{LEGACY}", client.address());
    let mut request = client.http.post(url).bearer_auth(TOKEN).body(odd.body.clone());
    if let Some(coding) = odd.coding {
        request = request.header("content-encoding", coding);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: response.bytes().await.unwrap() }
}

#[tokio::test]
async fn they_are_the_old_apis_to_judge_while_nothing_ever_went_to_the_new_one() {
    let bed = TestBed::at("observe").await;
    for (at, odd) in odd().iter().enumerate() {
        send(&bed, odd).await;
        assert_eq!(bed.posts(Side::Legacy), at as u64 + 1, "sent once");
        let arrived = bed.sandbox.inspector().requests();
        let post = arrived.iter().rfind(|request| request.method == reqwest::Method::POST).unwrap();
        assert_eq!(post.body, odd.body);
        let coding = post.headers.get("content-encoding").map(|coding| coding.to_str().unwrap());
        assert_eq!(coding, odd.coding);
    }
    assert_eq!(bed.posts(Side::New), 0);
}

/// The vendor may read no reference in such a body, and then its answer names none: that is not a different one, and no lookup can
/// find what it made.
#[tokio::test]
async fn they_are_answered_as_without_the_proxy_on_a_connection_that_carried_others_before() {
    for odd in odd() {
        let bed = TestBed::at("observe").await;
        assert_eq!(bed.client.create("warms the connection").await.status, 200);
        let answered = send(&bed, &odd).await;
        let alone = vendor().await;
        let address = alone.base_url().trim_start_matches("http://").trim_end_matches("/v2").parse().unwrap();
        let direct = send_to(&Caller::of(address), &odd).await;
        let body = String::from_utf8_lossy(&odd.body);
        assert_eq!(answered.status, direct.status, "{body}: {:?}", answered.body);
        assert_eq!(bed.posts(Side::Legacy), 2, "{body}");
        let list = bed.sandbox.inspector().arrived(Side::Legacy, Operation::List);
        assert_eq!(list, 0, "{body}: nothing is looked up");
    }
}

#[tokio::test]
async fn they_go_to_the_old_api_alone_once_a_create_went_to_the_new_one() {
    let bed = TestBed::at("live").await;
    assert_eq!(bed.client.create("somebody else's").await.status, 200);
    refuses_all(&bed).await;
    bed.go(BACK).await;
    let posts = bed.posts(Side::New);
    for odd in odd() {
        // Every reading of the reference is claimed for the old API; a body that shows none is refused.
        send(&bed, &odd).await;
    }
    assert_eq!(bed.posts(Side::New), posts);
    let claimed = bed.claim("odd").await.unwrap();
    assert_eq!(claimed.side, Side::Legacy);
}

#[tokio::test]
async fn they_are_refused_by_who_creates_on_the_new_api() {
    let canary = [("stage", "canary"), ("canary.percent", "100"), ("canary.salt", "s")];
    for keys in [&[("stage", "live")][..], &canary] {
        refuses_all(&TestBed::with(keys).await).await;
    }
}

async fn refuses_all(bed: &TestBed) {
    let arrived = bed.sandbox.inspector().requests().len();
    for odd in odd() {
        let (status, word) = odd.refused;
        let problem = send(bed, &odd).await.problem(status);
        let body = String::from_utf8_lossy(&odd.body);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(word) && detail.contains("nothing was sent now"), "{body}: {problem}");
    }
    assert_eq!(bed.sandbox.inspector().requests().len(), arrived, "nothing is sent");
}

/// A canary moves some profiles; the others' bodies are the old API's to judge, as long as it is certain that they are theirs.
#[tokio::test]
async fn a_canary_leaves_them_to_the_old_api_for_profiles_that_stay_there() {
    let canary = |profiles: &'static str| {
        [("stage", "canary"), ("canary.salt", "s"), ("canary.percent", "0"), ("canary.profiles", profiles)]
    };
    let bed = TestBed::with(&canary("somebody-elses")).await;
    let key = r#""ref_id":"odd""#;
    let whole = conversion("odd").to_string();
    let plain = |body: String| Odd { coding: None, body: body.into(), refused: (400, "body") };
    let twice = |first: &str, second: &str| {
        let more = format!(r#""profile_id":"{second}","#);
        plain(whole.replace(PROFILE, first).replace(key, &format!("{more}{key}")))
    };
    let marked = plain(format!("\u{FEFF}{whole}"));
    let references = plain(whole.replace(key, r#""ref_id":"odd","ref_id":"odder""#));
    for (sent, odd) in [marked, references, twice(PROFILE, PROFILE)].iter().enumerate() {
        send(&bed, odd).await;
        assert_eq!((bed.posts(Side::Legacy), bed.posts(Side::New)), (sent as u64 + 1, 0));
        assert_eq!(bed.claim("odd").await.unwrap().side, Side::Legacy);
    }
    let posts = bed.posts(Side::Legacy);
    for odd in [twice(PROFILE, "somebody-elses"), twice("somebody-elses", PROFILE)] {
        send(&bed, &odd).await.problem(400);
    }
    bed.go(&canary(PROFILE)).await;
    let problem = send(&bed, &plain(format!("\u{FEFF}{whole}"))).await.problem(400);
    assert!(problem["detail"].as_str().unwrap().contains("nothing was sent now"), "{problem}");
    assert_eq!((bed.posts(Side::Legacy), bed.posts(Side::New)), (posts, 0));
}

#[tokio::test]
async fn a_reference_that_no_claim_can_hold_is_refused_in_plain_words() {
    let bed = TestBed::at("observe").await;
    for (ref_id, words) in [
        ("r".repeat(1025), "ref_id is longer than 1024 bytes"),
        ("r\0".to_owned(), "ref_id contains a NUL character"),
    ] {
        let problem = bed.client.create(&ref_id).await.problem(400);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words) && detail.matches("ref_id").count() == 1, "{problem}");
    }
    assert_eq!(bed.posts(Side::Legacy), 0);
}
