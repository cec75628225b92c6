//! Which suspected doubles this process has reported: a client that polls shows the proxy the same pair again and again.

use moka::sync::Cache;

use crate::telemetry::metrics::labels::FoundBy;
use crate::translate::list::page::SuspectedDouble;

/// Maximum number of pairs that are known: about 2 MiB of UUIDs. A pair beyond them may be reported again.
const PAIRS_MAX: u64 = 10_000;

/// The pairs that were reported. Clones share them.
#[derive(Clone)]
pub(super) struct SuspectedDoubles(Cache<(FoundBy, String, String), ()>);

impl Default for SuspectedDoubles {
    fn default() -> Self {
        Self(Cache::new(PAIRS_MAX))
    }
}

impl SuspectedDoubles {
    /// Whether the pair was not reported yet as found that way; it is from now on.
    pub(super) fn is_first(&self, by: FoundBy, double: &SuspectedDouble) -> bool {
        let pair = (by, double.legacy_id.clone(), double.new_id.clone());
        self.0.entry(pair).or_insert(()).is_fresh()
    }
}
