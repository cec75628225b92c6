//! What a failed exchange says about the request: whether the peer can have acted on it, and whether a read may be repeated.

use std::error::Error as StdError;
use std::io;

use hyper_util::client::legacy;

/// What became of a request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// It never left, and is not worth another try now: there was no connection, or no stream.
    Never,
    /// The peer says that it did not act on it, or it was returned unsent.
    Unprocessed,
    /// The connection ended before the first byte of an answer. The peer may have acted on it.
    Closed,
    /// The peer wants HTTP/1.1 instead (RFC 9113, section 7). Nothing says that it did not act on it.
    Http1Required,
    /// The peer may have acted on it.
    Maybe,
}

impl Delivery {
    /// Whether a request that may be sent twice is worth another try.
    pub(super) const fn allows_a_repetition(self) -> bool {
        match self {
            Self::Unprocessed | Self::Closed | Self::Http1Required => true,
            Self::Never | Self::Maybe => false,
        }
    }

    pub(super) fn of(error: &legacy::Error) -> Self {
        // hyper-util sets this only before a connection carries the request.
        if error.is_connect() {
            return Self::Never;
        }
        causes(error).find_map(Self::of_cause).unwrap_or(Self::Maybe)
    }

    fn of_cause(cause: &(dyn StdError + 'static)) -> Option<Self> {
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            return Self::of_stream(error);
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            // hyper unwraps the I/O errors of HTTP/2 as well.
            use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
            // Only kinds that say that the peer is gone. A timeout or another error leaves open whether an answer was on its way.
            let closed =
                [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof].contains(&error.kind());
            return closed.then_some(Self::Closed);
        }
        let error = cause.downcast_ref::<hyper::Error>()?;
        if error.is_canceled() {
            // hyper reports it only for a request that it returns unsent.
            return Some(Self::Unprocessed);
        }
        error.is_incomplete_message().then_some(Self::Closed)
    }

    /// RFC 9113, section 8.7: a stream that was refused, or is above the last one of a GOAWAY, was not processed. Such an error reaches
    /// no other stream in h2.
    fn of_stream(error: &h2::Error) -> Option<Self> {
        // The same reasons set by this end say nothing about what the peer did.
        if !error.is_remote() {
            return None;
        }
        if error.is_go_away() {
            return Some(Self::Unprocessed);
        }
        match error.reason() {
            Some(h2::Reason::REFUSED_STREAM) => Some(Self::Unprocessed),
            Some(h2::Reason::HTTP_1_1_REQUIRED) => Some(Self::Http1Required),
            _ => None,
        }
    }
}

/// Whether the peer wants HTTP/1.1, for a stream or for the whole connection.
pub(super) fn requires_http1(error: &legacy::Error) -> bool {
    let reasons = causes(error).filter_map(|cause| cause.downcast_ref::<h2::Error>());
    reasons
        .filter(|error| error.is_remote())
        .any(|error| error.reason() == Some(h2::Reason::HTTP_1_1_REQUIRED))
}

/// Whether the peer was found dead: its connection was kept alive by pings, and one had no answer.
pub(crate) fn is_dead_peer(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout))
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
}
