//! Creates on the new API's own path that pass through the proxy. Their references are recorded beside the claims, so that a legacy
//! create with the same reference is checked against new first. `ledger.native_creates = "pass"` turns this off.

use http::{Method, Request};

use super::Services;
use crate::config::{self, Config, NativeCreates};
use crate::failure::Failure;
use crate::http::body::{self, ByteCount, Payload, Peeked};
use crate::http::decode::{Decoded, decode};
use crate::http::headers;
use crate::http::received::Received;
use crate::ledger::{Key, Ledger, LedgerError, Withdrawal};
use crate::translate::side::Side;
use crate::translate::{native, route};
use crate::upstream;

/// Records the references of a create on the new API's own path, and returns the request with its bytes untouched. While the ledger is
/// down the request is forwarded and counted as unrecorded.
///
/// # Errors
/// When a reference is claimed for the legacy side; nothing was sent.
pub(crate) async fn record(
    services: &Services,
    config: &Config,
    request: Request<Received>,
    count: &ByteCount,
) -> Result<Request<Payload>, Failure> {
    let streamed =
        |request: Request<Received>| request.map(|incoming| Payload::Streamed(incoming, count.clone()));
    let (Some(ledger), Some(settings), true) =
        (&services.ledger, &config.ledger, may_be_create(config, &request))
    else {
        return Ok(streamed(request));
    };
    if settings.native_creates == NativeCreates::Pass {
        passed(ledger, settings).await?;
        return Ok(streamed(request));
    }
    let (head, incoming) = request.into_parts();
    let (max, idle) = (config.limits.request_body_max, config.timeouts.pass_through_idle);
    let (body, payload) = match body::peek(incoming, max, idle, count).await? {
        Peeked::Partial(read, rest) => {
            // Longer than any create that the vendor accepts.
            unrecorded(services, config, "its body is too long").await;
            return Ok(Request::from_parts(head, Payload::Prefixed(read, rest, count.clone())));
        }
        Peeked::Whole(body) => (body.clone(), Payload::whole(body)),
        Peeked::Trailed(body, read, rest) => (body, Payload::Prefixed(read, rest, count.clone())),
    };
    let references = match decode(&head.headers, &body, max) {
        Decoded::Plain => native::references(&body).ok_or("no reference can be read in it"),
        Decoded::Bytes(decoded) => native::references(&decoded).ok_or("no reference can be read in it"),
        Decoded::Unreadable | Decoded::Unsupported => Err("its content coding cannot be read"),
    };
    if let Err(why) = references {
        unrecorded(services, config, why).await;
    }
    for ref_id in references.unwrap_or_default() {
        match is_claimed_for_legacy(ledger, config, &ref_id).await {
            Ok(true) => return Err(Failure::ClaimedForLegacy { ref_id }),
            Ok(false) => {}
            Err(error) => {
                unrecorded(services, config, &error.to_string()).await;
            }
        }
    }
    Ok(Request::from_parts(head, payload))
}

/// Whether the vendor could take the request for a create on the new API's own path. Both the client's path and the path at legacy are
/// judged: behind another prefix one that is nothing here may be it there.
fn may_be_create(config: &Config, request: &Request<Received>) -> bool {
    // Some servers take the method from a header, whatever the request's own is.
    let is_post = *request.method() == Method::POST || headers::override_method(request.headers());
    let legacy = &config.upstream.legacy;
    let at_legacy = || upstream::target(legacy, &config.base_path, request.uri());
    is_post
        && (route::is_native_create(request.uri().path(), &config.base_path)
            || route::is_native_create(at_legacy().path(), &legacy.path_prefix))
}

/// Before a create that is not recorded is forwarded: another replica may record them, and rely on the ledger.
async fn passed(ledger: &Ledger, settings: &config::LedgerSection) -> Result<(), Failure> {
    let withdrawn = ledger.withdraw(&settings.tenant, Side::New, Withdrawal::PassedNativeCreates).await;
    // Without `only_door` no side becomes complete, and the bytes are forwarded whatever the ledger says.
    withdrawn.or_else(|error| if settings.only_door { Err(Failure::Ledger(error.into())) } else { Ok(()) })
}

/// The ledger does not know every reference of new from now on.
async fn unrecorded(services: &Services, config: &Config, why: &str) {
    services.metrics.native_creates_unrecorded.add(());
    tracing::warn!(target: "ledger", why, "a create on the new API's own path could not be recorded");
    if let Some(ledger) = &services.ledger {
        // While the ledger is down no create is claimed either; see `docs/money-safety.md` for what is not covered.
        let _ = ledger.withdraw(tenant(config), Side::New, Withdrawal::UnrecordedNativeCreate).await;
    }
}

fn tenant(config: &Config) -> &str {
    config.ledger.as_ref().map_or("default", |ledger| ledger.tenant.as_str())
}

/// Records the create before it reads the claim, so that of two concurrent creates at least one sees the other.
async fn is_claimed_for_legacy(ledger: &Ledger, config: &Config, ref_id: &str) -> Result<bool, LedgerError> {
    // A reference that the ledger cannot store has no claim.
    let Ok(key) = Key::new(tenant(config), ref_id) else { return Ok(false) };
    ledger.record_native(key).await?;
    ledger.is_claimed_for_legacy(key).await
}
