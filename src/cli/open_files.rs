//! Whether the process may open as many files as its config can need.

use crate::config::{Config, keys};
use crate::http::descriptors;

/// Pools of connections to upstreams: four for each side.
const UPSTREAM_POOLS: u64 = 8;
/// Connections of the admin listener, logs, files and the runtime's own.
const OTHERS: u64 = 128;

/// Warns when the limit on open files is lower than what the config can need. Then clients wait although `limits.connections_max` is not
/// reached, or calls to an upstream fail.
pub(super) fn warn_if_too_few(config: &Config) {
    let Some(limit) = descriptors::limit() else { return };
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let connections_max = count(config.limits.connections_max);
    let idle = count(config.upstream.pool_idle_max).saturating_mul(UPSTREAM_POOLS);
    let upstream = count(config.limits.in_flight.all).saturating_add(idle);
    let ledger = config.ledger.as_ref().map_or(0, |ledger| u64::from(ledger.pool_max));
    let needed = connections_max.saturating_add(upstream).saturating_add(ledger + OTHERS);
    if needed > limit {
        tracing::warn!(
            target: "server", limit, needed, connections_max, upstream, ledger,
            "the process may open fewer file descriptors than its config can need: raise its limit (LimitNOFILE of systemd, ulimit -n), or lower {}, {} or {}",
            keys::CONNECTIONS_MAX, keys::IN_FLIGHT_ALL, keys::POOL_IDLE_MAX
        );
    }
}
