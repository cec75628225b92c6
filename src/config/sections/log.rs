//! `[log]`

use tracing_subscriber::EnvFilter;

use crate::config::read::KeyReader;

/// `[log]`
#[derive(Clone, Debug)]
pub struct Log {
    /// Format of a log line.
    pub(crate) format: LogFormat,
    /// Valid `EnvFilter` directives.
    pub(crate) filter: String,
}

/// Format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object per line.
    Json,
    Text,
}

impl LogFormat {
    const ALL: [Self; 3] = [Self::Auto, Self::Json, Self::Text];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Log> {
    let format = keys.on_restart("log.format").choice(LogFormat::ALL, LogFormat::as_str);
    let filter = keys.on_restart("log.filter").parsed(|text| match EnvFilter::builder().parse(text) {
        Ok(_) if text.trim().is_empty() => Err("is empty; \"off\" turns logs off".into()),
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("is not a log filter: {error}")),
    });
    Some(Log { format: format?, filter: filter? })
}
