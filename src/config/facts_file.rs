//! The file that `facts.file` names: what `probe` found out, when, and about which hosts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::value::{Dict, Value};
use jiff::Timestamp;
use serde::Deserialize;

use super::Upstreams;

/// Older facts still hold, and are reported as old.
pub(crate) const AGE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What a file of facts says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FactsFile {
    pub(crate) path: PathBuf,
    pub(crate) found_at: Timestamp,
    /// The hosts that it is about.
    pub(crate) hosts: Vec<String>,
    /// Whether these are the hosts of the config. Facts about others are not used.
    pub(crate) is_in_use: bool,
    /// What was seen and is no key.
    pub(crate) seen: BTreeMap<String, String>,
}

impl FactsFile {
    /// Whether it was found longer than [`AGE_MAX`] before a time.
    pub(crate) fn is_old(&self, now: Timestamp) -> bool {
        // In either direction: a time far in the future comes from a wrong clock, and says nothing about the age.
        now.duration_since(self.found_at).unsigned_abs() > AGE_MAX
    }

    /// Why none of its facts is used; `None`: they are.
    pub(crate) fn not_used(&self, upstreams: &Upstreams) -> Option<String> {
        (!self.is_in_use).then(|| {
            format!(
                "the file of facts {} is not used: it is about {}, and the config has {}; probe these hosts",
                self.path.display(),
                self.hosts.join(", "),
                hosts_of(upstreams).join(", ")
            )
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    found_at: String,
    hosts: Vec<String>,
    facts: Dict,
    /// For people, and for the next probe.
    seen: Dict,
}

/// The file and the facts in it. Does blocking file I/O.
pub(super) fn read(path: &Path, upstreams: &Upstreams) -> Result<(FactsFile, Vec<(String, Value)>), String> {
    let text = super::file_read::text(path)
        .map_err(|error| format!("names a file that cannot be read, {}: {error}", path.display()))?;
    let values = super::layers::toml(&text).map_err(|error| format!("names a file that is {error}"))?;
    let Written { found_at, hosts, facts, seen } = Value::from(values)
        .deserialize()
        .map_err(|error: figment::Error| format!("names a file that `probe` did not write: {error}"))?;
    let found_at = found_at.parse().map_err(|_| "names a file whose found_at is no time".to_owned())?;
    // Facts are about one vendor: those of a sandbox must not loosen a rule in production.
    let is_in_use = hosts == hosts_of(upstreams);
    let seen = seen.into_iter().filter_map(|(name, value)| Some((name, value.into_string()?))).collect();
    Ok((FactsFile { path: path.to_owned(), found_at, hosts, is_in_use, seen }, facts.into_iter().collect()))
}

/// The hosts of both sides, legacy first.
pub(crate) fn hosts_of(upstreams: &Upstreams) -> Vec<String> {
    [&upstreams.legacy, &upstreams.new].map(|upstream| upstream.authority.to_string()).into()
}
