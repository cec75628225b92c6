//! What the compared traffic covered: asset pairs, statuses and query parameters. A high match rate over narrow traffic is no
//! evidence, so every record holds them. None of them is a value of one client.

use std::collections::{BTreeMap, BTreeSet};

use form_urlencoded::parse;

use super::json::Json;
use super::record::ConversionCount;
use super::redact::is_asset;
use crate::translate::conversion::Status;
use crate::translate::list::PARAMETERS;

/// Replaces a pair or a status of unknown shape.
const OTHER: &str = "other";

/// Most pairs of asset pair and status that one response is counted by; the rest is counted as `other`.
const KINDS_MAX: usize = 32;

/// The asset pair, if all conversions in `document` have the same, and the number of conversions by pair and status.
/// `document` is a record or a page; any other holds no conversion.
#[must_use]
pub fn seen(document: &Json) -> (Option<String>, Vec<ConversionCount>) {
    let rows = match document.get("items") {
        Some(Json::Array(rows)) => rows.as_slice(),
        _ => std::slice::from_ref(document),
    };
    let mut kinds: BTreeMap<(String, &str), u64> = BTreeMap::new();
    for row in
        rows.iter().filter(|row| row.get("source_asset").is_some() || row.get("target_asset").is_some())
    {
        let kind = (asset_pair(row), status(row));
        // One place is kept for `other`, so that the counts still add up to all rows of the page.
        let has_room = kinds.len() < KINDS_MAX - 1 || kinds.contains_key(&kind);
        let kind = if has_room { kind } else { (OTHER.to_owned(), OTHER) };
        *kinds.entry(kind).or_default() += 1;
    }
    let pairs: BTreeSet<&String> = kinds.keys().map(|(pair, _)| pair).collect();
    // Two pairs on one page: neither may be counted as the pair of the whole comparison.
    let only = pairs.first().filter(|_| pairs.len() == 1).map(|pair| (*pair).clone());
    let counted =
        |((asset_pair, status), count)| ConversionCount { asset_pair, status: String::from(status), count };
    (only, kinds.into_iter().map(counted).collect())
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

/// The names of the list parameters in a query that the legacy API documents, sorted, each once; and whether the query has a
/// `ref_id`.
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
