//! What holds for every input, not only for the examples of `tests/fixtures`: nothing panics, nothing is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "translation_properties/json.rs"]
mod json;
#[path = "translation_properties/paging.rs"]
mod paging;
#[path = "translation_properties/paths.rs"]
mod paths;
#[path = "translation_properties/records.rs"]
mod records;
#[path = "translation_properties/token_forms.rs"]
mod token_forms;

use proptest::prelude::ProptestConfig;

/// So many cases a property. A case that fails is printed in its smallest form and becomes a fixture, not a seed in a file.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}
