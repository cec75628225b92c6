//! `[budget]`: the vendor's rate limit and how it is divided.

use std::time::Duration;

use figment::value::Dict;

use super::named_texts::unknown_keys;
use crate::config::read::KeyReader;
use crate::translate::route;

pub(crate) const WAIT_MAX: &str = "budget.wait_max";

/// Maximum number of rows in `[[budget.endpoints]]`.
pub(crate) const ENDPOINTS_MAX: usize = 16;
const PER_SECOND_MAX: u32 = 100_000;

/// `[budget]`; shares are 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Budget {
    /// The vendor's limit: calls per second to one endpoint, over all replicas, averaged over five minutes.
    pub(crate) per_second: u32,
    /// The endpoints with another limit. The first row that matches a path counts.
    pub(crate) endpoints: Vec<EndpointLimit>,
    /// Maximum share for shadow comparisons.
    pub(crate) shadow_share: f64,
    /// Share of the list endpoints that is reserved for lookups; at most 0.9.
    pub(crate) lookup_share: f64,
    /// Maximum time that a client's call waits for budget.
    pub(crate) wait_max: Duration,
    /// Maximum time that a request for a token waits for budget.
    pub(crate) wait_max_token: Duration,
    /// Back-off window after a 429 from an upstream.
    pub(crate) cooldown: Duration,
    /// Maximum to which an upstream's `Retry-After` extends that window.
    pub(crate) cooldown_max: Duration,
    /// Share of the rate that remains during the window; at least 0.01.
    pub(crate) cooldown_share: f64,
}

/// One row of `[[budget.endpoints]]`: the paths that share a limit at the vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndpointLimit {
    /// `*` matches any part of one segment, at the end any rest.
    pub(crate) path: String,
    /// Calls per second, over all replicas.
    pub(crate) per_second: u32,
}

impl Budget {
    /// The limit of an endpoint with that path at the vendor, in calls per second.
    pub(crate) fn per_second_of(&self, path: &str) -> u32 {
        self.endpoint_of(path).map_or(self.per_second, |row| self.endpoints[row].per_second)
    }

    /// The row that limits that path at the vendor, in any spelling.
    pub(crate) fn endpoint_of(&self, path: &str) -> Option<usize> {
        // Both as written and as the vendor reads it: another spelling must not escape the limit.
        let plain = route::normalise(path);
        let is_match = |row: &str| [path, &plain].iter().any(|path| matches(row.as_bytes(), path.as_bytes()));
        self.endpoints.iter().position(|row| is_match(&row.path))
    }
}

fn matches(pattern: &[u8], path: &[u8]) -> bool {
    match pattern.split_first() {
        None => path.is_empty(),
        Some((b'*', [])) => true,
        Some((b'*', rest)) => {
            let segment = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
            (0..=segment).any(|length| matches(rest, &path[length..]))
        }
        Some((byte, rest)) => {
            path.split_first().is_some_and(|(first, others)| first == byte && matches(rest, others))
        }
    }
}

fn endpoint(table: &Dict) -> Result<(EndpointLimit, String), String> {
    let mut problems = unknown_keys(table, &["path", "per_second"]);
    let path = table.get("path").and_then(|value| value.as_str()).unwrap_or_default();
    if !path.starts_with('/') || path.contains(['?', '#', ' ']) {
        problems.push("path must begin with / and hold neither a query nor blanks".into());
    }
    // A file's number is signed, one from the environment may not be.
    let number = table
        .get("per_second")
        .and_then(|value| value.to_i128().or_else(|| value.to_u128()?.try_into().ok()));
    let per_second = number.and_then(|number| u32::try_from(number).ok());
    let per_second = per_second.filter(|calls| (1..=PER_SECOND_MAX).contains(calls));
    if per_second.is_none() {
        problems.push(format!("per_second must be a number from 1 to {PER_SECOND_MAX}"));
    }
    match per_second.filter(|_| problems.is_empty()) {
        Some(per_second) => {
            Ok((EndpointLimit { path: path.to_owned(), per_second }, format!("{path} {per_second}/s")))
        }
        None => Err(problems.join("; ")),
    }
}

pub(in crate::config) fn read(keys: &mut KeyReader, replicas: Option<u32>) -> Option<Budget> {
    let per_second = keys.on_reload("budget.per_second").number(1..=PER_SECOND_MAX);
    let endpoints = keys.on_reload("budget.endpoints").tables(endpoint);
    let shadow_share = keys.on_reload("budget.shadow_share").share();
    let lookup_share = keys.on_reload("budget.lookup_share").share();
    let wait_max = keys.on_reload(WAIT_MAX).duration(Duration::ZERO);
    let wait_max_token = keys.on_reload("budget.wait_max_token").duration(Duration::ZERO);
    let cooldown = keys.on_reload("budget.cooldown").duration(Duration::ZERO);
    let cooldown_max = keys.on_reload("budget.cooldown_max").duration(Duration::ZERO);
    let cooldown_share = keys.on_reload("budget.cooldown_share").share();
    // Each replica gets at least one call a second, so with more replicas than calls the sum would exceed the limit.
    if let Some((_, replicas)) = per_second.zip(replicas).filter(|(calls, replicas)| calls < replicas) {
        let message = format!("is less than one a second for each of the {replicas} replicas");
        keys.problem("budget.per_second", message);
    }
    if endpoints.as_ref().is_some_and(|rows| rows.len() > ENDPOINTS_MAX) {
        keys.problem("budget.endpoints", format!("has more than {ENDPOINTS_MAX} rows"));
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
        endpoints: endpoints?,
        shadow_share: shadow_share?,
        lookup_share: lookup_share?,
        wait_max: wait_max?,
        wait_max_token: wait_max_token?,
        cooldown: cooldown?,
        cooldown_max: cooldown_max?,
        cooldown_share: cooldown_share?,
    })
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_is_a_part_of_a_segment_and_at_the_end_any_rest() {
        let is = |pattern: &str, path: &str| matches(pattern.as_bytes(), path.as_bytes());
        for path in ["/oauth2/token", "/oauth2/token/x", "/oauth2/tokens"] {
            assert!(is("/oauth2/token*", path), "{path}");
        }
        assert!(is("/v2/markets/*/order-book", "/v2/markets/BTCUSD/order-book"));
        for path in ["/v2/markets/a/b/order-book", "/v2/markets//order-book/", "/v2/markets/order-book", ""] {
            assert!(!is("/v2/markets/*/order-book", path), "{path}");
        }
        assert!(is("/v2/transfer/internal", "/v2/transfer/internal"));
        assert!(!is("/v2/transfer/internal", "/v2/transfer/internal/x"));
    }
}
