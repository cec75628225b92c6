//! A bounded queue between requests and the log's output. No request waits for it.
//!
//! A thread writes the queued lines together every few milliseconds. Own code, because libraries that hand over line by line keep a thread
//! spinning between lines: measured, that was a sixth of the proxy's CPU time.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use super::log_health::LogHealth;
use super::output::Output;

/// Capacity in bytes. Lines that do not fit are dropped and counted.
const QUEUE_MAX: usize = 16 * 1024 * 1024;
const WRITE_INTERVAL: Duration = Duration::from_millis(5);
/// How long the drop of [`Draining`] waits for the last lines.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The writing end. Clones share the queue.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<QueueState>);

#[derive(Debug)]
struct QueueState {
    queued: Mutex<Queued>,
    arrived: Condvar,
    health: LogHealth,
}

#[derive(Debug, Default)]
struct Queued {
    lines: Vec<u8>,
    /// Lines that were dropped since the last report in the output.
    dropped: u64,
    /// Whether the output is to look where its path leads.
    follow: bool,
    closed: bool,
}

/// Dropping it writes the lines that are still queued.
#[derive(Debug)]
pub(super) struct Draining {
    queue: Queue,
    thread: JoinHandle<()>,
}

impl Queue {
    /// Starts the thread that writes to `out`, whose state `health` shows.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(out: impl Output + 'static, health: LogHealth) -> io::Result<(Self, Draining)> {
        let state = QueueState { queued: Mutex::default(), arrived: Condvar::new(), health };
        let queue = Self(Arc::new(state));
        let ours = queue.clone();
        let thread = thread::Builder::new().name("shim-log".into()).spawn(move || ours.drain(out))?;
        Ok((queue.clone(), Draining { queue, thread }))
    }

    /// Queues a line, or drops and counts it when the queue is full.
    pub(super) fn push(&self, line: &[u8]) {
        let mut queued = self.lock();
        if queued.lines.len() + line.len() > QUEUE_MAX {
            queued.dropped += 1;
            drop(queued);
            self.0.health.dropped(1);
            return;
        }
        // Only the first line after a write wakes the thread; the others are written with it.
        let wake = queued.lines.is_empty();
        queued.lines.extend_from_slice(line);
        drop(queued);
        if wake {
            self.0.arrived.notify_one();
        }
    }

    /// Whether lines are lost, and since when.
    pub(super) fn health(&self) -> &LogHealth {
        &self.0.health
    }

    /// Makes the output follow its path: the file may have been moved or removed.
    pub(super) fn follow(&self) {
        self.lock().follow = true;
        self.0.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queued> {
        self.0.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drain(&self, mut out: impl Output) {
        let mut lines = Vec::new();
        loop {
            let mut queued = self.lock();
            while queued.lines.is_empty() && !queued.closed && !queued.follow {
                queued = self.0.arrived.wait(queued).unwrap_or_else(PoisonError::into_inner);
            }
            let closed = queued.closed;
            // Two buffers change places: requests go on adding while these are written, and neither is allocated again.
            std::mem::swap(&mut queued.lines, &mut lines);
            let (dropped, follow) = (std::mem::take(&mut queued.dropped), std::mem::take(&mut queued.follow));
            drop(queued);
            if follow {
                out.follow();
            }
            self.write_out(&mut out, &lines, dropped);
            lines.clear();
            if closed {
                return;
            }
            thread::sleep(WRITE_INTERVAL);
        }
    }

    fn write_out(&self, out: &mut impl Output, lines: &[u8], dropped: u64) {
        if lines.is_empty() {
            return;
        }
        let report = match dropped {
            0 => String::new(),
            dropped => format!(
                "{{\"level\":\"WARN\",\"target\":\"log\",\"message\":\"log lines were dropped\",\"dropped\":{dropped}}}\n"
            ),
        };
        let written = out.write_lines(lines).and_then(|()| out.write_lines(report.as_bytes()));
        match written {
            Ok(()) => self.0.health.written(),
            Err(failed) => self.0.health.failed(&failed.error, failed.lines_lost),
        }
    }
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
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

    use super::super::output::Stream;
    use super::*;

    fn start(out: impl Write + Send + 'static) -> (Queue, Draining) {
        Queue::start(Stream::new(out), LogHealth::new("test")).unwrap()
    }

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
        let (mut queue, draining) = start(Stuck { go: Some(go), written: written.clone() });
        let line = vec![b'x'; 1024 * 1024];
        for _ in 0..64 {
            queue.write_all(&line).unwrap();
        }
        release.send(()).unwrap();
        let health = queue.health().clone();
        drop(draining);
        let written = written.lock().unwrap();
        let (lines, rest) = (written.iter().filter(|byte| **byte == b'x').count() >> 20, written.len());
        assert!((16..=33).contains(&lines), "{lines} lines of 64 went through");
        assert!(rest < 34 << 20);
        let dropped = format!(r#""dropped":{}}}"#, 64 - lines);
        assert!(String::from_utf8_lossy(&written).contains(&dropped), "{dropped} is not reported");
        assert_eq!(health.snapshot().lines_lost, 64 - lines as u64);
    }

    #[test]
    fn queued_lines_are_written_at_the_end() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut queue, draining) = start(Stuck { go: None, written: written.clone() });
        queue.write_all(b"last words\n").unwrap();
        drop(draining);
        assert_eq!(*written.lock().unwrap(), b"last words\n");
    }

    /// Takes so many bytes, then refuses until it has room again.
    struct Full {
        room: Arc<Mutex<usize>>,
        written: Arc<Mutex<Vec<u8>>>,
        refused: mpsc::Sender<()>,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut room = self.room.lock().unwrap();
            let taken = bytes.len().min(*room);
            *room -= taken;
            if taken == 0 {
                let _ = self.refused.send(());
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.lock().unwrap().extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_output_that_was_full_goes_on_at_a_line_of_its_own_and_what_it_lost_is_counted() {
        let (room, written) = (Arc::new(Mutex::new(4)), Arc::new(Mutex::new(Vec::new())));
        let (refused, seen) = mpsc::channel();
        let (mut queue, draining) = start(Full { room: room.clone(), written: written.clone(), refused });
        queue.write_all(b"one\ntwo\n").unwrap();
        seen.recv().unwrap();
        *room.lock().unwrap() = 2;
        queue.write_all(b"three\n").unwrap();
        seen.recv().unwrap();
        *room.lock().unwrap() = 100;
        queue.write_all(b"four\n").unwrap();
        let health = queue.health().clone();
        drop(draining);
        assert_eq!(*written.lock().unwrap(), b"one\nth\nfour\n");
        let now = health.snapshot();
        assert_eq!((now.lines_lost, now.failing), (2, None));
        assert!(!now.failed.is_zero());
    }
}
