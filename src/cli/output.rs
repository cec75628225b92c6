//! Writing to the terminal, and running one asynchronous task to its end.

use std::fmt::Display;
use std::future::Future;
use std::io::Write as _;

use clap::ValueEnum;

use super::exit::FAILED;
use crate::telemetry::sanitize::{self, one_line};

/// Writes to standard output, and returns `code`; reports what could not be written, and returns [`FAILED`] then: a file that is cut off
/// must not pass for the whole one. A reader that closed its end, as `head` does, has what it wanted, and changes no exit code.
pub(super) fn print(text: &str, code: u8) -> u8 {
    let mut out = std::io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()), code)
}

/// `code`, or [`FAILED`] with a message if standard output did not take everything, though its reader is there.
pub(super) fn written(outcome: std::io::Result<()>, code: u8) -> u8 {
    match outcome {
        Ok(()) => code,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => code,
        Err(error) => {
            complain(format_args!("standard output: {error}"));
            FAILED
        }
    }
}

pub(super) fn print_error(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Writes `conversion-shim: message` to standard error.
pub(super) fn complain(message: impl Display) {
    print_error(&format!("conversion-shim: {message}\n"));
}

/// Two columns, one row a line. Control characters are escaped.
pub(super) fn table(rows: &[(&str, String)]) -> String {
    let rows: Vec<_> = rows.iter().map(|(label, text)| (one_line(label), one_line(text))).collect();
    let width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or_default();
    rows.iter().map(|(label, text)| format!("{label:width$}  {text}\n")).collect()
}

/// `--format`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

/// A JSON document as one line. Control characters are escaped, which parsers read as the same text.
pub(super) fn json_line(document: &str) -> String {
    sanitize::json(document) + "\n"
}

/// Runs a future on a runtime of its own, with a thread for each core.
pub(super) fn block_on_threads<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<T, E>
where
    E: From<std::io::Error>,
{
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// Runs a future on a runtime of its own.
pub(super) fn block_on<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<T, E>
where
    E: From<std::io::Error>,
{
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
