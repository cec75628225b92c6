//! A call until the head of its answer: what it is doing, with whom, since when. Says so when the call fails.

use http::uri::Authority;
use http::{Extensions, Request};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, HttpInfo, capture_connection};
use tokio::time::Instant;

use super::SendError;
use super::closed::Delivery;
use super::connector::Uses;
use crate::failure::BoxError;
use crate::failure::call_error::{CallError, CallPhase, TimedOut};
use crate::http::body::Payload;

pub(super) struct CallInProgress {
    pub(super) connection: CaptureConnection,
    authority: Option<Authority>,
    start: Instant,
}

impl CallInProgress {
    pub(super) fn begin(request: &mut Request<Payload>) -> Self {
        let authority = request.uri().authority().cloned();
        Self { connection: capture_connection(request), authority, start: Instant::now() }
    }

    /// The call is given up. Without a connection nothing was sent: hyper-util reports it before the first byte.
    pub(super) fn timed_out(&self) -> (Delivery, SendError) {
        // It may be dead.
        if let Some(connected) = &*self.connection.connection_metadata() {
            connected.poison();
        }
        match self.phase() {
            None => (Delivery::Never, SendError::NotSent(self.error(CallPhase::Connect, TimedOut.into()))),
            Some(phase) => (Delivery::Maybe, SendError::TimedOut(self.error(phase, TimedOut.into()))),
        }
    }

    pub(super) fn failed(&self, error: legacy::Error) -> (Delivery, SendError) {
        let delivery = Delivery::of(&error);
        let phase = self.phase().unwrap_or(CallPhase::Connect);
        let error = match delivery {
            // The connector has said what it was doing.
            Delivery::Never => SendError::NotSent(error.into()),
            Delivery::Unprocessed => SendError::NotSent(self.error(phase, error.into())),
            Delivery::Closed | Delivery::Maybe => SendError::NoAnswer(self.error(phase, error.into())),
        };
        (delivery, error)
    }

    pub(super) fn error(&self, phase: CallPhase, source: BoxError) -> BoxError {
        let host =
            || self.authority.as_ref().map_or_else(String::new, |authority| authority.host().to_owned());
        let address = self.on_connection(peer).flatten();
        let (peer, elapsed) = (address.unwrap_or_else(host), self.start.elapsed());
        CallError { phase, peer, elapsed, source }.into()
    }

    /// What the call is doing; `None` while it has no connection.
    fn phase(&self) -> Option<CallPhase> {
        self.on_connection(|extras| match extras.get::<Uses>().is_some_and(Uses::is_full) {
            true => CallPhase::Write,
            false => CallPhase::Wait,
        })
    }

    fn on_connection<T>(&self, look: impl FnOnce(&Extensions) -> T) -> Option<T> {
        let connected = self.connection.connection_metadata();
        let mut extras = Extensions::new();
        connected.as_ref()?.get_extras(&mut extras);
        Some(look(&extras))
    }
}

/// The address that an answer came from.
pub(crate) fn peer(extensions: &Extensions) -> Option<String> {
    Some(extensions.get::<HttpInfo>()?.remote_addr().to_string())
}
