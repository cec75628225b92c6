//! A log file with rotation by size, which follows its path: a file that was moved, removed or emptied by another program (logrotate)
//! needs no restart, and neither does a disk that was full.
//!
//! Own code: file-rotate 0.8, which was used before, keeps a moved file open for good, reports neither a rotation that failed nor a file
//! that it could not open, and then drops every line in silence.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::output::{LineWriter, Output, WriteFailed};

/// The current file `name` and the rotated ones `name.1`, `name.2`, …
pub(super) struct RotatingFile {
    path: PathBuf,
    max: u64,
    keep: usize,
    /// `None` while it cannot be opened.
    current: Option<OpenFile>,
    /// Whether the last rotation failed, so that it is logged once.
    rotation_failed: bool,
}

struct OpenFile {
    /// Appends, so that a file that was emptied (copytruncate) is written from its beginning.
    file: File,
    lines: LineWriter,
}

impl RotatingFile {
    /// Opens or creates `path`. It is rotated once it has `max` bytes; `keep` rotated files are kept.
    ///
    /// # Errors
    /// If the file cannot be opened for writing.
    pub(super) fn open(path: &Path, max: usize, keep: usize) -> io::Result<Self> {
        let current = Some(OpenFile::at(path)?);
        Ok(Self { path: path.to_owned(), max: max as u64, keep, current, rotation_failed: false })
    }

    /// The file that the path leads to.
    fn current(&mut self) -> io::Result<&mut OpenFile> {
        if !self.current.as_ref().is_some_and(|open| open.is_at(&self.path)) {
            match OpenFile::at(&self.path) {
                Ok(open) => self.current = Some(open),
                // A file that was moved keeps the lines until another one can be opened; one that was removed would lose them.
                Err(error) if self.current.as_ref().is_none_or(OpenFile::is_removed) => {
                    self.current = None;
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        self.current.as_mut().ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// The file for the next lines, rotated if it is full, and the bytes that it has room for.
    fn with_room(&mut self) -> io::Result<(&mut OpenFile, u64)> {
        let (max, length) = (self.max, self.current()?.length());
        if length < max {
            return Ok((self.current()?, max - length));
        }
        let rotated = self.rotate();
        if let Err(error) = &rotated
            && !self.rotation_failed
        {
            let path = self.path.display();
            tracing::error!(target: "log", %path, %error, "the log file cannot be rotated; it grows");
        }
        self.rotation_failed = rotated.is_err();
        // No room: one more line is written, and the rotation is tried again with the next.
        let room = if rotated.is_ok() { max } else { 0 };
        Ok((self.current()?, room))
    }

    fn rotate(&mut self) -> io::Result<()> {
        let mut beyond = self.keep + 1;
        // More than one, if `keep` was larger at an earlier start.
        while fs::remove_file(self.rotated(beyond)).is_ok() {
            beyond += 1;
        }
        // The oldest first, so that no rename overwrites a file that is still to be moved.
        for number in (1..self.keep).rev() {
            absent_is_fine(fs::rename(self.rotated(number), self.rotated(number + 1)))?;
        }
        match self.keep {
            0 => fs::remove_file(&self.path)?,
            _ => fs::rename(&self.path, self.rotated(1))?,
        }
        self.current().map(drop)
    }

    fn rotated(&self, number: usize) -> PathBuf {
        rotated(&self.path, number)
    }
}

/// Where a file is kept after it was rotated so many times.
pub(crate) fn rotated(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

impl Output for RotatingFile {
    fn write_lines(&mut self, lines: &[u8]) -> Result<(), WriteFailed> {
        let mut left = lines;
        while !left.is_empty() {
            let (open, room) = self.with_room().map_err(|error| WriteFailed::of(error, left))?;
            let (now, later) = left.split_at(end_of_line(left, room));
            open.lines.write(&mut open.file, now).map_err(|failed| {
                let behind = WriteFailed::of(failed.error, later);
                WriteFailed { lines_lost: failed.lines_lost + behind.lines_lost, ..behind }
            })?;
            left = later;
        }
        Ok(())
    }

    fn follow(&mut self) {
        // A failure is reported with the first line that it costs.
        let _ = self.current();
    }
}

impl OpenFile {
    fn at(path: &Path) -> io::Result<Self> {
        let mut file = File::options().append(true).create(true).read(true).open(path)?;
        let torn = ends_within_a_line(&mut file)?;
        Ok(Self { file, lines: LineWriter::after(torn) })
    }

    fn is_at(&self, path: &Path) -> bool {
        let identity = |found: Metadata| (found.dev(), found.ino());
        match (fs::metadata(path).map(identity), self.file.metadata().map(identity)) {
            (Ok(there), Ok(here)) => there == here,
            // Only a path that leads nowhere is known to have changed.
            (Err(error), _) => error.kind() != ErrorKind::NotFound,
            (Ok(_), Err(_)) => false,
        }
    }

    fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|found| found.nlink() == 0)
    }

    fn length(&self) -> u64 {
        // What is no file (a pipe, a terminal) is not rotated.
        self.file.metadata().map_or(0, |found| if found.is_file() { found.len() } else { 0 })
    }
}

/// Whether a process was killed in the middle of a line.
fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    let found = file.metadata()?;
    if !found.is_file() || found.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    Ok(file.read(&mut last)? == 1 && last != *b"\n")
}

/// The end of the first line with which `room` is used up, or of the last line.
fn end_of_line(lines: &[u8], room: u64) -> usize {
    let from = usize::try_from(room.saturating_sub(1)).unwrap_or(usize::MAX).min(lines.len());
    memchr::memchr(b'\n', &lines[from..]).map_or(lines.len(), |at| from + at + 1)
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(numbers: std::ops::Range<u32>) -> String {
        numbers.map(|number| format!("line number {number}\n")).collect()
    }

    #[test]
    fn files_rotate_at_the_size_and_at_line_ends() {
        for at_once in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("shadow.jsonl");
            let mut file = RotatingFile::open(&path, 30, 2).unwrap();
            if at_once {
                file.write_lines(numbered(0..10).as_bytes()).unwrap();
            } else {
                (0..10).for_each(|n| file.write_lines(numbered(n..n + 1).as_bytes()).unwrap());
            }
            let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
            let names = fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(names, 3, "the current file and two rotated ones");
            let all = read("shadow.jsonl.2") + &read("shadow.jsonl.1") + &read("shadow.jsonl");
            assert_eq!(all, numbered(3..10), "{at_once}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error() {
        assert!(RotatingFile::open(Path::new("/nowhere/at/all"), 30, 2).is_err());
    }

    #[test]
    fn a_rotation_that_fails_loses_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shadow.jsonl");
        let mut file = RotatingFile::open(&path, 30, 1).unwrap();
        // No file takes the place of a directory.
        fs::create_dir_all(folder.path().join("shadow.jsonl.1/full")).unwrap();
        file.write_lines(numbered(0..10).as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), numbered(0..10));
        fs::remove_dir_all(folder.path().join("shadow.jsonl.1")).unwrap();
        file.write_lines(numbered(10..11).as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), numbered(10..11));
    }

    #[test]
    fn a_torn_line_is_not_continued() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shadow.jsonl");
        fs::write(&path, "line number").unwrap();
        RotatingFile::open(&path, 100, 1).unwrap().write_lines(numbered(0..1).as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "line number\nline number 0\n");
    }
}
