//! What the process tells: log lines through `tracing`. One JSON object a line, or text for people on a terminal.

pub mod access;

use std::io::IsTerminal as _;

use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, LogFormat};

/// Keeps the log flowing; dropping it writes out what is still queued.
#[derive(Debug)]
pub struct LogGuard {
    _worker: WorkerGuard,
}

/// Starts logging to standard output, for the whole process. Lines queue in memory while the reader of the output is slow; past
/// the queue's bound they are dropped, so that no request ever waits for a log.
///
/// # Errors
/// When the process already logs.
pub fn start(settings: &Log) -> Result<LogGuard, Box<dyn std::error::Error + Send + Sync>> {
    let (writer, worker) = NonBlocking::new(std::io::stdout());
    let json = match settings.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stdout().is_terminal(),
    };
    let filter = EnvFilter::try_new(&settings.filter)?;
    subscribe(writer, filter, json)?;
    Ok(LogGuard { _worker: worker })
}

fn subscribe<W>(
    writer: W,
    filter: EnvFilter,
    json: bool,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    if json {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        builder.with_ansi(std::io::stdout().is_terminal()).try_init()
    }
}
