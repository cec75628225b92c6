//! The signature: comparisons with the same one are counted together.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::shadow::compare::difference::Difference;
use crate::shadow::types::Verdict;
use crate::translate::route::Route;

/// Sixteen hex digits over the route, the verdict, and the path and kind of each difference. Row numbers, keys of metadata and values
/// are not part of it. Stable from release to release, so that reports can be compared.
#[must_use]
pub fn signature(route: Route, verdict: Verdict, differences: &[Difference]) -> String {
    // Sorted and without repeats: one difference in 3 rows or in 30 is the same fault.
    let paths: BTreeSet<String> = differences
        .iter()
        .map(|difference| format!("{} {}", generalized(&difference.path), difference.kind.as_str()))
        .collect();
    let mut hash = Sha256::new();
    for part in [route.as_str(), verdict.as_str()].into_iter().chain(paths.iter().map(String::as_str)) {
        hash.update(part);
        // Ends each part, so that two parts never hash like one longer part.
        hash.update([0]);
    }
    const_hex::encode(&hash.finalize()[..8])
}

/// `items[*].metadata.*` for `items[3].metadata.order`.
fn generalized(path: &str) -> String {
    let mut names = Vec::new();
    for name in path.split('.') {
        let (name, index) = name.split_once('[').map_or((name, ""), |(name, _)| (name, "[*]"));
        names.push(if names.last().is_some_and(|last| last == "metadata") {
            "*".into()
        } else {
            format!("{name}{index}")
        });
    }
    names.join(".")
}
