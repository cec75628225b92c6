//! Whether a request's body was ever taken to be sent, and a way to forbid it.
//!
//! hyper does not say whether a request that waits for a stream of its HTTP/2 connection was sent, and sends it later, also when nobody
//! waits for its answer any more (hyper 1.12, `proto/h2/client.rs`, `FutCtx`). It takes the body's first frame only once the stream is open. So a
//! body that is withheld before its first frame was not sent and never will be; its stream, if it opens later, is reset.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const UNTOUCHED: u8 = 0;
const TAKEN: u8 = 1;
const WITHHELD: u8 = 2;

/// Clones share the state.
#[derive(Clone, Debug, Default)]
pub(crate) struct SendGate(Arc<AtomicU8>);

/// The body must not be sent any more.
#[derive(Debug, thiserror::Error)]
#[error("the request was given up before its body was sent")]
pub(super) struct Withheld;

impl SendGate {
    /// Forbids to send the body. Returns whether nothing of it was taken before.
    #[must_use]
    pub(crate) fn withhold(&self) -> bool {
        match self.0.compare_exchange(UNTOUCHED, WITHHELD, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) | Err(WITHHELD) => true,
            Err(_) => false,
        }
    }

    /// Takes the body to send it.
    pub(super) fn take(&self) -> Result<(), Withheld> {
        match self.0.compare_exchange(UNTOUCHED, TAKEN, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) | Err(TAKEN) => Ok(()),
            Err(_) => Err(Withheld),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_sent_or_withheld_and_never_both() {
        let (sent, kept) = (SendGate::default(), SendGate::default());
        assert!(sent.take().is_ok() && sent.take().is_ok() && !sent.withhold() && sent.take().is_ok());
        assert!(kept.withhold() && kept.take().is_err() && kept.withhold());
    }
}
