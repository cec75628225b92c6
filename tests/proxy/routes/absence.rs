//! Who may say 404 of an id, and what is said instead: 502, 503, 410, 403.

use conversion_shim::ledger::{Fingerprint, Key};
use conversion_shim::sandbox::{FaultKind, Operation, RefusalBody};
use conversion_shim::translate::side::Side;
use http::StatusCode;
use sqlx::{ConnectOptions as _, Executor as _};

use crate::support::test_bed::{Answer, BACK, Caller, Keys, Proxy, TestBed, new_record, old_record};

const LIVE: Keys<'static> = &[("stage", "live")];
const SEALED: Keys<'static> = &[("stage", "sealed")];

/// The two routes that look for an id.
#[derive(Clone, Copy, Debug)]
enum By {
    Get,
    Cancel,
}

const BY: [By; 2] = [By::Get, By::Cancel];

impl By {
    async fn ask(self, client: &Caller, id: &str) -> Answer {
        match self {
            Self::Get => client.get(id).await,
            Self::Cancel => client.cancel(id).await,
        }
    }

    /// How the route asks a side.
    const fn operation(self, side: Side) -> Operation {
        match (self, side) {
            (Self::Get, _) | (Self::Cancel, Side::New) => Operation::Get,
            (Self::Cancel, Side::Legacy) => Operation::Cancel,
        }
    }
}

fn not_found(body: RefusalBody) -> FaultKind {
    FaultKind::Status { code: StatusCode::NOT_FOUND, retry_after: None, body, applied: false }
}

/// A record that another process made, known to the ledger alone.
async fn known(house: &TestBed, side: Side, id: &str) {
    let key = Key::new("default", id).unwrap();
    let claim = house.ledger.claim(key, side, &Fingerprint([0; 32])).await.unwrap().claim;
    house.ledger.remember_id(key, claim.generation, side, id).await.unwrap().unwrap();
}

fn seed(house: &TestBed, side: Side, id: &str) {
    let at = "2026-01-01T00:00:00Z";
    let inspector = house.sandbox.inspector();
    let mut record = match side {
        Side::Legacy => old_record(id, at),
        Side::New => new_record(id, at),
    };
    record["id"] = id.into();
    match side {
        Side::Legacy => {
            record["status"] = "CREATED".into();
            inspector.seed_conversion(record)
        }
        Side::New => inspector.seed_orchestration(record),
    };
}

#[tokio::test]
async fn a_404_that_is_not_the_vendors_is_a_502() {
    let house = TestBed::with(LIVE).await;
    for (stage, sides) in
        [(LIVE, &[Side::Legacy, Side::New][..]), (BACK, &[Side::Legacy, Side::New]), (SEALED, &[Side::New])]
    {
        house.go(stage).await;
        for by in BY {
            for side in sides.iter().copied() {
                for body in [RefusalBody::Html, RefusalBody::Empty] {
                    let fault = house.fault(side, by.operation(side), not_found(body));
                    let answer = by.ask(&house.client, "nobody-knows-it").await;
                    house.sandbox.faults().remove(&fault);
                    assert_eq!(answer.status, 502, "{by:?} {side} {body:?} in {stage:?}: {answer:?}");
                }
            }
            by.ask(&house.client, "nobody-knows-it").await.problem(404);
        }
    }
}

#[tokio::test]
async fn a_known_id_that_its_side_denies_is_a_503_with_retry_after() {
    for side in [Side::Legacy, Side::New] {
        let house = TestBed::with(LIVE).await;
        known(&house, side, "of-the-ledger").await;
        seed(&house, side, "of-the-cache");
        assert_eq!(house.client.get("of-the-cache").await.status, 200);
        for by in BY {
            for (id, stage) in [("of-the-ledger", LIVE), ("of-the-cache", LIVE), ("of-the-ledger", BACK)] {
                house.go(stage).await;
                let fault = house.fault(side, by.operation(side), not_found(RefusalBody::Problem));
                let answer = by.ask(&house.client, id).await;
                house.sandbox.faults().remove(&fault);
                answer.problem(503);
                assert!(answer.headers.contains_key("retry-after"), "{by:?} {id}: {answer:?}");
            }
        }
        // Sealed, new may still lag.
        if side == Side::New {
            house.go(SEALED).await;
            for by in BY {
                let answer = by.ask(&house.client, "of-the-ledger").await;
                answer.problem(503);
                assert!(answer.headers.contains_key("retry-after"), "{by:?}");
            }
        }
    }
}

#[tokio::test]
async fn sealed_says_410_of_an_id_that_the_ledger_knows_as_legacys() {
    let house = TestBed::with(SEALED).await;
    known(&house, Side::Legacy, "old").await;
    // Whatever new shows under that id.
    for mirrored in [false, true] {
        if mirrored {
            seed(&house, Side::New, "old");
        }
        for by in BY {
            let problem = by.ask(&house.client, "old").await.problem(410);
            assert!(problem["detail"].as_str().unwrap().contains("retired API"), "{problem}");
            assert_eq!(problem["type"], "urn:conversion-shim:problem:on-retired-api");
        }
    }
    let inspector = house.sandbox.inspector();
    assert_eq!(
        inspector.arrived(Side::Legacy, Operation::Get) + inspector.arrived(Side::Legacy, Operation::Cancel),
        0
    );
}

/// Without a claim, only the process that saw it knows; then new speaks first.
#[tokio::test]
async fn sealed_says_410_of_an_id_that_was_seen_on_legacy() {
    let house = TestBed::with(LIVE).await;
    house.go(BACK).await;
    for id in ["moved", "old"] {
        seed(&house, Side::Legacy, id);
        assert_eq!(house.client.get(id).await.status, 200);
    }
    seed(&house, Side::New, "moved");
    house.go(SEALED).await;
    assert_eq!(house.client.get("moved").await.id(), "moved");
    house.client.cancel("moved").await.problem(403);
    for by in BY {
        by.ask(&house.client, "old").await.problem(410);
    }
}

#[tokio::test]
async fn a_record_on_new_is_refused_by_cancel_and_nothing_is_sent_to_legacy() {
    let house = TestBed::with(LIVE).await;
    known(&house, Side::New, "new").await;
    seed(&house, Side::New, "new");
    for stage in [LIVE, BACK, SEALED] {
        house.go(stage).await;
        let problem = house.client.cancel("new").await.problem(403);
        assert!(problem["detail"].as_str().unwrap().contains("cannot be cancelled"), "{problem}");
    }
    assert_eq!(house.sandbox.inspector().arrived(Side::Legacy, Operation::Cancel), 0);
}

/// New shows legacy's record under the same id. Having seen it there does not make it new's.
#[tokio::test]
async fn a_mirrored_record_is_cancelled_on_legacy() {
    for (fact, status) in [("", 200), ("same_id", 200), ("no", 403)] {
        let house = TestBed::with(&[LIVE, &[("facts.mirror", fact)]].concat()).await;
        seed(&house, Side::Legacy, "id");
        seed(&house, Side::New, "id");
        assert_eq!(house.client.get("id").await.status, 200, "seen on new, which is asked first");
        assert_eq!(house.client.cancel("id").await.status, status, "{fact:?}");
    }
}

/// Both sides list one record, whose reference is older than the ledger. A retry of its create in `live` does not make it new's.
#[tokio::test]
async fn a_mirrored_record_that_a_create_met_is_cancelled_on_legacy() {
    for (fact, legacy, new) in [("", "id", "id"), ("same_id", "id", "id"), ("other_id", "id", "mirror")] {
        let house = TestBed::with(&[LIVE, &[("facts.mirror", fact)]].concat()).await;
        seed(&house, Side::Legacy, legacy);
        let mut mirror = new_record(legacy, "2026-01-01T00:00:00Z");
        mirror["id"] = new.into();
        house.sandbox.inspector().seed_orchestration(mirror);
        let problem = house.client.create(legacy).await.problem(409);
        assert_eq!(problem["meta"]["existing"]["id"], legacy, "{fact:?}");
        let claim = house.claim(legacy).await.unwrap();
        assert_eq!((claim.side, claim.record_id.as_deref()), (Side::Legacy, Some(legacy)), "{fact:?}");
        assert_eq!(house.client.get(legacy).await.id(), legacy, "{fact:?}");
        assert_eq!(house.client.cancel(legacy).await.status, 200, "{fact:?}");
        // Legacy is no longer asked, and new may have references of its own.
        house.go(&[("stage", "sealed"), ("facts.mirror", fact)]).await;
        house.client.create(legacy).await.problem(409);
        assert_eq!(house.sandbox.inspector().arrived(Side::New, Operation::Create), 0);
    }
}

/// Legacy denies the record that it is known to hold, while new shows a mirror: that is not "cannot be cancelled".
#[tokio::test]
async fn a_mirror_does_not_speak_for_a_record_that_legacy_denies() {
    let house = TestBed::with(LIVE).await;
    known(&house, Side::Legacy, "id").await;
    seed(&house, Side::New, "id");
    let answer = house.client.cancel("id").await;
    answer.problem(503);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(house.client.get("id").await.id(), "id", "it can be read all the same");
}

/// Reads of the ledger fail; what it might know is not denied.
#[tokio::test]
async fn a_ledger_that_cannot_be_read_never_makes_a_404() {
    let house = TestBed::with(LIVE).await;
    let mut hidden = new_record("r", "2026-01-01T00:00:00Z");
    hidden["orchestration_rule_id"] = "rule".into();
    let hidden = house.sandbox.inspector().seed_orchestration(hidden);
    let fresh: [Proxy; 2] = [house.replica(LIVE).await, house.replica(SEALED).await];
    let file = house.dir.path().join("ledger.db");
    let mut operator = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    operator.execute("ALTER TABLE ref_claims RENAME TO out_of_reach").await.unwrap();
    for Proxy { client, .. } in &fresh {
        for by in BY {
            by.ask(client, "nobody-knows-it").await.problem(503);
            by.ask(client, &hidden).await.problem(503);
        }
        client.list("").await.problem(503);
    }
    operator.execute("ALTER TABLE out_of_reach RENAME TO ref_claims").await.unwrap();
    for Proxy { client, .. } in &fresh {
        for by in BY {
            by.ask(client, &hidden).await.problem(404);
        }
        assert_eq!(client.list("").await.json()["items"].as_array().unwrap().len(), 0);
    }
}
