//! The end of a connection whose client still sends. A socket that is closed with unread bytes is reset, and the reset may overtake the
//! response (RFC 9112, section 9.6): the client would see a broken pipe instead of the refusal.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::http::received::{BYTES_MAX, PAUSE_MAX, TIME_MAX};

#[derive(Debug)]
pub(super) struct Linger {
    until: Instant,
    pause: Pin<Box<Sleep>>,
    bytes: usize,
}

impl Linger {
    pub(super) fn new() -> Self {
        Self { until: Instant::now() + TIME_MAX, pause: Box::pin(sleep(PAUSE_MAX)), bytes: 0 }
    }

    /// Reads and discards until the request ends, the client stops, or a limit is reached. `goes_on` gets the discarded bytes and returns
    /// whether the request goes on after them.
    pub(super) fn poll<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
        mut goes_on: impl FnMut(&[u8]) -> bool,
    ) -> Poll<()> {
        let mut bytes = [0; 8 << 10];
        while self.bytes < BYTES_MAX && Instant::now() < self.until {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.bytes += buffer.filled().len();
                    if !goes_on(buffer.filled()) {
                        break;
                    }
                    self.pause.as_mut().reset(self.until.min(Instant::now() + PAUSE_MAX));
                }
                // The client has closed as well.
                Poll::Ready(Ok(()) | Err(_)) => break,
                Poll::Pending => return self.pause.as_mut().poll(context),
            }
        }
        Poll::Ready(())
    }
}
