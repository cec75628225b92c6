//! A client that can only read. What works in the background with clients' credentials is given this one: it has no method that
//! could write, and connections of its own, so that it shares nothing with the data path.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, Uri};

use super::connector::{self, TrustError};
use crate::config::Upstreams;

/// Reads, and nothing else. Clones share one pool.
#[derive(Clone, Debug)]
pub struct Reader(reqwest::Client);

/// A whole answer.
#[derive(Debug)]
pub struct Read {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No connection, no answer, or one that broke off.
    #[error("no answer")]
    NoAnswer(#[source] reqwest::Error),
    /// The answer is longer than it may be.
    #[error("the answer is longer than {max} bytes")]
    TooLong {
        /// The most that is read, in bytes.
        max: usize,
    },
}

/// Why there is no reader.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// The authorities to trust cannot be read.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The client cannot be built.
    #[error("the reading client: {0}")]
    Client(#[from] reqwest::Error),
}

impl Reader {
    /// A reader for these settings.
    ///
    /// # Errors
    /// When the authorities to trust cannot be read.
    pub fn new(settings: &Upstreams) -> Result<Self, ReaderError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(connector::tls(settings)?)
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(settings.pool_idle_timeout)
            .pool_max_idle_per_host(settings.pool_idle_max)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()?;
        Ok(Self(client))
    }

    /// One GET, and at most `max` bytes of its answer.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn get(&self, uri: &Uri, headers: HeaderMap, max: usize) -> Result<Read, ReadError> {
        let request = self.0.get(uri.to_string()).headers(headers);
        let mut answer = request.send().await.map_err(ReadError::NoAnswer)?;
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(ReadError::NoAnswer)? {
            if body.len() + chunk.len() > max {
                return Err(ReadError::TooLong { max });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Read { status: answer.status(), body: body.freeze() })
    }
}
