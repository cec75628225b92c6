//! A file that a command writes. It is opened before the command acts, so that a place that cannot be written, or that must not be, is
//! refused while nothing has happened yet. Every option that names such a file goes through here.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::exit::{FAILED, USAGE};
use super::kept_files::KeptFiles;
use super::output::complain;

/// Bytes of a file that are looked at to know what it is.
const HEAD: u64 = 64 * 1024;

/// Why there is no such file to write to: the exit code, and a message that names the option and the file.
pub(super) struct OutFileRefusal {
    code: u8,
    message: String,
}

impl OutFileRefusal {
    fn new(code: u8, flag: &str, path: &Path, why: impl std::fmt::Display) -> Self {
        Self { code, message: format!("{flag}: {}: {why}", path.display()) }
    }

    /// Prints the message and returns the exit code.
    pub(super) fn complain(&self) -> u8 {
        complain(&self.message);
        self.code
    }
}

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
    /// When it is one of the kept files, or cannot be written.
    pub(super) fn open(flag: &'static str, path: PathBuf, kept: &KeptFiles) -> Result<Self, OutFileRefusal> {
        refuse_kept(flag, &path, kept)?;
        let opened = match File::options().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                File::options().write(true).open(&path).map(|file| (file, false))
            }
            made => made.map(|file| (file, true)),
        };
        let (file, is_unused) = opened.map_err(|error| OutFileRefusal::new(FAILED, flag, &path, error))?;
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
        written.map_err(|error| OutFileRefusal::new(FAILED, self.flag, &self.path, error).message)
    }
}

impl Drop for OutFile {
    fn drop(&mut self) {
        if self.is_unused {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Refuses a file that must stay as it is.
///
/// # Errors
/// When it is one of the kept files.
pub(super) fn refuse_kept(flag: &str, path: &Path, kept: &KeptFiles) -> Result<(), OutFileRefusal> {
    match kept.holds(path) {
        Some(what) => {
            Err(OutFileRefusal::new(USAGE, flag, path, format!("is {what}, and must stay as it is")))
        }
        None => Ok(()),
    }
}

/// Opens the file that a flag names to append to it. What is there must be lines of the same kind, or nothing.
///
/// # Errors
/// When it is one of the kept files, holds something else, or cannot be written.
pub(super) fn append(
    flag: &'static str,
    path: &Path,
    kept: &KeptFiles,
    is_line: impl Fn(&str) -> bool,
) -> Result<File, OutFileRefusal> {
    refuse_kept(flag, path, kept)?;
    let file = File::options().read(true).append(true).create(true).open(path);
    let mut file = file.map_err(|error| OutFileRefusal::new(FAILED, flag, path, error))?;
    let mut head = Vec::new();
    if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        let read = (&mut file).take(HEAD).read_to_end(&mut head);
        read.map_err(|error| OutFileRefusal::new(FAILED, flag, path, error))?;
    }
    let first = head.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_one = |line: &str| line.strip_suffix('\n').is_some_and(&is_line);
    if first.is_empty() || std::str::from_utf8(first).is_ok_and(is_one) {
        return Ok(file);
    }
    Err(OutFileRefusal::new(
        USAGE,
        flag,
        path,
        "holds something else than such lines, and nothing is appended to it",
    ))
}
