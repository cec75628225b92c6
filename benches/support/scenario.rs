//! What is asked, what the upstream answers, and what the cost is compared with. Data only.

use std::sync::Arc;

use super::records;

/// One kind of request, measured again and again.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// The request to the proxy, head and body.
    pub(crate) request: Arc<[u8]>,
    /// The request with which the yardstick passes the same bytes through.
    pub(crate) yardstick: Arc<[u8]>,
    /// The upstream's answer, head and body.
    pub(crate) answer: Vec<u8>,
    /// What the proxy's client must see, checked once before anything is measured.
    pub(crate) expected: Expected,
    /// The most that a request may cost, as a ratio of CPU time to the yardstick's.
    pub(crate) target: f64,
}

/// What makes an answer right.
pub(crate) enum Expected {
    /// The upstream's body, byte for byte.
    SameBytes,
    /// A body in the legacy shape: so many records with a `target_asset`.
    Conversions(usize),
}

impl Scenario {
    /// The body that the upstream sends.
    pub(crate) fn answer_body(&self) -> &[u8] {
        let head = memchr::memmem::find(&self.answer, b"\r\n\r\n").map_or(0, |end| end + 4);
        &self.answer[head..]
    }
}

const CONVERSIONS: &str = "/v2/conversion/stablecoins";

/// Every scenario. The targets are those of `docs/performance.md`.
pub(crate) fn all() -> Vec<Scenario> {
    let one = records::orchestration();
    let create = records::create_request();
    let (list100, list1000) = (records::page(100), records::page(1000));
    let get = format!("GET {CONVERSIONS}/{}", records::id());
    let post = format!("POST {CONVERSIONS}");
    let mapped = Expected::Conversions;
    let other = |call: &'static str| (call, "");
    vec![
        scenario(
            "pass_through",
            [other("GET /v2/other/profile"), other("GET /v2/other/profile")],
            &small(),
            Expected::SameBytes,
            1.35,
        ),
        scenario("get", [(&get, ""), other("GET /v2/other/get")], &one, mapped(1), 1.65),
        scenario("create", [(&post, &create), ("POST /v2/other/create", &create)], &one, mapped(1), 1.75),
        scenario("list100", [(&list(100), ""), other("GET /v2/other/list")], &list100, mapped(100), 4.0),
        scenario("list1000", [(&list(1000), ""), other("GET /v2/other/list")], &list1000, mapped(1000), 2.5),
        scenario(
            "large_pass_through",
            [other("GET /v2/other/list"), other("GET /v2/other/list")],
            &list1000,
            Expected::SameBytes,
            1.15,
        ),
    ]
}

fn list(limit: usize) -> String {
    format!("GET {CONVERSIONS}?limit={limit}&order=DESC")
}

/// A body of 1 KB that the proxy does not read.
fn small() -> String {
    format!(r#"{{"name":"{}"}}"#, "x".repeat(1000 - r#"{"name":""}"#.len()))
}

/// `calls`: method, path and body of the request to the proxy, and of the one to the yardstick.
fn scenario(
    name: &'static str,
    calls: [(&str, &str); 2],
    answer: &str,
    expected: Expected,
    target: f64,
) -> Scenario {
    let [request, yardstick] = calls.map(|(call, body)| request(call, body).into_bytes().into());
    Scenario { name, request, yardstick, answer: respond(answer), expected, target }
}

/// What a generated client sends along.
fn request(call: &str, body: &str) -> String {
    let content = match body.len() {
        0 => String::new(),
        length => format!("content-type: application/json\r\ncontent-length: {length}\r\n"),
    };
    format!(
        "{call} HTTP/1.1\r\nhost: shim.example\r\nuser-agent: payments-client/2.1\r\naccept: application/json\r\n\
         authorization: Bearer bm90LWEtdG9rZW4tYnV0LWFzLWxvbmctYXMtb25lLW1pZ2h0LWJl\r\n{content}\r\n{body}"
    )
}

fn respond(body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         date: Mon, 20 Apr 2026 12:30:01 GMT\r\nserver: upstream\r\nvary: Origin\r\n\r\n{body}"
    )
    .into_bytes()
}
