//! The signature: what is counted as the same finding.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::shadow::compare::Difference;
use crate::shadow::types::Verdict;
use crate::translate::route::Route;

/// Sixteen hex digits that are the same for all comparisons of a route with the same verdict in which the same places differ in
/// the same ways: row numbers and the client's own keys do not count, values are not part of it.
#[must_use]
pub fn signature(route: Route, verdict: Verdict, differences: &[Difference]) -> String {
    let places: BTreeSet<String> = differences
        .iter()
        .map(|difference| format!("{} {}", folded(&difference.path), difference.kind.as_str()))
        .collect();
    let mut hash = Sha256::new();
    for part in [route.as_str(), verdict.as_str()].into_iter().chain(places.iter().map(String::as_str)) {
        hash.update(part);
        hash.update([0]);
    }
    const_hex::encode(&hash.finalize()[..8])
}

/// `items[*].metadata.*` for `items[3].metadata.order`.
fn folded(path: &str) -> String {
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
