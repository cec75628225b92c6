//! Notices an HTTP/2 peer that says of a stream that it was not processed (RFC 9113, section 8.7) although it had begun to answer it: with
//! an interim answer, which hyper 1.12 does not show on HTTP/2. What such a peer says is no proof that nothing was done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use h2::Reason;

/// Whether the peer of a connection has contradicted itself. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct PeerContradicts(Arc<AtomicBool>);

impl PeerContradicts {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Follows which streams have the beginning of an answer.
#[derive(Debug)]
pub(super) struct StreamDenials {
    begun: BTreeSet<u32>,
    contradicts: PeerContradicts,
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
/// Far more than a connection has at once.
const STREAMS_MAX: usize = 1024;

impl StreamDenials {
    pub(super) const fn new(contradicts: PeerContradicts) -> Self {
        Self { begun: BTreeSet::new(), contradicts }
    }

    /// The head of the peer's next frame.
    pub(super) fn head(&mut self, kind: u8, flags: u8, stream: u32) {
        let ends = flags & END_STREAM != 0;
        match kind {
            HEADERS if !ends && self.begun.len() < STREAMS_MAX => drop(self.begun.insert(stream)),
            HEADERS if !ends => self.record(),
            HEADERS | DATA if ends => drop(self.begun.remove(&stream)),
            _ => {}
        }
    }

    /// A whole RST_STREAM or GOAWAY; of a very long one the head alone.
    pub(super) fn end(&mut self, kind: u8, stream: u32, payload: &[u8]) {
        let number = payload.first_chunk().map(|number| u32::from_be_bytes(*number));
        match kind {
            RST_STREAM => {
                let refused = number.is_none_or(|reason| Reason::from(reason) == Reason::REFUSED_STREAM);
                if self.begun.remove(&stream) && refused {
                    self.record();
                }
            }
            GOAWAY => {
                // The first bit is reserved.
                let last = number.map_or(0, |last| last & (u32::MAX >> 1));
                if self.begun.last().is_some_and(|begun| *begun > last) {
                    self.record();
                }
            }
            _ => {}
        }
    }

    fn record(&self) {
        self.contradicts.0.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &[u8] = &[0, 0, 0, 7];
    const CANCEL: &[u8] = &[0, 0, 0, 8];

    fn contradicts(play: impl FnOnce(&mut StreamDenials)) -> bool {
        let contradicts = PeerContradicts::default();
        play(&mut StreamDenials::new(contradicts.clone()));
        contradicts.get()
    }

    #[test]
    fn only_a_stream_that_was_answered_cannot_be_refused() {
        assert!(contradicts(|peer| {
            peer.head(HEADERS, 4, 1);
            peer.end(RST_STREAM, 1, REFUSED);
        }));
        assert!(contradicts(|peer| {
            peer.head(HEADERS, 4, 5);
            peer.end(GOAWAY, 0, &[0x80, 0, 0, 3, 0, 0, 0, 0]);
        }));
        assert!(!contradicts(|peer| {
            peer.head(HEADERS, 4, 1);
            peer.end(RST_STREAM, 3, REFUSED);
            peer.end(GOAWAY, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
            peer.end(RST_STREAM, 1, CANCEL);
            peer.end(GOAWAY, 0, &[0; 8]);
        }));
        assert!(!contradicts(|peer| {
            peer.head(HEADERS, 4, 1);
            peer.head(DATA, END_STREAM, 1);
            peer.head(HEADERS, 4 | END_STREAM, 3);
            peer.end(GOAWAY, 0, &[0; 8]);
        }));
    }
}
