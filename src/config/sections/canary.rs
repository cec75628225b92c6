//! `[canary]`

use std::collections::HashSet;

use crate::config::read::KeyReader;
use crate::translate::identifier::canonical;

const SALT: &str = "canary.salt";

/// `[canary]`: which profiles create on the new side while create is in mode canary.
#[derive(Clone, Debug)]
pub struct Canary {
    /// Profiles that always create on the new side: their ids, those that are UUIDs in lower case.
    pub profiles: HashSet<String>,
    /// Share of all other profiles, 0 to 100.
    pub percent: u8,
    /// Input of the hash that selects profiles; not empty while `percent` is above 0.
    pub salt: String,
}

impl Canary {
    /// The key that a reload must not change from `self` to `new`, and why. Another salt selects other profiles, but
    /// raising the percentage promises to only add profiles.
    pub(in crate::config) fn refuse_change(&self, new: &Self) -> Option<(&'static str, &'static str)> {
        let message = "changed while canary.percent is above 0, which would move profiles between the sides; set percent to \
                       0 first";
        (self.percent > 0 && self.salt != new.salt).then_some((SALT, message))
    }
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Canary> {
    let profiles = keys.on_reload("canary.profiles").texts();
    let percent = keys.on_reload("canary.percent").number(0..=100_u8);
    let salt = keys.on_reload(SALT).text();
    let (percent, salt) = (percent?, salt?);
    // A generated salt would differ between replicas, which would then send one profile to different sides.
    if percent > 0 && salt.trim().is_empty() {
        keys.problem(SALT, "is required while canary.percent is above 0; the same on every replica");
    }
    Some(Canary { profiles: profiles?.iter().map(|id| canonical(id).into_owned()).collect(), percent, salt })
}
