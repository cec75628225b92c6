//! What holds on both backends.

use std::time::Duration;

use conversion_shim::ledger::{
    Accepted, Claim, ClaimState, ClientUse, Count, Expected, Fingerprint, Identity, Key, KeyError, Ledger,
    LedgerError, OpenError, OperatorReason, Reader, Released, Settings,
};
use conversion_shim::translate::side::Side::{self, Legacy, New};
use jiff::Timestamp;

use super::{BODY, Place, key};

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
    a_checked_claim_is_of_one_side,
    a_found_record_moves_the_claim_and_checks_it,
    a_checked_claim_never_moves,
    a_claim_moves_only_while_no_other_attempt_is_open,
    an_accepted_record_is_remembered_and_checks_the_claim,
    an_id_never_changes,
    a_claim_with_all_attempts_closed_is_refused,
    an_open_attempt_keeps_the_side,
    no_attempt_is_closed_twice,
    a_known_record_is_never_refused,
    a_record_found_late_makes_a_refused_claim_checked,
    a_refused_claim_is_chosen_anew_once,
    statements_of_an_older_generation_change_nothing,
    begin_expects_what_the_caller_read,
    steps_without_a_claim_change_nothing,
    what_cannot_be_stored_is_refused,
    all_who_claim_at_once_agree_on_one_side,
    all_who_choose_anew_at_once_agree_on_one_side,
    of_check_and_move_exactly_one_wins,
    of_begin_and_move_exactly_one_wins,
    attempts_begun_and_closed_at_once_are_all_counted,
    a_create_on_new_is_seen_by_the_claim_and_by_the_mark,
    the_mark_is_set_by_an_operator_alone,
    the_first_create_on_new_is_the_oldest_claim_there,
    a_native_create_is_seen_by_a_legacy_claim,
    a_claim_for_legacy_is_seen_by_a_native_create,
    records_are_found_by_id_and_by_age,
    many_claims_are_found_by_record_id_or_reference_at_once,
    a_hold_stops_every_statement_before_a_send,
    a_hold_is_lifted_by_accept_alone,
    a_claim_is_released_an_hour_after_its_last_attempt,
    every_order_is_audited,
    a_ledger_is_made_once_and_keeps_its_id,
    another_ledger_is_refused,
    a_ledger_of_other_hosts_is_refused_until_it_is_accepted,
    what_blocks_the_end_of_the_old_api_is_kept_with_its_time,
    a_ledger_of_a_newer_version_is_only_tripped,
    an_unknown_tenant_is_refused_once_the_mark_is_set,
    a_ledger_of_0_1_keeps_its_claims_and_gets_an_id,
    stats_count_by_side_and_state,
    stats_of_a_large_ledger_need_no_full_count,
    a_reader_sees_what_the_ledger_writes,
    a_reader_makes_no_ledger,
    a_probe_leaves_no_trace,
    a_row_that_makes_no_sense_is_named,
);

/// An hour ago, as far as the claims can say.
const AGE_ALL: &str = "UPDATE ref_claims SET created_at_us = created_at_us - 3700000000, \
                       updated_at_us = updated_at_us - 3700000000";

fn reason() -> OperatorReason {
    OperatorReason { operator: "ops".into(), why: "because".into() }
}

/// The step changed the claim to this.
#[track_caller]
fn changed(step: Result<Option<Claim>, LedgerError>) -> Claim {
    step.unwrap().expect("the claim was as expected")
}

#[track_caller]
fn unchanged(step: Result<Option<Claim>, LedgerError>) {
    assert_eq!(step.unwrap(), None);
}

/// What identifies the claim's progress: side, state, generation, attempts.
fn progress(claim: &Claim) -> (Side, ClaimState, i64, i64, i64) {
    (claim.side, claim.state, claim.generation, claim.begun, claim.closed)
}

async fn claimed(ledger: &Ledger, reference: &str, side: Side) -> Claim {
    let claimed = ledger.claim(key(reference), side, &BODY).await.unwrap();
    assert!(claimed.inserted, "{reference}");
    claimed.claim
}

/// A claim whose only attempt was closed.
async fn refused(ledger: &Ledger, reference: &str, side: Side) -> Claim {
    claimed(ledger, reference, side).await;
    let claim = changed(ledger.close(key(reference), 1, side).await);
    assert_eq!(claim.state, ClaimState::Refused);
    claim
}

async fn a_claim_is_made_once_and_stays_as_it_was(place: Place) {
    let ledger = place.open().await;
    assert_eq!(ledger.reader().claim_by_ref(key("r")).await.unwrap(), None);

    let first = ledger.claim(key("r"), New, &BODY).await.unwrap();
    assert!(first.inserted);
    assert_eq!(progress(&first.claim), (New, ClaimState::Claimed, 1, 1, 0));
    assert_eq!((first.claim.fingerprint, &first.claim.record_id), (BODY, &None));
    assert_eq!(first.claim.created_at, first.claim.updated_at);

    let second = ledger.claim(key("r"), Legacy, &Fingerprint([1; 32])).await.unwrap();
    assert!(!second.inserted);
    assert_eq!(second.claim, first.claim, "a repeated claim begins no attempt");
    assert_eq!(ledger.reader().claim_by_ref(key("r")).await.unwrap(), Some(first.claim));
}

async fn a_claim_survives_reopening(place: Place) {
    let ledger = place.open().await;
    ledger.claim(key("r"), Legacy, &BODY).await.unwrap();
    let claim = changed(ledger.remember_id(key("r"), 1, Legacy, "id-1").await);
    ledger.shutdown().await;
    assert_eq!(place.open().await.reader().claim_by_ref(key("r")).await.unwrap(), Some(claim));
}

async fn the_tenant_is_part_of_the_key(place: Place) {
    let ledger = place.open().await;
    let (one, two) = (Key::new("one", "r").unwrap(), Key::new("two", "r").unwrap());
    assert!(ledger.claim(one, New, &BODY).await.unwrap().inserted);
    assert!(ledger.claim(two, Legacy, &BODY).await.unwrap().inserted);
    changed(ledger.remember_id(one, 1, New, "id").await);
    let other = ledger.reader().claim_by_ref(two).await.unwrap().unwrap();
    assert_eq!((other.side, other.record_id), (Legacy, None));
    assert_eq!(ledger.reader().record_side("two", "id").await.unwrap(), None);
}

async fn texts_are_kept_exactly(place: Place) {
    let ledger = place.open().await;
    let longest = "x".repeat(1024);
    let refs = ["r", "R", " r", "r ", "é", "e\u{301}", "r'; --", "%", "_", "\n", "🦀", &longest];
    for reference in refs {
        assert!(ledger.claim(key(reference), Legacy, &BODY).await.unwrap().inserted, "{reference:?}");
    }
    for reference in refs {
        assert!(!ledger.claim(key(reference), Legacy, &BODY).await.unwrap().inserted, "{reference:?}");
    }
    let id = "Id 'é🦀";
    let claim = changed(ledger.remember_id(key("r"), 1, Legacy, id).await);
    assert_eq!(claim.record_id.as_deref(), Some(id));
}

async fn a_checked_claim_is_of_one_side(place: Place) {
    let ledger = place.open().await;
    let claim = claimed(&ledger, "r", New).await;
    unchanged(ledger.mark_checked(key("r"), Expected { side: Legacy, ..claim.expected() }).await);
    unchanged(ledger.mark_checked(key("r"), Expected { generation: 2, ..claim.expected() }).await);
    assert_eq!(ledger.reader().claim_by_ref(key("r")).await.unwrap().unwrap(), claim);

    let checked = changed(ledger.mark_checked(key("r"), claim.expected()).await);
    assert_eq!(progress(&checked), (New, ClaimState::Checked, 1, 1, 0));
    assert!(checked.updated_at >= checked.created_at);
    unchanged(ledger.mark_checked(key("r"), claim.expected()).await);
    assert_eq!(ledger.claim(key("r"), Legacy, &BODY).await.unwrap().claim, checked);
}

async fn a_found_record_moves_the_claim_and_checks_it(place: Place) {
    let ledger = place.open().await;
    let claim = claimed(&ledger, "r", New).await;
    let moved = changed(ledger.move_claim(key("r"), claim.expected(), Some("found"), 1).await);
    assert_eq!(progress(&moved), (Legacy, ClaimState::Checked, 1, 1, 0));
    assert_eq!(moved.record_id.as_deref(), Some("found"));

    // One who looked earlier and saw nothing is too late, and so is another one who found the same.
    unchanged(ledger.mark_checked(key("r"), claim.expected()).await);
    unchanged(ledger.move_claim(key("r"), claim.expected(), None, 1).await);
    // Nothing leads back.
    unchanged(ledger.move_claim(key("r"), moved.expected(), Some("other"), 1).await);
    unchanged(ledger.remember_id(key("r"), 1, New, "other").await);
    unchanged(ledger.close(key("r"), 1, New).await);
    assert_eq!(ledger.reader().claim_by_ref(key("r")).await.unwrap(), Some(moved));
}

async fn a_checked_claim_never_moves(place: Place) {
    let ledger = place.open().await;
    let claim = claimed(&ledger, "r", New).await;
    let checked = changed(ledger.mark_checked(key("r"), claim.expected()).await);
    unchanged(ledger.move_claim(key("r"), checked.expected(), Some("late"), 1).await);
    unchanged(ledger.move_claim(key("r"), claim.expected(), Some("late"), 1).await);
    assert_eq!(ledger.reader().claim_by_ref(key("r")).await.unwrap(), Some(checked));
}

async fn a_claim_moves_only_while_no_other_attempt_is_open(place: Place) {
    let ledger = place.open().await;
    let claim = claimed(&ledger, "r", New).await;
    changed(ledger.begin(key("r"), claim.expected(), false).await);
    unchanged(ledger.move_claim(key("r"), claim.expected(), None, 1).await);
    changed(ledger.close(key("r"), 1, New).await);
    let moved = changed(ledger.move_claim(key("r"), claim.expected(), None, 1).await);
    assert_eq!(progress(&moved), (Legacy, ClaimState::Checked, 1, 2, 1));
}

async fn an_accepted_record_is_remembered_and_checks_the_claim(place: Place) {
    let ledger = place.open().await;
    let claim = claimed(&ledger, "r", Legacy).await;
    unchanged(ledger.remember_id(key("r"), 1, New, "id").await);
    unchanged(ledger.remember_id(key("r"), 2, Legacy, "id").await);

    let known = changed(ledger.remember_id(key("r"), 1, Legacy, "id").await);
    assert_eq!(progress(&known), (Legacy, ClaimState::Checked, 1, 1, 0));
    assert_eq!(known.record_id.as_deref(), Some("id"));
    unchanged(ledger.move_claim(key("r"), claim.expected(), None, 1).await);
}

async fn an_id_never_changes(place: Place) {
    let ledger = place.open().await;
    claimed(&ledger, "r", New).await;
    let known = changed(ledger.remember_id(key("r"), 1, New, "id").await);
    assert_eq!(changed(ledger.remember_id(key("r"), 1, New, "id").await), known);
    unchanged(ledger.remember_id(key("r"), 1, New, "other").await);
    assert_eq!(ledger.reader().claim_by_ref(key("r")).await.unwrap(), Some(known));
}

async fn a_claim_with_all_attempts_closed_is_refused(place: Place) {
    let ledger = place.open().await;
    let claim = claimed(&ledger, "r", New).await;
    let begun = changed(ledger.begin(key("r"), claim.expected(), true).await);
    assert_eq!(progress(&begun), (New, ClaimState::Checked, 1, 2, 0));
    let one = changed(ledger.close(key("r"), 1, New).await);
    assert_eq!(progress(&one), (New, ClaimState::Checked, 1, 2, 1));
    let both = changed(ledger.close(key("r"), 1, New).await);
    assert_eq!(progress(&both), (New, ClaimState::Refused, 1, 2, 2));
}

async fn an_open_attempt_keeps_the_side(place: Place) {
    let ledger = place.open().await;
    let claim = claimed(&ledger, "r", New).await;
    changed(ledger.begin(key("r"), claim.expected(), false).await);
    // A crash: the first attempt is never closed.
    changed(ledger.close(key("r"), 1, New).await);
    unchanged(ledger.choose_anew(key("r"), Legacy, &BODY, 1).await);
    let kept = ledger.claim(key("r"), Legacy, &BODY).await.unwrap().claim;
    assert_eq!(progress(&kept), (New, ClaimState::Claimed, 1, 2, 1));
}

async fn no_attempt_is_closed_twice(place: Place) {
    let ledger = place.open().await;
    let refused = refused(&ledger, "r", New).await;
    unchanged(ledger.close(key("r"), 1, New).await);
    assert_eq!(ledger.reader().claim_by_ref(key("r")).await.unwrap(), Some(refused));
}

async fn a_known_record_is_never_refused(place: Place) {
    let ledger = place.open().await;
    claimed(&ledger, "r", New).await;
    changed(ledger.remember_id(key("r"), 1, New, "id").await);
    let closed = changed(ledger.close(key("r"), 1, New).await);
    assert_eq!(progress(&closed), (New, ClaimState::Checked, 1, 1, 1));
}

async fn a_record_found_late_makes_a_refused_claim_checked(place: Place) {
    let ledger = place.open().await;
    refused(&ledger, "r", New).await;
    let known = changed(ledger.remember_id(key("r"), 1, New, "id").await);
    assert_eq!(progress(&known), (New, ClaimState::Checked, 1, 1, 1));
    unchanged(ledger.choose_anew(key("r"), Legacy, &BODY, 1).await);
}

async fn a_refused_claim_is_chosen_anew_once(place: Place) {
    let ledger = place.open().await;
    let claim = claimed(&ledger, "r", New).await;
    unchanged(ledger.choose_anew(key("r"), Legacy, &BODY, 1).await);
    changed(ledger.close(key("r"), 1, New).await);
    unchanged(ledger.choose_anew(key("r"), Legacy, &BODY, 2).await);

    let anew = changed(ledger.choose_anew(key("r"), Legacy, &Fingerprint([7; 32]), 1).await);
    assert_eq!(progress(&anew), (Legacy, ClaimState::Claimed, 2, 1, 0));
    assert_eq!((anew.fingerprint, anew.created_at), (Fingerprint([7; 32]), claim.created_at));
    unchanged(ledger.choose_anew(key("r"), New, &BODY, 1).await);
    unchanged(ledger.choose_anew(key("r"), New, &BODY, 2).await);
    assert_eq!(ledger.reader().claim_by_ref(key("r")).await.unwrap(), Some(anew));
}

async fn statements_of_an_older_generation_change_nothing(place: Place) {
    let ledger = place.open().await;
    let old = claimed(&ledger, "r", New).await;
    changed(ledger.close(key("r"), 1, New).await);
    let anew = changed(ledger.choose_anew(key("r"), New, &BODY, 1).await);
    unchanged(ledger.begin(key("r"), old.expected(), true).await);
    unchanged(ledger.mark_checked(key("r"), old.expected()).await);
    unchanged(ledger.move_claim(key("r"), old.expected(), Some("id"), 9).await);
    unchanged(ledger.remember_id(key("r"), 1, New, "id").await);
    unchanged(ledger.close(key("r"), 1, New).await);
    assert_eq!(ledger.reader().claim_by_ref(key("r")).await.unwrap(), Some(anew));
}

async fn begin_expects_what_the_caller_read(place: Place) {
    let ledger = place.open().await;
    let claim = claimed(&ledger, "r", New).await;
    let read = claim.expected();
    unchanged(ledger.begin(key("r"), Expected { side: Legacy, ..read }, false).await);
    unchanged(ledger.begin(key("r"), Expected { generation: 2, ..read }, false).await);
    unchanged(ledger.begin(key("r"), Expected { state: ClaimState::Checked, ..read }, false).await);
    let begun = changed(ledger.begin(key("r"), read, false).await);
    assert_eq!(progress(&begun), (New, ClaimState::Claimed, 1, 2, 0));
    let checked = changed(ledger.begin(key("r"), read, true).await);
    assert_eq!(progress(&checked), (New, ClaimState::Checked, 1, 3, 0));
    unchanged(ledger.begin(key("r"), read, true).await);

    // A refused claim begins nothing, whatever its reader expects.
    let refused = refused(&ledger, "s", New).await;
    unchanged(ledger.begin(key("s"), refused.expected(), false).await);
    unchanged(ledger.mark_checked(key("s"), refused.expected()).await);
}

async fn steps_without_a_claim_change_nothing(place: Place) {
    let ledger = place.open().await;
    let expected = Expected { generation: 1, side: New, state: ClaimState::Claimed };
    unchanged(ledger.choose_anew(key("r"), New, &BODY, 1).await);
    unchanged(ledger.begin(key("r"), expected, false).await);
    unchanged(ledger.mark_checked(key("r"), expected).await);
    unchanged(ledger.move_claim(key("r"), expected, Some("id"), 1).await);
    unchanged(ledger.remember_id(key("r"), 1, New, "id").await);
    unchanged(ledger.close(key("r"), 1, New).await);
    assert_eq!(ledger.reader().claim_by_ref(key("r")).await.unwrap(), None);
    assert!(!ledger.reader().created_on_new().await.unwrap());
}

async fn what_cannot_be_stored_is_refused(place: Place) {
    assert_eq!(Key::new("t", ""), Err(KeyError::Empty("ref_id")));
    assert_eq!(Key::new("", "r"), Err(KeyError::Empty("tenant")));
    assert_eq!(Key::new("t", "a\0b"), Err(KeyError::Nul("ref_id")));
    assert_eq!(Key::new("t", &"x".repeat(1025)), Err(KeyError::TooLong("ref_id", 1024)));

    let ledger = place.open().await;
    let claim = claimed(&ledger, "r", New).await;
    for id in ["", "a\0b", &"x".repeat(257)] {
        let error = ledger.remember_id(key("r"), 1, New, id).await.unwrap_err();
        assert!(matches!(error, LedgerError::Unfit(_)), "{error:?}");
        let error = ledger.move_claim(key("r"), claim.expected(), Some(id), 1).await.unwrap_err();
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

        let winners: Vec<_> = answers.iter().filter(|(claimed, ..)| claimed.inserted).collect();
        assert_eq!(winners.len(), 1);
        let (won, side, fingerprint) = winners[0];
        assert_eq!((won.claim.side, won.claim.fingerprint), (*side, *fingerprint));
        assert!(answers.iter().all(|(claimed, ..)| claimed.claim == won.claim));
    }
}

async fn all_who_choose_anew_at_once_agree_on_one_side(place: Place) {
    let replicas = replicas(&place).await;
    refused(&replicas[0], "r", New).await;
    let calls = (0..40_usize).map(|caller| {
        let ledger = replicas[caller % 2].clone();
        let side = if caller.is_multiple_of(3) { Legacy } else { New };
        async move { ledger.choose_anew(key("r"), side, &BODY, 1).await.unwrap() }
    });
    let won: Vec<_> = futures_util::future::join_all(calls).await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert_eq!(replicas[0].reader().claim_by_ref(key("r")).await.unwrap(), Some(won[0].clone()));
    assert_eq!((won[0].generation, won[0].begun), (2, 1));
}

async fn of_check_and_move_exactly_one_wins(place: Place) {
    let [here, there] = replicas(&place).await;
    for round in 0..50 {
        let reference = format!("r{round}");
        let read = claimed(&here, &reference, New).await.expected();
        let (check, moving) = tokio::join!(
            here.mark_checked(key(&reference), read),
            there.move_claim(key(&reference), read, None, 1),
        );
        let kept = here.reader().claim_by_ref(key(&reference)).await.unwrap();
        match (check.unwrap(), moving.unwrap()) {
            (Some(won), None) | (None, Some(won)) => assert_eq!(kept, Some(won)),
            other => panic!("one must win and one must lose: {other:?}"),
        }
    }
}

/// A side to which another request may send never changes.
async fn of_begin_and_move_exactly_one_wins(place: Place) {
    let [here, there] = replicas(&place).await;
    for round in 0..50 {
        let reference = format!("r{round}");
        let read = claimed(&here, &reference, New).await.expected();
        let (begun, moved) = tokio::join!(
            here.begin(key(&reference), read, false),
            there.move_claim(key(&reference), read, None, 1),
        );
        match (begun.unwrap(), moved.unwrap()) {
            (Some(won), None) => assert_eq!((won.side, won.begun), (New, 2)),
            (None, Some(won)) => assert_eq!((won.side, won.begun), (Legacy, 1)),
            other => panic!("one must win and one must lose: {other:?}"),
        }
    }
}

async fn attempts_begun_and_closed_at_once_are_all_counted(place: Place) {
    let replicas = replicas(&place).await;
    let read = claimed(&replicas[0], "r", New).await.expected();
    let attempts = (0..20_usize).map(|caller| {
        let ledger = replicas[caller % 2].clone();
        async move {
            changed(ledger.begin(key("r"), read, false).await);
            changed(ledger.close(key("r"), 1, New).await);
        }
    });
    futures_util::future::join_all(attempts).await;
    let claim = replicas[0].reader().claim_by_ref(key("r")).await.unwrap().unwrap();
    assert_eq!(progress(&claim), (New, ClaimState::Claimed, 1, 21, 20), "the first attempt is open");
}

async fn a_create_on_new_is_seen_by_the_claim_and_by_the_mark(place: Place) {
    let [here, there] = replicas(&place).await;
    assert!(!here.claim(key("a"), Legacy, &BODY).await.unwrap().created_on_new);
    assert!(!here.reader().created_on_new().await.unwrap());
    assert!(there.claim(key("b"), New, &BODY).await.unwrap().created_on_new, "it names new itself");
    assert!(here.claim(key("c"), Legacy, &BODY).await.unwrap().created_on_new);
    assert!(here.claim(key("a"), Legacy, &BODY).await.unwrap().created_on_new);
    // Without a mark too: any claim that names new is enough.
    assert!(here.reader().created_on_new().await.unwrap());
}

async fn the_mark_is_set_by_an_operator_alone(place: Place) {
    let ledger = place.open().await;
    ledger.shutdown().await;
    let ledger = place.open().await;
    assert!(!ledger.reader().created_on_new().await.unwrap());
    assert!(ledger.open_new(reason()).await.unwrap());
    assert!(!ledger.open_new(reason()).await.unwrap(), "set before");
    assert!(ledger.reader().created_on_new().await.unwrap());
    assert!(ledger.claim(key("r"), Legacy, &BODY).await.unwrap().created_on_new);
    assert_eq!(ledger.reader().first_new_create_at().await.unwrap(), None, "none went there yet");
}

async fn the_first_create_on_new_is_the_oldest_claim_there(place: Place) {
    let ledger = place.open().await;
    claimed(&ledger, "a", Legacy).await;
    assert_eq!(ledger.reader().first_new_create_at().await.unwrap(), None);
    assert_eq!(ledger.claim(key("a"), New, &BODY).await.unwrap().claim.side, Legacy);
    assert_eq!(ledger.reader().first_new_create_at().await.unwrap(), None, "a lost claim names nothing");
    let first = claimed(&ledger, "b", New).await;
    claimed(&ledger, "c", New).await;
    assert_eq!(ledger.reader().first_new_create_at().await.unwrap(), Some(first.created_at));
}

async fn a_native_create_is_seen_by_a_legacy_claim(place: Place) {
    let ledger = place.open().await;
    ledger.record_native(key("r")).await.unwrap();
    ledger.record_native(key("r")).await.unwrap();
    let first = ledger.claim(key("r"), Legacy, &BODY).await.unwrap();
    assert!(first.inserted && first.native);
    assert!(!first.created_on_new, "a native create sets no mark");
    assert!(ledger.claim(key("r"), Legacy, &BODY).await.unwrap().native);
    assert!(!ledger.claim(key("s"), Legacy, &BODY).await.unwrap().native);
}

async fn many_claims_are_found_by_record_id_or_reference_at_once(place: Place) {
    let ledger = place.open().await;
    for number in 0..40 {
        let (reference, side) = (format!("r-{number}"), if number % 2 == 0 { New } else { Legacy });
        claimed(&ledger, &reference, side).await;
        if number % 4 == 0 {
            changed(ledger.remember_id(key(&reference), 1, side, &format!("id-{number}")).await);
        }
    }
    changed(ledger.close(key("r-2"), 1, New).await);
    let texts = |prefix: &str| (0..40).rev().map(|number| format!("{prefix}-{number}")).collect::<Vec<_>>();
    let (ids, references) = (texts("id"), texts("r"));
    let of = |side, ids: &[String], references: &[String]| {
        let (ids, references) = (ids.to_vec(), references.to_vec());
        let reader = ledger.reader().clone();
        async move {
            let (ids, references) = (ids.iter(), references.iter());
            let found = reader
                .claims_on(
                    "tenant",
                    side,
                    ids.map(String::as_str).collect(),
                    references.map(String::as_str).collect(),
                )
                .await;
            let mut found: Vec<_> = found.unwrap();
            found.sort();
            found
        }
    };
    // By either, each once per statement that names it; never a refused one, never the other side's.
    let by_id: Vec<_> = of(New, &ids, &[]).await.into_iter().map(|(_, id)| id.unwrap()).collect();
    assert_eq!(by_id.len(), 10);
    let by_reference = of(New, &[], &references).await;
    assert_eq!(by_reference.len(), 19);
    assert!(by_reference.iter().all(|(reference, _)| reference != "r-2"));
    assert_eq!(by_reference.iter().filter(|(_, id)| id.is_some()).count(), 10);
    assert_eq!(of(Legacy, &ids, &references).await.len(), 20);
    let odd = ["x".repeat(10_000), "\0".into(), String::new()];
    assert_eq!(of(New, &odd, &odd).await, [], "what no claim can hold is not asked for");
    assert_eq!(of(New, &[], &[]).await, []);
}

async fn a_claim_for_legacy_is_seen_by_a_native_create(place: Place) {
    let ledger = place.open().await;
    claimed(&ledger, "legacy", Legacy).await;
    claimed(&ledger, "new", New).await;
    refused(&ledger, "refused", Legacy).await;
    for (reference, claimed) in [("legacy", true), ("new", false), ("refused", false), ("none", false)] {
        assert_eq!(ledger.is_claimed_for_legacy(key(reference)).await.unwrap(), claimed, "{reference}");
    }
}

async fn records_are_found_by_id_and_by_age(place: Place) {
    let ledger = place.open().await;
    for (reference, side) in [("a", Legacy), ("b", Legacy), ("c", New)] {
        claimed(&ledger, reference, side).await;
        changed(ledger.remember_id(key(reference), 1, side, &format!("id-{reference}")).await);
    }
    claimed(&ledger, "d", Legacy).await;
    assert_eq!(ledger.reader().record_side("tenant", "id-b").await.unwrap(), Some(Legacy));
    assert_eq!(ledger.reader().record_side("tenant", "id-c").await.unwrap(), Some(New));
    assert_eq!(ledger.reader().record_side("tenant", "id-d").await.unwrap(), None);

    let newest =
        async |side, older_than| ledger.reader().newest_record("tenant", side, older_than).await.unwrap();
    let pair = |reference: &str| Some((reference.to_owned(), format!("id-{reference}")));
    let b = ledger.reader().claim_by_ref(key("b")).await.unwrap().unwrap().created_at;
    assert_eq!(newest(Legacy, Timestamp::MAX).await, pair("b"));
    assert_eq!(newest(Legacy, b).await, pair("a"), "older than b");
    assert_eq!(newest(New, Timestamp::MAX).await, pair("c"));
    assert_eq!(newest(New, b).await, None);
    // A record that was refused, as one that was released, is not known to be listed.
    place.tamper("UPDATE ref_claims SET state = 'refused' WHERE ref_id = 'b'").await;
    assert_eq!(newest(Legacy, Timestamp::MAX).await, pair("a"));
}

#[track_caller]
fn held<T: std::fmt::Debug>(step: Result<T, LedgerError>) {
    match step {
        Err(LedgerError::Held(why)) => assert_eq!(why, "a test"),
        other => panic!("expected Held, got {other:?}"),
    }
}

async fn a_hold_stops_every_statement_before_a_send(place: Place) {
    let [ledger, other] = replicas(&place).await;
    let claim = claimed(&ledger, "r", New).await;
    refused(&ledger, "refused", New).await;
    other.hold("a test".into()).await.unwrap();
    other.hold("another reason".into()).await.unwrap();

    held(ledger.claim(key("s"), Legacy, &BODY).await);
    held(ledger.claim(key("s"), New, &BODY).await);
    held(ledger.begin(key("r"), claim.expected(), true).await);
    held(ledger.choose_anew(key("refused"), Legacy, &BODY, 1).await);
    held(ledger.probe().await);
    assert!(!ledger.health().is_ready());
    assert_eq!(ledger.reader().claim_by_ref(key("s")).await.unwrap(), None);
    assert_eq!(ledger.reader().claim_by_ref(key("r")).await.unwrap(), Some(claim.clone()));

    // The ledger may lack the attempt that keeps the claim on its side.
    unchanged(ledger.move_claim(key("r"), claim.expected(), Some("found"), 1).await);

    // What is known stays readable, and what was sent is still written down.
    assert_eq!(ledger.claim(key("r"), Legacy, &BODY).await.unwrap().claim, claim);
    changed(ledger.mark_checked(key("r"), claim.expected()).await);
    changed(ledger.remember_id(key("r"), 1, New, "id").await);
    changed(ledger.close(key("r"), 1, New).await);
    ledger.record_native(key("n")).await.unwrap();
}

async fn a_hold_is_lifted_by_accept_alone(place: Place) {
    let ledger = place.open().await;
    ledger.hold("a test".into()).await.unwrap();
    ledger.shutdown().await;
    let ledger = place.open().await;
    held(ledger.claim(key("r"), New, &BODY).await);
    let lifted = ledger.accept(reason(), Identity::default()).await.unwrap().lifted;
    assert_eq!(lifted, ["a test"]);
    ledger.probe().await.unwrap();
    assert!(ledger.health().is_ready());
    claimed(&ledger, "r", New).await;
}

async fn a_claim_is_released_an_hour_after_its_last_attempt(place: Place) {
    let ledger = place.open().await;
    let age = "UPDATE conversion_migrations SET installed_on = '2020-01-01 00:00:00'";
    assert_eq!(ledger.release(key("r"), reason()).await.unwrap(), Released::Absent);
    let claim = claimed(&ledger, "r", New).await;
    assert!(matches!(ledger.release(key("r"), reason()).await.unwrap(), Released::TooYoung { .. }));
    place.tamper(AGE_ALL).await;
    // The claim may be of a 0.1 process, which wrote no repeated attempt down.
    assert!(matches!(ledger.release(key("r"), reason()).await.unwrap(), Released::TooYoung { .. }));
    place.tamper(age).await;
    let begun = changed(ledger.begin(key("r"), claim.expected(), true).await);
    match ledger.release(key("r"), reason()).await.unwrap() {
        Released::TooYoung { claim, at } => {
            assert_eq!(claim, begun);
            assert!(at > Timestamp::now() + Duration::from_secs(3500));
        }
        other => panic!("{other:?}"),
    }
    place.tamper(AGE_ALL).await;
    let Released::Done(released) = ledger.release(key("r"), reason()).await.unwrap() else { panic!() };
    assert_eq!(progress(&released), (New, ClaimState::Refused, 1, 2, 0));
    assert_eq!(ledger.release(key("r"), reason()).await.unwrap(), Released::Already(released));
    changed(ledger.choose_anew(key("r"), Legacy, &BODY, 1).await);
}

async fn every_order_is_audited(place: Place) {
    let ledger = place.open().await;
    ledger.open_new(reason()).await.unwrap();
    ledger.open_new(reason()).await.unwrap();
    ledger.hold("a test".into()).await.unwrap();
    ledger.accept(reason(), Identity::default()).await.unwrap();
    claimed(&ledger, "r", New).await;
    place.tamper(AGE_ALL).await;
    place.tamper("UPDATE conversion_migrations SET installed_on = '2020-01-01 00:00:00'").await;
    ledger.release(key("r"), reason()).await.unwrap();
    ledger.shutdown().await;

    type Row = (String, String, String, String);
    let rows: Vec<Row> =
        place.query("SELECT kind, operator, subject, reason FROM ledger_audit ORDER BY at_us").await;
    let row = |kind: &str, operator: &str, subject: &str, reason: &str| -> Row {
        (kind.into(), operator.into(), subject.into(), reason.into())
    };
    let expected = [
        row("open-new", "ops", "", "because"),
        row("hold", "", "", "a test"),
        row("accept", "ops", "", "because"),
        row("release", "ops", "r", "because"),
    ];
    assert_eq!(rows, expected);
}

impl Place {
    /// Opens the ledger that `identity` means, or says why not.
    async fn open_as(&self, identity: Identity) -> Result<Ledger, OpenError> {
        Ledger::open(&Settings { identity, ..self.settings() }).await
    }
}

/// The keys that contradict the ledger.
fn mismatches(error: Option<OpenError>) -> Vec<&'static str> {
    let Some(OpenError::Mismatch(all)) = error else { panic!("{error:?}") };
    all.iter().map(conversion_shim::ledger::Mismatch::config_key).collect()
}

fn meant(id: Option<&str>) -> Identity {
    Identity { id: id.map(str::to_owned), create: false, ..Identity::default() }
}

async fn a_ledger_is_made_once_and_keeps_its_id(place: Place) {
    let missing = place.open_as(meant(None)).await.err();
    assert!(matches!(missing, Some(OpenError::Missing { named: false, .. })), "{missing:?}");
    assert!(!place.file().exists());

    let ledger = place.open().await;
    let id = ledger.reader().identified(None).await.unwrap().id.expect("an id");
    assert_eq!(id.len(), 36, "{id}");
    assert_eq!(ledger.init(reason(), Identity::default()).await.unwrap(), id, "init changes no id");
    ledger.shutdown().await;
    let ledger = place.open_as(meant(Some(&id))).await.unwrap();
    assert_eq!(ledger.reader().identified(None).await.unwrap().id, Some(id));
}

async fn another_ledger_is_refused(place: Place) {
    place.open().await.shutdown().await;
    let error = place.open_as(meant(Some("6d9cf4f0-0000-4000-8000-000000000000"))).await.err();
    assert_eq!(mismatches(error), ["ledger.id"]);
    // Also where a ledger could be made: the one that is meant is not there.
    let identity = Identity { create: true, ..meant(Some("6d9cf4f0-0000-4000-8000-000000000000")) };
    assert_eq!(mismatches(place.open_as(identity).await.err()), ["ledger.id"]);
}

async fn a_ledger_of_other_hosts_is_refused_until_it_is_accepted(place: Place) {
    let of = |hosts: &str| Identity { hosts: Some(hosts.into()), ..Identity::default() };
    place.open_as(of("legacy.example new.example")).await.unwrap().shutdown().await;
    place.open_as(of("legacy.example new.example")).await.unwrap().shutdown().await;
    let error = place.open_as(of("legacy.test new.test")).await.err();
    assert_eq!(mismatches(error), ["upstream.legacy.url"]);

    let ledger = place.open().await;
    let accepted = ledger.accept(reason(), of("legacy.test new.test")).await.unwrap();
    let gates = "gates: what was in force with the other hosts counts no more";
    assert_eq!(accepted.changes, ["hosts: legacy.example new.example -> legacy.test new.test", gates]);
    let again = ledger.accept(reason(), of("legacy.test new.test")).await.unwrap();
    assert_eq!(again, Accepted::default());
    ledger.shutdown().await;
    place.open_as(of("legacy.test new.test")).await.unwrap();
}

async fn what_blocks_the_end_of_the_old_api_is_kept_with_its_time(place: Place) {
    let ledger = place.open().await;
    let at = |second| Timestamp::from_second(1_800_000_000 + second).unwrap();
    let used = async |second, blockers: &str| {
        let usage = ClientUse { client: "header a".into(), last_seen: at(second), blockers: blockers.into() };
        ledger.keep_usage("default", vec![usage]).await.unwrap();
    };
    used(1, "cancel, change_filter").await;
    used(2, "").await;
    used(3, "no_reference").await;
    // Of another replica, which is late.
    used(2, "cancel").await;
    used(4, "").await;
    let reader = ledger.reader();
    let on_record = async || reader.usage("default").await.unwrap().unwrap().1.remove(0);
    let expected = [("no_reference", 3), ("cancel", 2), ("change_filter", 1)];
    let named = |blockers: &[(&str, i64)]| -> Vec<_> {
        blockers.iter().map(|(name, second)| ((*name).to_owned(), at(*second))).collect()
    };
    assert_eq!(on_record().await.last_seen, at(4));
    assert_eq!(on_record().await.blockers, named(&expected));
    let since = async |second| reader.blocking_since("default", at(second)).await.unwrap().blocking;
    let blocking = |names: &str| vec![("header a".to_owned(), names.to_owned())];
    assert_eq!(since(0).await, blocking("cancel, change_filter, no_reference"));
    assert_eq!(since(3).await, blocking("no_reference"));
    assert_eq!(since(4).await, []);
    // Names without times, for the time of the last one.
    place
        .tamper("UPDATE ledger_usage SET blockers = 'cancel, legacy_record', blocked_us = 1800000005000000")
        .await;
    used(6, "cancel").await;
    assert_eq!(on_record().await.blockers, named(&[("cancel", 6), ("legacy_record", 5)]));
    ledger.shutdown().await;
}

async fn a_ledger_of_a_newer_version_is_only_tripped(place: Place) {
    place.open().await.shutdown().await;
    place
        .tamper(
            "INSERT INTO conversion_migrations (version, description, installed_on, success, checksum, execution_time) \
             SELECT 9000, 'later', installed_on, success, checksum, execution_time FROM conversion_migrations WHERE version = 1",
        )
        .await;
    let is_newer = |error: OpenError| matches!(error, OpenError::Newer { found: 9000, .. });
    let settings = place.settings();
    assert!(is_newer(Ledger::open(&settings).await.err().unwrap()));
    assert!(is_newer(Ledger::open_beside(&settings).await.err().unwrap()));
    assert!(is_newer(Reader::open(&settings).await.err().unwrap()));
    let ledger = Ledger::open_beside(&Settings { accepts_newer: true, ..settings }).await.unwrap();
    assert!(ledger.trip(reason()).await.unwrap());
    assert_eq!(ledger.reset_trip(reason()).await.unwrap().len(), 1);
    ledger.shutdown().await;
}

async fn an_unknown_tenant_is_refused_once_the_mark_is_set(place: Place) {
    let of = |tenant: &str| Identity { tenant: Some(tenant.into()), ..Identity::default() };
    for tenant in ["one", "two"] {
        place.open_as(of(tenant)).await.unwrap().shutdown().await;
    }
    let ledger = place.open().await;
    ledger.open_new(reason()).await.unwrap();
    ledger.shutdown().await;
    place.open_as(of("two")).await.unwrap().shutdown().await;
    let error = place.open_as(of("three")).await.err();
    assert_eq!(mismatches(error), ["ledger.tenant"]);
    let ledger = place.open().await;
    ledger.accept(reason(), of("three")).await.unwrap();
    ledger.shutdown().await;
    place.open_as(of("three")).await.unwrap();
}

async fn a_ledger_of_0_1_keeps_its_claims_and_gets_an_id(place: Place) {
    place.put_ledger_of_0_1().await;
    let reader = Reader::open(&place.settings()).await.err().expect("a reader changes no tables");
    assert!(reader.to_string().contains("of an older version"), "{reader}");
    let error = place.open_as(meant(Some("6d9cf4f0-0000-4000-8000-000000000000"))).await.err();
    assert_eq!(mismatches(error), ["ledger.id"]);

    let ledger = place.open_as(meant(None)).await.unwrap();
    assert_eq!(ledger.reader().identified(None).await.unwrap().id, None, "a start gives no id to a ledger");
    let claim = async |reference| ledger.reader().claim_by_ref(key(reference)).await.unwrap().unwrap();
    assert_eq!(progress(&claim("claimed").await), (Legacy, ClaimState::Claimed, 1, 1, 0));
    assert_eq!(progress(&claim("fenced").await), (New, ClaimState::Checked, 1, 1, 0));
    let known = claim("known").await;
    assert_eq!((known.side, known.record_id.as_deref()), (Legacy, Some("id-1")));
    assert_eq!(known.created_at.as_microsecond(), 1_700_000_000_000_003);
    assert_eq!(known.updated_at.as_microsecond(), 1_700_000_000_000_004);
    assert!(ledger.reader().created_on_new().await.unwrap());
    let first = ledger.reader().first_new_create_at().await.unwrap().unwrap();
    assert_eq!(first.as_microsecond(), 1_700_000_000_000_001);

    let id = ledger.init(reason(), Identity::default()).await.unwrap();
    ledger.shutdown().await;
    let ledger = place.open_as(meant(Some(&id))).await.unwrap();
    assert!(ledger.reader().claim_by_ref(key("known")).await.unwrap().is_some());
}

async fn stats_count_by_side_and_state(place: Place) {
    let ledger = place.open().await;
    let stats = ledger.reader().stats().await.unwrap();
    assert_eq!(
        (stats.counts, stats.first, stats.last, stats.first_new_create_at),
        (vec![], None, None, None)
    );

    for (reference, side) in [("a", Legacy), ("b", New), ("c", New), ("d", New)] {
        claimed(&ledger, reference, side).await;
    }
    let expected = Expected { generation: 1, side: New, state: ClaimState::Claimed };
    changed(ledger.mark_checked(key("b"), expected).await);
    changed(ledger.move_claim(key("c"), expected, None, 1).await);
    refused(&ledger, "e", New).await;

    let stats = ledger.reader().stats().await.unwrap();
    let count = |side: Side, state, claims| Count { side, state, claims };
    let counts = vec![
        count(Legacy, ClaimState::Claimed, 1),
        count(Legacy, ClaimState::Checked, 1),
        count(New, ClaimState::Claimed, 1),
        count(New, ClaimState::Checked, 1),
        count(New, ClaimState::Refused, 1),
    ];
    assert_eq!(stats.counts, counts);
    let made_at = async |reference| {
        ledger.reader().claim_by_ref(key(reference)).await.unwrap().map(|claim| claim.created_at)
    };
    assert_eq!((stats.first, stats.last), (made_at("a").await, made_at("e").await));
    assert_eq!(stats.first_new_create_at, made_at("b").await);
}

/// Nearly every claim of a large ledger is checked; the others are counted, and the rest is what the database estimates.
async fn stats_of_a_large_ledger_need_no_full_count(place: Place) {
    place.open().await.shutdown().await;
    place
        .tamper(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120000) \
             INSERT INTO ref_claims (tenant, ref_id, side, state, fingerprint, record_id, generation, begun, closed, created_at_us, \
             updated_at_us) SELECT 't', 'r' || CAST(i AS TEXT), CASE WHEN i <= 40000 THEN 'new' ELSE 'legacy' END, 'fenced', '', \
             'id' || CAST(i AS TEXT), 1, 1, 0, i, i FROM n",
        )
        .await;
    let ledger = place.open().await;
    claimed(&ledger, "claimed", Legacy).await;
    refused(&ledger, "refused", New).await;
    place.tamper("ANALYZE ref_claims").await;

    let stats = ledger.reader().stats().await.unwrap();
    assert!(!stats.exact, "{stats:?}");
    let count = |side: Side, state| {
        let found = stats.counts.iter().find(|count| (count.side, count.state) == (side, state));
        found.map(|count| count.claims)
    };
    assert_eq!(count(New, ClaimState::Checked), Some(40_000), "{stats:?}");
    assert_eq!(count(New, ClaimState::Refused), Some(1), "{stats:?}");
    assert_eq!(count(Legacy, ClaimState::Claimed), Some(1), "{stats:?}");
    let about = count(Legacy, ClaimState::Checked).unwrap();
    assert!((76_000..=84_000).contains(&about), "{stats:?}");
    assert_eq!(stats.first.map(|at| at.as_microsecond()), Some(1), "{stats:?}");
    assert!(stats.last > stats.first && stats.first_new_create_at.is_some(), "{stats:?}");
}

async fn a_reader_sees_what_the_ledger_writes(place: Place) {
    let ledger = place.open().await;
    let reader = Reader::open(&place.settings()).await.unwrap();
    let claim = ledger.claim(key("r"), New, &BODY).await.unwrap().claim;
    assert_eq!(reader.claim_by_ref(key("r")).await.unwrap(), Some(claim.clone()));
    assert_eq!(reader.first_new_create_at().await.unwrap(), Some(claim.created_at));
    ledger.shutdown().await;
    assert_eq!(reader.claim_by_ref(key("r")).await.unwrap(), Some(claim));
}

async fn a_reader_makes_no_ledger(place: Place) {
    let looked = match Reader::open(&place.settings()).await {
        Ok(reader) => reader.claim_by_ref(key("r")).await.map(drop).map_err(|error| error.to_string()),
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
    assert_eq!(ledger.reader().first_new_create_at().await.unwrap(), None);
    assert_eq!(ledger.reader().stats().await.unwrap().counts, vec![]);
}

async fn a_row_that_makes_no_sense_is_named(place: Place) {
    let ledger = place.open().await;
    ledger.claim(key("bad"), New, &BODY).await.unwrap();
    place.tamper("UPDATE ref_claims SET fingerprint = 'nonsense' WHERE ref_id = 'bad'").await;

    let (bad, good) =
        tokio::join!(ledger.claim(key("bad"), New, &BODY), ledger.claim(key("good"), New, &BODY));
    assert!(matches!(bad.unwrap_err(), LedgerError::Corrupt(_)));
    // Whoever shares a transaction with it does not suffer.
    assert!(good.unwrap().inserted);
    assert!(matches!(ledger.reader().claim_by_ref(key("bad")).await.unwrap_err(), LedgerError::Corrupt(_)));
    assert!(ledger.reader().claim_by_ref(key("good")).await.unwrap().is_some());
    assert!(ledger.health().is_ready());
}
