//! Typed reading of the merged layers, one key at a time.
//!
//! A section names a key once and says when a change takes effect: `keys.on_restart("ledger.timeout").duration(…)`. The
//! reader records every problem and returns `None` for a value that cannot be used, so that a section reads all its keys
//! before it gives up and a config reports all its problems at once. It knows types, not the meaning of any key.

use std::fmt::Display;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::value::{Dict, Value};
use secrecy::zeroize::Zeroizing;

use super::file_read;
use super::layers::{Layer, Merged};
use super::problem::ConfigProblem;
use super::secret::{SHOWN, Secret};
use super::values::{self, file_path};

/// Displayed for a key that is not set.
const NOT_SET: &str = "(not set)";

/// One key, its effective value, and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigRow {
    /// As in `config/default.toml`, with dots: `limits.request_body_max`.
    pub key: &'static str,
    /// The value as displayed; `(set)` for a secret.
    pub value: String,
    /// `default`, `sandbox`, `file /path`, `environment SHIM_LISTEN`, `flag --listen`.
    pub source: String,
}

/// When a change of a key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TakesEffect {
    OnReload,
    OnRestart,
}

/// A key that was read.
#[derive(Clone, Debug)]
pub(super) struct ConfigEntry {
    pub(super) row: ConfigRow,
    pub(super) takes_effect: TakesEffect,
    pub(super) secret: Option<Secret>,
}

impl ConfigEntry {
    /// All secrets are displayed alike, so they are compared themselves.
    pub(super) fn differs(&self, other: &Self) -> bool {
        self.row.value != other.row.value || self.secret != other.secret
    }
}

/// What to do with a secret's file that does not exist on this machine, or that this user may not read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MissingSecret {
    /// Report a problem: the secret will be used.
    Refuse,
    /// Count the secret as set: it will not be used.
    Excuse,
}

/// Reads keys from the merged layers.
pub(super) struct KeyReader {
    values: Figment,
    missing_secret: MissingSecret,
    /// See [`Merged::complete`].
    pub(super) complete: bool,
    /// See [`Merged::embedded_vendor`].
    pub(super) embedded_vendor: bool,
    pub(super) problems: Vec<ConfigProblem>,
    /// The keys read so far, in the order in which they were read.
    pub(super) entries: Vec<ConfigEntry>,
    /// Secrets' files that were not found and are excused.
    pub(super) excused: Vec<ConfigProblem>,
    /// Every file that was to hold a secret or facts, whether it could be read or not.
    pub(super) named_files: Vec<PathBuf>,
}

impl KeyReader {
    pub(super) fn new(merged: Merged, missing_secret: MissingSecret) -> Self {
        let Merged { values, problems, complete, embedded_vendor, .. } = merged;
        Self {
            values,
            missing_secret,
            complete,
            embedded_vendor,
            problems,
            entries: Vec::new(),
            excused: Vec::new(),
            named_files: Vec::new(),
        }
    }

    /// A key that a reload may change.
    pub(super) fn on_reload(&mut self, name: &'static str) -> ConfigKey<'_> {
        ConfigKey { reader: self, name, takes_effect: TakesEffect::OnReload }
    }

    /// A key that is read once, at start. A reload that changes it is refused.
    pub(super) fn on_restart(&mut self, name: &'static str) -> ConfigKey<'_> {
        ConfigKey { reader: self, name, takes_effect: TakesEffect::OnRestart }
    }

    /// The layer that a key's value came from.
    pub(super) fn source(&self, key: &str) -> String {
        self.values.find_metadata(key).map_or_else(|| "default".into(), |metadata| metadata.name.to_string())
    }

    /// Records a problem with a key.
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(ConfigProblem::new(key, message, self.source(key)));
    }

    /// Refuses a secret that came by a flag: every user of the machine can read the arguments of its processes.
    pub(super) fn refuse_flag(&mut self, key: &str, reason: &str) {
        if self.source(key).starts_with("flag") {
            self.problem(
                key,
                format!("{reason} and was set by a flag, which other users of the machine can read"),
            );
        }
    }

    /// Makes the content of the file that `file_key` names the value of `key`. Returns `false` if there is such a file
    /// and it gives no value.
    fn merge_secret_file(&mut self, key: &str, file_key: &str, placeholder: &str) -> bool {
        let path = self.raw_text(file_key);
        // A path that is no path is reported when the key itself is read.
        if path.is_empty() || file_path(&path).is_err() {
            return true;
        }
        if !self.raw_text(key).is_empty() {
            self.problem(file_key, format!("is set while {key} is set too; keep one of them"));
            return true;
        }
        // Before it is read: a file that cannot be read now is watched until it can be.
        self.named_files.push(PathBuf::from(&path));
        match file_read::text(Path::new(&path)).map(Zeroizing::new) {
            Ok(text) if values::of_file(&text).is_empty() => {
                self.problem(file_key, format!("names an empty file, {path}"))
            }
            Ok(text) => {
                // The secret goes through the same parser and display as one in the config itself.
                return self.merge(Layer::single(format!("file {path}"), key, values::of_file(&text)));
            }
            Err(error) => {
                let message = format!("names a file that cannot be read, {path}: {error}");
                let missing = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied);
                if missing && self.missing_secret == MissingSecret::Excuse {
                    self.excused.push(ConfigProblem::new(file_key, message, self.source(file_key)));
                    let name = format!("file {path}, not readable here");
                    return self.merge(Layer::single(name, key, placeholder));
                }
                self.problem(file_key, message);
            }
        }
        false
    }

    /// Makes a value of the file that `file_key` names the value of a key that is not set. One that says otherwise than the config is a
    /// problem, and so is one that is no key.
    pub(super) fn merge_unset(&mut self, file_key: &str, path: &Path, (key, value): (&str, Value)) {
        let set = self.values.find_value(key).ok();
        let Some(set) = set else {
            return self
                .problem(file_key, format!("names a file with {key}, which is no key of this version"));
        };
        let is_unset =
            set.as_str().is_some_and(str::is_empty) || set.as_array().is_some_and(<[Value]>::is_empty);
        if is_unset {
            self.merge(Layer::of(format!("file {}", path.display()), key, value));
        } else if !values::same(&set, &value) {
            self.problem(key, format!("says otherwise than {}; remove one of them", path.display()));
        }
    }

    fn raw_text(&self, key: &str) -> String {
        self.values.find_value(key).ok().and_then(Value::into_string).unwrap_or_default()
    }

    fn merge(&mut self, layer: Layer) -> bool {
        self.values = std::mem::take(&mut self.values).merge(layer);
        true
    }
}

/// One key, about to be read. Each method reads it as one type and records the effective value.
#[must_use]
pub(super) struct ConfigKey<'a> {
    reader: &'a mut KeyReader,
    name: &'static str,
    takes_effect: TakesEffect,
}

impl ConfigKey<'_> {
    /// A text that `parse` accepts, displayed as the parsed value displays itself.
    pub(super) fn parsed<T: Display>(self, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.read("text", |value| value.as_str().map(parse), T::to_string)
    }

    /// A text that may be empty.
    pub(super) fn text(self) -> Option<String> {
        self.read("text", |value| Some(Ok(value.as_str()?.to_owned())), |text| or_not_set(text))
    }

    /// One of a fixed set of names.
    pub(super) fn choice<T: Copy, const N: usize>(
        self,
        all: [T; N],
        name: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        let find = |text: &str| {
            all.into_iter()
                .find(|choice| name(*choice) == text)
                .ok_or_else(|| format!("{text:?} is none of {}", all.map(&name).join(", ")))
        };
        self.read("text", |value| value.as_str().map(find), |choice| name(*choice).into())
    }

    /// A text in which "" means "not set"; the inner value is `None` then.
    pub(super) fn optional<T>(self, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<Option<T>> {
        self.optional_or(NOT_SET, parse)
    }

    /// As [`Self::optional`], with what to display for a key that is not set.
    pub(super) fn optional_or<T>(
        self,
        not_set: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        let parse = |value: &Value| match value.as_str()? {
            "" => Some(Ok((None, not_set.to_owned()))),
            text => Some(parse(text).map(|parsed| (Some(parsed), text.to_owned()))),
        };
        self.read("text", parse, |(_, shown)| shown.clone()).map(|(parsed, _)| parsed)
    }

    /// The path of a file; "" means "not set".
    pub(super) fn file(self) -> Option<Option<PathBuf>> {
        self.optional(file_path)
    }

    /// A secret, given by this key or in a file that `file_key` names; "" means "not set". Never displayed.
    ///
    /// `placeholder` replaces the content of a file that is not readable here and is excused. It passes `parse`, and every
    /// rule about the key.
    pub(super) fn secret<T>(
        self,
        file_key: &'static str,
        placeholder: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Option<(Secret, T)>> {
        let Self { reader, name, takes_effect } = self;
        let usable = reader.merge_secret_file(name, file_key, placeholder);
        let parse = |value: &Value| match value.as_str()? {
            "" => Some(Ok(None)),
            text => Some(parse(text).map(|parsed| Some((Secret::new(text.to_owned()), parsed)))),
        };
        let shown = |read: &Option<_>| if read.is_some() { SHOWN.into() } else { NOT_SET.into() };
        let read = ConfigKey { reader: &mut *reader, name, takes_effect }.read("text", parse, shown);
        if let (Some(Some((secret, _))), Some(entry)) = (&read, reader.entries.last_mut()) {
            entry.secret = Some(secret.clone());
        }
        let file = ConfigKey { reader, name: file_key, takes_effect }.file();
        // A problem with the file is recorded already; a value beside it must not come into force.
        file.filter(|_| usable)?;
        read
    }

    pub(super) fn duration(self, min: Duration) -> Option<Duration> {
        let parse = |text: &str| at_least(min, text, values::duration(text)?);
        self.read("text", |value| value.as_str().map(parse), |read| values::show_duration(*read))
    }

    /// At least one second. `Retry-After` has no fractions (RFC 9110, section 10.2.3).
    pub(super) fn whole_seconds(self) -> Option<Duration> {
        let parse = |text: &str| match at_least(Duration::from_secs(1), text, values::duration(text)?)? {
            whole if whole.subsec_nanos() == 0 => Ok(whole),
            _ => Err("must be whole seconds".into()),
        };
        self.read("text", |value| value.as_str().map(parse), |read| values::show_duration(*read))
    }

    pub(super) fn bytes(self, range: RangeInclusive<usize>) -> Option<usize> {
        let parse = |text: &str| match values::bytes(text)? {
            bytes if range.contains(&bytes) => Ok(bytes),
            _ => {
                let (min, max) = (values::show_bytes(*range.start()), values::show_bytes(*range.end()));
                Err(format!("{text:?} is not within {min} to {max}"))
            }
        };
        self.read("text", |value| value.as_str().map(parse), |read| values::show_bytes(*read))
    }

    pub(super) fn number<T>(self, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i128> + PartialOrd + Display,
    {
        let parse = |number: i128| match T::try_from(number) {
            Ok(fitting) if range.contains(&fitting) => Ok(fitting),
            Ok(_) | Err(_) => Err(format!("{number} is not within {} to {}", range.start(), range.end())),
        };
        let whole = |value: &Value| value.to_i128().or_else(|| i128::try_from(value.to_u128()?).ok());
        self.read("a whole number", |value| whole(value).map(parse), T::to_string)
    }

    pub(super) fn boolean(self) -> Option<bool> {
        self.read("true or false", |value| value.to_bool().map(Ok), bool::to_string)
    }

    /// A fraction, from 0 (none) to 1 (all).
    pub(super) fn share(self) -> Option<f64> {
        // TOML writes a whole 0 or 1 as an integer.
        let number = |value: &Value| {
            value.to_num()?.to_f64().or_else(|| Some(f64::from(i16::try_from(value.to_i128()?).ok()?)))
        };
        let share = |number: f64| match (0.0..=1.0).contains(&number) {
            true => Ok(number),
            false => Err(format!("{number} is not within 0 to 1")),
        };
        self.read("a number from 0 to 1", |value| number(value).map(share), f64::to_string)
    }

    /// A list of texts that are neither empty nor surrounded by blanks.
    pub(super) fn texts(self) -> Option<Vec<String>> {
        let texts = |value: &Value| -> Option<Vec<String>> {
            value.as_array()?.iter().map(|item| Some(item.as_str()?.to_owned())).collect()
        };
        let trimmed =
            |texts: Vec<String>| match texts.iter().any(|text| text.trim() != text || text.is_empty()) {
                true => Err("has an empty entry, or one with blanks around it".into()),
                false => Ok(texts),
            };
        let shown = |texts: &Vec<String>| or_not_set(&texts.join(","));
        self.read("a list of texts", |value| texts(value).map(trimmed), shown)
    }

    /// A list of tables, written as `[[key]]`. `parse` returns the parsed table and how to display it.
    pub(super) fn tables<T>(self, parse: impl Fn(&Dict) -> Result<(T, String), String>) -> Option<Vec<T>> {
        let key = self.name;
        let one = |(index, item): (usize, &Value)| match item.as_dict() {
            Some(table) => parse(table).map_err(|error| format!("number {}: {error}", index + 1)),
            None => Err(format!("number {} is not a table; write it under [[{key}]]", index + 1)),
        };
        let all = |value: &Value| {
            let (tables, problems): (Vec<_>, Vec<_>) =
                value.as_array()?.iter().enumerate().map(one).partition(Result::is_ok);
            let problems: Vec<_> = problems.into_iter().filter_map(Result::err).collect();
            Some(match problems.is_empty() {
                true => Ok(tables.into_iter().filter_map(Result::ok).collect()),
                false => Err(problems.join("; ")),
            })
        };
        let shown = |read: &Vec<(T, String)>| {
            or_not_set(&read.iter().map(|(_, shown)| shown.as_str()).collect::<Vec<_>>().join("; "))
        };
        let read = self.read("a list of tables", all, shown)?;
        Some(read.into_iter().map(|(table, _)| table).collect())
    }

    /// Reads the key and records it. `parse` returns `None` for a value of the wrong type.
    fn read<T>(
        self,
        expected: &str,
        parse: impl FnOnce(&Value) -> Option<Result<T, String>>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let Self { reader, name, takes_effect } = self;
        let value = reader.values.find_value(name).ok();
        let read = value
            .as_ref()
            .and_then(parse)
            .unwrap_or_else(|| Err(values::wrong_type(expected, value.as_ref())));
        let shown = read.as_ref().map_or_else(|_| String::new(), show);
        let row = ConfigRow { key: name, value: shown, source: reader.source(name) };
        reader.entries.push(ConfigEntry { row, takes_effect, secret: None });
        read.map_err(|message| reader.problem(name, message)).ok()
    }
}

fn at_least(min: Duration, text: &str, duration: Duration) -> Result<Duration, String> {
    if duration < min {
        return Err(format!("{text:?} is shorter than {}", values::show_duration(min)));
    }
    Ok(duration)
}

fn or_not_set(text: &str) -> String {
    if text.is_empty() { NOT_SET.into() } else { text.into() }
}
