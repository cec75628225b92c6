//! `check`: every value of a config with its source, or every problem of it.

use std::io::{self, IsTerminal as _, Read as _, Write};

use clap::Args;

use super::config_args::ConfigArgs;
use super::exit::{CONFIG, FAILED, OK};
use super::output::{complain, written};
use crate::config::load::{Sources, examine, name_sources};
use crate::config::{Config, ConfigProblem, ConfigRow};
use crate::ledger::{self, OpenError};
use crate::telemetry::sanitize::one_line;

pub(super) const ABOUT: &str = "\
Check a config and print every value with its source, or every problem.

Checks the values only: it does not open the ledger, read certificates or call the vendor. A secret file that cannot be read here is \
named on standard error and counts as set, so that a config can be checked on a machine without its secrets; `serve` refuses it. \
`--config -` reads standard input:

  conversion-shim check --config - <next.toml";

/// File name that means standard input.
const STDIN: &str = "-";

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Print only problems
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(arguments: CheckArgs) -> u8 {
    let CheckArgs { quiet, config } = arguments;
    let sources = match sources(config) {
        Ok(sources) => sources,
        Err(code) => return code,
    };
    match examine(&sources) {
        Ok(examined) => {
            let problems = ledger_url(examined.config(), &examined.rows());
            if !problems.is_empty() {
                return refused(&problems);
            }
            let mut out = io::stdout().lock();
            let rows = if quiet { Vec::new() } else { examined.rows() };
            let outcome = write_rows(&rows, &mut out).and_then(|()| out.flush());
            note_unread(examined.unread());
            note_facts(examined.config());
            written(outcome, OK)
        }
        Err(problems) => refused(&problems),
    }
}

/// The sources, with the text of standard input if the file is `-`. Without it, prints why and returns the exit code.
pub(super) fn sources(config: ConfigArgs) -> Result<Sources, u8> {
    with_stdin(config.into_sources()).map_err(|error| {
        complain(format_args!("standard input: {error}"));
        // Text that cannot be read is refused like any other config; see the same of a file.
        if error.kind() == io::ErrorKind::InvalidData { CONFIG } else { FAILED }
    })
}

fn with_stdin(sources: Sources) -> io::Result<Sources> {
    if sources.file.as_ref().is_none_or(|file| file.as_os_str() != STDIN) {
        return Ok(sources);
    }
    if io::stdin().is_terminal() {
        complain("reading standard input; Ctrl-D ends it");
    }
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    Ok(Sources { file: None, text: Some(text), ..sources })
}

/// Problems of `ledger.url`. Only the ledger can parse it, and `config` must not import the ledger.
pub(super) fn ledger_url(config: &Config, rows: &[ConfigRow]) -> Vec<ConfigProblem> {
    let url = config.ledger.as_ref().map(|ledger| ledger::check_url(ledger.url.reveal()));
    url.and_then(Result::err).map_or_else(Vec::new, |error| ledger_problems(&error, rows))
}

/// The config's problems for which a ledger could not be opened; empty where the config is not to blame.
pub(super) fn ledger_problems(error: &OpenError, rows: &[ConfigRow]) -> Vec<ConfigProblem> {
    let problem = |(key, message): (&str, String)| ConfigProblem::new(key, message, "");
    name_sources(rows, error.problems().into_iter().map(problem).collect())
}

/// Warns of secret files that cannot be read here.
fn note_unread(unread: &[ConfigProblem]) {
    if !unread.is_empty() {
        let mut out = io::stderr().lock();
        let _ =
            writeln!(out, "conversion-shim: not readable here and assumed to be valid; `serve` needs it:");
        let _ = write_problems(unread, &mut out);
    }
}

/// Warns of a file of facts that does not count.
pub(super) fn note_facts(config: &Config) {
    let note = config.facts_file.as_ref().and_then(|file| file.not_used(&config.upstream));
    note.into_iter().for_each(|note| complain(format_args!("note: {note}")));
}

/// Prints every problem and returns the exit code.
pub(super) fn refused(problems: &[ConfigProblem]) -> u8 {
    let mut out = io::stderr().lock();
    let _ = writeln!(out, "conversion-shim: the config is refused:");
    let _ = write_problems(problems, &mut out);
    CONFIG
}

/// Longest value that the column of sources is aligned behind: one long value would move it out of sight in every line.
const ALIGNED_MAX: usize = 48;

/// Writes one line per key: key, value and source in aligned columns. Control characters are escaped.
///
/// # Errors
/// Those of `out`.
pub fn write_rows(rows: &[ConfigRow], out: &mut impl Write) -> io::Result<()> {
    let lines: Vec<_> =
        rows.iter().map(|row| (row.key, one_line(&row.value), one_line(&row.source))).collect();
    let key = lines.iter().map(|line| line.0.chars().count()).max().unwrap_or_default();
    let value = lines.iter().map(|line| line.1.chars().count()).filter(|width| *width <= ALIGNED_MAX);
    let value = value.max().unwrap_or_default();
    for line in &lines {
        writeln!(out, "{:key$}  {:value$}  {}", line.0, line.1, line.2)?;
    }
    Ok(())
}

/// Writes one line per problem. Control characters are escaped.
///
/// # Errors
/// Those of `out`.
pub fn write_problems(problems: &[ConfigProblem], out: &mut impl Write) -> io::Result<()> {
    problems.iter().try_for_each(|problem| writeln!(out, "{}", one_line(&problem.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_control_characters_are_escaped() {
        let row = |key, value: &str| ConfigRow { key, value: value.into(), source: "default".into() };
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
