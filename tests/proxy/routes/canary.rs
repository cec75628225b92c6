//! Who goes to the new side in `canary`: chosen by profile, the same on every replica, and only ever more of them.

use std::collections::HashSet;

use conversion_shim::config::Canary;
use conversion_shim::routes::create::canary;
use conversion_shim::sandbox::{PROFILE, SECOND_PROFILE};
use conversion_shim::translate::side::Side;
use proptest::prelude::*;

use crate::support::test_bed::{TestBed, conversion, one_on};

fn canary(percent: u8, salt: &str, profiles: &[String]) -> Canary {
    Canary { profiles: profiles.iter().cloned().collect::<HashSet<_>>(), percent, salt: salt.to_owned() }
}

proptest! {
    #[test]
    fn raising_the_percentage_only_adds_profiles(profile in ".*", salt in ".+", low in 0u8..=100, high in 0u8..=100) {
        let (low, high) = (low.min(high), low.max(high));
        let on = |percent| canary::side(&canary(percent, &salt, &[]), &profile) == Side::New;
        prop_assert!(!on(low) || on(high));
        prop_assert_eq!(on(low), on(low));
        prop_assert!(!on(0) && on(100));
    }

    #[test]
    fn a_listed_profile_goes_to_new_at_any_percentage(profile in ".*", salt in ".*", percent in 0u8..=100) {
        prop_assert_eq!(canary::side(&canary(percent, &salt, std::slice::from_ref(&profile)), &profile), Side::New);
    }
}

#[test]
fn the_share_is_about_the_percentage_and_the_salt_decides_who() {
    let chosen = |salt: &str| -> HashSet<u32> {
        let canary = canary(30, salt, &[]);
        (0..2000).filter(|n| canary::side(&canary, &format!("profile-{n}")) == Side::New).collect()
    };
    let (one, other) = (chosen("one"), chosen("other"));
    assert!(
        (500..700).contains(&one.len()) && (500..700).contains(&other.len()),
        "{} {}",
        one.len(),
        other.len()
    );
    assert!((120..240).contains(&one.intersection(&other).count()), "two salts choose independently");
}

/// Replicas of different builds must agree, so the hash is part of the contract: SHA-256 of salt, NUL, profile; the first
/// eight bytes as a big-endian number, modulo 100.
#[test]
fn the_hash_is_what_it_was() {
    let threshold = |salt: &str, profile: &str| {
        (0..=100).find(|percent| canary::side(&canary(*percent, salt, &[]), profile) == Side::New)
    };
    assert_eq!(threshold("salt", "profile"), Some(EXPECTED[0]));
    assert_eq!(threshold("", ""), Some(EXPECTED[1]));
}

/// `printf 'salt\0profile' | sha256sum`, the first 16 digits modulo 100, plus 1: the percentage that lets it in.
const EXPECTED: [u8; 2] = [52, 93];

#[tokio::test]
async fn chosen_profiles_create_on_new_and_the_rest_on_legacy() {
    let bed = TestBed::with(&[("stage", "canary"), ("canary.profiles", SECOND_PROFILE)]).await;
    assert!(bed.sandbox.inspector().credit(SECOND_PROFILE, "USD", "100"));
    for (ref_id, profile, side) in [("a", PROFILE, Side::Legacy), ("b", SECOND_PROFILE, Side::New)] {
        let mut body = conversion(ref_id);
        body["profile_id"] = profile.into();
        bed.client.post(&body).await.id();
        assert_eq!(bed.made(ref_id), one_on(side));
    }
    // The profile moves; what it began stays where it is.
    bed.go(&[("stage", "canary"), ("canary.percent", "100"), ("canary.salt", "s")]).await;
    bed.client.create("a").await.problem(409);
    assert_eq!(bed.made("a"), one_on(Side::Legacy));
    bed.client.create("c").await.id();
    assert_eq!(bed.made("c"), one_on(Side::New));
}

#[tokio::test]
async fn a_create_whose_profile_cannot_be_read_goes_nowhere() {
    let bed = TestBed::at("canary").await;
    let requests = bed.sandbox.inspector().requests().len();
    for body in ["", "{", "[]", "{}", r#"{"profile_id":"a"#, r#"{"profile_id":{"a":"b"}}"#] {
        let answer =
            bed.client.ask(reqwest::Method::POST, crate::support::test_bed::LEGACY, body.to_owned()).await;
        answer.problem(400);
    }
    assert_eq!(bed.sandbox.inspector().requests().len(), requests);
}
