//! `[reload]`

use std::time::Duration;

use crate::config::read::KeyReader;

#[derive(Clone, Debug)]
pub(crate) struct Reload {
    /// Interval at which the config file and the TLS files are checked for changes.
    pub(crate) poll_interval: Duration,
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Reload> {
    let poll_interval = keys.on_reload("reload.poll_interval").duration(Duration::from_millis(100));
    Some(Reload { poll_interval: poll_interval? })
}
