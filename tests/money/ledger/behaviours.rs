//! What holds on both backends.

use conversion_shim::ledger::{
    ClaimState, Count, Fingerprint, Key, KeyError, Ledger, LedgerError, Reader, TransitionResult,
};
use conversion_shim::translate::side::Side::{self, Legacy, New};

use super::{BODY, Place, done, key, refused};

macro_rules! on_both {
    ($($behaviour:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $behaviour() {
                super::$behaviour(super::Place::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $behaviour() {
                if let Some(place) = super::Place::postgres() {
                    super::$behaviour(place).await;
                }
            })*
        }
    };
}

on_both!(
    a_claim_is_made_once_and_stays_as_it_was,
    a_claim_survives_reopening,
    the_tenant_is_part_of_the_key,
    texts_are_kept_exactly,
    fencing_settles_the_side,
    a_found_record_moves_the_claim_and_settles_it,
    a_fenced_claim_never_moves,
    an_accepted_record_is_remembered_and_settles_the_claim,
    an_id_never_changes,
    steps_without_a_claim_are_absent,
    what_cannot_be_stored_is_refused,
    all_who_claim_at_once_agree_on_one_side,
    of_fence_and_move_exactly_one_wins,
    the_high_water_mark_is_set_by_a_claim_and_kept,
    the_high_water_mark_is_set_by_a_move,
    a_lost_claim_sets_no_high_water_mark,
    stats_count_by_side_and_state,
    a_reader_sees_what_the_ledger_writes,
    a_reader_makes_no_ledger,
    a_probe_leaves_no_trace,
    a_row_that_makes_no_sense_is_named,
);

async fn a_claim_is_made_once_and_stays_as_it_was(place: Place) {
    let ledger = place.open().await;
    assert_eq!(ledger.look(key("r")).await.unwrap(), None);

    let first = ledger.claim(key("r"), New, &BODY).await.unwrap();
    assert!(first.fresh);
    assert_eq!((first.claim.side, first.claim.state), (New, ClaimState::Claimed));
    assert_eq!((first.claim.fingerprint, &first.claim.record_id), (BODY, &None));
    assert_eq!(first.claim.created_at, first.claim.updated_at);

    let second = ledger.claim(key("r"), Legacy, &Fingerprint([1; 32])).await.unwrap();
    assert!(!second.fresh);
    assert_eq!(second.claim, first.claim);
    assert_eq!(ledger.look(key("r")).await.unwrap(), Some(first.claim));
}

async fn a_claim_survives_reopening(place: Place) {
    let ledger = place.open().await;
    ledger.claim(key("r"), Legacy, &BODY).await.unwrap();
    let claim = done(ledger.remember_id(key("r"), Legacy, "id-1").await.unwrap());
    ledger.close().await;
    assert_eq!(place.open().await.look(key("r")).await.unwrap(), Some(claim));
}

async fn the_tenant_is_part_of_the_key(place: Place) {
    let ledger = place.open().await;
    let (one, two) = (Key::new("one", "r").unwrap(), Key::new("two", "r").unwrap());
    assert!(ledger.claim(one, New, &BODY).await.unwrap().fresh);
    assert!(ledger.claim(two, Legacy, &BODY).await.unwrap().fresh);
    done(ledger.remember_id(one, New, "id").await.unwrap());
    let other = ledger.look(two).await.unwrap().unwrap();
    assert_eq!((other.side, other.record_id), (Legacy, None));
}

async fn texts_are_kept_exactly(place: Place) {
    let ledger = place.open().await;
    let longest = "x".repeat(1024);
    let refs = ["r", "R", " r", "r ", "é", "e\u{301}", "r'; --", "%", "_", "\n", "🦀", &longest];
    for reference in refs {
        assert!(ledger.claim(key(reference), Legacy, &BODY).await.unwrap().fresh, "{reference:?}");
    }
    for reference in refs {
        assert!(!ledger.claim(key(reference), Legacy, &BODY).await.unwrap().fresh, "{reference:?}");
    }
    let id = "Id 'é🦀";
    let claim = done(ledger.remember_id(key("r"), Legacy, id).await.unwrap());
    assert_eq!(claim.record_id.as_deref(), Some(id));
}

async fn fencing_settles_the_side(place: Place) {
    let ledger = place.open().await;
    let claimed = ledger.claim(key("r"), New, &BODY).await.unwrap().claim;
    assert_eq!(refused(ledger.fence(key("r"), Legacy).await.unwrap()), claimed);
    assert_eq!(ledger.look(key("r")).await.unwrap().unwrap().state, ClaimState::Claimed);

    let fenced = done(ledger.fence(key("r"), New).await.unwrap());
    assert_eq!((fenced.side, fenced.state), (New, ClaimState::Checked));
    assert!(fenced.updated_at >= fenced.created_at);
    assert_eq!(done(ledger.fence(key("r"), New).await.unwrap()), fenced);
    assert_eq!(refused(ledger.fence(key("r"), Legacy).await.unwrap()), fenced);
    assert_eq!(ledger.claim(key("r"), Legacy, &BODY).await.unwrap().claim, fenced);
}

async fn a_found_record_moves_the_claim_and_settles_it(place: Place) {
    let ledger = place.open().await;
    ledger.claim(key("r"), New, &BODY).await.unwrap();
    let moved = done(ledger.move_to(key("r"), Legacy, Some("found")).await.unwrap());
    assert_eq!((moved.side, moved.state), (Legacy, ClaimState::Checked));
    assert_eq!(moved.record_id.as_deref(), Some("found"));

    // One who looked earlier and saw nothing learns that he is too late.
    assert_eq!(refused(ledger.fence(key("r"), New).await.unwrap()), moved);
    // Another one who found the same record changes nothing.
    assert_eq!(done(ledger.move_to(key("r"), Legacy, None).await.unwrap()), moved);
    // Nothing leads back.
    assert_eq!(refused(ledger.move_to(key("r"), New, Some("other")).await.unwrap()), moved);
    assert_eq!(refused(ledger.remember_id(key("r"), New, "other").await.unwrap()), moved);
    assert_eq!(ledger.look(key("r")).await.unwrap(), Some(moved));
}

async fn a_fenced_claim_never_moves(place: Place) {
    let ledger = place.open().await;
    ledger.claim(key("r"), New, &BODY).await.unwrap();
    let fenced = done(ledger.fence(key("r"), New).await.unwrap());
    assert_eq!(refused(ledger.move_to(key("r"), Legacy, Some("late")).await.unwrap()), fenced);
    assert_eq!(ledger.look(key("r")).await.unwrap(), Some(fenced));
}

async fn an_accepted_record_is_remembered_and_settles_the_claim(place: Place) {
    let ledger = place.open().await;
    let claimed = ledger.claim(key("r"), Legacy, &BODY).await.unwrap().claim;
    assert_eq!(refused(ledger.remember_id(key("r"), New, "id").await.unwrap()), claimed);

    let known = done(ledger.remember_id(key("r"), Legacy, "id").await.unwrap());
    assert_eq!((known.side, known.state), (Legacy, ClaimState::Checked));
    assert_eq!(known.record_id.as_deref(), Some("id"));
    assert_eq!(refused(ledger.move_to(key("r"), New, None).await.unwrap()), known);
}

async fn an_id_never_changes(place: Place) {
    let ledger = place.open().await;
    ledger.claim(key("r"), New, &BODY).await.unwrap();
    done(ledger.fence(key("r"), New).await.unwrap());
    let known = done(ledger.remember_id(key("r"), New, "id").await.unwrap());
    assert_eq!(done(ledger.remember_id(key("r"), New, "id").await.unwrap()), known);
    assert_eq!(refused(ledger.remember_id(key("r"), New, "other").await.unwrap()), known);
    assert_eq!(ledger.look(key("r")).await.unwrap(), Some(known));
}

async fn steps_without_a_claim_are_absent(place: Place) {
    let ledger = place.open().await;
    assert_eq!(ledger.fence(key("r"), New).await.unwrap(), TransitionResult::Absent);
    assert_eq!(ledger.move_to(key("r"), New, Some("id")).await.unwrap(), TransitionResult::Absent);
    assert_eq!(ledger.remember_id(key("r"), New, "id").await.unwrap(), TransitionResult::Absent);
    assert_eq!(ledger.look(key("r")).await.unwrap(), None);
    assert_eq!(ledger.first_new_create_at().await.unwrap(), None);
}

async fn what_cannot_be_stored_is_refused(place: Place) {
    assert_eq!(Key::new("t", ""), Err(KeyError::Empty("ref_id")));
    assert_eq!(Key::new("", "r"), Err(KeyError::Empty("tenant")));
    assert_eq!(Key::new("t", "a\0b"), Err(KeyError::Nul("ref_id")));
    assert_eq!(Key::new("t", &"x".repeat(1025)), Err(KeyError::TooLong("ref_id", 1024)));

    let ledger = place.open().await;
    ledger.claim(key("r"), New, &BODY).await.unwrap();
    for id in ["", "a\0b", &"x".repeat(257)] {
        let error = ledger.remember_id(key("r"), New, id).await.unwrap_err();
        assert!(matches!(error, LedgerError::Unfit(_)), "{error:?}");
        let error = ledger.move_to(key("r"), Legacy, Some(id)).await.unwrap_err();
        assert!(matches!(error, LedgerError::Unfit(_)), "{error:?}");
    }
    assert!(ledger.health().is_ready());
}

/// Two replicas where the backend allows them, else the same ledger twice.
async fn replicas(place: &Place) -> [Ledger; 2] {
    let first = place.open().await;
    let second = if place.url.starts_with("sqlite:") { first.clone() } else { place.open().await };
    [first, second]
}

async fn all_who_claim_at_once_agree_on_one_side(place: Place) {
    let replicas = replicas(&place).await;
    for round in 0..5 {
        let reference = format!("r{round}");
        let claims = (0..100).map(|caller: usize| {
            let (ledger, reference) = (replicas[caller % 2].clone(), reference.clone());
            let side = if (caller * 7 + round).is_multiple_of(3) { Legacy } else { New };
            let fingerprint = Fingerprint([u8::try_from(caller).unwrap(); 32]);
            tokio::spawn(async move {
                let claimed = ledger.claim(key(&reference), side, &fingerprint).await.unwrap();
                (claimed, side, fingerprint)
            })
        });
        let answers = futures_util::future::join_all(claims.collect::<Vec<_>>()).await;
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();

        let winners: Vec<_> = answers.iter().filter(|(claimed, ..)| claimed.fresh).collect();
        assert_eq!(winners.len(), 1);
        let (won, side, fingerprint) = winners[0];
        assert_eq!((won.claim.side, won.claim.fingerprint), (*side, *fingerprint));
        assert!(answers.iter().all(|(claimed, ..)| claimed.claim == won.claim));
    }
}

async fn of_fence_and_move_exactly_one_wins(place: Place) {
    let [here, there] = replicas(&place).await;
    for round in 0..50 {
        let reference = format!("r{round}");
        here.claim(key(&reference), New, &BODY).await.unwrap();
        let (fencing, moving) = (here.clone(), there.clone());
        let (a, b) = (reference.clone(), reference.clone());
        let fence = tokio::spawn(async move { fencing.fence(key(&a), New).await.unwrap() });
        let step = tokio::spawn(async move { moving.move_to(key(&b), Legacy, None).await.unwrap() });

        let settled = match (fence.await.unwrap(), step.await.unwrap()) {
            (TransitionResult::Done(won), TransitionResult::Refused(lost)) if won.side == New => (won, lost),
            (TransitionResult::Refused(lost), TransitionResult::Done(won)) if won.side == Legacy => {
                (won, lost)
            }
            other => panic!("one must win and one must lose: {other:?}"),
        };
        assert_eq!(settled.0, settled.1);
        assert_eq!(settled.0.state, ClaimState::Checked);
    }
}

async fn the_high_water_mark_is_set_by_a_claim_and_kept(place: Place) {
    let ledger = place.open().await;
    ledger.claim(key("old"), Legacy, &BODY).await.unwrap();
    assert_eq!(ledger.first_new_create_at().await.unwrap(), None);

    let first = ledger.claim(key("first"), New, &BODY).await.unwrap().claim;
    assert_eq!(ledger.first_new_create_at().await.unwrap(), Some(first.created_at));
    ledger.claim(key("second"), New, &BODY).await.unwrap();
    done(ledger.move_to(key("first"), Legacy, None).await.unwrap());
    assert_eq!(ledger.first_new_create_at().await.unwrap(), Some(first.created_at));

    ledger.close().await;
    let again = place.open().await;
    assert_eq!(again.first_new_create_at().await.unwrap(), Some(first.created_at));
    again.claim(key("third"), New, &BODY).await.unwrap();
    assert_eq!(again.first_new_create_at().await.unwrap(), Some(first.created_at));
}

async fn the_high_water_mark_is_set_by_a_move(place: Place) {
    let ledger = place.open().await;
    ledger.claim(key("r"), Legacy, &BODY).await.unwrap();
    let moved = done(ledger.move_to(key("r"), New, None).await.unwrap());
    assert_eq!(ledger.first_new_create_at().await.unwrap(), Some(moved.updated_at));
}

async fn a_lost_claim_sets_no_high_water_mark(place: Place) {
    let ledger = place.open().await;
    ledger.claim(key("r"), Legacy, &BODY).await.unwrap();
    assert_eq!(ledger.claim(key("r"), New, &BODY).await.unwrap().claim.side, Legacy);
    done(ledger.fence(key("r"), Legacy).await.unwrap());
    refused(ledger.move_to(key("r"), New, None).await.unwrap());
    assert_eq!(ledger.first_new_create_at().await.unwrap(), None);
    // And the one that wins later still does.
    ledger.claim(key("s"), New, &BODY).await.unwrap();
    assert!(ledger.first_new_create_at().await.unwrap().is_some());
}

async fn stats_count_by_side_and_state(place: Place) {
    let ledger = place.open().await;
    let stats = ledger.reader().stats().await.unwrap();
    assert_eq!(
        (stats.counts, stats.first, stats.last, stats.first_new_create_at),
        (vec![], None, None, None)
    );

    for (reference, side) in [("a", Legacy), ("b", New), ("c", New), ("d", New)] {
        ledger.claim(key(reference), side, &BODY).await.unwrap();
    }
    done(ledger.fence(key("b"), New).await.unwrap());
    done(ledger.move_to(key("c"), Legacy, None).await.unwrap());

    let stats = ledger.reader().stats().await.unwrap();
    let count = |side: Side, state, claims| Count { side, state, claims };
    let counts = vec![
        count(Legacy, ClaimState::Claimed, 1),
        count(Legacy, ClaimState::Checked, 1),
        count(New, ClaimState::Claimed, 1),
        count(New, ClaimState::Checked, 1),
    ];
    assert_eq!(stats.counts, counts);
    let made_at = async |reference| ledger.look(key(reference)).await.unwrap().map(|claim| claim.created_at);
    assert_eq!((stats.first, stats.last), (made_at("a").await, made_at("d").await));
    assert_eq!(stats.first_new_create_at, made_at("b").await);
}

async fn a_reader_sees_what_the_ledger_writes(place: Place) {
    let ledger = place.open().await;
    let reader = Reader::open(&place.settings()).await.unwrap();
    let claim = ledger.claim(key("r"), New, &BODY).await.unwrap().claim;
    assert_eq!(reader.look(key("r")).await.unwrap(), Some(claim.clone()));
    assert_eq!(reader.first_new_create_at().await.unwrap(), Some(claim.created_at));
    ledger.close().await;
    assert_eq!(reader.look(key("r")).await.unwrap(), Some(claim));
}

async fn a_reader_makes_no_ledger(place: Place) {
    let looked = match Reader::open(&place.settings()).await {
        Ok(reader) => reader.look(key("r")).await.map(drop).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    assert!(looked.is_err(), "a ledger that does not exist must not look like an empty one");
    assert!(!place.file().exists());
}

async fn a_probe_leaves_no_trace(place: Place) {
    let ledger = place.open().await;
    ledger.probe().await.unwrap();
    ledger.probe().await.unwrap();
    assert!(ledger.health().is_ready());
    assert_eq!(ledger.first_new_create_at().await.unwrap(), None);
    assert_eq!(ledger.reader().stats().await.unwrap().counts, vec![]);
}

async fn a_row_that_makes_no_sense_is_named(place: Place) {
    let ledger = place.open().await;
    ledger.claim(key("bad"), New, &BODY).await.unwrap();
    place.tamper("UPDATE conversion_claims SET fingerprint = 'nonsense' WHERE ref_id = 'bad'").await;

    let (bad, good) =
        tokio::join!(ledger.claim(key("bad"), New, &BODY), ledger.claim(key("good"), New, &BODY));
    assert!(matches!(bad.unwrap_err(), LedgerError::Corrupt(_)));
    // Whoever shares a transaction with it does not suffer.
    assert!(good.unwrap().fresh);
    assert!(matches!(ledger.look(key("bad")).await.unwrap_err(), LedgerError::Corrupt(_)));
    assert!(ledger.look(key("good")).await.unwrap().is_some());
    assert!(ledger.health().is_ready());
}
