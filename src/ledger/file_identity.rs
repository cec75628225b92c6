//! Whether the open SQLite file is still the one that its path leads to, with the content that this process left in it. A file that
//! was removed, replaced or overwritten under a running process takes every write and keeps none of them: at the next start its
//! claims are gone.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::error::LedgerError;
use super::log_end::LogEnd;

/// What distinguishes a file from any other: device, inode and, where the file system keeps it, the time of its birth, because an
/// inode may be used again.
type FileIdentity = (u64, u64, Option<SystemTime>);

/// Changes whenever the file is written. A copy of an older state that keeps its time (`cp -p`) brings an older time with it. In WAL mode
/// only a checkpoint writes to the database file, and only this process makes checkpoints.
type Content = (Option<SystemTime>, u64);

/// The database file and its write-ahead log, as they were when they were opened. Clones share their state.
///
/// Of the database file it reads only metadata: opening and closing it again would release every lock that SQLite holds on it.
#[derive(Clone)]
pub(super) struct SameFile(Arc<OpenedFile>);

struct OpenedFile {
    path: PathBuf,
    log: PathBuf,
    identity: FileIdentity,
    known: Mutex<KnownState>,
    lost: AtomicBool,
}

#[derive(Clone, Copy, Default)]
struct KnownState {
    /// `None` while a checkpoint may be under way.
    content: Option<Content>,
    /// `None` until the open connection has written: SQLite makes the log then.
    log: Option<FileIdentity>,
    /// The log after the last commit. Others may have written to it since.
    log_content: Option<Content>,
    /// What the last commit left in the log; `None` if that is not known.
    log_end: Option<LogEnd>,
}

impl SameFile {
    /// Of a file that has just been opened.
    ///
    /// # Errors
    /// The metadata of the operating system.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let (identity, known) = (identity(&fs::metadata(path)?), Mutex::default());
        let (path, lost) = (path.to_path_buf(), AtomicBool::new(false));
        Ok(Self(Arc::new(OpenedFile { path, log: log.into(), identity, known, lost })))
    }

    /// Fails once the path led elsewhere or the file was written by another hand, and from then on: what was written meanwhile may be
    /// lost, whatever the path leads to now.
    ///
    /// # Errors
    /// [`LedgerError::Replaced`]; [`LedgerError::Unavailable`] while the paths cannot be read.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        let file = &*self.0;
        // Held during the check, so that neither log nor content changes in between.
        let known = self.known();
        let same =
            leads_to(&file.path, |found| {
                identity(found) == file.identity
                    // The content changes by checkpoints alone, which this process makes itself.
                    && known.content.is_none_or(|content| content == content_of(found))
            })? && known.log.map_or(Ok(true), |log| leads_to(&file.log, |found| identity(found) == log))?;
        drop(known);
        if !same {
            self.lose();
        }
        if file.lost.load(Ordering::Relaxed) { Err(LedgerError::Replaced) } else { Ok(()) }
    }

    /// As [`Self::check`], right after a commit: the log is there now, has what was committed, and must stay the one that it is. `frames` is
    /// how many of it are committed.
    ///
    /// # Errors
    /// [`LedgerError::Replaced`]: what was committed will not be found again. [`LedgerError::Unavailable`] if the log cannot be read.
    pub(super) fn check_written(&self, frames: u64) -> Result<(), LedgerError> {
        self.check()?;
        let end = LogEnd::read(&self.0.log, frames);
        // An older log was put in its place between the commit and now: SQLite makes a log no shorter while it is open.
        if end.as_ref().is_err_and(LogEnd::is_missing) {
            self.lose();
            return Err(LedgerError::Replaced);
        }
        let end = end.map_err(|error| LedgerError::from(sqlx::Error::Io(error)))?;
        let mut known = self.known();
        let log = fs::metadata(&self.0.log).ok();
        if known.log.is_none() {
            known.log = log.as_ref().map(identity);
        }
        known.log_content = log.as_ref().map(content_of);
        known.log_end = end;
        Ok(())
    }

    /// Whether anybody wrote to the log since this process's last commit.
    pub(super) fn log_changed(&self) -> bool {
        let known = self.known().log_content;
        known.is_some_and(|known| fs::metadata(&self.0.log).ok().as_ref().map(content_of) != Some(known))
    }

    /// Whether the log still has what this process's last commit left in it. Frames that others wrote behind it, and did not commit or
    /// have not yet, change nothing about that.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] if the log cannot be read.
    pub(super) fn keeps_last_commit(&self) -> Result<bool, LedgerError> {
        let end = self.known().log_end;
        end.map_or(Ok(true), |end| end.is_in(&self.0.log))
            .map_err(|error| LedgerError::from(sqlx::Error::Io(error)))
    }

    /// Marks the file as replaced, for good.
    pub(super) fn lose(&self) {
        if !self.0.lost.swap(true, Ordering::Relaxed) {
            // Best effort: the disk may be the reason. The next start holds creates for it.
            let _ = fs::write(
                lost_marker(&self.0.path),
                "the ledger file was replaced or overwritten under a running process\n",
            );
        }
    }

    /// A checkpoint of this process begins: it writes to the file.
    pub(super) fn checkpoint_begins(&self) {
        self.known().content = None;
    }

    /// No checkpoint is under way.
    pub(super) fn checkpoint_ends(&self) {
        let mut known = self.known();
        known.content = fs::metadata(&self.0.path).ok().as_ref().map(content_of);
    }

    /// The connection that writes is about to be closed: SQLite may make a checkpoint and remove the log.
    pub(super) fn closing(&self) {
        *self.known() = KnownState::default();
    }

    fn known(&self) -> MutexGuard<'_, KnownState> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file whose existence says that a process found its ledger replaced.
pub(super) fn lost_marker(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".replaced");
    name.into()
}

/// Whether the path leads to a file of that description.
fn leads_to(path: &Path, fits: impl FnOnce(&Metadata) -> bool) -> Result<bool, LedgerError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(fits(&metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(LedgerError::from(sqlx::Error::Io(error))),
    }
}

fn content_of(metadata: &Metadata) -> Content {
    (metadata.modified().ok(), metadata.len())
}

fn identity(metadata: &Metadata) -> FileIdentity {
    (metadata.dev(), metadata.ino(), metadata.created().ok())
}
