//! The queue between requests and the reader of the log: no request waits for it, and it does not grow without bound.
//!
//! A thread takes what has gathered every few milliseconds and writes it at once. Libraries that hand over line by line keep a
//! thread spinning between lines: measured, that was a sixth of the proxy's CPU time.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait; past it lines are dropped and counted.
const WAITING_MAX: usize = 16 * 1024 * 1024;
/// How long lines gather before they are written together.
const GATHER: Duration = Duration::from_millis(5);
/// How long the end of the process waits for the last lines.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The requests' end. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue(Arc<QueueState>);

#[derive(Debug, Default)]
struct QueueState {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    closed: bool,
}

/// Writes out what still waits when it is dropped.
#[derive(Debug)]
pub(super) struct Draining {
    queue: Queue,
    thread: JoinHandle<()>,
}

impl Queue {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Self, Draining)> {
        let queue = Self::default();
        let ours = queue.clone();
        let thread = thread::Builder::new().name("shim-log".into()).spawn(move || ours.drain(out))?;
        Ok((queue.clone(), Draining { queue, thread }))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drain(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        loop {
            let mut waiting = self.lock();
            while waiting.lines.is_empty() && !waiting.closed {
                waiting = self.0.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            let closed = waiting.closed;
            std::mem::swap(&mut waiting.lines, &mut lines);
            drop(waiting);
            // Nobody could be told that the log cannot be written.
            let _ =
                out.write_all(&lines).and_then(|()| self.tell_dropped(&mut out)).and_then(|()| out.flush());
            lines.clear();
            if closed {
                return;
            }
            thread::sleep(GATHER);
        }
    }

    fn tell_dropped(&self, out: &mut impl Write) -> io::Result<()> {
        match self.0.dropped.swap(0, Ordering::Relaxed) {
            0 => Ok(()),
            dropped => {
                writeln!(
                    out,
                    r#"{{"level":"WARN","target":"log","message":"log lines were dropped","dropped":{dropped}}}"#
                )
            }
        }
    }
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.lock();
        if waiting.lines.len() + line.len() > WAITING_MAX {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        let wake = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        if wake {
            self.0.arrived.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.0.arrived.notify_one();
        // A reader that is stuck must not keep the process from ending.
        for _ in 0..LAST_WORDS.as_millis() / GATHER.as_millis() {
            if self.thread.is_finished() {
                return;
            }
            thread::sleep(GATHER);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Holds the first write until it is let go, and keeps all bytes.
    struct Stuck {
        go: Option<mpsc::Receiver<()>>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(go) = self.go.take() {
                go.recv().unwrap();
            }
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_reader_stops_nobody_and_what_did_not_fit_is_counted() {
        let (release, go) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut queue, draining) = Queue::start(Stuck { go: Some(go), written: written.clone() }).unwrap();
        let line = vec![b'x'; 1024 * 1024];
        for _ in 0..64 {
            queue.write_all(&line).unwrap();
        }
        release.send(()).unwrap();
        drop(draining);
        let written = written.lock().unwrap();
        let (lines, rest) = (written.iter().filter(|byte| **byte == b'x').count() >> 20, written.len());
        assert!((16..=33).contains(&lines), "{lines} lines of 64 went through");
        assert!(rest < 34 << 20);
        let dropped = format!(r#""dropped":{}}}"#, 64 - lines);
        assert!(String::from_utf8_lossy(&written).contains(&dropped), "{dropped} is not told");
    }

    #[test]
    fn what_waits_at_the_end_is_written() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut queue, draining) = Queue::start(Stuck { go: None, written: written.clone() }).unwrap();
        queue.write_all(b"last words\n").unwrap();
        drop(draining);
        assert_eq!(*written.lock().unwrap(), b"last words\n");
    }
}
