//! The known keys: exactly those of `default.toml`. Finds the unknown keys of a layer.

use std::collections::BTreeMap;

use figment::value::{Dict, Value};

use super::problem::ConfigProblem;
use super::renamed;

/// Jaro-Winkler similarity below which a suggestion would be a guess.
const MIN_SIMILARITY: f64 = 0.8;
/// The similarity of names that differ in one letter, or in two that changed places: in a short name that is much of it.
const ONE_LETTER: f64 = 0.9;
/// Length of a name in which one letter is not all of it.
const SHORT: usize = 3;

/// What people call a key that has another name.
const MEANT: [(&str, &str); 2] = [("mode", "stage"), ("modes", "stage")];

/// Every key with its default.
pub(super) struct Schema {
    leaves: BTreeMap<String, Value>,
}

impl Schema {
    pub(super) fn new(defaults: &Dict) -> Self {
        let mut leaves = BTreeMap::new();
        collect(defaults, "", &mut leaves);
        Self { leaves }
    }

    /// The default of a key; `None` for an unknown key.
    pub(super) fn default_of(&self, key: &str) -> Option<&Value> {
        self.leaves.get(key)
    }

    /// Drops the unknown keys of a layer, each with a problem.
    pub(super) fn retain_known(&self, layer: Dict, source: &str, problems: &mut Vec<ConfigProblem>) -> Dict {
        self.retain_below("", layer, source, problems)
    }

    fn retain_below(
        &self,
        parent: &str,
        layer: Dict,
        source: &str,
        problems: &mut Vec<ConfigProblem>,
    ) -> Dict {
        let mut kept = Dict::new();
        for (name, value) in layer {
            let key = join(parent, &name);
            // A quoted name with a dot in it is not a path of keys.
            let known = !name.contains('.') && (self.leaves.contains_key(&key) || self.is_section(&key));
            match value {
                Value::Dict(_, below) if !known && !below.is_empty() && renamed::new_name(&key).is_some() => {
                    // Each key of a renamed section is reported by its own new name.
                    self.retain_below(&key, below, source, problems);
                }
                _ if !known => {
                    // A variable that is the prefix alone.
                    let shown = if key.is_empty() { "\"\"" } else { &key };
                    problems.push(ConfigProblem::new(shown, self.unknown_message(&key), source));
                }
                Value::Dict(tag, below) if self.is_section(&key) => {
                    kept.insert(name, Value::Dict(tag, self.retain_below(&key, below, source, problems)));
                }
                _ if self.is_section(&key) => {
                    problems.push(ConfigProblem::new(
                        &key,
                        "is a section with keys of its own, not a value",
                        source,
                    ));
                }
                value => drop(kept.insert(name, value)),
            }
        }
        kept
    }

    fn is_section(&self, key: &str) -> bool {
        self.leaves.keys().any(|leaf| leaf.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
    }

    fn unknown_message(&self, key: &str) -> String {
        if let Some(new) =
            renamed::new_name(key).filter(|new| self.leaves.contains_key(new) || self.is_section(new))
        {
            return format!("was renamed to {new}");
        }
        self.suggestion(key).map_or_else(
            || "is not a key; config/default.toml lists them all".into(),
            |near| format!("is not a key; did you mean {near}?"),
        )
    }

    /// The key or section that was probably meant: one in the same section with a similar name, or a key with the same name in another
    /// section.
    fn suggestion(&self, key: &str) -> Option<&str> {
        if let Some((_, meant)) = MEANT.iter().find(|(said, _)| *said == key) {
            return Some(meant);
        }
        let sections =
            self.leaves.keys().flat_map(|leaf| leaf.match_indices('.').map(|(dot, _)| &leaf[..dot]));
        let (parent, name) = parted(key);
        let similar_key = self
            .leaves
            .keys()
            .map(String::as_str)
            .chain(sections)
            .filter(|known| parted(known).0 == parent)
            .map(|known| (similarity(parted(known).1, name), known))
            .filter(|(similar, _)| *similar >= MIN_SIMILARITY)
            .max_by(|one, other| one.0.total_cmp(&other.0))
            .map(|(_, known)| known);
        let elsewhere = || self.leaves.keys().map(String::as_str).find(|known| parted(known).1 == name);
        // A key in the wrong section is the other common slip.
        similar_key.or_else(elsewhere)
    }
}

/// How much alike two names are, from 0 to 1, whatever their case.
fn similarity(known: &str, name: &str) -> f64 {
    let name = name.to_lowercase();
    let is_long = known.len().max(name.len()) >= SHORT;
    // Jaro-Winkler punishes one wrong letter in a short name too much.
    let one_letter = is_long && strsim::osa_distance(known, &name) <= 1;
    strsim::jaro_winkler(known, &name).max(if one_letter { ONE_LETTER } else { 0.0 })
}

/// The section of a key, empty for none, and its name there.
fn parted(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

fn collect(dict: &Dict, parent: &str, leaves: &mut BTreeMap<String, Value>) {
    for (name, value) in dict {
        let key = join(parent, name);
        match value {
            Value::Dict(_, below) => collect(below, &key, leaves),
            leaf => drop(leaves.insert(key, leaf.clone())),
        }
    }
}
