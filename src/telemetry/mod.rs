//! What the process tells: log lines through `tracing`. One JSON object a line, or text for people on a terminal.

pub mod access;
mod queue;

use std::io::{IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;

use self::queue::{Draining, Queue};
use crate::config::{Log, LogFormat};

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Keeps the log flowing; dropping it writes out what is still queued.
#[derive(Debug)]
pub struct LogGuard {
    _draining: Draining,
}

/// Starts logging to standard output, for the whole process.
///
/// # Errors
/// When the process already logs.
pub fn start(settings: &Log) -> Result<LogGuard, Failed> {
    start_to(settings, std::io::stdout(), std::io::stdout().is_terminal())
}

/// Starts logging to `out`. Lines queue in memory while its reader is slow; past the queue's bound they are dropped, so that no
/// request ever waits for a log.
///
/// # Errors
/// When the process already logs.
pub fn start_to(
    settings: &Log,
    out: impl Write + Send + 'static,
    terminal: bool,
) -> Result<LogGuard, Failed> {
    let (writer, draining) = Queue::start(out)?;
    let json = match settings.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let filter = EnvFilter::try_new(&settings.filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    if json {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()?;
    } else {
        builder.with_ansi(terminal).try_init()?;
    }
    Ok(LogGuard { _draining: draining })
}
