//! What the last commit left in SQLite's write-ahead log: enough to know it again, behind whatever others wrote after it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// As <https://sqlite.org/fileformat2.html#the_write_ahead_log> says.
const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// The header of the log, with salts that are new whenever the log begins anew, and that of the last committed frame, whose checksum
/// covers every frame before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct LogEnd {
    frames: u64,
    header: [u8; HEADER],
    last: [u8; FRAME_HEADER],
}

impl LogEnd {
    /// Of a log with so many committed frames; `None` if it has none.
    ///
    /// The log may be opened and closed at any time: SQLite's locks are on the other two files.
    ///
    /// # Errors
    /// Those of the operating system; [`ErrorKind::UnexpectedEof`] if the log is shorter.
    pub(super) fn read(log: &Path, frames: u64) -> io::Result<Option<Self>> {
        let Some(before) = frames.checked_sub(1) else { return Ok(None) };
        let (mut header, mut last) = ([0; HEADER], [0; FRAME_HEADER]);
        let file = File::open(log)?;
        file.read_exact_at(&mut header, 0)?;
        let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = header;
        // Bytes 8 to 11 of the header hold the page size; a frame is its header and one page.
        let page = u64::from(u32::from_be_bytes([a, b, c, d]));
        file.read_exact_at(&mut last, HEADER as u64 + before * (FRAME_HEADER as u64 + page))?;
        Ok(Some(Self { frames, header, last }))
    }

    /// Whether the log still has it.
    ///
    /// # Errors
    /// Those of the operating system, which say nothing about the log.
    pub(super) fn is_in(&self, log: &Path) -> io::Result<bool> {
        match Self::read(log, self.frames) {
            Ok(found) => Ok(found.as_ref() == Some(self)),
            Err(error) if Self::is_missing(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the error says that the log ends before it, or is gone.
    pub(super) fn is_missing(error: &io::Error) -> bool {
        matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::NotFound)
    }
}
