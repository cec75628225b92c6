//! Sending with the proxy's own credentials in place of the caller's. After a 401 the token is replaced, and a read is sent
//! once more. A write never is.

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::exchange::repeatable;
use super::rate_limit::{OverBudget, Permit};
use super::token::{Token, TokenError};
use super::{AnswerInProgress, Lane, Outgoing, SendError, UpstreamClient};
use crate::config::Config;
use crate::config::auth::CredentialSet;
use crate::http::body::{self, Payload};
use crate::http::decode::{Decoded, decode};
use crate::translate::evidence::{self, Reply};

/// Maximum length of a problem document, in bytes.
const PROBLEM_MAX: usize = 64 << 10;

impl UpstreamClient {
    /// Sends a request as it is, or with the proxy's own token. After a 401 to that token, a read whose body is in memory is sent
    /// a second time, if the rate limit has a turn for it.
    ///
    /// # Errors
    /// As [`UpstreamClient::send`]; also when there is no token, or the side refused it and so did not act.
    pub(crate) async fn send_as(
        &self,
        outgoing: Outgoing,
        config: &Config,
    ) -> Result<Response<Incoming>, SendError> {
        match outgoing.credentials {
            None => {
                let Outgoing { request, lane, permit, answer, .. } = outgoing;
                // One allocation here, instead of a copy of hyper-util's state at every level above.
                Box::pin(self.send(request, lane, permit, &answer)).await
            }
            Some(credential_set) => Box::pin(self.send_with(credential_set, outgoing, config)).await,
        }
    }

    async fn send_with(
        &self,
        credential_set: CredentialSet,
        outgoing: Outgoing,
        config: &Config,
    ) -> Result<Response<Incoming>, SendError> {
        let Outgoing { mut request, lane, permit, until, answer: wait, .. } = outgoing;
        let cost = permit.as_ref().map(Permit::cost);
        // The time for a token is bounded on its own: a slow token endpoint must not use up the time of the call itself.
        let token_until = until.min(Instant::now() + config.auth.timeout);
        let token =
            self.tokens().token(credential_set, config, token_until).await.map_err(SendError::NoToken)?;
        authorize(&mut request, &token)?;
        // Before the send, which takes the request apart.
        let repeat = repeatable(&request);
        let answer = self.send(request, lane, permit, &wait).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        // Also where nothing is repeated: the next request must not meet the same 401.
        let replaced = self.tokens().replace(credential_set, config, &token, token_until).await;
        let Some(mut request) = repeat else {
            // A write. In a create or cancel the 401 must prove that nothing was done before the caller may take it so; a request that
            // passes through has no claim that could be released wrongly.
            return Err(if lane == Lane::PassThrough {
                SendError::TokenRefused
            } else {
                refused(answer, until).await
            });
        };
        let replaced = replaced.map_err(SendError::NoToken)?;
        // No new token, because one was replaced a moment ago: the side would refuse this one again.
        if replaced.is(&token) {
            return Err(SendError::TokenRefused);
        }
        authorize(&mut request, &replaced)?;
        // A second call spends a second turn: the vendor counts it.
        let permit = match cost {
            Some(cost) => {
                let turn = self.budget().take(cost, token_until).await;
                Some(turn.map_err(|OverBudget { .. }| SendError::TokenRefused)?)
            }
            None => None,
        };
        let answer = self.send(request, lane, permit, &wait).await?;
        if answer.status() == StatusCode::UNAUTHORIZED { Err(SendError::TokenRefused) } else { Ok(answer) }
    }
}

/// What a 401 to a create or cancel with the proxy's own token proves. Only the vendor's own problem document, on a connection that
/// carried no other answer before, proves that it did not act.
async fn refused(answer: Response<Incoming>, until: Instant) -> SendError {
    let (parts, body) = answer.into_parts();
    let reused = AnswerInProgress::is_reused(&parts.extensions);
    let proves = |body: &Bytes| {
        let decoded = match decode(&parts.headers, body, PROBLEM_MAX) {
            Decoded::Bytes(decoded) => decoded,
            Decoded::Plain | Decoded::Unreadable | Decoded::Unsupported => body.clone(),
        };
        let status = parts.status.as_u16();
        evidence::is_problem_document(&Reply {
            status,
            headers: &parts.headers,
            body: &decoded,
            unknown_digests: None,
        })
    };
    match timeout_at(until, body::collect(body, PROBLEM_MAX)).await {
        Ok(Ok(body)) if !reused && proves(&body) => SendError::TokenRefused,
        Ok(Ok(_)) => SendError::NoAnswer("a 401 that does not prove that nothing was done".into()),
        Ok(Err(broken)) => SendError::NoAnswer(broken.into()),
        Err(late) => SendError::NoAnswer(late.into()),
    }
}

/// Replaces the caller's `Authorization`, if any.
fn authorize(request: &mut Request<Payload>, token: &Token) -> Result<(), SendError> {
    let value = token.authorization().ok_or(SendError::NoToken(TokenError::Unreadable))?;
    request.headers_mut().insert(header::AUTHORIZATION, value);
    Ok(())
}
