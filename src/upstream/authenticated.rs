//! Sending with the proxy's own credentials in place of the caller's. A token that is refused is replaced; what only reads is
//! then sent once more, what may write never is.

use std::error::Error as StdError;

use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::rate_limit::Permit;
use super::token::{Token, TokenError};
use super::{Client, Outgoing, SendError};
use crate::config::Config;
use crate::http::body::Payload;

impl Client {
    /// Sends a request: as it is, or with the proxy's own credentials. Only a read whose body is at hand goes a second time, after a 401
    /// to the proxy's own token, and when that can be paid for as well.
    ///
    /// # Errors
    /// As [`Client::send`]; and when there is no token, or it was refused: then nothing has happened at the side.
    pub async fn send_as(
        &self,
        outgoing: Outgoing,
        config: &Config,
    ) -> Result<Response<Incoming>, SendError> {
        let Outgoing { mut request, lane, credentials, permit: paid, until } = outgoing;
        let Some(holder) = credentials else { return self.send(request, lane, paid).await };
        let cost = paid.as_ref().map(Permit::cost);
        let until = until.min(Instant::now() + config.auth.timeout);
        let token = self.tokens().token(holder, config, until).await.map_err(no_token)?;
        authorize(&mut request, &token)?;
        let again = copy(&request);
        let answer = self.send(request, lane, paid).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let renewed = self.tokens().renewed(holder, config, &token, until).await;
        let Some(mut request) = again else { return Err(SendError::TokenRefused) };
        let renewed = renewed.map_err(no_token)?;
        // Replaced a moment ago: what was refused would be refused again.
        if renewed.is(&token) {
            return Err(SendError::TokenRefused);
        }
        authorize(&mut request, &renewed)?;
        let paid = match cost {
            Some(cost) => Some(self.budget().take(cost, until).await.map_err(|_| SendError::TokenRefused)?),
            None => None,
        };
        let answer = self.send(request, lane, paid).await?;
        if answer.status() == StatusCode::UNAUTHORIZED { Err(SendError::TokenRefused) } else { Ok(answer) }
    }
}

fn no_token(error: TokenError) -> SendError {
    SendError::NoToken(Box::<dyn StdError + Send + Sync>::from(error))
}

/// Ours and no other: whatever the caller sent is gone.
fn authorize(request: &mut Request<Payload>, token: &Token) -> Result<(), SendError> {
    let value = token.authorization().ok_or_else(|| no_token(TokenError::Unreadable))?;
    request.headers_mut().insert(header::AUTHORIZATION, value);
    Ok(())
}

/// The request once more, if it may be sent once more: it only reads, and its body is not on its way from somewhere.
fn copy(request: &Request<Payload>) -> Option<Request<Payload>> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let body = request.body().try_clone().filter(|_| reads)?;
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}
