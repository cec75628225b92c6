//! A call until the head of its answer: what it is doing, with whom, since when. Says so when the call fails.

use http::uri::{Authority, Scheme};
use http::{Extensions, Request};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, HttpInfo, capture_connection};
use tokio::time::Instant;

use super::SendError;
use super::closed::Delivery;
use super::connector::Uses;
use super::peer_streams::Allowance;
use crate::failure::BoxError;
use crate::failure::call_error::{CallError, CallPhase, TimedOut};
use crate::http::body::Payload;
use crate::http::send_gate::SendGate;

pub(super) struct CallInProgress {
    pub(super) connection: CaptureConnection,
    pub(super) authority: Option<Authority>,
    start: Instant,
    /// HTTP/2 is chosen by ALPN, so never without TLS.
    may_be_http2: bool,
    is_read: bool,
    /// `None` for a request without a body.
    body: Option<SendGate>,
}

/// The peer did not let the request be sent.
#[derive(Debug, thiserror::Error)]
#[error("the upstream allows no request on the connection (SETTINGS_MAX_CONCURRENT_STREAMS is 0)")]
struct NoStreams;

impl CallInProgress {
    pub(super) fn begin(request: &mut Request<Payload>) -> Self {
        let authority = request.uri().authority().cloned();
        let is_read = request.method().is_safe();
        let may_be_http2 = request.uri().scheme() == Some(&Scheme::HTTPS);
        let (payload, body) = std::mem::replace(request.body_mut(), Payload::empty()).gated();
        *request.body_mut() = payload;
        Self {
            connection: capture_connection(request),
            authority,
            start: Instant::now(),
            may_be_http2,
            is_read,
            body,
        }
    }

    /// The call is given up. Without a connection nothing was sent: hyper-util reports it before the first byte. Nor was a request whose body
    /// nobody took.
    pub(super) fn timed_out(&self) -> (Delivery, SendError) {
        // It may be dead.
        self.poison();
        match self.phase() {
            None => (Delivery::Never, SendError::NotSent(self.error(CallPhase::Connect, TimedOut.into()))),
            Some(phase) if self.is_withheld() => {
                (Delivery::Never, SendError::NotSent(self.error(phase, TimedOut.into())))
            }
            Some(phase) => (Delivery::Maybe, SendError::TimedOut(self.error(phase, TimedOut.into()))),
        }
    }

    /// Resolves when the request waits for a stream that its peer does not allow. One with a body was not sent, and is not sent later.
    pub(super) async fn refused(&self) -> (Delivery, SendError) {
        if !self.may_be_http2 {
            return std::future::pending().await;
        }
        let mut connection = self.connection.clone();
        drop(connection.wait_for_connection_metadata().await);
        let uses = self.on_connection(|extras| extras.get::<Uses>().cloned()).flatten();
        if let Some(allowance) = uses.as_ref().and_then(Uses::allowance) {
            let was_none = allowance.is_none();
            let refused = allowance.refused().await;
            let error = || self.error(CallPhase::Write, NoStreams.into());
            match &self.body {
                Some(_) if self.is_withheld() => {
                    self.poison();
                    return (Delivery::Unprocessed, SendError::NotSent(error()));
                }
                // Nobody says whether a request without a body has its stream: hyper opens some before the peer's first SETTINGS. It
                // is most likely waiting, and may be repeated if it is a read.
                None if was_none || refused == Allowance::NeverAny => {
                    self.poison();
                    return match self.is_read {
                        true => (Delivery::Unprocessed, SendError::NotSent(error())),
                        false => (Delivery::Maybe, SendError::NoAnswer(error())),
                    };
                }
                Some(_) | None => {}
            }
        }
        std::future::pending().await
    }

    fn poison(&self) {
        if let Some(connected) = &*self.connection.connection_metadata() {
            connected.poison();
        }
    }

    /// Whether nothing of the body was taken. It is not sent from now on.
    fn is_withheld(&self) -> bool {
        self.body.as_ref().is_some_and(SendGate::withhold)
    }

    pub(super) fn failed(&self, error: legacy::Error) -> (Delivery, SendError) {
        let contradicts = || self.on_connection(|extras| extras.get::<Uses>().is_some_and(Uses::contradicts));
        let delivery = match Delivery::of(&error) {
            Delivery::Unprocessed if contradicts() == Some(true) => Delivery::Maybe,
            Delivery::Closed | Delivery::Maybe if self.is_withheld() => Delivery::Unprocessed,
            delivery => delivery,
        };
        let phase = self.phase().unwrap_or(CallPhase::Connect);
        let error = match delivery {
            // The connector has said what it was doing.
            Delivery::Never => SendError::NotSent(error.into()),
            Delivery::Unprocessed => SendError::NotSent(self.error(phase, error.into())),
            Delivery::Closed | Delivery::Http1Required | Delivery::Maybe => {
                SendError::NoAnswer(self.error(phase, error.into()))
            }
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

    fn on_connection<T>(&self, read: impl FnOnce(&Extensions) -> T) -> Option<T> {
        let connected = self.connection.connection_metadata();
        let mut extras = Extensions::new();
        connected.as_ref()?.get_extras(&mut extras);
        Some(read(&extras))
    }
}

/// The address that an answer came from.
pub(crate) fn peer(extensions: &Extensions) -> Option<String> {
    Some(extensions.get::<HttpInfo>()?.remote_addr().to_string())
}
