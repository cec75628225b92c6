//! A file that is put aside when it has grown to its size. What goes wrong with it is told in the log, not more than once a
//! minute: whoever writes to it could do nothing about it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use file_rotate::compression::Compression;
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate};

/// The file and those put aside: `name`, `name.1`, `name.2`, …
pub(super) struct Rotated {
    path: PathBuf,
    files: FileRotate<AppendCount>,
    told: Option<Instant>,
}

const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(60);

impl Rotated {
    /// Opens `path`, or makes it.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub(super) fn open(path: &Path, max: usize, keep: usize) -> io::Result<Self> {
        // The library would not say.
        OpenOptions::new().append(true).create(true).open(path)?;
        let (suffix, limit) = (AppendCount::new(keep), ContentLimit::BytesSurpassed(max));
        let files = FileRotate::new(path, suffix, limit, Compression::None, None);
        Ok(Self { path: path.to_owned(), files, told: None })
    }

    fn tell(&mut self, result: io::Result<()>) {
        let Err(error) = result else { return };
        if self.told.is_none_or(|told| told.elapsed() >= BETWEEN_COMPLAINTS) {
            self.told = Some(Instant::now());
            tracing::error!(target: "log", path = %self.path.display(), %error, "lines were lost: the file cannot be written");
        }
    }
}

impl Write for Rotated {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        // The library panics when the folder has gone.
        let files = AssertUnwindSafe(&mut self.files);
        let written = catch_unwind(|| {
            let files = files;
            files.0.write_all(lines)
        });
        self.tell(written.unwrap_or_else(|_| Err(io::Error::other("its folder is gone"))));
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.files.flush();
        self.tell(flushed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_go_into_files_of_about_the_size_and_so_many_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shadow.jsonl");
        let mut file = Rotated::open(&path, 30, 2).unwrap();
        for number in 0..10 {
            file.write_all(format!("line number {number}\n").as_bytes()).unwrap();
        }
        file.flush().unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 3, "one and two put aside");
        let all = read("shadow.jsonl.2") + &read("shadow.jsonl.1") + &read("shadow.jsonl");
        assert!(all.ends_with("line number 8\nline number 9\n"), "{all}");
        assert!(all.lines().all(|line| line.starts_with("line number ")), "{all}");
    }

    #[test]
    fn a_file_that_cannot_be_is_an_error_at_once() {
        assert!(Rotated::open(Path::new("/nowhere/at/all"), 30, 2).is_err());
    }
}
