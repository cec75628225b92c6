//! What a process runs with: its config and modes, for its heartbeats.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What a process runs with, for its heartbeats.
#[derive(Clone, Debug)]
pub(super) struct RunsWith {
    pub(super) config: String,
    pub(super) modes: String,
    pub(super) modes_since: Instant,
}

/// Clones share it. `None` before the config is known, and in a command.
#[derive(Clone, Default)]
pub(super) struct RunsWithCell(Arc<Mutex<Option<RunsWith>>>);

impl RunsWithCell {
    pub(super) fn get(&self) -> Option<RunsWith> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, config: &str, modes: &str) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = running.as_ref().filter(|before| before.modes == modes).map(|before| before.modes_since);
        let modes_since = since.unwrap_or_else(Instant::now);
        *running = Some(RunsWith { config: config.to_owned(), modes: modes.to_owned(), modes_since });
    }
}
