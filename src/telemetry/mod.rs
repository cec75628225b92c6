//! Telemetry of the process: log lines through `tracing`, as JSON or as text on a terminal; [`metrics`]; and spans, exported by [`traces`].

pub(crate) mod access;
mod access_line;
pub(crate) mod drift;
pub(crate) mod file;
pub(crate) mod format;
pub(crate) mod log_health;
pub(crate) mod metrics;
mod output;
mod queue;
pub(crate) mod sanitize;
pub(crate) mod spans;
pub mod traces;

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::path::Path;

use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::{Filter, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, registry};

use self::file::RotatingFile;
use self::log_health::LogHealth;
use self::output::Stream;
use self::queue::{Draining, Queue};
use self::traces::Collecting;
use crate::config::{Log, LogFormat};

type TelemetryError = Box<dyn std::error::Error + Send + Sync>;

/// Keeps the log running. Dropping it writes the lines that are still queued.
#[derive(Debug)]
pub struct LogGuard {
    lines: Queue,
    _draining: Draining,
}

impl LogGuard {
    /// A writer for whole lines, which are written among the log lines.
    #[must_use]
    pub(crate) fn lines(&self) -> Box<dyn Write + Send> {
        Box::new(self.lines.clone())
    }

    /// Whether lines are lost, and since when.
    #[must_use]
    pub(crate) fn health(&self) -> LogHealth {
        self.lines.health().clone()
    }
}

/// Keeps the writer of a file running. Dropping it writes the lines that are still queued.
#[derive(Debug)]
pub(crate) struct FileGuard {
    _draining: Draining,
}

/// The file of a [`FileGuard`].
#[derive(Clone, Debug)]
pub(crate) struct LogFile(Queue);

impl LogFile {
    /// Whether lines are lost, and since when.
    #[must_use]
    pub(crate) fn health(&self) -> LogHealth {
        self.0.health().clone()
    }

    /// Opens the path again if it leads to another file now. The writer also looks before every write.
    pub(crate) fn follow(&self) {
        self.0.follow();
    }

    /// A writer for whole lines. Writing never blocks: lines that do not fit in the queue are dropped and counted.
    #[must_use]
    pub(crate) fn lines(&self) -> Box<dyn Write + Send> {
        Box::new(self.0.clone())
    }
}

/// Opens a file for lines, rotated at `max` bytes with `keep` rotated files.
///
/// # Errors
/// If the file cannot be opened.
pub(crate) fn lines_to_file(path: &Path, max: usize, keep: usize) -> io::Result<(LogFile, FileGuard)> {
    let health = LogHealth::new(path.display().to_string());
    let (queue, draining) = Queue::start(RotatingFile::open(path, max, keep)?, health)?;
    Ok((LogFile(queue), FileGuard { _draining: draining }))
}

/// Starts logging to standard output for the whole process, and exporting spans if `collecting` is given.
///
/// # Errors
/// If the filter is invalid, or logging was started before.
pub(crate) fn start(settings: &Log, collecting: Option<&Collecting>) -> Result<LogGuard, TelemetryError> {
    let terminal = io::stdout().is_terminal();
    // The handle of the standard library buffers: after an error it would not be known which lines were written.
    match io::stdout().as_fd().try_clone_to_owned() {
        Ok(out) => start_to(settings, collecting, File::from(out), terminal),
        Err(_) => start_to(settings, collecting, io::stdout(), terminal),
    }
}

/// Starts logging to `out`. Lines are queued in memory while its reader is slow, and dropped if the queue is full, so that no request waits
/// for the log.
///
/// # Errors
/// If the filter is invalid, or logging was started before.
pub fn start_to(
    settings: &Log,
    collecting: Option<&Collecting>,
    out: impl Write + Send + 'static,
    terminal: bool,
) -> Result<LogGuard, TelemetryError> {
    let (writer, draining) = Queue::start(Stream::new(out), LogHealth::new("standard output"))?;
    let json = match settings.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        // JSON unless a person reads it.
        LogFormat::Auto => !terminal,
    };
    let filter = filter(&settings.filter)?;
    let lines = writer.clone();
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    let log = if json {
        layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_filter(filter)
            .boxed()
    } else {
        layer.with_ansi(terminal).with_filter(filter).boxed()
    };
    // A `None` layer would count as interested in every span, and spans would be created while nothing exports them.
    let layers: Vec<_> = collecting.map(Collecting::layer).into_iter().chain([log]).collect();
    registry().with(layers).try_init()?;
    if json {
        access_line::write_to(lines.clone());
    }
    Ok(LogGuard { lines, _draining: draining })
}

/// The log filter. It excludes spans whatever `settings` says, so that they are not created while nothing exports them.
fn filter(settings: &str) -> Result<impl Filter<Registry> + Send + Sync + 'static, TelemetryError> {
    Ok(EnvFilter::try_new(settings)?.and(filter_fn(|metadata| metadata.target() != spans::TARGET)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_log_filter_creates_spans() {
        for settings in
            ["trace", "spans=trace", "info,spans=trace", "[request]=trace", "spans[request]=trace"]
        {
            let lines = tracing_subscriber::fmt::layer().with_writer(io::sink);
            let log = lines.with_filter(filter(settings).unwrap());
            tracing::subscriber::with_default(registry().with(log), || {
                let all = spans::Sampling { ratio: 1.0, continues: true };
                let span = spans::request(&http::Request::new(()), "an-id", all);
                assert!(span.is_disabled(), "{settings}");
            });
        }
    }
}
