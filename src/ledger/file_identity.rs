//! Whether the open SQLite file is still the one that its path leads to. A file that was removed or replaced under a running process
//! takes every write and keeps none of them: at the next start its claims are gone.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::LedgerError;

/// What tells a file from any other: device, inode and, where the file system keeps it, the time of its birth, because an inode may be
/// used again.
type Identity = (u64, u64, Option<std::time::SystemTime>);

/// The database file and its write-ahead log, as they were when they were opened. Clones share what they found.
///
/// It only looks at the paths: to open the file once more and close it again would give up every lock that SQLite holds on it.
#[derive(Clone)]
pub(super) struct SameFile(Arc<OpenedFile>);

struct OpenedFile {
    path: PathBuf,
    log: PathBuf,
    identity: Identity,
    /// `None` until the open connection has written: SQLite makes the log then.
    log_identity: Mutex<Option<Identity>>,
    lost: AtomicBool,
}

impl SameFile {
    /// Of a file that has just been opened.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let (identity, log_identity) = (identity(&fs::metadata(path)?), Mutex::new(None));
        let (path, lost) = (path.to_path_buf(), AtomicBool::new(false));
        Ok(Self(Arc::new(OpenedFile { path, log: log.into(), identity, log_identity, lost })))
    }

    /// Fails once the path led elsewhere, and from then on: what was written meanwhile may be lost, whatever the path leads to now.
    ///
    /// # Errors
    /// [`LedgerError::Replaced`]; [`LedgerError::Unavailable`] while nobody can look.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        let kept = &*self.0;
        // Held while looking, so that the log does not go by right in between.
        let log = kept.log_identity.lock().unwrap_or_else(PoisonError::into_inner);
        let same = leads_to(&kept.path, Some(kept.identity))? && leads_to(&kept.log, *log)?;
        drop(log);
        if !same {
            kept.lost.store(true, Ordering::Relaxed);
        }
        if kept.lost.load(Ordering::Relaxed) { Err(LedgerError::Replaced) } else { Ok(()) }
    }

    /// As [`Self::check`], right after a commit: the log is there now, and must stay the one that it is.
    ///
    /// # Errors
    /// [`LedgerError::Replaced`]: what was committed will not be found again.
    pub(super) fn check_written(&self) -> Result<(), LedgerError> {
        self.check()?;
        let mut log = self.0.log_identity.lock().unwrap_or_else(PoisonError::into_inner);
        if log.is_none() {
            *log = fs::metadata(&self.0.log).ok().as_ref().map(identity);
        }
        Ok(())
    }

    /// The connection that writes is about to be closed, and SQLite may remove the log with it.
    pub(super) fn log_may_go(&self) {
        *self.0.log_identity.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Whether the path leads to that file; to any, while none is known.
fn leads_to(path: &Path, known: Option<Identity>) -> Result<bool, LedgerError> {
    let Some(known) = known else { return Ok(true) };
    match fs::metadata(path) {
        Ok(metadata) => Ok(identity(&metadata) == known),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(LedgerError::from(sqlx::Error::Io(error))),
    }
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino(), metadata.created().ok())
}
