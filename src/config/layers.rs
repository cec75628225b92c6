//! Merges the layers of untyped values. Each value keeps the name of the layer that it came from.
//!
//! Precedence, lowest first: `default.toml`, overlay, file, environment, flags.

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use sha2::{Digest as _, Sha256};

use super::file_read;
use super::problem::ConfigProblem;
use super::schema::Schema;
use super::sources::{Flag, Overlay, Sources};

/// `config/default.toml`, the lowest layer and the list of all keys.
pub(super) const DEFAULT: &str = include_str!("../../config/default.toml");
const SANDBOX: &str = include_str!("../../config/sandbox.toml");
const PREFIX: &str = "SHIM_";

pub(super) struct Merged {
    pub(super) values: Figment,
    pub(super) problems: Vec<ConfigProblem>,
    /// Whether every layer could be read. If not, a rule over several keys would judge defaults that the unread layer may
    /// override.
    pub(super) complete: bool,
    /// Whether every upstream is set to the embedded vendor (`serve --sandbox`), whatever the layers say of them.
    pub(super) embedded_vendor: bool,
    /// Of the config file's content, if it could be read.
    pub(super) file_digest: Option<Digest256>,
}

/// A digest is enough to compare contents, and keeps no key or password in memory.
pub(super) type Digest256 = [u8; 32];

/// Merges every layer that can be read and records what is wrong with the others. Does blocking file I/O.
pub(super) fn merge(sources: &Sources, parse: impl Fn(&str) -> Result<Dict, String>) -> Merged {
    let defaults = embedded(DEFAULT);
    let schema = Schema::new(&defaults);
    let mut problems = Vec::new();
    let mut layers = Vec::new();
    let embedded_vendor = sources.overlay == Some(Overlay::Sandbox);
    if embedded_vendor {
        layers.push(Layer { name: "sandbox".into(), values: embedded(SANDBOX) });
    }
    let mut complete = true;
    let mut file_digest = None;
    if let Some((name, text)) = file_of(sources) {
        file_digest = text.as_ref().ok().map(|text| Sha256::digest(text).into());
        match text.and_then(|text| parse(&text)) {
            Ok(values) => layers.push(Layer { name, values }),
            Err(message) => {
                // Rules over several keys would report what the unread file may have set right.
                complete = false;
                problems.push(ConfigProblem::new("", message, name));
            }
        }
    }
    layers.extend(environment(&sources.environment, &schema, &mut problems));
    layers.extend(sources.flags.iter().map(|flag| flag_layer(flag, &schema)));

    let mut values = Figment::from(Layer { name: "default".into(), values: defaults });
    for layer in layers {
        let known = schema.retain_known(layer.values, &layer.name, &mut problems);
        values = values.merge(Layer { name: layer.name, values: known });
    }
    Merged { values, problems, complete, embedded_vendor, file_digest }
}

/// Parses a config file. Errors give line and column and never repeat the text: it may hold a secret.
pub(super) fn toml(text: &str) -> Result<Dict, String> {
    Toml::from_str(text).map_err(|error| {
        let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        format!("not TOML: line {line}, column {column}: {message}")
    })
}

#[expect(clippy::expect_used, reason = "built into the binary, and every test reads it")]
fn embedded(text: &str) -> Dict {
    Toml::from_str(text).expect("an embedded config file is TOML")
}

/// Name and text of the config file, or why it cannot be read; `None` without a config file.
fn file_of(sources: &Sources) -> Option<(String, Result<String, String>)> {
    if let Some(text) = &sources.text {
        return Some(("standard input".into(), Ok(text.clone())));
    }
    let path = sources.file.as_ref()?;
    let text = file_read::text(path).map_err(|error| format!("the file cannot be read: {error}"));
    Some((format!("file {}", path.display()), text))
}

/// One layer per variable, sorted by name, so that each value names its variable.
fn environment(
    variables: &[(String, String)],
    schema: &Schema,
    problems: &mut Vec<ConfigProblem>,
) -> Vec<Layer> {
    let mut variables: Vec<_> = variables
        .iter()
        .filter_map(|(name, value)| Some((name, name.strip_prefix(PREFIX)?, value)))
        .collect();
    // The order in which a process inherits variables must not decide the order of problems.
    variables.sort();
    variables
        .into_iter()
        .filter_map(|(name, rest, value)| {
            // A dot is no character of a variable's name in most shells.
            let key = rest.to_lowercase().replace("__", ".");
            let source = format!("environment {name}");
            if value.contains(char::REPLACEMENT_CHARACTER) {
                problems.push(ConfigProblem::new(key, "the value is not UTF-8", source));
                return None;
            }
            Some(Layer { name: source, values: nested(&key, typed(&key, value, schema)) })
        })
        .collect()
}

fn flag_layer(flag: &Flag, schema: &Schema) -> Layer {
    let values = nested(&flag.key, typed(&flag.key, &flag.value, schema));
    Layer { name: format!("flag {}", flag.name), values }
}

fn nested(key: &str, value: Value) -> Dict {
    let mut names = key.rsplit('.');
    let last = names.next().unwrap_or_default();
    names.fold(Dict::from([(last.to_owned(), value)]), |below, name| {
        Dict::from([(name.to_owned(), below.into())])
    })
}

/// Converts a text from the environment or a flag to the type of the key's default, so that a salt of digits stays a text.
/// A text that does not convert stays a text; the typed reader refuses it.
fn typed(key: &str, text: &str, schema: &Schema) -> Value {
    let converted = match schema.default_of(key) {
        Some(Value::Num(_, number)) if number.to_f64().is_some() => text.parse::<f64>().ok().map(Value::from),
        Some(Value::Num(..)) => text.parse::<i64>().ok().map(Value::from),
        Some(Value::Bool(..)) => text.parse::<bool>().ok().map(Value::from),
        // Written as in a file, which the reader refuses.
        Some(Value::Array(..)) if text.trim_start().starts_with('[') => None,
        Some(Value::Array(..)) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::from(items.collect::<Vec<_>>()))
        }
        Some(Value::String(..) | Value::Char(..) | Value::Dict(..) | Value::Empty(..)) | None => None,
    };
    // What does not convert stays text, and the typed reader reports it with its key and source.
    converted.unwrap_or_else(|| Value::from(text))
}

/// Values that share one source.
pub(super) struct Layer {
    name: String,
    values: Dict,
}

impl Layer {
    /// A layer that sets one key.
    pub(super) fn single(name: String, key: &str, value: &str) -> Self {
        Self::of(name, key, Value::from(value))
    }

    /// As [`Layer::single`], with a value of any type.
    pub(super) fn of(name: String, key: &str, value: Value) -> Self {
        Self { name, values: nested(key, value) }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}
