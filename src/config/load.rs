//! The config as written: layers of loose values, each with the name of where it came from.
//!
//! `default.toml` < overlay < file < environment < flags. Everything is passed in: nothing here reads the process's
//! environment or its arguments. What the values mean is `check`'s.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::read::{Row, Unreadable, Written};
use super::schema::Known;
use super::{Config, Problem, check};

pub(super) const DEFAULT: &str = include_str!("../../config/default.toml");
const SANDBOX: &str = include_str!("../../config/sandbox.toml");
const PREFIX: &str = "SHIM_";

/// Where a config is put together from.
#[derive(Clone, Default)]
pub struct Sources {
    /// A built-in layer over the defaults.
    pub overlay: Option<Overlay>,
    /// The config file.
    pub file: Option<PathBuf>,
    /// A config file's text that came on standard input, in place of `file`. Nothing watches it.
    pub text: Option<String>,
    /// Environment variables, name and value; those that do not start with `SHIM_` are ignored.
    pub environment: Vec<(String, String)>,
    /// Command-line flags; a later one wins.
    pub flags: Vec<Flag>,
}

/// A built-in layer over the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlay {
    /// `config/sandbox.toml`
    Sandbox,
}

/// One key given on the command line.
#[derive(Clone)]
pub struct Flag {
    /// The flag as typed, for people: `--listen`, `--set`.
    pub name: String,
    /// The key, with dots.
    pub key: String,
    /// The value as typed.
    pub value: String,
}

impl Flag {
    /// A flag with a name of its own.
    pub fn new(name: impl Into<String>, key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), key: key.into(), value: value.into() }
    }
}

impl FromStr for Flag {
    type Err = &'static str;

    /// Reads what follows `--set`: `key=value`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok(Self::new("--set", key.trim(), value)),
            _ => Err("write it as key=value, for example stage=observe"),
        }
    }
}

impl fmt::Debug for Flag {
    /// Without the value: it may be a secret.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.name, self.key)
    }
}

impl fmt::Debug for Sources {
    /// Without the environment's values: they may be secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Sources")
            .field("overlay", &self.overlay)
            .field("file", &self.file)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

/// A config that passed every check, and where each of its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the proxy reads.
    pub config: Arc<Config>,
    /// Every key with its value and source, in the order of `default.toml`.
    pub(super) rows: Vec<Row>,
}

impl Loaded {
    /// Names the effective config; see [`Config::hash`].
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.config.hash
    }
}

/// Reads all layers and checks the result. Does blocking file I/O.
///
/// # Errors
/// Every problem that there is, at once.
pub fn load(sources: &Sources) -> Result<Loaded, Vec<Problem>> {
    let mut written = layered(sources);
    written.take_secrets_from_files(Unreadable::Refused);
    check::mean(written)
}

/// A config that was looked at and is not to be served: where a secret's file could not be read, something else stands for it.
#[derive(Debug)]
pub struct Examined {
    loaded: Loaded,
    unread: Vec<Problem>,
}

impl Examined {
    /// What it says, but for the secrets that could not be read.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// Every key with its value and source; see [`check::explain`].
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        check::explain(&self.loaded)
    }

    /// The secrets' files that are not on this machine, or not for this user: what [`load`] would refuse, and nothing else.
    #[must_use]
    pub fn unread(&self) -> &[Problem] {
        &self.unread
    }
}

/// As [`load`], for somebody who looks at a config elsewhere than where it is served. A secret whose file is not there, or not for
/// this user, counts as set.
///
/// # Errors
/// Every other problem that there is, at once.
pub fn examine(sources: &Sources) -> Result<Examined, Vec<Problem>> {
    let mut written = layered(sources);
    written.take_secrets_from_files(Unreadable::Excused);
    let unread = std::mem::take(&mut written.unread);
    Ok(Examined { loaded: check::mean(written)?, unread })
}

/// Puts the layers together; what is wrong with one is kept for later and the others are still read.
fn layered(sources: &Sources) -> Written {
    let (figment, problems, whole) = merged(sources, toml);
    Written::new(figment, problems, whole)
}

/// The layers, what is wrong with them, and whether each of them could be read.
pub(super) fn merged(
    sources: &Sources,
    parse: impl Fn(&str) -> Result<Dict, String>,
) -> (Figment, Vec<Problem>, bool) {
    let defaults = embedded(DEFAULT);
    let known = Known::new(&defaults);
    let mut problems = Vec::new();
    let mut layers = Vec::new();
    if sources.overlay == Some(Overlay::Sandbox) {
        layers.push(Layer { name: "sandbox".into(), values: embedded(SANDBOX) });
    }
    let mut whole = true;
    if let Some((name, text)) = file_of(sources) {
        match text.and_then(|text| parse(&text)) {
            Ok(values) => layers.push(Layer { name, values }),
            Err(message) => {
                whole = false;
                problems.push(Problem::new("", message, name));
            }
        }
    }
    layers.extend(environment(&sources.environment, &known));
    layers.extend(sources.flags.iter().map(|flag| flag_layer(flag, &known)));

    let mut figment = Figment::from(Layer { name: "default".into(), values: defaults });
    for Layer { name, values } in layers {
        let values = known.keep(values, &name, &mut problems);
        figment = figment.merge(Layer { name, values });
    }
    (figment, problems, whole)
}

#[expect(clippy::expect_used, reason = "built into the binary, and every test reads it")]
fn embedded(text: &str) -> Dict {
    Toml::from_str(text).expect("an embedded config file is TOML")
}

/// The config file's name and text, or why that cannot be read; `None` where there is none.
fn file_of(sources: &Sources) -> Option<(String, Result<String, String>)> {
    if let Some(text) = &sources.text {
        return Some(("standard input".into(), Ok(text.clone())));
    }
    let path = sources.file.as_ref()?;
    let text = std::fs::read_to_string(path).map_err(|error| format!("the file cannot be read: {error}"));
    Some((format!("file {}", path.display()), text))
}

/// The file's values, or what is wrong with it. Never repeats a line of it: it may hold a secret.
fn toml(text: &str) -> Result<Dict, String> {
    Toml::from_str(text).map_err(|error| {
        let upto = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
        let line = upto.matches('\n').count() + 1;
        let column = upto.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        format!("not TOML: line {line}, column {column}: {message}")
    })
}

/// One layer a variable, in the order of their names, so that each value knows its variable.
fn environment(variables: &[(String, String)], known: &Known) -> Vec<Layer> {
    let mut ours: Vec<_> = variables
        .iter()
        .filter_map(|(name, value)| Some((name, name.strip_prefix(PREFIX)?, value)))
        .collect();
    ours.sort();
    ours.into_iter()
        .map(|(name, rest, value)| {
            let key = rest.to_lowercase().replace("__", ".");
            Layer { name: format!("environment {name}"), values: nested(&key, typed(&key, value, known)) }
        })
        .collect()
}

fn flag_layer(flag: &Flag, known: &Known) -> Layer {
    let values = nested(&flag.key, typed(&flag.key, &flag.value, known));
    Layer { name: format!("flag {}", flag.name), values }
}

fn nested(key: &str, value: Value) -> Dict {
    let mut names = key.rsplit('.');
    let last = names.next().unwrap_or_default();
    names.fold(Dict::from([(last.to_owned(), value)]), |below, name| {
        Dict::from([(name.to_owned(), below.into())])
    })
}

/// A text from outside TOML takes the type that the key's default has, so that a salt of digits stays a text. What
/// does not fit stays a text and is refused as the wrong type later.
fn typed(key: &str, text: &str, known: &Known) -> Value {
    let parsed = match known.default_of(key) {
        Some(Value::Num(_, number)) if number.to_f64().is_some() => text.parse::<f64>().ok().map(Value::from),
        Some(Value::Num(..)) => text.parse::<i64>().ok().map(Value::from),
        Some(Value::Bool(..)) => text.parse::<bool>().ok().map(Value::from),
        Some(Value::Array(..)) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::from(items.collect::<Vec<_>>()))
        }
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::from(text))
}

/// Values that all came from one place.
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// A layer with one value.
pub(super) fn single(name: String, key: &str, value: &str) -> Layer {
    Layer { name, values: nested(key, Value::from(value)) }
}
