//! What is asked, what the upstream answers, and what the cost is held against. Data only.

use std::sync::Arc;

use super::records;

/// One kind of request, measured again and again.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// The request as sent, head and body.
    pub(crate) request: Arc<[u8]>,
    /// The upstream's answer, head and body.
    pub(crate) answer: Vec<u8>,
    /// What the client must see, checked once before anything is measured.
    pub(crate) expected: Expected,
    pub(crate) target: Target,
}

/// What makes an answer right.
pub(crate) enum Expected {
    /// The upstream's body, byte for byte.
    SameBytes,
    /// A body in the legacy shape: so many records with a `target_asset`.
    Conversions(usize),
}

/// The most that a request may cost, as a ratio of CPU time within one run.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// To the yardstick serving the same scenario.
    OfBare(f64),
    /// To the same server passing the same bytes through, in the scenario of this name.
    OfPassThrough(&'static str, f64),
}

impl Scenario {
    pub(crate) fn is_translated(&self) -> bool {
        matches!(self.expected, Expected::Conversions(_))
    }

    /// The body that the upstream sends.
    pub(crate) fn answer_body(&self) -> &[u8] {
        let head = memchr::memmem::find(&self.answer, b"\r\n\r\n").map_or(0, |end| end + 4);
        &self.answer[head..]
    }
}

const PASS_THROUGH: Target = Target::OfBare(1.15);
const CONVERSIONS: &str = "/v2/conversion/stablecoins";

/// Every scenario, each translated one next to the pass-through of the same bytes, so that drift meets both alike.
pub(crate) fn all() -> Vec<Scenario> {
    let one = records::orchestration();
    let create = records::create_request();
    let (list100, list1000) = (records::page(100), records::page(1000));
    let get = format!("GET {CONVERSIONS}/3d7a1e5b-9c2f-4d8a-a6b3-0e4f2c8d1a9b");
    let of = Target::OfPassThrough;
    let mapped = Expected::Conversions;
    vec![
        scenario("pass_through", ("GET /v2/other/profile", ""), &small(), Expected::SameBytes, PASS_THROUGH),
        scenario(
            "create_same_bytes",
            ("POST /v2/other/create", &create),
            &one,
            Expected::SameBytes,
            PASS_THROUGH,
        ),
        scenario(
            "create",
            (&format!("POST {CONVERSIONS}"), &create),
            &one,
            mapped(1),
            of("create_same_bytes", 1.35),
        ),
        scenario("get_same_bytes", ("GET /v2/other/get", ""), &one, Expected::SameBytes, PASS_THROUGH),
        scenario("get", (&get, ""), &one, mapped(1), of("get_same_bytes", 1.25)),
        scenario(
            "list100_same_bytes",
            ("GET /v2/other/list?limit=100", ""),
            &list100,
            Expected::SameBytes,
            PASS_THROUGH,
        ),
        scenario("list100", (&list(100), ""), &list100, mapped(100), of("list100_same_bytes", 3.0)),
        scenario(
            "list1000_same_bytes",
            ("GET /v2/other/list?limit=1000", ""),
            &list1000,
            Expected::SameBytes,
            PASS_THROUGH,
        ),
        scenario("list1000", (&list(1000), ""), &list1000, mapped(1000), of("list1000_same_bytes", 4.5)),
    ]
}

fn list(limit: usize) -> String {
    format!("GET {CONVERSIONS}?limit={limit}&order=DESC")
}

/// A body of 300 bytes that is none of ours to read.
fn small() -> String {
    format!(r#"{{"name":"{}"}}"#, "x".repeat(300 - r#"{"name":""}"#.len()))
}

/// `call` is method and path, followed by a body where there is one.
fn scenario(
    name: &'static str,
    (call, body): (&str, &str),
    answer: &str,
    expected: Expected,
    target: Target,
) -> Scenario {
    let request = request(call, body).into_bytes().into();
    Scenario { name, request, answer: respond(answer), expected, target }
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
