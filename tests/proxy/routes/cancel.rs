//! Cancel in `both`: on the side that holds the record, and never a success that did not happen.

use conversion_shim::sandbox::{FaultKind, Operation, RefusalBody};
use conversion_shim::translate::side::Side;
use http::StatusCode;

use crate::support::test_bed::TestBed;

/// A test bed that has one record on each side, and a second proxy that has seen neither.
async fn bed() -> (TestBed, crate::support::test_bed::Proxy, String, String) {
    let bed = TestBed::with(&[("stage", "live"), ("timeouts.cancel", "300ms")]).await;
    let old = bed.made_on(Side::Legacy, "old").await;
    let new = bed.made_on(Side::New, "new").await;
    let fresh = bed.replica(&[("stage", "live"), ("timeouts.cancel", "300ms")]).await;
    bed.go(&[("stage", "live"), ("timeouts.cancel", "300ms")]).await;
    (bed, fresh, old, new)
}

#[tokio::test]
async fn each_record_is_cancelled_or_refused_where_it_lives() {
    let (bed, fresh, old, new) = bed().await;
    for client in [&fresh.client, &bed.client] {
        let problem = client.cancel(&new).await.problem(403);
        assert!(problem["detail"].as_str().unwrap().contains("cannot be cancelled"), "{problem}");
        assert_eq!(bed.sandbox.inspector().record(Side::New, &new).unwrap()["status"], "PROCESSING");
        client.cancel("nobody-knows-it").await.problem(404);
    }
    assert_eq!(fresh.client.cancel(&old).await.json()["status"], "CANCELLED");
    assert_eq!(bed.sandbox.inspector().record(Side::Legacy, &old).unwrap()["status"], "CANCELLED");
    bed.client.cancel(&old).await.problem(403);
    assert_eq!(bed.posts(Side::Legacy) + bed.posts(Side::New), 2, "nothing was converted back");
}

#[tokio::test]
async fn a_side_that_fails_is_never_a_404_and_never_a_success() {
    let (bed, fresh, old, new) = bed().await;
    let status = |code: u16| FaultKind::Status {
        code: StatusCode::from_u16(code).unwrap(),
        retry_after: None,
        body: RefusalBody::Problem,
        applied: false,
    };
    let kinds = [
        status(401),
        status(403),
        status(429),
        status(500),
        status(503),
        FaultKind::Reset { applied: false },
        FaultKind::Gate { applied: false },
        FaultKind::Truncate,
    ];
    for kind in kinds {
        for client in [&fresh.client, &bed.client] {
            for (side, operation, id) in [
                (Side::Legacy, Operation::Cancel, old.as_str()),
                (Side::New, Operation::Get, &new),
                (Side::Legacy, Operation::Cancel, "nobody-knows-it"),
                (Side::New, Operation::Get, "nobody-knows-it"),
            ] {
                let takes_effect = matches!(kind, FaultKind::Truncate | FaultKind::Gate { .. });
                if takes_effect && side == Side::Legacy && id == old {
                    // Told apart below.
                    continue;
                }
                let fault = bed.fault(side, operation, kind.clone());
                let answer = client.cancel(id).await;
                bed.sandbox.faults().remove(&fault);
                // Of an id that no side holds, half of a 404 is still no answer.
                assert!(![200, 404].contains(&answer.status), "{kind:?} on {side} of {id}: {answer:?}");
                answer.problem(answer.status);
            }
        }
    }
    assert_eq!(bed.sandbox.inspector().record(Side::Legacy, &old).unwrap()["status"], "CREATED");
    let fault = bed.fault(Side::Legacy, Operation::Cancel, FaultKind::Truncate);
    let problem = bed.client.cancel(&old).await.problem(502);
    assert!(problem["detail"].as_str().unwrap().contains("may have taken effect"), "{problem}");
    bed.sandbox.faults().remove(&fault);
}

#[tokio::test]
async fn a_redirect_by_new_is_no_404() {
    let (bed, fresh, _, new) = bed().await;
    let moved = FaultKind::Status {
        code: StatusCode::FOUND,
        retry_after: None,
        body: RefusalBody::Html,
        applied: false,
    };
    bed.fault(Side::New, Operation::Get, moved);
    for id in [new.as_str(), "nobody-knows-it"] {
        let status = fresh.client.cancel(id).await.status;
        assert!(![200, 404].contains(&status), "{id}: {status}");
    }
}
