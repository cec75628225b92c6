//! A create is sent once, whatever becomes of it; what became of it is found out by reading, and never guessed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use conversion_shim::ledger::ClaimState;
use conversion_shim::sandbox::{
    CUSTOMER, FaultKind, HiddenRecords, Operation, PROFILE, RefusalBody, SCOPES, SECOND_PROFILE, Tally,
};
use conversion_shim::translate::side::Side;
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::soon;
use crate::support::test_bed::{BACK, Caller, LEGACY, TestBed, conversion, one_on};

const BOTH: [Side; 2] = [Side::Legacy, Side::New];
const UNKNOWN: &str = "urn:conversion-shim:problem:outcome-unknown";

/// A server that answers every GET and every POST with the same bytes, and counts the POSTs.
pub(crate) struct Bare {
    address: std::net::SocketAddr,
    posts: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Bare {
    pub(crate) async fn answering(get: &'static str, post: &'static str) -> Self {
        Self::with_fields("content-type: application/json\r\n", get, post).await
    }

    /// With these lines in every head.
    pub(crate) async fn with_fields(fields: &'static str, get: &'static str, post: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let posts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&posts);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, fields, [get, post], Arc::clone(&counted)));
            }
        });
        Self { address, posts, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v2", self.address)
    }

    pub(crate) fn posts(&self) -> usize {
        self.posts.load(Ordering::SeqCst)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, fields: &str, [get, post]: [&str; 2], posts: Arc<AtomicUsize>) {
    let mut heard = Vec::new();
    while !heard.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut heard).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let is_post = heard.starts_with(b"POST");
    if is_post {
        posts.fetch_add(1, Ordering::SeqCst);
    }
    let body = if is_post { post } else { get };
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\n{fields}content-length: {length}\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}

async fn creating_on(target: Side, time: &str) -> TestBed {
    let time = ("timeouts.create", time);
    let bed = TestBed::with(&[("stage", "live"), time]).await;
    assert_eq!(bed.client.create("somebody else's").await.status, 200);
    if target == Side::Legacy {
        bed.go(&[BACK, &[time]].concat()).await;
    }
    bed
}

fn status(code: u16, applied: bool) -> FaultKind {
    let code = StatusCode::from_u16(code).unwrap();
    FaultKind::Status { code, retry_after: None, body: RefusalBody::Html, applied }
}

/// Ways to lose an answer whose write took effect.
fn applied() -> Vec<FaultKind> {
    let mut all = vec![
        FaultKind::Reset { applied: true },
        FaultKind::Truncate,
        FaultKind::WrongTypes,
        FaultKind::NotJson,
        FaultKind::EmptyBody,
    ];
    all.extend([204, 302, 408, 500, 502, 503, 504].map(|code| status(code, true)));
    all
}

#[tokio::test]
async fn a_lost_answer_is_found_again() {
    for target in BOTH {
        let bed = creating_on(target, "20s").await;
        for (at, kind) in applied().into_iter().enumerate() {
            let ref_id = format!("r{at}");
            let posts = bed.posts(target);
            let fault = bed.fault(target, Operation::Create, kind.clone());
            let answer = bed.client.create(&ref_id).await;
            bed.sandbox.faults().remove(&fault);
            let record = bed.sandbox.inspector().record(target, &answer.id()).unwrap();
            let shown = answer.json();
            assert_eq!(record["ref_id"], ref_id);
            assert_eq!((&shown["amount"], &shown["status"]), (&"1.50".into(), &"CREATED".into()), "{kind:?}");
            assert_eq!(bed.posts(target), posts + 1, "{kind:?}: sent once");
            assert_eq!(bed.made(&ref_id), one_on(target));
        }
        assert_eq!(bed.posts(target.other()), u64::from(target == Side::Legacy));
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_is_found_again() {
    for target in BOTH {
        let bed = creating_on(target, "1500ms").await;
        let gate = bed.fault(target, Operation::Create, FaultKind::Gate { applied: true });
        let answer = bed.client.create("r").await;
        assert_eq!(bed.sandbox.inspector().record(target, &answer.id()).unwrap()["ref_id"], "r");
        assert_eq!(bed.made("r"), one_on(target));
        gate.open();
    }
}

#[tokio::test]
async fn what_is_found_under_the_reference_but_differs_is_a_409() {
    for target in BOTH {
        let bed = creating_on(target, "20s").await;
        for (at, (key, value)) in [("amount", "2"), ("target_asset", "USDP")].into_iter().enumerate() {
            let ref_id = format!("r{at}");
            made_without_answer(&bed, target, &conversion(&ref_id)).await;
            let fault = bed.fault(target, Operation::Create, FaultKind::Reset { applied: false });
            let mut other = conversion(&ref_id);
            other[key] = value.into();
            let problem = bed.client.post(&other).await.problem(409);
            assert_eq!(problem["meta"]["existing"]["ref_id"], *ref_id, "{key}");
            bed.sandbox.faults().remove(&fault);
            assert_eq!(bed.made(&ref_id), one_on(target));
        }
        // An equal amount in other digits is the same request.
        made_without_answer(&bed, target, &conversion("same")).await;
        let _lost = bed.fault(target, Operation::Create, FaultKind::Reset { applied: false });
        let mut same = conversion("same");
        same["amount"] = "1.5".into();
        assert_eq!(bed.client.post(&same).await.status, 200);
        assert_eq!(bed.made("same"), one_on(target));
    }
}

#[tokio::test]
async fn an_outcome_that_stays_unknown_says_so_and_the_retry_meets_the_same_side() {
    for target in BOTH {
        let bed = creating_on(target, "700ms").await;
        let mut kinds = vec![FaultKind::Reset { applied: false }, FaultKind::Gate { applied: false }];
        kinds.extend([408, 500, 503].map(|code| status(code, false)));
        for (at, kind) in kinds.into_iter().enumerate() {
            let ref_id = format!("r{at}");
            let posts = bed.posts(target);
            let fault = bed.fault(target, Operation::Create, kind.clone());
            let problem = bed.client.create(&ref_id).await.problem(504);
            assert_eq!(problem["type"], UNKNOWN, "{kind:?}");
            assert!(problem["detail"].as_str().unwrap().contains("retry with the same ref_id"), "{problem}");
            assert_eq!(bed.posts(target), posts + 1, "{kind:?}: sent once");
            assert_eq!(bed.made(&ref_id), Tally::default());
            bed.sandbox.faults().remove(&fault);
            // The operator turns the wheel meanwhile.
            bed.go(if target == Side::New { BACK } else { &[("stage", "live")] }).await;
            let id = bed.client.create(&ref_id).await;
            // A gate that opened let the first one through after all.
            assert!([200, 409].contains(&id.status), "{kind:?}: {:?}", id.body);
            assert_eq!(bed.made(&ref_id), one_on(target), "{kind:?}");
            let time = ("timeouts.create", "700ms");
            bed.go(&[if target == Side::New { &[("stage", "live")] } else { BACK }, &[time]].concat()).await;
        }
    }
}

/// The write took effect, the list does not show it yet: nothing may be concluded from that.
#[tokio::test]
async fn a_lagging_list_leaves_the_outcome_unknown_and_nothing_doubled() {
    for target in BOTH {
        let bed = creating_on(target, "700ms").await;
        let faults = [
            bed.fault(target, Operation::Create, FaultKind::Reset { applied: true }),
            bed.fault(target, Operation::List, FaultKind::Lag(HiddenRecords::Newest(1))),
        ];
        assert_eq!(bed.client.create("r").await.problem(504)["type"], UNKNOWN);
        bed.sandbox.faults().remove(&faults[0]);
        for mode in [&[("stage", "live")], BACK] {
            bed.go(mode).await;
            bed.client.create("r").await.problem(409);
        }
        assert_eq!(bed.made("r"), one_on(target));
    }
}

#[tokio::test]
async fn a_refusal_is_passed_on_at_once() {
    for target in BOTH {
        let bed = creating_on(target, "20s").await;
        for code in [400, 401, 403, 404, 422, 429] {
            let ref_id = format!("r{code}");
            let lists = bed.sandbox.inspector().arrived(target, Operation::List);
            let no = StatusCode::from_u16(code).unwrap();
            let kind =
                FaultKind::Status { code: no, retry_after: None, body: RefusalBody::Problem, applied: false };
            let fault = bed.fault(target, Operation::Create, kind);
            let posts = [bed.posts(Side::Legacy), bed.posts(Side::New)];
            bed.client.create(&ref_id).await.problem(code);
            bed.sandbox.faults().remove(&fault);
            assert_eq!(bed.posts(target), posts[target as usize] + 1, "{code}: no retry");
            assert_eq!(bed.posts(target.other()), posts[target.other() as usize], "{code}: no fallback");
            // On a reused HTTP/1.1 connection the refusal could be another request's: the reference is looked up, on two connections.
            assert!(bed.sandbox.inspector().arrived(target, Operation::List) <= lists + 2, "{code}");
        }
    }
}

/// On a reused HTTP/1.1 connection a refusal may be another request's, and a lookup that is refused does not say whose it was. Only where the
/// vendor refused the create itself in the same way is it the credential that is refused.
#[tokio::test]
async fn a_refusal_is_not_believed_because_the_lookup_is_refused_as_well() {
    let refused = |code: u16, body| FaultKind::Status {
        code: StatusCode::from_u16(code).unwrap(),
        retry_after: None,
        body,
        applied: false,
    };
    for target in BOTH {
        let bed = creating_on(target, "900ms").await;
        for (at, (code, lookup, body, expected)) in [
            (400, 403, RefusalBody::Problem, 504),
            (400, 401, RefusalBody::Problem, 504),
            (422, 403, RefusalBody::Problem, 504),
            (401, 403, RefusalBody::Problem, 504),
            (403, 401, RefusalBody::Problem, 504),
            (403, 403, RefusalBody::Html, 504),
            (401, 401, RefusalBody::Html, 504),
            // It is not said to be for want of scopes.
            (403, 403, RefusalBody::Problem, 504),
            (401, 401, RefusalBody::Problem, 401),
        ]
        .into_iter()
        .enumerate()
        {
            let (ref_id, case) = (format!("r{at}"), format!("{target}: {code}, then {lookup} {body:?}"));
            // Of a token of its own: one whose lookup was refused gets other connections. This one carries another answer before.
            let client = bed.client.with_token(&bed.sandbox.issue_token(CUSTOMER, &SCOPES));
            client.create(&format!("before {ref_id}")).await.id();
            // What the vendor took, with another request's refusal as its answer.
            let taken = FaultKind::Status {
                code: StatusCode::from_u16(code).unwrap(),
                retry_after: None,
                body: RefusalBody::Problem,
                applied: expected == 504,
            };
            let faults = [
                bed.fault(target, Operation::Create, taken),
                bed.fault(target, Operation::List, refused(lookup, body)),
            ];
            let answer = client.create(&ref_id).await;
            assert_eq!(answer.status, expected, "{case}: {:?}", answer.body);
            faults.iter().for_each(|fault| bed.sandbox.faults().remove(fault));
            if expected == 504 {
                assert_eq!(answer.problem(504)["meta"]["ref_id"], *ref_id, "{case}");
                client.create(&ref_id).await.problem(409);
                assert_eq!(bed.made(&ref_id), one_on(target), "{case}");
            } else {
                client.create(&ref_id).await.id();
            }
        }
    }
}

#[tokio::test]
async fn a_token_that_may_neither_create_nor_read_is_refused_on_any_connection() {
    let bed = creating_on(Side::New, "900ms").await;
    let weak = bed.sandbox.issue_token(CUSTOMER, &[SCOPES[0]]);
    for ref_id in ["r1", "r2"] {
        let problem = bed.client.with_token(&weak).create(ref_id).await.problem(403);
        assert!(problem["detail"].as_str().unwrap().contains("insufficient scopes"), "{problem}");
        bed.client.create(ref_id).await.id();
    }
}

/// Its first refusal on a connection that carried another answer before is not believed; from then on it has connections of its own.
#[tokio::test]
async fn a_token_that_may_create_and_not_read_gets_its_refusals() {
    let bed = creating_on(Side::New, "900ms").await;
    let writer =
        bed.client.with_token(&bed.sandbox.issue_token(CUSTOMER, &[SCOPES[0], SCOPES[1], SCOPES[3]]));
    bed.client.create("before").await.id();
    let code = StatusCode::UNPROCESSABLE_ENTITY;
    let no = FaultKind::Status { code, retry_after: None, body: RefusalBody::Problem, applied: false };
    let no = bed.fault(Side::New, Operation::Create, no);
    writer.create("r1").await.problem(504);
    for ref_id in ["r2", "r3"] {
        writer.create(ref_id).await.problem(422);
    }
    bed.sandbox.faults().remove(&no);
    for ref_id in ["r2", "r3"] {
        writer.create(ref_id).await.id();
    }
}

/// The side holds the reference, whether or not its list shows the record: a retry has nothing to look for on the other side.
#[tokio::test]
async fn a_409_without_a_record_settles_the_claim() {
    for (stage, target) in [("sealed", Side::New), ("observe", Side::Legacy)] {
        let bed = TestBed::with(&[("stage", stage), ("timeouts.create", "900ms")]).await;
        let code = StatusCode::CONFLICT;
        let no = FaultKind::Status { code, retry_after: None, body: RefusalBody::Problem, applied: false };
        let _fault = bed.fault(target, Operation::Create, no);
        bed.client.create("r").await.problem(409);
        let claim = bed.claim("r").await.unwrap();
        assert_eq!(
            (claim.side, claim.state, claim.record_id),
            (target, ClaimState::Checked, None),
            "{stage}"
        );
    }
}

#[tokio::test]
async fn a_side_that_cannot_be_reached_is_a_503_and_the_other_one_is_not_tried() {
    for target in BOTH {
        let bed = creating_on(target, "20s").await;
        // A port that is bound and does not listen.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}/v2", socket.local_addr().unwrap());
        let (stage, key): (&[_], _) = match target {
            Side::Legacy => (BACK, "upstream.legacy.url"),
            Side::New => (&[("stage", "live")], "upstream.new.url"),
        };
        bed.go(&[stage, &[(key, url.as_str())]].concat()).await;
        let posts = [bed.posts(Side::Legacy), bed.posts(Side::New)];
        let problem = bed.client.create("r").await.problem(503);
        assert!(problem["detail"].as_str().unwrap().contains("nothing was sent"), "{problem}");
        assert_eq!([bed.posts(Side::Legacy), bed.posts(Side::New)], posts);
        bed.go(stage).await;
        bed.client.create("r").await.id();
        assert_eq!(bed.made("r"), one_on(target));
    }
}

/// Over HTTP/1 a client that has closed may only have finished speaking; over HTTP/2 it says that it is gone.
#[tokio::test]
async fn a_client_that_leaves_changes_nothing() {
    for target in BOTH {
        let bed = creating_on(target, "20s").await;
        for client in [bed.client.clone(), bed.client.over_http2()] {
            for operation in [Operation::List, Operation::Create] {
                leave_at(&bed, &client, target, operation).await;
            }
        }
        assert_eq!(bed.posts(target), 4 + u64::from(target == Side::New), "each was sent, once");
    }
}

async fn leave_at(bed: &TestBed, client: &Caller, target: Side, operation: Operation) {
    let side = if operation == Operation::List { target.other() } else { target };
    let ref_id = format!("r{}", bed.sandbox.inspector().requests().len());
    let gate = bed.fault(side, operation, FaultKind::Gate { applied: false });
    let (leaving, reference) = (client.clone(), ref_id.clone());
    let leaving = tokio::spawn(async move { leaving.create(&reference).await });
    soon(gate.reached(1)).await;
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    for _ in 0..20 {
        // Round trips, in which the proxy notices that its client is gone.
        let method = reqwest::Method::GET;
        assert_eq!(client.ask(method, "/v2/profiles", String::new()).await.status, 200);
    }
    bed.sandbox.faults().remove(&gate);
    let remembered = async {
        while bed.claim(&ref_id).await.unwrap().record_id.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    soon(remembered).await;
    assert_eq!(bed.made(&ref_id), one_on(target));
}

/// A body that only the old API can judge, and an answer that is lost.
#[tokio::test]
async fn a_create_that_only_the_old_api_understands_is_still_sent_once() {
    let bed = creating_on(Side::Legacy, "700ms").await;
    let body = conversion("r").to_string().replacen('{', r#"{"amount":"9","#, 1);
    let fault = bed.fault(Side::Legacy, Operation::Create, FaultKind::Reset { applied: true });
    let answer = bed.client.ask(reqwest::Method::POST, LEGACY, body.clone()).await;
    // Found under its reference; a body with two amounts does not show whether it is the same request.
    answer.problem(409);
    bed.sandbox.faults().remove(&fault);
    bed.client.ask(reqwest::Method::POST, LEGACY, body).await.problem(409);
    assert_eq!(bed.made("r"), one_on(Side::Legacy));
}

/// One reference, and a record that differs only in whose it is.
#[tokio::test]
async fn a_record_for_another_identity_or_account_is_not_this_requests_own() {
    for target in BOTH {
        let bed = creating_on(target, "20s").await;
        let mut mine = conversion("r");
        (mine["identity_id"], mine["account_id"]) = ("i".into(), "a".into());
        for (at, key) in ["identity_id", "account_id"].into_iter().enumerate() {
            for (nth, other) in ["other".into(), serde_json::Value::Null].into_iter().enumerate() {
                mine["ref_id"] = format!("r{at}{nth}").into();
                made_without_answer(&bed, target, &mine).await;
                let _lost = bed.fault(target, Operation::Create, FaultKind::Reset { applied: false });
                let mut body = mine.clone();
                let is_another = other.is_string();
                body[key] = other;
                // Who gives none accepts what the vendor fills in.
                let expected = if is_another { 409 } else { 200 };
                assert_eq!(bed.client.post(&body).await.status, expected, "{body}");
                bed.sandbox.faults().clear();
            }
        }
        mine["ref_id"] = "own".into();
        made_without_answer(&bed, target, &mine).await;
        let _lost = bed.fault(target, Operation::Create, FaultKind::Reset { applied: false });
        assert_eq!(bed.client.post(&mine).await.status, 200);
        assert_eq!(bed.made("own"), one_on(target));
    }
}

/// A create that takes effect and whose outcome stays unknown, so that its claim knows no record.
async fn made_without_answer(bed: &TestBed, target: Side, body: &serde_json::Value) {
    let lost = bed.fault(target, Operation::Create, FaultKind::Reset { applied: true });
    let blind = bed.fault(target, Operation::List, status(429, false));
    assert_eq!(bed.client.post(body).await.problem(504)["type"], UNKNOWN);
    bed.sandbox.faults().remove(&lost);
    bed.sandbox.faults().remove(&blind);
}

#[tokio::test]
async fn a_recipient_who_is_the_sender_is_none() {
    for target in BOTH {
        let bed = creating_on(target, "20s").await;
        let to = |ref_id: &str, recipient: serde_json::Value| {
            let mut body = conversion(ref_id);
            body["recipient_profile_id"] = recipient;
            body
        };
        let none = [serde_json::Value::Null, "".into(), PROFILE.into()];
        for (at, first) in none.iter().enumerate() {
            for (nth, again) in none.iter().enumerate() {
                let ref_id = format!("r{at}{nth}");
                made_without_answer(&bed, target, &to(&ref_id, first.clone())).await;
                let lost = bed.fault(target, Operation::Create, FaultKind::Reset { applied: false });
                let answer = bed.client.post(&to(&ref_id, again.clone())).await;
                assert_eq!(answer.status, 200, "{first} and {again}");
                bed.sandbox.faults().remove(&lost);
                assert_eq!(bed.made(&ref_id), one_on(target));
            }
            let ref_id = format!("r{at}-other");
            made_without_answer(&bed, target, &to(&ref_id, first.clone())).await;
            let lost = bed.fault(target, Operation::Create, FaultKind::Reset { applied: false });
            bed.client.post(&to(&ref_id, SECOND_PROFILE.into())).await.problem(409);
            bed.sandbox.faults().remove(&lost);
        }
    }
}

/// Every question counts against the one limit that all clients share.
#[tokio::test]
async fn a_side_that_has_had_enough_is_asked_no_more() {
    for target in BOTH {
        let bed = creating_on(target, "20s").await;
        let _lost = bed.fault(target, Operation::Create, FaultKind::Reset { applied: false });
        let enough = bed.fault(target, Operation::List, status(429, false));
        let looks = || bed.sandbox.inspector().arrived(target, Operation::List);
        let before = looks();
        assert_eq!(bed.client.create("r").await.problem(504)["type"], UNKNOWN);
        assert_eq!(looks(), before + 1);
        bed.sandbox.faults().remove(&enough);
        assert_eq!(bed.posts(target.other()), u64::from(target == Side::Legacy));
    }
}

#[tokio::test]
async fn an_outcome_is_looked_up_at_most_eight_times() {
    let bed = creating_on(Side::New, "29s").await;
    let _lost = bed.fault(Side::New, Operation::Create, FaultKind::Reset { applied: false });
    let before = bed.sandbox.inspector().arrived(Side::New, Operation::List);
    assert_eq!(bed.client.create("r").await.problem(504)["type"], UNKNOWN);
    assert_eq!(bed.sandbox.inspector().arrived(Side::New, Operation::List), before + 8);
}
