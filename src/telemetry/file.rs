//! A log file with rotation by size. Write errors are logged, at most once a minute, and not returned: the writer could not handle them.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use file_rotate::compression::Compression;
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate};

/// The current file `name` and the rotated ones `name.1`, `name.2`, …
pub(super) struct RotatingFile {
    path: PathBuf,
    files: FileRotate<AppendCount>,
    reported: Option<Instant>,
}

const REPORT_INTERVAL: Duration = Duration::from_secs(60);

impl RotatingFile {
    /// Opens or creates `path`. It is rotated at `max` bytes; `keep` rotated files are kept.
    ///
    /// # Errors
    /// If the file cannot be opened for writing.
    pub(super) fn open(path: &Path, max: usize, keep: usize) -> io::Result<Self> {
        // file-rotate does not report that it cannot open the file.
        OpenOptions::new().append(true).create(true).open(path)?;
        let (suffix, limit) = (AppendCount::new(keep), ContentLimit::BytesSurpassed(max));
        let files = FileRotate::new(path, suffix, limit, Compression::None, None);
        Ok(Self { path: path.to_owned(), files, reported: None })
    }

    fn report(&mut self, result: io::Result<()>) {
        let Err(error) = result else { return };
        if self.reported.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL) {
            self.reported = Some(Instant::now());
            tracing::error!(target: "log", path = %self.path.display(), %error, "log lines lost: the file cannot be written");
        }
    }
}

impl Write for RotatingFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        // file-rotate panics if the directory no longer exists.
        let files = AssertUnwindSafe(&mut self.files);
        let written = catch_unwind(|| {
            let files = files;
            files.0.write_all(lines)
        });
        self.report(written.unwrap_or_else(|_| Err(io::Error::other("the directory no longer exists"))));
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.files.flush();
        self.report(flushed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_rotate_at_the_size_and_at_line_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shadow.jsonl");
        let mut file = RotatingFile::open(&path, 30, 2).unwrap();
        for number in 0..10 {
            file.write_all(format!("line number {number}\n").as_bytes()).unwrap();
        }
        file.flush().unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 3, "the current file and two rotated ones");
        let all = read("shadow.jsonl.2") + &read("shadow.jsonl.1") + &read("shadow.jsonl");
        assert!(all.ends_with("line number 8\nline number 9\n"), "{all}");
        assert!(all.lines().all(|line| line.starts_with("line number ")), "{all}");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error() {
        assert!(RotatingFile::open(Path::new("/nowhere/at/all"), 30, 2).is_err());
    }
}
