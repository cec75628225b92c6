//! Reads the files that are watched, on a thread of their own: one on a mount that hangs holds up nothing else.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::layers::Digest256;

/// How long a read may take.
const READ_MAX: Duration = Duration::from_secs(5);

/// Runs one read at a time; holds one that hangs. It keeps its thread, so while it does no other begins. A thread of our own, because
/// the runtime would wait for one of its own before the process ends.
#[derive(Default)]
pub(crate) struct FileThread(Option<JoinHandle<()>>);

impl FileThread {
    /// The result of the read.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] if it takes too long, or an earlier one has not ended; that of the operating system if there is no
    /// thread for it.
    pub(crate) async fn read<T: Send + 'static>(
        &mut self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let overdue = || {
            io::Error::new(io::ErrorKind::TimedOut, "it, or a file that it names, was not read within 5 s")
        };
        // No second thread while one hangs: each poll would add another.
        if self.0.as_ref().is_some_and(|earlier| !earlier.is_finished()) {
            return Err(overdue());
        }
        let (done, result) = oneshot::channel();
        // Sending fails where the wait has timed out.
        let work = move || drop(done.send(read()));
        let thread = std::thread::Builder::new().name("files".into()).spawn(work)?;
        match timeout(READ_MAX, result).await {
            Ok(read) => read.map_err(|_| io::Error::other("the thread that read it panicked")),
            Err(_) => {
                self.0 = Some(thread);
                Err(overdue())
            }
        }
    }
}

/// What the files hold at one check.
pub(super) struct Contents {
    pub(super) watched: Vec<io::Result<Digest256>>,
    pub(super) config: io::Result<Digest256>,
    /// Of all files that the config names, readable or not.
    pub(super) named: Digest256,
}

impl Contents {
    /// Without a config file its content is always the same.
    pub(super) fn read(watched: &[PathBuf], config: Option<&Path>, named: &[PathBuf]) -> Self {
        let mut all = Sha256::new();
        for path in named {
            match digest(path) {
                Ok(content) => all.update(content),
                // An error is a content too: a file that appears or becomes readable is a change.
                Err(error) => all.update(error.to_string()),
            }
        }
        Self {
            watched: watched.iter().map(|path| digest(path)).collect(),
            config: config.map_or(Ok([0; 32]), digest),
            named: all.finalize().into(),
        }
    }
}

fn digest(path: &Path) -> io::Result<Digest256> {
    Ok(Sha256::digest(std::fs::read(path)?).into())
}

/// A file that is watched and not read here.
pub(super) struct WatchedFile {
    path: PathBuf,
    seen: Option<Digest256>,
    unreadable: bool,
}

impl WatchedFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, seen: None, unreadable: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the content changed. Logs once if it cannot be read.
    pub(super) fn changed(&mut self, content: io::Result<Digest256>) -> bool {
        match content {
            Ok(digest) => {
                self.unreadable = false;
                // The first check counts as a change: the file may have changed between its use at the start and now.
                self.seen.replace(digest) != Some(digest)
            }
            Err(error) => {
                if !self.unreadable {
                    let file = self.path.display();
                    tracing::warn!(target: "config", %file, %error, "watched file cannot be read, the last one stays");
                }
                self.unreadable = true;
                false
            }
        }
    }
}
