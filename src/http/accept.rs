//! Errors of a listening socket, for every accept loop.

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::descriptors::Headroom;

/// The pause after a failed `accept`.
const PAUSE: Duration = Duration::from_millis(50);
/// Minimum time between two lines of one listener.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The next connection. Without headroom it stays in the kernel's backlog.
pub(crate) async fn accept(listener: &TcpListener, headroom: Headroom) -> io::Result<TcpStream> {
    if !headroom.is_left(listener) {
        return Err(Headroom::exhausted());
    }
    Ok(listener.accept().await?.0)
}

/// The failures of one listener. They last: out of file descriptors, each attempt fails until a connection ends.
#[derive(Debug)]
pub(crate) struct AcceptFailures {
    listener: &'static str,
    logged: Option<Instant>,
    /// Since the last line.
    count: u64,
}

impl AcceptFailures {
    /// `listener` names it in the log.
    pub(crate) const fn of(listener: &'static str) -> Self {
        Self { listener, logged: None, count: 0 }
    }

    /// Logs a failed `accept`, at most one line each [`LOG_INTERVAL`], and pauses. Such an error (usually EMFILE) is temporary and returns
    /// at once, so that a loop without a pause would use a whole CPU.
    pub(crate) async fn pause_after(&mut self, error: &io::Error) {
        // Lack of descriptors fails every accept at once: without the pause the loop would spin, without the count the log would fill.
        self.count += 1;
        if self.is_due(Instant::now()) {
            let (listener, count) = (self.listener, std::mem::take(&mut self.count));
            tracing::warn!(target: "server", listener, %error, count, "connections could not be accepted; they wait");
        }
        tokio::time::sleep(PAUSE).await;
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.logged.is_none_or(|logged| now.duration_since(logged) >= LOG_INTERVAL);
        if due {
            self.logged = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_lasts_is_one_line_an_interval() {
        let (start, mut failures) = (Instant::now(), AcceptFailures::of("public"));
        let due: Vec<_> = (0..100).filter(|at| failures.is_due(start + PAUSE * *at * 10)).collect();
        assert_eq!(due, [0, 20, 40, 60, 80]);
    }
}
