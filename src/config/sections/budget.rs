//! `[budget]`: the vendor's rate limit and how it is divided.

use std::time::Duration;

use crate::config::read::KeyReader;

/// `[budget]`; shares are 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Budget {
    /// The vendor's limit: calls per second to one endpoint, over all replicas, averaged over five minutes.
    pub(crate) per_second: u32,
    /// Maximum share for shadow comparisons.
    pub(crate) shadow_share: f64,
    /// Share of the list endpoints that is reserved for lookups; at most 0.9.
    pub(crate) lookup_share: f64,
    /// Maximum time that a client's call waits for budget.
    pub(crate) wait_max: Duration,
    /// Back-off window after a 429 from an upstream.
    pub(crate) cooldown: Duration,
    /// Maximum to which an upstream's `Retry-After` extends that window.
    pub(crate) cooldown_max: Duration,
    /// Share of the rate that remains during the window; at least 0.01.
    pub(crate) cooldown_share: f64,
}

pub(in crate::config) fn read(keys: &mut KeyReader, replicas: Option<u32>) -> Option<Budget> {
    let per_second = keys.on_reload("budget.per_second").number(1..=100_000_u32);
    let shadow_share = keys.on_reload("budget.shadow_share").share();
    let lookup_share = keys.on_reload("budget.lookup_share").share();
    let wait_max = keys.on_reload("budget.wait_max").duration(Duration::ZERO);
    let cooldown = keys.on_reload("budget.cooldown").duration(Duration::ZERO);
    let cooldown_max = keys.on_reload("budget.cooldown_max").duration(Duration::ZERO);
    let cooldown_share = keys.on_reload("budget.cooldown_share").share();
    // Each replica gets at least one call a second, so with more replicas than calls the sum would exceed the limit.
    if let Some((_, replicas)) = per_second.zip(replicas).filter(|(calls, replicas)| calls < replicas) {
        let message = format!("is less than one a second for each of the {replicas} replicas");
        keys.problem("budget.per_second", message);
    }
    if lookup_share.is_some_and(|share| share > 0.9) {
        keys.problem("budget.lookup_share", "is more than 0.9 and leaves too little for clients' lists");
    }
    if cooldown_share.is_some_and(|share| share < 0.01) {
        keys.problem("budget.cooldown_share", "is less than 0.01 and would stop all calls");
    }
    if cooldown.zip(cooldown_max).is_some_and(|(cooldown, max)| max < cooldown) {
        keys.problem("budget.cooldown_max", "is shorter than budget.cooldown");
    }
    Some(Budget {
        per_second: per_second?,
        shadow_share: shadow_share?,
        lookup_share: lookup_share?,
        wait_max: wait_max?,
        cooldown: cooldown?,
        cooldown_max: cooldown_max?,
        cooldown_share: cooldown_share?,
    })
}
