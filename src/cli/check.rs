//! `check`: the effective config in aligned columns, or everything that is wrong with it.

use std::io::{self, IsTerminal as _, Read as _, Write};

use clap::Args;

use super::{CONFIG, ConfigArgs, FAILED, OK, complain};
use crate::config::load::{Sources, examine};
use crate::config::{Config, Problem, Row};
use crate::ledger::{self, OpenError};
use crate::telemetry::sanitize::one_line;

pub(super) const ABOUT: &str = "\
Check a config and print every value with where it came from, or every problem.

Looks at the values and at nothing else: not at the ledger, not at certificates, not at the vendor. A secret's file that cannot be \
read here is named on standard error and counts as set, so that a config can be checked where its secrets are not; `serve` refuses \
it. `--config -` reads standard input:

  conversion-shim check --config - <next.toml";

/// What stands for standard input.
const STDIN: &str = "-";

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Print nothing but what is wrong
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Checks a config and prints it, or its problems.
pub(super) fn run(arguments: CheckArgs) -> u8 {
    let CheckArgs { quiet, config } = arguments;
    let sources = match given(config.into_sources(false)) {
        Ok(sources) => sources,
        Err(error) => {
            complain(&format!("conversion-shim: standard input: {error}\n"));
            return FAILED;
        }
    };
    match examine(&sources) {
        Ok(examined) => {
            let problems = ledger_url(examined.config(), &examined.rows());
            if !problems.is_empty() {
                return refused(&problems);
            }
            if !quiet {
                let _ = write_rows(&examined.rows(), &mut io::stdout().lock());
            }
            note_unread(examined.unread());
            OK
        }
        Err(problems) => refused(&problems),
    }
}

/// The sources, with the text of standard input if the config's name stands for it.
fn given(sources: Sources) -> io::Result<Sources> {
    if sources.file.as_ref().is_none_or(|file| file.as_os_str() != STDIN) {
        return Ok(sources);
    }
    if io::stdin().is_terminal() {
        complain("conversion-shim: reading standard input; Ctrl-D ends it\n");
    }
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    Ok(Sources { file: None, text: Some(text), ..sources })
}

/// What is wrong with where the ledger is said to be; only the ledger itself understands that.
pub(super) fn ledger_url(config: &Config, rows: &[Row]) -> Vec<Problem> {
    let url = config.ledger.as_ref().map(|ledger| ledger::check_url(ledger.url.reveal()));
    let source = rows.iter().find(|row| row.key == "ledger.url").map(|row| row.source.clone());
    let problem = |error| {
        let message = if let OpenError::Url(what) = error { what } else { error.to_string() };
        Problem::new("ledger.url", message, source.unwrap_or_default())
    };
    url.and_then(Result::err).map(problem).into_iter().collect()
}

/// Names the secrets' files that could not be read, where that does not matter.
fn note_unread(unread: &[Problem]) {
    if !unread.is_empty() {
        let mut out = io::stderr().lock();
        let _ =
            writeln!(out, "conversion-shim: not readable here, so taken to be right; `serve` will need it:");
        let _ = write_problems(unread, &mut out);
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
