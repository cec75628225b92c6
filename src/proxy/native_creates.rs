//! Creates on the new API's own path that pass through here: the other door to a reference. They are recorded beside the claims, so that
//! a legacy create with the same reference looks on new first.

use http::{Method, Request};
use hyper::body::Incoming;

use super::dispatch::{RequestContext, streamed};
use crate::failure::Failure;
use crate::http::body::{self, Payload, Peeked};
use crate::ledger::{Key, Ledger, LedgerError};
use crate::translate::native;
use crate::translate::route;

impl RequestContext {
    /// Records the references of a create on the new API's own path, and returns the request with its bytes untouched. When the ledger is
    /// down the request goes on all the same, and is counted.
    ///
    /// # Errors
    /// When a reference is claimed for the legacy side; nothing was sent.
    pub(super) async fn record_native_create(
        &mut self,
        request: Request<Incoming>,
    ) -> Result<Request<Payload>, Failure> {
        let Some(ledger) = self.records_natives(&request) else { return Ok(streamed(self, request)) };
        let (head, incoming) = request.into_parts();
        let (max, count) = (self.config.limits.request_body_max, &self.access.request_bytes);
        let peeked = body::peek(incoming, max, count).await;
        let body = match peeked.map_err(|error| Failure::BodyBroken(error.into()))? {
            Peeked::Partial(read, rest) => {
                // Too long for any create of the vendor's.
                return Ok(Request::from_parts(head, Payload::Prefixed(read, rest, count.clone())));
            }
            Peeked::Whole(body) => body,
        };
        for ref_id in native::references(&body) {
            match self.record(&ledger, &ref_id).await {
                Ok(true) => return Err(Failure::ClaimedForLegacy { ref_id }),
                Ok(false) => {}
                Err(error) => {
                    self.app.services.metrics.native_creates_unrecorded.add(());
                    tracing::warn!(target: "ledger", %error, "a create on the new API's own path could not be recorded");
                }
            }
        }
        Ok(Request::from_parts(head, Payload::whole(body)))
    }

    fn records_natives(&self, request: &Request<Incoming>) -> Option<Ledger> {
        let is_create = *request.method() == Method::POST
            && route::is_native_create(request.uri().path(), &self.config.base_path);
        self.app.services.ledger.clone().filter(|_| is_create)
    }

    /// Whether the reference is claimed for the legacy side. Recorded before that is read: of two creates at the same time at least one
    /// sees the other.
    async fn record(&self, ledger: &Ledger, ref_id: &str) -> Result<bool, LedgerError> {
        let tenant = self.config.ledger.as_ref().map_or("default", |ledger| ledger.tenant.as_str());
        // A reference that no claim can have meets none.
        let Ok(key) = Key::new(tenant, ref_id) else { return Ok(false) };
        ledger.record_native(key).await?;
        ledger.is_claimed_for_legacy(key).await
    }
}
