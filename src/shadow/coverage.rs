//! What traffic was seen: which kinds of conversions, and which parameters of the query. A green rate over narrow traffic is no
//! evidence, so every record tells. Nothing here is a value of one client.

use std::collections::{BTreeMap, BTreeSet};

use form_urlencoded::parse;

use super::json::Json;
use super::record::Seen;
use super::redact::is_asset;
use crate::translate::conversion::Status;
use crate::translate::list::PARAMETERS;

/// What stands for a pair, or a status, that is of no known shape.
const OTHER: &str = "other";

/// Most kinds of conversions that one answer is told to hold; the rest is counted as `other`.
const KINDS_MAX: usize = 32;

/// The asset pair of an answer, where all of it is of one pair, and the kinds of conversions in it. `document` is a record or a
/// page; of anything else nothing is seen.
#[must_use]
pub fn seen(document: &Json) -> (Option<String>, Vec<Seen>) {
    let rows = match document.get("items") {
        Some(Json::Array(rows)) => rows.as_slice(),
        _ => std::slice::from_ref(document),
    };
    let mut kinds: BTreeMap<(String, &str), u64> = BTreeMap::new();
    for row in
        rows.iter().filter(|row| row.get("source_asset").is_some() || row.get("target_asset").is_some())
    {
        let kind = (asset_pair(row), status(row));
        let room = kinds.len() < KINDS_MAX - 1 || kinds.contains_key(&kind);
        let kind = if room { kind } else { (OTHER.to_owned(), OTHER) };
        *kinds.entry(kind).or_default() += 1;
    }
    let pairs: BTreeSet<&String> = kinds.keys().map(|(pair, _)| pair).collect();
    let only = pairs.first().filter(|_| pairs.len() == 1).map(|pair| (*pair).clone());
    let seen = |((asset_pair, status), count)| Seen { asset_pair, status: String::from(status), count };
    (only, kinds.into_iter().map(seen).collect())
}

fn asset_pair(row: &Json) -> String {
    let asset = |name| row.text(name).filter(|asset| is_asset(asset));
    match (asset("source_asset"), asset("target_asset")) {
        (Some(source), Some(target)) => format!("{source}/{target}"),
        _ => OTHER.to_owned(),
    }
}

fn status(row: &Json) -> &'static str {
    row.text("status").and_then(Status::parse).map_or(OTHER, Status::as_str)
}

/// The names of the list parameters in a query that the old API knows, sorted, each once; and whether a `ref_id` is asked for.
#[must_use]
pub fn known_query(query: &str) -> (Vec<String>, bool) {
    let mut names = BTreeSet::new();
    let mut ref_id = false;
    for (key, value) in parse(query.as_bytes()) {
        if let Some(name) = PARAMETERS.into_iter().find(|name| *name == key) {
            names.insert(name.to_owned());
            ref_id |= name == "ref_id" && !value.is_empty();
        }
    }
    (names.into_iter().collect(), ref_id)
}
