//! How many streams the peers of HTTP/2 connections allow, read from their SETTINGS as they pass by: hyper does not show it in time.
//!
//! A peer that allows none (RFC 9113, section 6.5.2: "for short durations") is waited for on that connection for [`STREAMS_WAIT_MAX`]. Other
//! requests go elsewhere meanwhile. hyper 1.12 and h2 0.4.20 wait without a limit, and the connection cannot be closed from above while
//! they do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::stream_denials::{GOAWAY, RST_STREAM, StreamDenials};

/// How long a request waits on a connection whose peer allows no stream.
const STREAMS_WAIT_MAX: Duration = Duration::from_secs(1);

/// Maximum number of requests on one HTTP/2 connection, if the peer does not allow fewer: the least that RFC 9113, section 6.5.2,
/// recommends to allow.
const STREAMS_MAX: usize = 100;

/// The fewest streams that a peer of the lane allowed on a connection.
#[derive(Clone, Debug)]
pub(super) struct StreamLimit(Arc<AtomicUsize>);

impl Default for StreamLimit {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(STREAMS_MAX)))
    }
}

impl StreamLimit {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn lower_to(&self, streams: usize) {
        self.0.fetch_min(streams, Ordering::Relaxed);
    }
}

/// What a pool and its connections know of each other. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct PoolStreams {
    /// Of the lane.
    limit: StreamLimit,
    /// Number of connections whose peer allows no stream.
    refusing: Arc<AtomicUsize>,
    /// Cancelled when the pool has no further use for its connections.
    unused: CancellationToken,
}

impl PoolStreams {
    pub(super) fn new(limit: StreamLimit) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Whether a request could be left waiting on a connection of the pool.
    pub(super) fn has_refusing(&self) -> bool {
        self.refusing.load(Ordering::Relaxed) > 0
    }

    pub(super) const fn unused(&self) -> &CancellationToken {
        &self.unused
    }
}

/// Whether the peer of a connection allows streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    Some,
    /// None, since its first SETTINGS.
    NeverAny,
    NoneNow,
}

/// The allowance of one connection. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct PeerAllowance(Arc<watch::Sender<Allowance>>);

impl Default for PeerAllowance {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Allowance::Some)))
    }
}

impl PeerAllowance {
    pub(super) fn is_none(&self) -> bool {
        *self.0.borrow() != Allowance::Some
    }

    /// Resolves when the peer has allowed no stream for [`STREAMS_WAIT_MAX`].
    pub(super) async fn refused(&self) -> Allowance {
        let mut allowance = self.0.subscribe();
        loop {
            // Cannot fail: the sender lives as long as `self`.
            let _ = allowance.wait_for(|allowance| *allowance != Allowance::Some).await;
            tokio::select! {
                _ = allowance.wait_for(|allowance| *allowance == Allowance::Some) => {}
                () = sleep(STREAMS_WAIT_MAX) => return *self.0.borrow(),
            }
        }
    }
}

/// Reads the frames of an HTTP/2 server for its SETTINGS, and for what it says of streams that it had begun to answer.
#[derive(Debug)]
pub(super) struct SettingsReader {
    pool: PoolStreams,
    allowance: PeerAllowance,
    denials: StreamDenials,
    /// The bytes of the frame that is read: its head, and its payload if that is read.
    frame: Vec<u8>,
    /// Length of the rest of a frame that is not read.
    skip: usize,
    had_settings: bool,
}

/// More bytes than the settings of any known server.
const SETTINGS_BYTES_MAX: usize = 1024;
const FRAME_HEAD: usize = 9;
const SETTINGS: u8 = 4;
const MAX_CONCURRENT_STREAMS: u16 = 3;

impl SettingsReader {
    pub(super) fn new(pool: PoolStreams, allowance: PeerAllowance, denials: StreamDenials) -> Self {
        Self { pool, allowance, denials, frame: Vec::new(), skip: 0, had_settings: false }
    }

    /// Takes the next bytes from the peer.
    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            bytes = self.fill(FRAME_HEAD, bytes);
            let [length @ .., kind, flags, a, b, c, d] = match self.frame.first_chunk::<FRAME_HEAD>() {
                Some(head) => *head,
                None => return,
            };
            let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            let stream = u32::from_be_bytes([a, b, c, d]);
            let is_read = [SETTINGS, RST_STREAM, GOAWAY].contains(&kind);
            if !is_read || length > SETTINGS_BYTES_MAX {
                self.denials.head(kind, flags, stream);
                self.denials.end(kind, stream, &[]);
                self.frame.clear();
                self.skip = length;
                continue;
            }
            bytes = self.fill(FRAME_HEAD + length, bytes);
            if self.frame.len() == FRAME_HEAD + length {
                if kind == SETTINGS {
                    self.apply();
                }
                self.denials.end(kind, stream, self.frame.get(FRAME_HEAD..).unwrap_or_default());
                self.frame.clear();
            }
        }
    }

    /// Fills the frame up to that length; what is left of the bytes.
    fn fill<'a>(&mut self, length: usize, bytes: &'a [u8]) -> &'a [u8] {
        let (taken, rest) = bytes.split_at(length.saturating_sub(self.frame.len()).min(bytes.len()));
        self.frame.extend_from_slice(taken);
        rest
    }

    fn apply(&mut self) {
        let is_first = !std::mem::replace(&mut self.had_settings, true);
        let settings = self.frame.get(FRAME_HEAD..).unwrap_or_default();
        let mut streams = None;
        for setting in settings.as_chunks::<6>().0 {
            let [name @ .., a, b, c, d] = *setting;
            if u16::from_be_bytes(name) == MAX_CONCURRENT_STREAMS {
                streams = Some(usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX));
            }
        }
        match streams {
            None => {}
            Some(0) => self.allow(if is_first { Allowance::NeverAny } else { Allowance::NoneNow }),
            Some(streams) => {
                self.pool.limit.lower_to(streams);
                self.allow(Allowance::Some);
            }
        }
    }

    fn allow(&self, allowed: Allowance) {
        let before = *self.allowance.0.borrow();
        match (before == Allowance::Some, allowed == Allowance::Some) {
            (true, false) => drop(self.pool.refusing.fetch_add(1, Ordering::Relaxed)),
            (false, true) => drop(self.pool.refusing.fetch_sub(1, Ordering::Relaxed)),
            // It stays what it was.
            (true, true) | (false, false) => return,
        }
        self.allowance.0.send_replace(allowed);
    }
}

impl Drop for SettingsReader {
    fn drop(&mut self) {
        self.allow(Allowance::Some);
    }
}

#[cfg(test)]
mod tests {
    use super::super::stream_denials::PeerContradicts;
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 0], payload].concat()
    }

    #[test]
    fn settings_are_read_wherever_the_bytes_are_cut() {
        let settings = |streams: u8| frame(SETTINGS, &[0, 4, 0, 0, 1, 0, 0, 3, 0, 0, 0, streams]);
        let data = frame(0, &[4; 3000]);
        let bytes =
            [settings(9), data.clone(), settings(0), data, frame(SETTINGS, &[]), settings(7)].concat();
        let at_zero = settings(9).len() + 3009 + settings(0).len();
        for size in [1, 2, 8, 9, 10, 1000, bytes.len()] {
            let pool = PoolStreams::default();
            let allowance = PeerAllowance::default();
            let mut reader = SettingsReader::new(
                pool.clone(),
                allowance.clone(),
                StreamDenials::new(PeerContradicts::default()),
            );
            let (before, after) = bytes.split_at(at_zero);
            before.chunks(size).for_each(|bytes| reader.add(bytes));
            assert!(allowance.is_none() && pool.has_refusing() && pool.limit.get() == 9, "{size}");
            after.chunks(size).for_each(|bytes| reader.add(bytes));
            assert!(!allowance.is_none() && !pool.has_refusing() && pool.limit.get() == 7, "{size}");
        }
    }

    #[test]
    fn a_connection_that_ends_refuses_no_more() {
        let (pool, allowance) = (PoolStreams::default(), PeerAllowance::default());
        let mut reader =
            SettingsReader::new(pool.clone(), allowance, StreamDenials::new(PeerContradicts::default()));
        reader.add(&frame(SETTINGS, &[0, 3, 0, 0, 0, 0]));
        assert!(pool.has_refusing());
        drop(reader);
        assert!(!pool.has_refusing());
    }
}
