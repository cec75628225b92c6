//! The inputs that a config is merged from. All of them are passed in: nothing in `config` reads the process environment
//! or its arguments.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The inputs of one config, lowest precedence first. The defaults lie below all of them.
#[derive(Clone, Default)]
pub struct Sources {
    /// A built-in layer over the defaults.
    pub overlay: Option<Overlay>,
    /// Path of the config file; `None` = none is read.
    pub file: Option<PathBuf>,
    /// The text of a config file that was read from standard input. It replaces `file` and is not watched for changes.
    pub text: Option<String>,
    /// Environment variables, name and value. Names without the prefix `SHIM_` are ignored.
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

/// One key set on the command line.
#[derive(Clone)]
pub struct Flag {
    /// The flag as typed: `--listen`, `--set`.
    pub(crate) name: String,
    pub(crate) key: String,
    /// As typed: parsed as the key's type later.
    pub value: String,
}

impl Flag {
    /// A flag with its own name, such as `--listen`.
    pub fn new(name: impl Into<String>, key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), key: key.into(), value: value.into() }
    }
}

impl FromStr for Flag {
    type Err = &'static str;

    /// Parses the argument of `--set`: `key=value`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok(Self::new("--set", key.trim(), value)),
            Some(_) | None => Err("expected key=value, for example stage=observe"),
        }
    }
}

impl fmt::Debug for Flag {
    /// Leaves out the value: it may be a secret.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.name, self.key)
    }
}

impl fmt::Debug for Sources {
    /// Leaves out the text and the environment: they may hold secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Sources")
            .field("overlay", &self.overlay)
            .field("file", &self.file)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}
