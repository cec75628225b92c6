//! `check`: the effective config in aligned columns, or everything that is wrong with it.

use std::io::{self, Write};

use super::{CONFIG, OK};
use crate::config::load::{Sources, load};
use crate::config::{self, Problem, Row};
use crate::telemetry::plain::one_line;

/// Checks a config and prints it, or its problems.
pub(super) fn run(sources: Sources) -> u8 {
    match load(&sources) {
        Ok(loaded) => {
            let _ = write_rows(&config::explain(&loaded), &mut io::stdout().lock());
            OK
        }
        Err(problems) => refused(&problems),
    }
}

/// Tells every problem of a config.
pub(super) fn refused(problems: &[Problem]) -> u8 {
    let mut out = io::stderr().lock();
    let _ = writeln!(out, "conversion-shim: the config is refused:");
    let _ = write_problems(problems, &mut out);
    CONFIG
}

/// Writes one line a key: key, value, source, in columns.
///
/// # Errors
/// What `out` says.
pub fn write_rows(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    let lines: Vec<_> =
        rows.iter().map(|row| (row.key, one_line(&row.value), one_line(&row.source))).collect();
    let key = lines.iter().map(|line| line.0.chars().count()).max().unwrap_or_default();
    let value = lines.iter().map(|line| line.1.chars().count()).max().unwrap_or_default();
    for line in &lines {
        writeln!(out, "{:key$}  {:value$}  {}", line.0, line.1, line.2)?;
    }
    Ok(())
}

/// Writes one line a problem.
///
/// # Errors
/// What `out` says.
pub fn write_problems(problems: &[Problem], out: &mut impl Write) -> io::Result<()> {
    problems.iter().try_for_each(|problem| writeln!(out, "{}", one_line(&problem.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_control_characters_stay_out() {
        let row = |key, value: &str| Row { key, value: value.into(), source: "default".into() };
        let mut out = Vec::new();
        write_rows(&[row("a", "é"), row("long.key", "two\nlines\u{1b}[31m")], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "a         é                     default\n\
             long.key  two\\nlines\\u{1b}[31m  default\n"
        );
    }
}
