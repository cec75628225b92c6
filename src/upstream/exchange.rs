//! One request on the connections of a lane, and the repetition of one that has no answer because of its connection.

use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use hyper::body::Incoming;

use super::SendError;
use super::answer_in_progress::{AnswerDeadline, AnswerInProgress};
use super::answer_wait::{AnswerWait, Overdue};
use super::call_in_progress::CallInProgress;
use super::closed::{self, Delivery};
use super::connector::Uses;
use super::lane_pool::LanePool;
use crate::failure::call_error::CallPhase;
use crate::failure::error_chain::error_chain;
use crate::http::body::Payload;
use crate::http::headers;

/// A second try of a request that may be sent twice.
pub(super) struct Repeat<'a, T> {
    /// The request again.
    pub(super) request: Request<Payload>,
    /// Where it is sent: the pooled connections are likely to be closed by the same peer at the same moment.
    pub(super) fresh: &'a LanePool,
    /// Waits for its turn under the rate limit, because the vendor counts it; false if there is none.
    pub(super) turn: T,
}

impl LanePool {
    /// Sends a request, and once more what may be repeated if its connection ended before the first byte of an answer. Once `wait` is
    /// over the connection takes no further request.
    ///
    /// # Errors
    /// When no answer came; the error says whether the request may have been sent.
    pub(super) async fn send<'a, T>(
        &self,
        request: Request<Payload>,
        repeat: Option<Repeat<'a, T>>,
        wait: &AnswerWait,
    ) -> Result<Response<Incoming>, SendError>
    where
        T: FnOnce() -> BoxFuture<'a, bool> + Send,
    {
        let (delivery, error) = match self.exchange(request, wait).await {
            Ok(answer) => return Ok(answer),
            Err(failed) => failed,
        };
        let (Some(repeat), true) = (repeat, delivery.allows_a_repetition()) else { return Err(error) };
        if !(repeat.turn)().await {
            return Err(error);
        }
        tracing::info!(target: "upstream", error = error_chain(&error), "a request is repeated on a new connection");
        Box::pin(repeat.fresh.exchange(repeat.request, wait)).await.map_err(|(_, error)| error)
    }

    async fn exchange(
        &self,
        mut request: Request<Payload>,
        wait: &AnswerWait,
    ) -> Result<Response<Incoming>, (Delivery, SendError)> {
        let call = CallInProgress::begin(&mut request);
        let connection = call.connection.clone();
        let deadline = wait.deadline().map(|until| AnswerDeadline::new(connection.clone(), until));
        // Held until the answer is whole, also while this waits: the stream is taken from the first byte of the request on.
        let slot = self.slot();
        let sending = slot.http().request(request);
        let answered = tokio::select! {
            biased;
            answered = wait.limit(sending) => answered.map_err(|Overdue| call.timed_out()),
            refused = call.refused() => Err(refused),
        };
        let answered = answered.inspect_err(|_| self.retire(&slot))?;
        let mut answer = answered.map_err(|error| {
            if closed::requires_http1(&error) {
                call.authority.iter().for_each(|authority| self.use_http1(authority));
            }
            call.failed(error)
        })?;
        // Response smuggling (RFC 9112, section 6.3): the client might take the other length, and on this connection it is not
        // certain where the next answer begins, so it is closed.
        let smuggled = !headers::has_one_length(answer.headers());
        let uses = answer.extensions().get::<Uses>();
        let is_old = uses.is_some_and(Uses::is_old);
        let reused = answer.version() < http::Version::HTTP_2 && uses.is_none_or(Uses::count);
        if (smuggled || is_old)
            && let Some(connected) = &*connection.connection_metadata()
        {
            connected.poison();
        }
        if smuggled {
            let error = call.error(CallPhase::Decode, "the answer has conflicting lengths".into());
            return Err((Delivery::Maybe, SendError::NoAnswer(error)));
        }
        answer.extensions_mut().insert(AnswerInProgress::new(reused, slot, deadline));
        Ok(answer)
    }
}

/// A copy to send a second time, if that is safe (a read) and possible (the body is not a stream).
pub(super) fn repeatable(request: &Request<Payload>) -> Option<Request<Payload>> {
    let is_read = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if is_read { copy(request) } else { None }
}

/// A copy, if the body is not a stream.
pub(super) fn copy(request: &Request<Payload>) -> Option<Request<Payload>> {
    let body = request.body().try_clone()?;
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}
