//! Why a call to an upstream has no usable answer: what was being done, with whom, for how long.

use std::error::Error as StdError;
use std::fmt;
use std::iter::successors;
use std::time::Duration;

use super::BoxError;

/// What a call was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallPhase {
    Resolve,
    Connect,
    Tls,
    /// The upstream takes no more bytes of the request.
    Write,
    /// The request is written, and no byte of the answer has come.
    Wait,
    /// The head of the answer is read; its body is not whole.
    Read,
    /// The answer is whole, and is not what the call asked for.
    Decode,
}

impl CallPhase {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Write => "write",
            Self::Wait => "wait",
            Self::Read => "read",
            Self::Decode => "decode",
        }
    }

    const fn work(self) -> &'static str {
        match self {
            Self::Resolve => "resolving",
            Self::Connect => "connecting to",
            Self::Tls => "TLS handshake with",
            Self::Write => "writing to",
            Self::Wait => "waiting for the answer of",
            Self::Read => "reading the answer of",
            Self::Decode => "decoding the answer of",
        }
    }
}

/// A failed call. Wraps the error that ended it.
#[derive(Debug)]
pub(crate) struct CallError {
    pub(crate) phase: CallPhase,
    /// The address; the name where none is known; every address that was tried, where none could be connected to.
    pub(crate) peer: String,
    /// Since the call began.
    pub(crate) elapsed: Duration,
    pub(crate) source: BoxError,
}

impl CallError {
    /// The failed call among an error and its sources.
    pub(crate) fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        // Anywhere in the chain: hyper and hyper-util wrap the connector's error in their own.
        let mut chain = successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source());
        chain.find_map(<dyn StdError>::downcast_ref::<Self>)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (work, peer, elapsed) = (self.phase.work(), &self.peer, self.elapsed.as_millis());
        write!(out, "{work} {peer} failed after {elapsed} ms")
    }
}

impl StdError for CallError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_ref())
    }
}

/// The time of a call is over.
#[derive(Debug, thiserror::Error)]
#[error("timed out")]
pub(crate) struct TimedOut;
