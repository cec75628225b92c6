//! Which profiles create on new while create is in mode `canary`. Pure, so that all replicas agree.

use sha2::{Digest as _, Sha256};

use crate::config::Canary;
use crate::translate::identifier::canonical;
use crate::translate::side::Side;

/// The side of a profile: on the allow list, or below the percentage by a salted hash. A profile stays where it is while salt
/// and percentage stay, and raising the percentage only ever adds profiles. The list holds for every spelling of a UUID; the hash is that
/// of the id as written, since another one would move profiles.
#[must_use]
pub fn side(canary: &Canary, profile_id: &str) -> Side {
    let is_listed = canary.profiles.contains(&*canonical(profile_id));
    if is_listed || share(&canary.salt, profile_id) < u64::from(canary.percent) {
        Side::New
    } else {
        Side::Legacy
    }
}

/// A profile's number from 0 to 99. A NUL separates salt and profile, so that no two pairs hash the same bytes.
fn share(salt: &str, profile_id: &str) -> u64 {
    let digest = Sha256::new().chain_update(salt).chain_update([0]).chain_update(profile_id).finalize();
    let first = digest.first_chunk::<8>().copied().unwrap_or_default();
    u64::from_be_bytes(first) % 100
}
