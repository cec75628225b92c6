//! `[server]`

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::config::read::KeyReader;

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// Time for requests in flight to finish after SIGTERM.
    pub(crate) drain_deadline: Duration,
    /// Worker threads. A configured 0 is already replaced by the number of cores.
    pub threads: NonZeroUsize,
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Server> {
    let drain_deadline = keys.on_restart("server.drain_deadline").duration(Duration::ZERO);
    let threads = keys.on_restart("server.threads").number(0..=1024_usize);
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Some(Server {
        drain_deadline: drain_deadline?,
        threads: NonZeroUsize::new(threads?).unwrap_or_else(cores),
    })
}
