//! Looking with the proxy's own lookup credentials: only for a caller whose token the vendor has called genuine, and only to
//! keep a create safe or a cancel truthful.

use super::*;
use crate::support::test_bed::{BACK, Keys, LEGACY, conversion, new_record, old_record, one_on};
use conversion_shim::sandbox::{Fault, FaultKind, RefusalBody};
use conversion_shim::translate::side::Side;
use http::StatusCode;
use reqwest::Method;
use tempfile::TempDir;

/// A test bed with lookup credentials that may have these scopes, and a client whose token may only write.
async fn bed_with(scopes: &[&str], keys: Keys<'_>) -> (TestBed, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let (file, secret) = (dir.path().join("shim.toml"), dir.path().join("secret"));
    std::fs::write(&secret, "s3cret").unwrap();
    let config =
        format!("[auth.lookup]\nclient_id = \"looker\"\nclient_secret_file = \"{}\"\n", secret.display());
    std::fs::write(&file, config).unwrap();
    let mut all = vec![(test_bed::FILE, file.to_str().unwrap())];
    all.extend_from_slice(keys);
    let sandbox = vendor_with(&[("looker", scopes)], Options::default()).await;
    let mut bed = TestBed::before(sandbox, &all, |_| {}).await;
    let writer = bed.sandbox.issue_token(CUSTOMER, &[WRITE, NEW_WRITE]);
    bed.client = bed.client.with_token(&writer);
    (bed, dir)
}

async fn bed(keys: Keys<'_>) -> (TestBed, TempDir) {
    bed_with(&[READ, NEW_READ], keys).await
}

fn refusing(code: StatusCode, body: RefusalBody) -> FaultKind {
    FaultKind::Status { code, retry_after: None, body, applied: false }
}

const TARGETS: [(Side, Keys<'static>); 2] = [(Side::New, &[("stage", "live")]), (Side::Legacy, BACK)];

/// A test bed where creates go to `target` and the duplicate check looks on the other side.
async fn creating_on(target: Side) -> (TestBed, TempDir) {
    let (bed, dir) = bed(&[("stage", "live")]).await;
    assert_eq!(bed.client.create("somebody else's").await.status, 200);
    let keys = TARGETS.into_iter().find(|(side, _)| *side == target).unwrap().1;
    bed.go(keys).await;
    (bed, dir)
}

fn seed(bed: &TestBed, side: Side, ref_id: &str) {
    let at = "2026-01-01T00:00:00Z";
    match side {
        Side::Legacy => bed.sandbox.inspector().seed_conversion(old_record(ref_id, at)),
        Side::New => bed.sandbox.inspector().seed_orchestration(new_record(ref_id, at)),
    };
}

#[tokio::test]
async fn a_caller_that_may_only_write_creates_and_retries_safely() {
    for (target, _) in TARGETS {
        let (bed, _dir) = creating_on(target).await;
        bed.client.create("r").await.id();
        bed.client.create("r").await.problem(409);
        assert_eq!(bed.made("r"), one_on(target));
        seed(&bed, target.other(), "elsewhere");
        let problem = bed.client.create("elsewhere").await.problem(409);
        assert_eq!(problem["meta"]["existing"]["ref_id"], "elsewhere");
        assert_eq!(bed.made("elsewhere"), one_on(target.other()));
        assert_eq!(token_calls(&bed), 1, "one token for all looks");
    }
}

#[tokio::test]
async fn what_became_of_its_create_is_found_out_too() {
    for (target, _) in TARGETS {
        let (bed, _dir) = creating_on(target).await;
        bed.sandbox
            .faults()
            .arm(Fault::new(FaultKind::Reset { applied: true }).on(target, Operation::Create).times(1));
        assert_eq!(bed.client.create("r").await.status, 200);
        assert_eq!(bed.made("r"), one_on(target));
    }
}

#[tokio::test]
async fn a_cancel_gets_a_true_answer() {
    for stage in ["live", "sealed"] {
        let (bed, dir) = bed(&[("stage", "live")]).await;
        let id = bed.client.create("r").await.id();
        // Another proxy, which has not seen the create.
        let file = dir.path().join("shim.toml");
        let fresh = bed.replica(&[(test_bed::FILE, file.to_str().unwrap()), ("stage", stage)]).await;
        let client = fresh.client.with_token(&bed.sandbox.issue_token(CUSTOMER, &[WRITE, NEW_WRITE]));
        let problem = client.cancel(&id).await.problem(403);
        assert!(problem["detail"].as_str().unwrap().contains("cannot be cancelled"), "{stage} {problem}");
        client.cancel("nobody-knows-it").await.problem(404);
    }
}

#[tokio::test]
async fn a_callers_own_get_and_list_are_never_answered_with_them() {
    let (bed, _dir) = bed(&[("stage", "live")]).await;
    let id = bed.client.create("r").await.id();
    let tokens = token_calls(&bed);
    for stage in ["live", "sealed"] {
        bed.go(&[("stage", stage)]).await;
        bed.client.get(&id).await.problem(403);
        bed.client.list("ref_id=r").await.problem(403);
    }
    assert_eq!(token_calls(&bed), tokens);
}

#[tokio::test]
async fn without_a_genuine_token_nothing_is_disclosed() {
    for (target, _) in TARGETS {
        let (bed, _dir) = creating_on(target).await;
        seed(&bed, target.other(), "r");
        let (tokens, posts) = (token_calls(&bed), bed.posts(target));
        for token in ["unknown", "", "Bearer"] {
            bed.client.with_token(token).create("r").await.problem(401);
        }
        // A 403 without a word about scopes; without a problem document it is of something in between, which may not have looked at the
        // token at all.
        for (body, status) in
            [(RefusalBody::Problem, 403), (RefusalBody::Html, 503), (RefusalBody::Empty, 503)]
        {
            let fault = bed.fault(target.other(), Operation::List, refusing(StatusCode::FORBIDDEN, body));
            let problem = bed.client.create("r").await.problem(status);
            assert_eq!(problem.get("meta"), None);
            bed.sandbox.faults().remove(&fault);
        }
        assert_eq!(token_calls(&bed), tokens);
        assert_eq!(bed.posts(target), posts);
    }
}

#[tokio::test]
async fn a_failed_lookup_with_lookup_credentials_never_means_absent() {
    for (target, _) in TARGETS {
        let (bed, _dir) = creating_on(target).await;
        let posts = bed.posts(target);
        bed.sandbox.revoke_tokens();
        let writer = bed.client.with_token(&bed.sandbox.issue_token(CUSTOMER, &[WRITE, NEW_WRITE]));
        let faults: [(Option<Side>, Operation, FaultKind, u64); 5] = [
            (None, Operation::Token, refusing(StatusCode::BAD_GATEWAY, RefusalBody::Html), 0),
            (None, Operation::Token, FaultKind::NotJson, 0),
            // The first look is the caller's own, which is refused; the second is the proxy's.
            (
                Some(target.other()),
                Operation::List,
                refusing(StatusCode::UNAUTHORIZED, RefusalBody::Problem),
                1,
            ),
            (Some(target.other()), Operation::List, refusing(StatusCode::FORBIDDEN, RefusalBody::Problem), 1),
            (Some(target.other()), Operation::List, FaultKind::IgnoreFilters, 1),
        ];
        seed(&bed, target.other(), "unrelated");
        for (at, (side, operation, kind, skip)) in faults.into_iter().enumerate() {
            let ref_id = format!("r{at}");
            let fault = bed.sandbox.faults().arm(Fault::new(kind.clone()).on(side, operation).after(skip));
            let problem = writer.create(&ref_id).await.problem(503);
            assert!(problem["detail"].as_str().unwrap().contains("nothing was sent"), "{kind:?} {problem}");
            assert_eq!(bed.posts(target), posts, "{kind:?}");
            bed.sandbox.faults().remove(&fault);
        }
    }
}

#[tokio::test]
async fn a_lookup_token_that_has_ended_is_replaced() {
    let (bed, _dir) = bed(&[("stage", "live")]).await;
    bed.client.create("r1").await.id();
    bed.sandbox.revoke_tokens();
    let writer = bed.client.with_token(&bed.sandbox.issue_token(CUSTOMER, &[WRITE, NEW_WRITE]));
    writer.create("r2").await.id();
    assert_eq!(token_calls(&bed), 2);
}

#[tokio::test]
async fn lookup_credentials_without_the_scope_are_a_fault_of_the_proxy() {
    let (bed, _dir) = bed_with(&[READ, NEW_READ, WRITE], &[("stage", "live")]).await;
    let keys: Keys<'_> = &[("stage", "live"), ("auth.lookup.scopes", WRITE)];
    bed.go(keys).await;
    let problem = bed.client.create("r").await.problem(503);
    assert!(problem["detail"].as_str().unwrap().contains("nothing was sent"), "{problem}");
    assert_eq!(bed.posts(Side::New), 0);
}

#[tokio::test]
async fn nothing_of_the_callers_travels_with_them() {
    let (bed, _dir) = bed(&[("stage", "live")]).await;
    let url = format!("http://{}{LEGACY}", bed.client.address());
    let writer = bed.sandbox.issue_token(CUSTOMER, &[WRITE, NEW_WRITE]);
    let request = bed.client.http.request(Method::POST, url).bearer_auth(&writer).header("x-own", "1");
    let request = request.header("cookie", "a=b").header("x-request-id", "it-is-me");
    assert_eq!(answered(request.body(conversion("r").to_string())).await.status, 200);
    let requests = bed.sandbox.inspector().requests();
    let looks: Vec<_> = requests.iter().filter(|seen| seen.operation == Operation::List).collect();
    // The empty list came on a reused connection, so both look once more on connections of their own.
    let [own, ours, _, _] = looks[..] else { panic!("{} looks", looks.len()) };
    assert_eq!(own.headers["authorization"], format!("Bearer {writer}"));
    let mut names: Vec<_> = ours.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["accept", "accept-encoding", "authorization", "cache-control", "host", "x-request-id"]
    );
    assert_ne!(ours.headers["authorization"], own.headers["authorization"]);
    assert_eq!(ours.headers["x-request-id"], "it-is-me");
}
