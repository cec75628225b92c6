//! What holds for every input, not only for the examples of `tests/fixtures`: nothing panics, nothing is lost.

mod dense;
mod json;
mod mirrors;
mod paging;
mod paths;
mod records;
mod token_forms;

use proptest::prelude::ProptestConfig;

/// So many cases a property. A case that fails is printed in its smallest form and becomes a fixture, not a seed in a file.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}
