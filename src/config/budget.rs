//! `[budget]`: the vendor's rate limit, and who may spend how much of it.

use std::time::Duration;

use super::read::Written;

/// `[budget]`: shares are 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// The vendor's limit: calls per second to one endpoint, over all replicas, averaged over five minutes.
    pub per_second: u32,
    /// The most of it that shadow may spend.
    pub shadow_share: f64,
    /// What of the lists' is kept for fence and resolver; at most 0.9.
    pub lookup_share: f64,
    /// How long a client's call waits for its turn.
    pub wait_max: Duration,
    /// How long everything goes slower after an upstream said 429.
    pub cooldown: Duration,
    /// The longest that an upstream's Retry-After may make it.
    pub cooldown_max: Duration,
    /// What of the rate is left meanwhile; at least 0.01.
    pub cooldown_share: f64,
}

/// `replicas` divide it: below one call a second each, what is rounded up would pass the limit.
pub(super) fn budget(written: &mut Written, replicas: Option<u32>) -> Option<Budget> {
    let per_second = written.number("budget.per_second", 1..=100_000_u32);
    if let (Some(per_second), Some(replicas)) = (per_second, replicas)
        && per_second < replicas
    {
        let message = format!("is less than one a second for each of the {replicas} replicas");
        written.problem("budget.per_second", message);
    }
    let shadow_share = written.share("budget.shadow_share");
    let lookup_share = written.share("budget.lookup_share");
    let wait_max = written.duration("budget.wait_max", Duration::ZERO);
    let cooldown = written.duration("budget.cooldown", Duration::ZERO);
    let cooldown_max = written.duration("budget.cooldown_max", Duration::ZERO);
    let cooldown_share = written.share("budget.cooldown_share");
    if lookup_share.is_some_and(|share| share > 0.9) {
        written.problem("budget.lookup_share", "is more than 0.9 and leaves too little for clients' lists");
    }
    if cooldown_share.is_some_and(|share| share < 0.01) {
        written.problem("budget.cooldown_share", "is less than 0.01, and nothing would go through");
    }
    if cooldown.zip(cooldown_max).is_some_and(|(cooldown, most)| most < cooldown) {
        written.problem("budget.cooldown_max", "is shorter than budget.cooldown");
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
