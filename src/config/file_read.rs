//! Reads the files of the configuration.
//!
//! At start any readable path will do, such as a pipe of the shell. While the proxy runs, [`FileThread`](super::FileThread) reads them
//! again and again: then only a regular file is read, because a FIFO without a writer would hold the thread for ever, and a device may
//! have no end. A thread that hangs in a mount cannot be ended; what it reads is kept, so that the log can name it.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::OFlags;

/// The file that a thread reads at the moment. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct CurrentFile(Arc<Mutex<PathBuf>>);

thread_local! {
    static CURRENT: RefCell<Option<CurrentFile>> = const { RefCell::new(None) };
}

impl CurrentFile {
    /// Makes this thread one that reads regular files alone, and keeps here which one it reads.
    pub(super) fn follow(&self) {
        CURRENT.with_borrow_mut(|current| *current = Some(self.clone()));
    }

    /// Empty before the first file.
    pub(super) fn path(&self) -> PathBuf {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The content of a file.
///
/// # Errors
/// That of the operating system; on a thread that [follows](CurrentFile::follow), also that the file is not a regular one.
pub(super) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let is_followed = CURRENT.with_borrow(|current| {
        if let Some(CurrentFile(now)) = current {
            path.clone_into(&mut now.lock().unwrap_or_else(PoisonError::into_inner));
        }
        current.is_some()
    });
    if !is_followed {
        return std::fs::read(path);
    }
    let mut content = Vec::new();
    open_regular(path)?.read_to_end(&mut content)?;
    Ok(content)
}

/// As [`bytes()`], for a file of text.
///
/// # Errors
/// As [`bytes()`], or that it is not UTF-8.
pub(super) fn text(path: &Path) -> io::Result<String> {
    String::from_utf8(bytes(path)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

fn open_regular(path: &Path) -> io::Result<File> {
    // Without O_NONBLOCK, open(2) of a FIFO waits for a writer. It means nothing for a regular file.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    // After it is open: what is at the path may change.
    match file.metadata()? {
        found if found.is_file() => Ok(file),
        found if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::other(format!(
            "{} is a pipe, a socket or a device, not a regular file",
            path.display()
        ))),
    }
}
