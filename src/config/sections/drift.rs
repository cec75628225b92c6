//! `[[drift.known]]`: unknown names in the vendor's answers that an operator has looked at.

use figment::value::Dict;

use super::named_texts::named_texts;
use crate::config::read::KeyReader;

pub(crate) const KNOWN: &str = "drift.known";
/// Longest path that can be seen.
const PATH_MAX: usize = 96;

/// A name that may be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownDrift {
    /// As in the log: `new.record.label`.
    pub(crate) path: String,
    pub(crate) reason: String,
    pub(crate) owner: String,
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Vec<KnownDrift>> {
    keys.on_reload(KNOWN).tables(parse)
}

fn parse(table: &Dict) -> Result<(KnownDrift, String), String> {
    let ([path, reason, owner], mut problems) = named_texts(table, ["path", "reason", "owner"]);
    if !path.is_empty() && (path.len() > PATH_MAX || path.split('.').count() < 3) {
        problems.push(format!("path {path:?} is not one such as new.record.label"));
    }
    if !problems.is_empty() {
        return Err(problems.join("; "));
    }
    let shown = format!("{path} ({owner})");
    Ok((KnownDrift { path, reason, owner }, shown))
}
