//! Get in `both`: the record if any side has it, and 404 only if every side said so.

use conversion_shim::sandbox::{Fault, FaultKind, Operation, RefusalBody};
use conversion_shim::translate::side::Side;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use reqwest::Method;

use crate::support::test_bed::{BACK, LEGACY, TestBed, new_record, old_record};

/// What a side makes of the id.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Says {
    Found,
    NotFound,
    /// New only: a record that was never a conversion.
    Hidden,
    Status(u16),
    Reset,
    Never,
    Garbage,
}

const ALL: [Says; 11] = [
    Says::Found,
    Says::NotFound,
    Says::Hidden,
    Says::Status(401),
    Says::Status(403),
    Says::Status(429),
    Says::Status(500),
    Says::Status(503),
    Says::Reset,
    Says::Never,
    Says::Garbage,
];

impl Says {
    fn is_proof_of_absence(self) -> bool {
        matches!(self, Self::NotFound | Self::Hidden)
    }

    /// Makes the side say it.
    fn arrange(self, bed: &TestBed, side: Side, id: &str) {
        let kind = match self {
            Self::NotFound => return,
            Self::Found | Self::Hidden => return seed(bed, side, id, self),
            Self::Status(code) => {
                let code = StatusCode::from_u16(code).unwrap();
                FaultKind::Status { code, retry_after: None, body: RefusalBody::Problem, applied: false }
            }
            Self::Reset => FaultKind::Reset { applied: false },
            Self::Never => FaultKind::Gate { applied: false },
            Self::Garbage => {
                seed(bed, side, id, Self::Found);
                FaultKind::Truncate
            }
        };
        bed.fault(side, Operation::Get, kind);
    }
}

fn seed(bed: &TestBed, side: Side, id: &str, says: Says) {
    let at = "2026-01-01T00:00:00Z";
    let mut record = match side {
        Side::Legacy => old_record("r", at),
        Side::New => new_record("r", at),
    };
    record["id"] = id.into();
    match side {
        Side::Legacy => bed.sandbox.inspector().seed_conversion(record),
        Side::New => {
            if says == Says::Hidden {
                record["orchestration_rule_id"] = "rule".into();
            }
            bed.sandbox.inspector().seed_orchestration(record)
        }
    };
}

/// Sees the id once, so that the proxy knows where it lives.
async fn teach(bed: &TestBed, side: Side, id: &str) {
    seed(bed, side, id, Says::Found);
    assert_eq!(bed.client.get(id).await.status, 200);
}

#[tokio::test]
async fn not_found_is_said_only_when_every_side_said_it() {
    for create in [&[("stage", "live")], BACK] {
        let bed = TestBed::with(&[create, &[("timeouts.get", "150ms")]].concat()).await;
        let mut at = 0;
        for legacy in ALL.into_iter().filter(|says| *says != Says::Hidden) {
            for new in ALL {
                at += 1;
                let id = format!("id-{at}");
                legacy.arrange(&bed, Side::Legacy, &id);
                new.arrange(&bed, Side::New, &id);
                let answer = bed.client.get(&id).await;
                bed.sandbox.faults().clear();
                let case = (legacy, new, answer.status);
                if legacy.is_proof_of_absence() && new.is_proof_of_absence() {
                    answer.problem(404);
                    continue;
                }
                assert_ne!(answer.status, 404, "{case:?}");
                // A side that never answers takes all the time there is; any other one leaves it to the next.
                let in_time = legacy != Says::Never && new != Says::Never;
                let is_there = legacy == Says::Found || new == Says::Found;
                if answer.status == 200 || is_there && in_time {
                    assert_eq!(answer.id(), id, "{case:?}");
                } else {
                    answer.problem(answer.status);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_known_record_side_is_asked_first_and_its_failure_is_answered() {
    for home in [Side::Legacy, Side::New] {
        let bed = TestBed::with(&[("stage", "live"), ("timeouts.get", "150ms")]).await;
        teach(&bed, home, "id").await;
        let others = bed.sandbox.inspector().arrived(home.other(), Operation::Get);
        assert_eq!(bed.client.get("id").await.id(), "id");
        assert_eq!(
            bed.sandbox.inspector().arrived(home.other(), Operation::Get),
            others,
            "one call is enough"
        );
        for says in ALL {
            if says == Says::Found || says.is_proof_of_absence() {
                continue;
            }
            let kind = match says {
                Says::Status(code) => FaultKind::Status {
                    code: StatusCode::from_u16(code).unwrap(),
                    retry_after: None,
                    body: RefusalBody::Problem,
                    applied: false,
                },
                Says::Reset => FaultKind::Reset { applied: false },
                Says::Never => FaultKind::Gate { applied: false },
                _ => FaultKind::Truncate,
            };
            let fault = bed.fault(home, Operation::Get, kind);
            let answer = bed.client.get("id").await;
            let expected = match says {
                Says::Status(code) => code,
                Says::Never => 504,
                _ => 502,
            };
            answer.problem(expected);
            bed.sandbox.faults().remove(&fault);
        }
    }
}

#[tokio::test]
async fn a_record_of_the_new_side_is_shown_in_the_old_words() {
    let bed = TestBed::at("live").await;
    let id = bed.client.create("r").await.id();
    bed.sandbox.inspector().set_status(&id, "COMPLETED");
    // By a proxy that has never seen it, too.
    for client in [&bed.client, &bed.replica(BACK).await.client] {
        let record = client.get(&id).await.json();
        assert_eq!((&record["status"], &record["amount"]), (&"SETTLED".into(), &"1.50".into()));
        assert_eq!(record["target_asset"], "PYUSD");
        assert!(record.get("source").is_none() && record.get("destination_asset").is_none(), "{record}");
    }
}

#[tokio::test]
async fn a_side_that_hangs_leaves_time_for_the_one_that_holds_the_record() {
    for (stage, first) in [(&[("stage", "live")][..], Side::New), (BACK, Side::Legacy)] {
        let bed = TestBed::with(&[stage, &[("timeouts.get", "2s")]].concat()).await;
        let gate = bed.fault(first, Operation::Get, FaultKind::Gate { applied: false });
        seed(&bed, first.other(), "id", Says::Found);
        assert_eq!(bed.client.get("id").await.id(), "id", "{first} hangs");
        gate.open();
    }
}

#[tokio::test]
async fn a_redirect_proves_nothing_about_the_record_side() {
    let bed = TestBed::at("live").await;
    let moved = FaultKind::Status {
        code: StatusCode::FOUND,
        retry_after: None,
        body: RefusalBody::Html,
        applied: false,
    };
    let fault = bed.fault(Side::Legacy, Operation::Get, moved);
    assert_eq!(bed.client.get("id").await.status, 302);
    bed.sandbox.faults().remove(&fault);
    seed(&bed, Side::New, "id", Says::Found);
    let asked = bed.sandbox.inspector().arrived(Side::Legacy, Operation::Get);
    assert_eq!(bed.client.get("id").await.id(), "id");
    assert_eq!(
        bed.sandbox.inspector().arrived(Side::Legacy, Operation::Get),
        asked,
        "the likelier side first"
    );
}

#[tokio::test]
async fn a_stray_answer_on_a_reused_connection_is_not_the_answer_to_a_get() {
    let bed = TestBed::at("live").await;
    for (side, id) in [(Side::Legacy, "a"), (Side::Legacy, "b"), (Side::New, "c"), (Side::New, "d")] {
        seed(&bed, side, id, Says::Found);
        teach(&bed, side, id).await;
    }
    for side in [Side::Legacy, Side::New] {
        let (first, second) = if side == Side::Legacy { ("a", "b") } else { ("c", "d") };
        for (before, status) in [(first, 200), ("nobody-knows-it", 404)] {
            bed.sandbox.faults().arm(Fault::new(FaultKind::Twice).on(side, Operation::Get).times(1));
            assert_eq!(bed.client.get(before).await.status, status);
            assert_eq!(bed.client.get(second).await.id(), second, "{side} after {before}");
            assert_eq!(bed.client.get(first).await.id(), first);
        }
    }
}

/// An answer to HEAD is what GET says, without the body: the old API alone would deny a record of the new one.
#[tokio::test]
async fn head_says_what_get_says() {
    for stage in ["ready", "live", "sealed"] {
        let bed = TestBed::at(stage).await;
        seed(&bed, Side::Legacy, "old", Says::Found);
        seed(&bed, Side::New, "new", Says::Found);
        let paths =
            ["/old", "/new", "/nowhere", "", "?limit=1", "?limit=x"].map(|rest| format!("{LEGACY}{rest}"));
        let callers = [bed.client.clone(), bed.client.over_http2()];
        for (path, caller) in paths.iter().flat_map(|path| callers.iter().map(move |caller| (path, caller))) {
            let [get, head] =
                [Method::GET, Method::HEAD].map(|method| caller.ask(method, path, String::new()));
            let (get, head) = (get.await, head.await);
            assert_eq!(head.status, get.status, "{stage} {path}");
            assert_eq!(head.headers[CONTENT_LENGTH], get.body.len().to_string(), "{stage} {path}");
            assert_eq!(head.headers.get("content-type"), get.headers.get("content-type"), "{stage} {path}");
            assert!(head.body.is_empty(), "{stage} {path}");
        }
    }
}
