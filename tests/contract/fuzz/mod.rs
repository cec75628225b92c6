//! Bytes that nobody writes in good faith, through every door at which bytes come in: bodies, queries, cursors, paths, token forms,
//! answers of the vendor, logs. Valid inputs are cut, doubled, spliced and stained ([`mutation`]), because what is nearly right gets
//! further in than noise. Each property says what must hold of whatever comes out, against a second reader where there is one.
//!
//! A run has proptest's 256 cases a property; `PROPTEST_CASES=20000 cargo test --test contract fuzz` digs longer. What
//! `properties` proves of well-formed values is not repeated here.

mod answers;
mod corpus;
mod logs;
mod mutation;
mod paths;
mod queries;
mod requests;
mod shadow;
mod token_forms;

use proptest::prelude::ProptestConfig;
use serde_json::Value;

/// The environment says how many. A case that fails is printed in its smallest form and becomes a test, not a seed in a file.
fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// The document by the other reader; nothing when that one cannot read it.
fn by_serde(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}
