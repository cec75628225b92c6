//! A file that a command writes at its end. It is opened before the command acts, so that a place that cannot be written is refused while
//! nothing has happened yet.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

/// What is in the file stays until there is something to put in its place.
pub(super) struct OutFile {
    flag: &'static str,
    path: PathBuf,
    file: File,
    /// Made by this command, and still empty.
    is_unused: bool,
}

impl OutFile {
    /// Opens the file that a flag names.
    ///
    /// # Errors
    /// The message, with flag and path.
    pub(super) fn open(flag: &'static str, path: PathBuf) -> Result<Self, String> {
        let opened = match File::options().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                File::options().write(true).open(&path).map(|file| (file, false))
            }
            made => made.map(|file| (file, true)),
        };
        let (file, is_unused) = opened.map_err(|error| message(flag, &path, &error))?;
        Ok(Self { flag, path, file, is_unused })
    }

    /// Puts a text in place of what is there.
    ///
    /// # Errors
    /// The message, with flag and path.
    pub(super) fn write(mut self, text: &str) -> Result<(), String> {
        self.is_unused = false;
        let is_regular = self.file.metadata().is_ok_and(|metadata| metadata.is_file());
        let emptied = if is_regular { self.file.set_len(0) } else { Ok(()) };
        let written = emptied.and_then(|()| self.file.write_all(text.as_bytes()));
        written.map_err(|error| message(self.flag, &self.path, &error))
    }
}

impl Drop for OutFile {
    fn drop(&mut self) {
        if self.is_unused {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Names the flag and the file.
pub(super) fn message(flag: &str, path: &std::path::Path, error: &std::io::Error) -> String {
    format!("{flag}: {}: {error}", path.display())
}
