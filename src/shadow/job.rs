//! One comparison to make, as captured on the data path.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, Uri};
use tokio::sync::oneshot;

use crate::config::Config;
use crate::http::capture::CapturedBody;
use crate::translate::route::Route;

#[derive(Debug)]
pub(super) struct CompareJob {
    pub(super) route: Route,
    pub(super) request: CapturedRequest,
    pub(super) served: ServedResponse,
    /// Whether it is the new API's own answer to a create, to be compared with later reads there.
    pub(super) is_own: bool,
}

#[derive(Debug)]
pub(super) struct CapturedRequest {
    /// The snapshot that the request started with.
    pub(super) config: Arc<Config>,
    pub(super) request_id: String,
    pub(super) method: Method,
    pub(super) uri: Uri,
    /// The client's credentials and tracing headers; nothing else.
    pub(super) headers: HeaderMap,
    /// The body of a create.
    pub(super) body: Option<oneshot::Receiver<CapturedBody>>,
}

/// The response that the client got.
#[derive(Debug)]
pub(super) struct ServedResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: CapturedBody,
    /// From capturing the request to the last byte of the response.
    pub(super) latency: Duration,
}
