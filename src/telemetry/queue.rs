//! A bounded queue between requests and the log's output. No request waits for it.
//!
//! A thread writes the queued lines together every few milliseconds. Own code, because libraries that hand over line by line keep a thread
//! spinning between lines: measured, that was a sixth of the proxy's CPU time.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Capacity in bytes. Lines that do not fit are dropped and counted.
const QUEUE_MAX: usize = 16 * 1024 * 1024;
const WRITE_INTERVAL: Duration = Duration::from_millis(5);
/// How long the drop of [`Draining`] waits for the last lines.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The writing end. Clones share the queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue(Arc<QueueState>);

#[derive(Debug, Default)]
struct QueueState {
    queued: Mutex<Queued>,
    arrived: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Queued {
    lines: Vec<u8>,
    closed: bool,
}

/// Dropping it writes the lines that are still queued.
#[derive(Debug)]
pub(super) struct Draining {
    queue: Queue,
    thread: JoinHandle<()>,
}

impl Queue {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Self, Draining)> {
        let queue = Self::default();
        let ours = queue.clone();
        let thread = thread::Builder::new().name("shim-log".into()).spawn(move || ours.drain(out))?;
        Ok((queue.clone(), Draining { queue, thread }))
    }

    fn lock(&self) -> MutexGuard<'_, Queued> {
        self.0.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drain(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        loop {
            let mut queued = self.lock();
            while queued.lines.is_empty() && !queued.closed {
                queued = self.0.arrived.wait(queued).unwrap_or_else(PoisonError::into_inner);
            }
            let closed = queued.closed;
            std::mem::swap(&mut queued.lines, &mut lines);
            drop(queued);
            // There is no place left to report that the log cannot be written.
            let _ =
                out.write_all(&lines).and_then(|()| self.report_dropped(&mut out)).and_then(|()| out.flush());
            lines.clear();
            if closed {
                return;
            }
            thread::sleep(WRITE_INTERVAL);
        }
    }

    fn report_dropped(&self, out: &mut impl Write) -> io::Result<()> {
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
        let mut queued = self.lock();
        if queued.lines.len() + line.len() > QUEUE_MAX {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        let wake = queued.lines.is_empty();
        queued.lines.extend_from_slice(line);
        drop(queued);
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
        // A blocked output must not prevent the process from exiting.
        for _ in 0..DRAIN_TIMEOUT.as_millis() / WRITE_INTERVAL.as_millis() {
            if self.thread.is_finished() {
                return;
            }
            thread::sleep(WRITE_INTERVAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Blocks the first write until it is released, and keeps all bytes.
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
    fn a_blocked_output_delays_no_writer_and_dropped_lines_are_counted() {
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
        assert!(String::from_utf8_lossy(&written).contains(&dropped), "{dropped} is not reported");
    }

    #[test]
    fn queued_lines_are_written_at_the_end() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut queue, draining) = Queue::start(Stuck { go: None, written: written.clone() }).unwrap();
        queue.write_all(b"last words\n").unwrap();
        drop(draining);
        assert_eq!(*written.lock().unwrap(), b"last words\n");
    }
}
