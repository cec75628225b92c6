//! One key at a time, from the layered values to a typed one: notes what is wrong and goes on, and notes each value in
//! force for people. Knows types of values, no key's meaning.

use std::fmt::Display;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::time::Duration;

use figment::Figment;
use figment::value::{Dict, Value};
use secrecy::zeroize::Zeroizing;

use super::load::single;
use super::problem::Problem;
use super::secret::{SECRETS, SHOWN, Secret, SecretKey};
use super::values;

/// What is shown for a key that is not set.
pub(super) const NOT_SET: &str = "(not set)";

/// One key, its value in force, and where that came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key, with dots.
    pub key: &'static str,
    /// The value for people; `(set)` for a secret.
    pub value: String,
    /// `default`, `sandbox`, `file /path`, `environment SHIM_LISTEN`, `flag --listen`.
    pub source: String,
}

/// The layered values, being read.
pub(super) struct Written {
    figment: Figment,
    /// What is wrong so far.
    pub(super) problems: Vec<Problem>,
    /// Whether every layer could be read; if not, rules over several keys would judge what was never said.
    pub(super) whole: bool,
    /// The keys read so far.
    pub(super) rows: Vec<Row>,
    /// The files of secrets that are not on this machine, or not for this user, and that are excused.
    pub(super) unread: Vec<Problem>,
}

/// What is made of a secret's file that is not on this machine, or not for this user.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// A problem: the secret will be used.
    Refused,
    /// A note: the secret counts as set, and will not be used.
    Excused,
}

impl Written {
    pub(super) const fn new(figment: Figment, problems: Vec<Problem>, whole: bool) -> Self {
        Self { figment, problems, whole, rows: Vec::new(), unread: Vec::new() }
    }

    /// Lets the file that is named beside a secret speak for it.
    pub(super) fn take_secrets_from_files(&mut self, unreadable: Unreadable) {
        for secret in &SECRETS {
            self.take_from_file(secret, unreadable);
        }
    }

    fn take_from_file(&mut self, secret: &SecretKey, unreadable: Unreadable) {
        let SecretKey { key, file_key, stand_in, .. } = *secret;
        let text = |key| self.figment.find_value(key).ok().and_then(Value::into_string).unwrap_or_default();
        let (value, path) = (text(key), text(file_key));
        if path.is_empty() {
            return;
        }
        if !value.is_empty() {
            return self.problem(file_key, format!("is set while {key} is set too; keep one of them"));
        }
        match std::fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(text) if !text.trim().is_empty() => {
                let layer = single(format!("file {path}"), key, text.trim());
                self.figment = std::mem::take(&mut self.figment).merge(layer);
            }
            Ok(_) => self.problem(file_key, "names an empty file"),
            Err(error) => {
                let told = format!("names a file that cannot be read: {error}");
                let elsewhere = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied);
                if unreadable == Unreadable::Refused || !elsewhere {
                    return self.problem(file_key, told);
                }
                self.unread.push(Problem::new(file_key, told, self.source(file_key)));
                let layer = single(format!("file {path}, not readable here"), key, stand_in);
                self.figment = std::mem::take(&mut self.figment).merge(layer);
            }
        }
    }

    /// Where the value of a key came from.
    pub(super) fn source(&self, key: &str) -> String {
        self.figment.find_metadata(key).map_or_else(|| "default".into(), |metadata| metadata.name.to_string())
    }

    /// Notes what is wrong with a key.
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(key, message, self.source(key)));
    }

    /// A text that `parse` accepts, shown as the parsed value shows itself.
    pub(super) fn parsed<T: Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read(key, "text", |value| value.as_str().map(parse), T::to_string)
    }

    /// A text that may be empty.
    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        self.read(key, "text", |value| Some(Ok(value.as_str()?.to_owned())), |text| shown_or_not_set(text))
    }

    /// A text in which "" means "not set"; inner `None` then.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        let mut text = String::new();
        self.read(
            key,
            "text",
            |value| {
                value.as_str()?.clone_into(&mut text);
                Some(if text.is_empty() { Ok(None) } else { parse(&text).map(Some) })
            },
            |_| String::new(),
        )
        .inspect(|_| self.show(shown_or_not_set(&text)))
    }

    /// As [`Self::optional`], and never shown.
    pub(super) fn secret<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Option<(Secret, T)>> {
        let with_secret = |text: &str| parse(text).map(|parsed| (Secret::new(text.to_owned()), parsed));
        let read = self.optional(key, with_secret)?;
        self.show(if read.is_some() { SHOWN } else { NOT_SET }.into());
        Some(read)
    }

    /// Whoever can list the processes of the machine reads the arguments of each.
    pub(super) fn not_by_flag(&mut self, key: &str, what: &str) {
        if self.source(key).starts_with("flag") {
            self.problem(key, format!("{what} and came by a flag, which other users of the machine can see"));
        }
    }

    pub(super) fn duration(&mut self, key: &'static str, least: Duration) -> Option<Duration> {
        let parse = |text: &str| match values::duration(text)? {
            short if short < least => {
                Err(format!("{text:?} is shorter than {}", values::show_duration(least)))
            }
            fitting => Ok(fitting),
        };
        self.read(key, "text", |value| value.as_str().map(parse), |read| values::show_duration(*read))
    }

    pub(super) fn bytes(&mut self, key: &'static str, within: RangeInclusive<usize>) -> Option<usize> {
        let range =
            format!("{} to {}", values::show_bytes(*within.start()), values::show_bytes(*within.end()));
        let parse = |text: &str| match values::bytes(text)? {
            fitting if within.contains(&fitting) => Ok(fitting),
            _ => Err(format!("{text:?} is not within {range}")),
        };
        self.read(key, "text", |value| value.as_str().map(parse), |read| values::show_bytes(*read))
    }

    pub(super) fn number<T>(&mut self, key: &'static str, within: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i128> + PartialOrd + Display,
    {
        let parse = |number: i128| match T::try_from(number) {
            Ok(fitting) if within.contains(&fitting) => Ok(fitting),
            _ => Err(format!("{number} is not within {} to {}", within.start(), within.end())),
        };
        let whole = |value: &Value| value.to_i128().or_else(|| i128::try_from(value.to_u128()?).ok());
        self.read(key, "a whole number", |value| whole(value).map(parse), T::to_string)
    }

    pub(super) fn switch(&mut self, key: &'static str) -> Option<bool> {
        self.read(key, "true or false", |value| value.to_bool().map(Ok), bool::to_string)
    }

    pub(super) fn names(&mut self, key: &'static str) -> Option<Vec<String>> {
        let texts = |value: &Value| -> Option<Vec<String>> {
            value.as_array()?.iter().map(|item| Some(item.as_str()?.to_owned())).collect()
        };
        let named = |names: Vec<String>| match names.iter().any(|name| name.trim() != name || name.is_empty())
        {
            true => Err("has an empty name, or one with blanks around it".into()),
            false => Ok(names),
        };
        self.read(
            key,
            "a list of texts",
            |value| texts(value).map(named),
            |names| shown_or_not_set(&names.join(",")),
        )
    }

    /// A share, from 0 (none) to 1 (all).
    pub(super) fn share(&mut self, key: &'static str) -> Option<f64> {
        let number = |value: &Value| {
            value.to_num()?.to_f64().or_else(|| Some(f64::from(i16::try_from(value.to_i128()?).ok()?)))
        };
        let share = |number: f64| match (0.0..=1.0).contains(&number) {
            true => Ok(number),
            false => Err(format!("{number} is not within 0 to 1")),
        };
        self.read(key, "a number from 0 to 1", |value| number(value).map(share), f64::to_string)
    }

    /// A list of tables, as `[[key]]` writes them. `parse` answers what one says and how that is shown.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&Dict) -> Result<(T, String), String>,
    ) -> Option<Vec<T>> {
        let one = |(at, item): (usize, &Value)| match item {
            Value::Dict(_, table) => parse(table).map_err(|error| format!("number {}: {error}", at + 1)),
            _ => Err(format!("number {} is not a table; write it under [[{key}]]", at + 1)),
        };
        let all = |value: &Value| {
            Some(value.as_array()?.iter().enumerate().map(one).collect::<Result<Vec<_>, _>>())
        };
        let shown = |read: &Vec<(T, String)>| {
            shown_or_not_set(&read.iter().map(|(_, shown)| shown.as_str()).collect::<Vec<_>>().join("; "))
        };
        let read = self.read(key, "a list of tables", all, shown)?;
        Some(read.into_iter().map(|(table, _)| table).collect())
    }

    /// Reads one key. `parse` answers `None` to a wrong type.
    fn read<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&Value) -> Option<Result<T, String>>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let value = self.figment.find_value(key).ok();
        let read =
            value.as_ref().and_then(parse).unwrap_or_else(|| Err(wrong_type(expected, value.as_ref())));
        let shown = read.as_ref().map_or_else(|_| String::new(), show);
        self.rows.push(Row { key, value: shown, source: self.source(key) });
        read.map_err(|message| self.problem(key, message)).ok()
    }

    /// Replaces what is shown for the key that was read last.
    pub(super) fn show(&mut self, shown: String) {
        if let Some(row) = self.rows.last_mut() {
            row.value = shown;
        }
    }
}

fn shown_or_not_set(text: &str) -> String {
    if text.is_empty() { NOT_SET.into() } else { text.into() }
}

/// Names the types only: the value may be a secret.
fn wrong_type(expected: &str, found: Option<&Value>) -> String {
    let found = match found {
        None => "nothing",
        Some(Value::String(..) | Value::Char(..)) => "text",
        Some(Value::Bool(..)) => "true or false",
        Some(Value::Num(_, number)) if number.to_f64().is_some() => "a number with a fraction",
        Some(Value::Num(..)) => "a number",
        Some(Value::Array(..)) => "a list of something else",
        Some(Value::Dict(..) | Value::Empty(..)) => "something else",
    };
    format!("must be {expected}, not {found}")
}
