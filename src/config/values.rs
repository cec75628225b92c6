//! Parsers of single values: durations, sizes, addresses, paths.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use figment::value::Value;
use jiff::SignedDuration;

pub(super) const KIB: usize = 1 << 10;
pub(super) const MIB: usize = 1 << 20;
pub(super) const GIB: usize = 1 << 30;
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);

/// Maximum of every duration in the config: a longer one is probably a wrong unit.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The content of a file with one value: without blanks around it, and without the mark that some editors begin a file with.
pub(crate) fn of_file(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim()
}

/// The name that the TOML reader gives to a date without quotes.
const DATE: &str = "$__toml_private_datetime";

/// Why a value is none of the type that is expected. Names the types only: the value may be a secret.
pub(super) fn wrong_type(expected: &str, found: Option<&Value>) -> String {
    let is_list = expected.starts_with("a list");
    let found = match found {
        None | Some(Value::Empty(..)) => "nothing",
        Some(Value::String(_, text)) if is_list && text.starts_with('[') => {
            "text: in a variable or a flag, items are separated by commas, without brackets"
        }
        Some(Value::String(..) | Value::Char(..)) => "text",
        Some(Value::Bool(..)) => "true or false",
        Some(Value::Num(_, number)) if number.to_f64().is_some() => "a number with a fraction",
        Some(Value::Num(..)) => "a number",
        Some(Value::Array(..)) if is_list => "a list with something else",
        Some(Value::Array(..)) => "a list",
        Some(Value::Dict(_, members)) if members.contains_key(DATE) => "a date: write it in quotes",
        Some(Value::Dict(..)) => "a table",
    };
    format!("must be {expected}, not {found}")
}

/// Parses `500ms`, `30s`, `2m`, `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = text
        .parse::<SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| format!("{text:?} is not a duration; write it with a unit, like 500ms, 30s or 2m"))?;
    if duration > DURATION_MAX {
        return Err(format!("{text:?} is longer than a day"));
    }
    Ok(duration)
}

/// Formats a duration so that [`duration`] can parse it.
pub(super) fn show_duration(duration: Duration) -> String {
    SignedDuration::try_from(duration).map_or_else(|_| format!("{duration:?}"), |short| format!("{short:#}"))
}

const UNITS: [(&str, usize); 4] = [("GiB", GIB), ("MiB", MIB), ("KiB", KIB), ("B", 1)];

/// Parses `512B`, `64KiB`, `1MiB`, `2GiB` into bytes.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    UNITS
        .iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number.trim_end(), *factor)))
        .filter(|(number, _)| number.bytes().all(|digit| digit.is_ascii_digit()))
        .and_then(|(number, factor)| number.parse::<usize>().ok()?.checked_mul(factor))
        .ok_or_else(|| {
            format!("{text:?} is not a size; write a whole number with a unit, like 64KiB or 1MiB")
        })
}

/// Formats a size so that [`bytes()`] can parse it.
pub(super) fn show_bytes(bytes: usize) -> String {
    let fits = |(_, factor): &&(&str, usize)| bytes != 0 && bytes.is_multiple_of(*factor);
    UNITS
        .iter()
        .find(fits)
        .map_or_else(|| format!("{bytes}B"), |(unit, factor)| format!("{}{unit}", bytes / factor))
}

/// Parses `127.0.0.1:8080`, `[::1]:8080`.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an IP address with a port, like 127.0.0.1:8080"))
}

/// Accepts a normalized url path: it has only one spelling, so it can be compared byte by byte.
pub(super) fn canonical_path(path: &str) -> Result<(), String> {
    let Some(inner) = path.strip_prefix('/') else { return Err("does not start with a slash".into()) };
    if path.ends_with('/') {
        return Err("ends with a slash".into());
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    for segment in inner.split('/') {
        if matches!(segment, "" | "." | "..") {
            return Err("has an empty or a dot segment".into());
        }
        if !segment.bytes().all(plain) {
            return Err("has characters other than letters, digits, and - . _ ~".into());
        }
    }
    Ok(())
}

/// Accepts the path of a file. Refuses a pasted PEM without repeating it: it may be a private key.
pub(super) fn file_path(text: &str) -> Result<PathBuf, String> {
    // A key that is pasted in place of its path must not be shown in an error or by `check`.
    if text.contains("-----BEGIN") || text.contains(['\n', '\0']) {
        return Err("is not a path; name the file, do not paste its contents".into());
    }
    Ok(PathBuf::from(text))
}

/// Whether two values are equal, wherever they come from.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one.as_array(), other.as_array()) {
        (Some(one), Some(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (None, None) => one.as_str() == other.as_str(),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_needs_a_unit_and_is_at_most_a_day() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for bad in ["", "30", "-1s", "1 day", "soon", "25h", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_size_needs_a_unit_and_fits_in_memory() {
        assert_eq!(bytes("512B"), Ok(512));
        assert_eq!(bytes("64KiB"), Ok(65_536));
        assert_eq!(bytes("1 MiB"), Ok(1 << 20));
        for bad in ["", "1", "MiB", "1MB", "+1MiB", "-1B", "1.5MiB", "99999999999999999GiB"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_formatted_value_parses_to_itself() {
        for text in ["500ms", "30s", "1m 15s", "0s"] {
            assert_eq!(show_duration(duration(text).unwrap()), text);
        }
        for text in ["0B", "1025B", "64KiB", "16MiB", "2GiB"] {
            assert_eq!(show_bytes(bytes(text).unwrap()), text);
        }
    }

    #[test]
    fn a_canonical_path_has_one_spelling() {
        assert_eq!(canonical_path("/v2"), Ok(()));
        assert_eq!(canonical_path("/a/b-1.0_~"), Ok(()));
        for bad in ["", "v2", "/", "/v2/", "//v2", "/a//b", "/a/../b", "/./a", "/%76", "/a b", "/a?b", "/ä"]
        {
            assert!(canonical_path(bad).is_err(), "{bad}");
        }
    }
}
