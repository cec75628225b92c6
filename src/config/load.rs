//! Loads a config: merges the layers, reads every key, and returns the typed config or every problem at once.

use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::best_effort;
use super::layers::{self, Digest256};
use super::problem::ConfigProblem;
use super::read::{ConfigEntry, ConfigRow, KeyReader, MissingSecret};
use super::sections::ledger::{self, LedgerSection};
use super::snapshot::Config;
pub use super::sources::{Flag, Overlay, Sources};

/// A valid config, and the source of each of its values.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// One snapshot; a request keeps the one that it began with.
    pub config: Arc<Config>,
    pub(super) entries: Vec<ConfigEntry>,
    /// Of the config file's content, if there is a file.
    pub(super) file_digest: Option<Digest256>,
    /// The files that hold the config's secrets.
    pub(super) named_files: Vec<PathBuf>,
}

impl Loaded {
    /// Identifies the effective config; see [`Config::hash`].
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.config.hash
    }
}

/// The problems, each with the source of its key where it has none: the ledger knows keys, not where their values came from.
pub(crate) fn name_sources(rows: &[ConfigRow], problems: Vec<ConfigProblem>) -> Vec<ConfigProblem> {
    let source_of = |key: &str| rows.iter().find(|row| row.key == key).map(|row| row.source.clone());
    let named = |problem: ConfigProblem| {
        if !problem.source.is_empty() {
            return problem;
        }
        // A key without a row was not set anywhere.
        let source = source_of(&problem.key).unwrap_or_else(|| "default".to_owned());
        ConfigProblem { source, ..problem }
    };
    problems.into_iter().map(named).collect()
}

/// Every key with its effective value and its source, in the order of `default.toml`.
#[must_use]
pub fn explain(loaded: &Loaded) -> Vec<ConfigRow> {
    loaded.entries.iter().map(|entry| entry.row.clone()).collect()
}

/// Loads a config to serve it. Does blocking file I/O.
///
/// # Errors
/// Every problem of the config.
pub fn load(sources: &Sources) -> Result<Loaded, Vec<ConfigProblem>> {
    let merged = layers::merge(sources, layers::toml);
    let file_digest = merged.file_digest;
    let mut keys = KeyReader::new(merged, MissingSecret::Refuse);
    read(&mut keys).map(|loaded| Loaded { file_digest, ..loaded }).ok_or(keys.problems)
}

/// The ledger that a config names, which may be refused for other reasons.
pub(crate) struct NamedLedger {
    pub(crate) ledger: LedgerSection,
    /// The keys of its section, with their sources.
    pub(crate) rows: Vec<ConfigRow>,
    /// What of the section could not be read: the default is used.
    pub(crate) unread: Vec<ConfigProblem>,
}

/// Loads the section `[ledger]` alone, of a config that [`load`] may refuse. Only its url has to be readable; no rule over several keys
/// is applied.
///
/// # Errors
/// Why no url can be read.
pub(crate) fn load_ledger(sources: &Sources) -> Result<NamedLedger, Vec<ConfigProblem>> {
    let found = best_effort::ledger_alone(sources);
    let mut keys = KeyReader::new(found.merged(&[]), MissingSecret::Refuse);
    let mut ledger = ledger::read(&mut keys).flatten();
    let mut unread = found.problems.clone();
    unread.append(&mut keys.problems);
    if ledger.is_none() {
        // Any other key has a default that a hold of creates can do with; the address of the ledger has none.
        let replaceable = |key: &&str| ![ledger::URL, ledger::URL_FILE].contains(key);
        let unusable = unread.iter().map(|problem| problem.key.as_str()).filter(replaceable);
        let unusable: Vec<_> = unusable.map(str::to_owned).collect();
        keys = KeyReader::new(found.merged(&unusable), MissingSecret::Refuse);
        ledger = ledger::read(&mut keys).flatten();
    }
    let rows: Vec<_> = keys.entries.into_iter().map(|entry| entry.row).collect();
    if let Some(ledger) = ledger {
        return Ok(NamedLedger { ledger, rows, unread });
    }
    let says_why = |problem: &ConfigProblem| [ledger::URL, ledger::URL_FILE].contains(&problem.key.as_str());
    if found.has_file && !unread.iter().any(says_why) {
        let broken = unread.iter().find(|problem| problem.key.is_empty()).map(|problem| &problem.source);
        let problem = match broken {
            Some(file) => ConfigProblem::new(ledger::URL, "is in no line that can be read", file),
            None => ConfigProblem::new(ledger::URL, "is not set, so there is no ledger", ""),
        };
        unread.extend(name_sources(&rows, vec![problem]));
    }
    Err(unread)
}

/// A config that is inspected and not served: a placeholder stands for each secret whose file is not readable here.
#[derive(Debug)]
pub(crate) struct Examined {
    loaded: Loaded,
    unread: Vec<ConfigProblem>,
}

impl Examined {
    #[must_use]
    pub(crate) fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// Every key with its value and source; see [`explain`].
    #[must_use]
    pub(crate) fn rows(&self) -> Vec<ConfigRow> {
        explain(&self.loaded)
    }

    /// The secrets' files that are not readable here: the only problems for which [`load`] would refuse the config.
    #[must_use]
    pub(crate) fn unread(&self) -> &[ConfigProblem] {
        &self.unread
    }
}

/// Loads a config to inspect it, possibly on another machine than the one that serves it. A secret whose file does not
/// exist, or that this user may not read, counts as set.
///
/// # Errors
/// Every other problem of the config.
pub(crate) fn examine(sources: &Sources) -> Result<Examined, Vec<ConfigProblem>> {
    let mut keys = KeyReader::new(layers::merge(sources, layers::toml), MissingSecret::Excuse);
    match read(&mut keys) {
        Some(loaded) => Ok(Examined { loaded, unread: keys.excused }),
        None => Err(keys.problems),
    }
}

/// `None` if there is any problem.
fn read(keys: &mut KeyReader) -> Option<Loaded> {
    let mut config = Config::read(keys)?;
    // A section may return a value and have recorded a problem about it.
    if !keys.problems.is_empty() {
        return None;
    }
    let entries = std::mem::take(&mut keys.entries);
    config.hash = hash(&entries);
    let named_files = std::mem::take(&mut keys.named_files);
    Some(Loaded { config: Arc::new(config), entries, file_digest: None, named_files })
}

/// Secrets are displayed as one word, so the hash reveals nothing about them.
fn hash(entries: &[ConfigEntry]) -> String {
    let mut sha = Sha256::new();
    for ConfigEntry { row, .. } in entries {
        // Values as displayed: a secret counts as `(set)`, so the hash, which is logged, says nothing about it.
        sha.update(format!("{}={}\n", row.key, row.value));
    }
    const_hex::encode(&sha.finalize()[..6])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layers::DEFAULT;
    use crate::config::read::TakesEffect;

    /// Each key of `default.toml`, in order, with the last line of its comment.
    fn documented() -> Vec<(String, &'static str)> {
        let (mut section, mut comment, mut keys) = (String::new(), "", Vec::new());
        for line in DEFAULT.lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = format!("{name}.");
            } else if line.starts_with('#') {
                comment = line;
            } else if let Some((key, _)) = line.split_once(" = ") {
                keys.push((format!("{section}{key}"), std::mem::take(&mut comment)));
            }
        }
        keys
    }

    #[test]
    fn the_sections_read_every_key_of_default_toml_in_its_order_and_no_other() {
        let loaded = load(&Sources::default()).unwrap();
        let read: Vec<_> = explain(&loaded).iter().map(|row| row.key).collect();
        let documented = documented();
        assert_eq!(read, documented.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>());
    }

    #[test]
    fn default_toml_and_the_sections_agree_on_when_a_change_takes_effect() {
        let loaded = load(&Sources::default()).unwrap();
        for (entry, (key, comment)) in loaded.entries.iter().zip(documented()) {
            let expected = match entry.takes_effect {
                TakesEffect::OnReload => "# Takes effect: on reload.",
                TakesEffect::OnRestart => "# Takes effect: on restart.",
            };
            assert_eq!(comment, expected, "{key}");
        }
    }
}
