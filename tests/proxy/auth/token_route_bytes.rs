//! What a token request looks like on its way: every byte that is not a scope, every spelling of the path, and every body that
//! cannot be read.

use std::io::Write as _;

use super::*;
use crate::support::wire::raw::RawListener;
use bytes::Bytes;
use conversion_shim::sandbox::{Fault, FaultKind, RefusalBody};

const FORM: &str = "application/x-www-form-urlencoded";

fn post(bed: &TestBed, path: &str) -> RequestBuilder {
    bed.client.http.post(format!("http://{}{path}", bed.client.address()))
}

#[tokio::test]
async fn everything_but_the_scope_reaches_the_vendor_as_it_was_sent() {
    let bed = TestBed::at("live").await;
    let sent = format!(
        "a=%7e+%20&scope={READ}&&client_secret=%FF%zz;&=&client_id=x&grant_type=client_credentials&b"
    );
    let request = post(&bed, "/oauth2/token?q=%7e").header("content-type", FORM).header("x-own", "1");
    let request = request.header("accept-encoding", "gzip").basic_auth("id", Some("s"));
    assert_eq!(answered(request.body(sent.clone())).await.status, 200);
    let seen = last_token_call(&bed);
    let twins = format!("{READ} {NEW_READ}").replace(':', "%3A").replace(' ', "+");
    assert_eq!(seen.body, sent.replace(READ, &twins));
    assert_eq!(seen.path_and_query, "/oauth2/token?q=%7e");
    assert_eq!(seen.headers["content-length"], seen.body.len().to_string());
    assert_eq!(seen.headers["content-type"], FORM);
    assert_eq!(seen.headers["authorization"], "Basic aWQ6cw==");
    assert_eq!(seen.headers["x-own"], "1");
    assert_eq!(seen.headers["accept-encoding"], "identity");
}

#[tokio::test]
async fn a_multipart_form_keeps_its_parts_their_heads_and_their_bytes() {
    let bed = TestBed::at("sealed").await;
    let part = |head: &str, value: &[u8]| [b"--x\r\n", head.as_bytes(), b"\r\n\r\n", value, b"\r\n"].concat();
    let body = |scope: &str| {
        [
            b"preamble\r\n".to_vec(),
            part("content-disposition: form-data; name=grant_type", b"client_credentials"),
            part(
                "Content-Disposition: form-data; name=\"client_secret\"; filename=\"s\"\r\nContent-Type: a/b",
                b"\xff\r\n--y\0",
            ),
            part("Content-Disposition: form-data; name=\"client_id\"", b"a"),
            part(
                "Content-Type: text/plain\r\nContent-Disposition: form-data; name=\"scope\"",
                scope.as_bytes(),
            ),
            b"--x--\r\nepilogue".to_vec(),
        ]
        .concat()
    };
    let request = post(&bed, "/oauth2/token").header("content-type", "multipart/form-data; boundary=\"x\"");
    let answer = answered(request.body(body(&format!("{READ} a:b {WRITE}")))).await;
    assert_eq!(answer.status, 400, "the vendor knows no a:b");
    assert_eq!(last_token_call(&bed).body, body(&format!("{NEW_READ} a:b {NEW_WRITE}")));
}

#[tokio::test]
async fn what_cannot_be_read_goes_on_as_it_came() {
    let bed = TestBed::with(&[("stage", "sealed"), ("limits.request_body_max", "2KiB")]).await;
    let scope = format!("grant_type=client_credentials&client_id=a&client_secret=b&scope={READ}");
    let long = format!("{scope}&pad={}", "x".repeat(300_000));
    let multipart = "multipart/form-data; boundary=x";
    let part =
        |value: &str| format!("--x\r\nContent-Disposition: form-data; name=\"scope\"\r\n\r\n{value}\r\n");
    let cases: Vec<(Option<&str>, Option<&str>, Bytes)> = vec![
        (None, None, scope.clone().into()),
        (Some("application/json"), None, format!("{{\"scope\":\"{READ}\"}}").into()),
        (Some(FORM), Some("gzip"), scope.clone().into()),
        (Some(FORM), Some("identity"), scope.clone().into()),
        (Some(FORM), None, format!("{scope}&scope={READ}").into()),
        (Some(FORM), None, [scope.as_bytes(), b"%ff"].concat().into()),
        (Some(FORM), None, long.clone().into()),
        (Some(FORM), None, Bytes::new()),
        (Some(multipart), None, part(READ).into()),
        (Some(multipart), None, format!("{}{}--x--", part(READ), part(READ)).into()),
        (Some("multipart/form-data; boundary=y"), None, format!("{}--x--", part(READ)).into()),
        (Some("multipart/form-data"), None, format!("{}--x--", part(READ)).into()),
        (Some(multipart), None, format!("--x\r\n\r\n{}", part(READ)).into()),
    ];
    for (kind, coding, body) in cases {
        let before = token_calls(&bed);
        let mut request = post(&bed, "/oauth2/token").header("digest", "sha-256=x");
        for (name, value) in [("content-type", kind), ("content-encoding", coding)] {
            request = value.into_iter().fold(request, |request, value| request.header(name, value));
        }
        answered(request.body(body.clone())).await;
        let seen = last_token_call(&bed);
        assert_eq!(token_calls(&bed), before + 1);
        assert!(seen.body == body, "{kind:?} {coding:?}: {:?}", String::from_utf8_lossy(&body));
        let header = |name: &str| seen.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!((header("content-type"), header("content-encoding")), (kind, coding));
        assert_eq!(header("digest"), Some("sha-256=x"));
    }
    // Of no known length, and longer than is read.
    let pieces =
        long.as_bytes().chunks(1000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect::<Vec<_>>();
    let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    answered(post(&bed, "/oauth2/token").header("content-type", FORM).body(stream)).await;
    assert!(last_token_call(&bed).body == long);
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_passes_as_it_came() {
    let bed = TestBed::at("sealed").await;
    let kinds = [
        FaultKind::NotJson,
        FaultKind::EmptyBody,
        FaultKind::Status {
            code: http::StatusCode::BAD_GATEWAY,
            retry_after: Some(3),
            body: RefusalBody::Html,
            applied: false,
        },
    ];
    for kind in kinds {
        let fault = bed.sandbox.faults().arm(Fault::new(kind.clone()).on(None, Operation::Token));
        let body = format!("grant_type=client_credentials&client_id=a&client_secret=b&scope={READ}");
        let request = |url: String| bed.client.http.post(url).header("content-type", FORM).body(body.clone());
        let ours = answered(request(format!("http://{}/oauth2/token", bed.client.address()))).await;
        let vendors = answered(request(bed.sandbox.token_url())).await;
        assert_eq!((ours.status, &ours.body), (vendors.status, &vendors.body), "{kind:?}");
        assert_eq!(ours.headers.get("retry-after"), vendors.headers.get("retry-after"));
        bed.sandbox.faults().remove(&fault);
    }
}

#[tokio::test]
async fn a_failing_token_endpoint_is_reported_as_such() {
    let bed = TestBed::with(&[("stage", "sealed"), ("auth.timeout", "300ms")]).await;
    let body = format!("scope={READ}");
    let request = || post(&bed, "/oauth2/token").header("content-type", FORM).body(body.clone());
    let arm = |kind| bed.sandbox.faults().arm(Fault::new(kind).on(None, Operation::Token));
    let reset = arm(FaultKind::Reset { applied: false });
    answered(request()).await.problem(502);
    bed.sandbox.faults().remove(&reset);
    let gate = arm(FaultKind::Gate { applied: false });
    answered(request()).await.problem(504);
    bed.sandbox.faults().remove(&gate);
    bed.sandbox.faults().go_down().await;
    let problem = answered(request()).await.problem(503);
    assert!(problem["detail"].as_str().unwrap().contains("token endpoint"), "{problem}");
}

#[tokio::test]
async fn the_path_is_met_in_every_spelling_and_no_other_is() {
    // The token endpoint is another host's than the APIs'.
    let apis = test_bed::vendor().await;
    let url = apis.base_url();
    let bed =
        TestBed::with(&[("stage", "live"), ("upstream.legacy.url", &url), ("upstream.new.url", &url)]).await;
    for path in [
        "/oauth2/token",
        "//oauth2/token",
        "/oauth2/token/",
        "/oauth2/./token",
        "/v2/../oauth2/token",
        "/%6fauth2%2Ftoken",
    ] {
        let before = token_calls(&bed);
        let address = bed.client.address().parse().unwrap();
        let status = raw_post(address, path, FORM, &format!("scope={READ}")).await;
        assert_eq!((status, token_calls(&bed)), (400, before + 1), "{path}");
    }
    let before = token_calls(&bed);
    for path in ["/oauth2/tokens", "/oauth2", "/v2/oauth2/token", "/OAUTH2/token", "/oauth2/token/x"] {
        answered(post(&bed, path).header("content-type", FORM).body("a=b")).await;
    }
    answered(bed.client.http.get(format!("http://{}/oauth2/token", bed.client.address()))).await;
    assert_eq!(token_calls(&bed), before, "passed through to the APIs' host");
    bed.go(&[("stage", "live"), ("auth.token_path", "/v2/token")]).await;
    answered(post(&bed, "/v2/token").header("content-type", FORM).body("a=b")).await;
    assert_eq!(token_calls(&bed), before + 1);
    bed.go(&[("stage", "live"), ("auth.token_path", "")]).await;
    answered(post(&bed, "/v2/token").header("content-type", FORM).body("a=b")).await;
    answered(post(&bed, "/oauth2/token").header("content-type", FORM).body("a=b")).await;
    assert_eq!(token_calls(&bed), before + 1);
    assert_eq!(apis.inspector().arrived(None, Operation::Token), 1, "the last one, as it came");
}

/// A POST whose path nobody tidies; answers the status.
async fn raw_post(address: std::net::SocketAddr, path: &str, kind: &str, body: &str) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = soon(tokio::net::TcpStream::connect(address)).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    );
    soon(stream.write_all(format!("{head}{body}").as_bytes())).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// A token endpoint that answers every request with the same bytes; where it listens.
async fn endpoint(answer: Vec<u8>) -> (String, tokio::task::JoinHandle<()>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = Vec::new();
            // The end of the one form that is sent here.
            while !heard.ends_with(b"&end=1") {
                assert!(stream.read_buf(&mut heard).await.unwrap() > 0);
            }
            stream.write_all(&answer).await.unwrap();
        }
    });
    (url, task)
}

fn token_answer(status: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json;charset=UTF-8\r\ncache-control: no-store\r\netag: \"x\"\r\ndigest: d\r\n{more}content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

#[tokio::test]
async fn a_compressed_refusal_of_the_scopes_is_read_as_a_plain_one() {
    let bed = TestBed::at("live").await;
    let listener = RawListener::open().await;
    bed.go(&[("stage", "live"), ("upstream.oauth.url", &listener.url("/token"))]).await;
    let form = format!("grant_type=client_credentials&client_id=a&scope={READ}");
    let serving = async {
        let mut refused = listener.next().await;
        assert_ne!(refused.message().await.body, form.as_bytes());
        let refusal = gzip(r#"{"error":"invalid_scope"}"#);
        refused.say(token_answer("400 Bad Request", "content-encoding: gzip\r\n", &refusal)).await;
        let mut granted = listener.next().await;
        assert_eq!(granted.message().await.body, form.as_bytes(), "the client's own request");
        granted.say(token_answer("200 OK", "", br#"{"access_token":"t"}"#)).await;
    };
    let asking = answered(post(&bed, "/oauth2/token").header("content-type", FORM).body(form.clone()));
    let (answer, ()) = tokio::join!(asking, serving);
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn of_an_answer_that_is_rewritten_nothing_speaks_of_the_old_bytes() {
    let granted = format!("{{\"access_token\" : \"t\\u0041\", \"scope\":\"{NEW_READ}\" ,\"n\":1.0}}");
    let shown = granted.replace(NEW_READ, READ);
    let bed = TestBed::at("sealed").await;
    let ask = async |status: &str, more: &str, body: &[u8]| {
        let (url, task) = endpoint(token_answer(status, more, body)).await;
        bed.go(&[("stage", "sealed"), ("upstream.oauth.url", &url), ("limits.response_body_max", "1KiB")])
            .await;
        let body = format!("scope={READ}&end=1");
        let answer = answered(post(&bed, "/oauth2/token").header("content-type", FORM).body(body)).await;
        task.abort();
        answer
    };
    let answer = ask("200 OK", "", granted.as_bytes()).await;
    assert_eq!(answer.body, shown);
    assert_eq!(answer.headers["content-length"], shown.len().to_string());
    assert_eq!(
        (&answer.headers["content-type"], &answer.headers["cache-control"]),
        (&"application/json;charset=UTF-8".parse().unwrap(), &"no-store".parse().unwrap())
    );
    assert!(!answer.headers.contains_key("etag") && !answer.headers.contains_key("digest"));
    // As other clients read it: compressed although nobody asked for it, with another success, after a byte order mark.
    for (status, more, body) in [
        ("200 OK", "content-encoding: gzip\r\n", gzip(&granted)),
        ("201 Created", "", granted.clone().into_bytes()),
        ("200 OK", "", format!("\u{feff}{granted}").into_bytes()),
    ] {
        let answer = ask(status, more, &body).await;
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!(text.trim_start_matches('\u{feff}'), shown, "{status} {more}");
        assert_eq!(answer.headers["content-length"], text.len().to_string());
        assert!(!answer.headers.contains_key("content-encoding"));
    }
    // Not in the coding that it names, or longer than is read: as it came.
    let long = format!("{granted}{}", " ".repeat(100_000));
    for (more, body) in [("content-encoding: br\r\n", granted.clone()), ("", long)] {
        let answer = ask("200 OK", more, body.as_bytes()).await;
        assert!(answer.body == body, "{more}");
        assert_eq!(answer.headers["content-length"], body.len().to_string());
        assert!(answer.headers.contains_key("etag") && answer.headers.contains_key("digest"));
    }
}
