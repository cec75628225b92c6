//! Writes whole lines to a stream, and knows after an error how many of them are lost.

use std::io::{self, ErrorKind, Write};
use std::thread;
use std::time::Duration;

/// Pause before a stream that does not block is asked again.
const RETRY_AFTER: Duration = Duration::from_millis(5);

/// Where a queue's lines go.
pub(super) trait Output: Send {
    /// Writes whole lines. What was not written before an error is lost.
    fn write_lines(&mut self, lines: &[u8]) -> Result<(), WriteFailed>;

    /// Follows the path if it leads to another file now.
    fn follow(&mut self);
}

#[derive(Debug)]
pub(super) struct WriteFailed {
    pub(super) error: io::Error,
    pub(super) lines_lost: u64,
}

impl WriteFailed {
    pub(super) fn of(error: io::Error, lost: &[u8]) -> Self {
        Self { error, lines_lost: lines(lost) }
    }
}

/// A stream that cannot be opened again.
pub(super) struct Stream<W> {
    out: LineWriter,
    stream: W,
}

impl<W: Write + Send> Stream<W> {
    pub(super) fn new(stream: W) -> Self {
        Self { out: LineWriter::default(), stream }
    }
}

impl<W: Write + Send> Output for Stream<W> {
    fn write_lines(&mut self, lines: &[u8]) -> Result<(), WriteFailed> {
        self.out.write(&mut self.stream, lines)
    }

    fn follow(&mut self) {}
}

/// Remembers whether the last line is torn, so that the next one does not continue it.
#[derive(Debug, Default)]
pub(super) struct LineWriter {
    torn: bool,
}

impl LineWriter {
    /// For a stream that ends in the middle of a line, or not.
    pub(super) const fn after(torn: bool) -> Self {
        Self { torn }
    }

    pub(super) fn write(&mut self, out: &mut impl Write, lines: &[u8]) -> Result<(), WriteFailed> {
        if self.torn {
            write_all(out, b"\n").map_err(|(error, _)| WriteFailed::of(error, lines))?;
            self.torn = false;
        }
        write_all(out, lines).and_then(|()| out.flush().map_err(|error| (error, lines.len()))).map_err(
            |(error, written)| {
                let (begun, lost) = lines.split_at(written);
                // What was written of the torn line stays; the next write begins with a line break, so that only this one is lost.
                self.torn = begun.last().is_some_and(|last| *last != b'\n');
                WriteFailed::of(error, lost)
            },
        )
    }
}

/// As [`Write::write_all`]; an error comes with the number of bytes that were written before it.
fn write_all(out: &mut impl Write, bytes: &[u8]) -> Result<(), (io::Error, usize)> {
    let mut written = 0;
    while written < bytes.len() {
        match out.write(&bytes[written..]) {
            Ok(0) => return Err((ErrorKind::WriteZero.into(), written)),
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY_AFTER),
            Err(error) => return Err((error, written)),
        }
    }
    Ok(())
}

fn lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
