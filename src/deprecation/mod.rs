//! What the retirement of the old API needs of every request on its routes: who made it, what of it stands in the way, and headers
//! that tell clients.
//!
//! Anybody can send a request under any name, so nothing is noted before the answer is known. A client is new to the table only
//! when somebody took its credentials: a side that did what was asked or knew the reference already, or the proxy itself, which
//! checks callers and certificates. A client that is known is counted unless it is answered 401.

pub mod token_claims;
pub mod usage;

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, Request, StatusCode, header};

use self::usage::{Client, Feature, KnownBy, Usage};
use crate::config::{Config, Deprecation};
use crate::proxy::{ClientCertificate, Peer};
use crate::routes::list;
use crate::telemetry::access::Access;
use crate::telemetry::metrics::labels::RouteLabel;
use crate::translate::route::Route;
use crate::translate::side::Side;

/// A request on one of the four routes, until its answer is known.
pub(super) struct ClientUsage {
    by: KnownBy,
    name: String,
    feature: Option<Feature>,
}

/// Notes what the request alone tells.
pub(super) fn note<B>(
    config: &Config,
    peer: &Peer,
    route: Route,
    request: &Request<B>,
    caller: Option<&str>,
) -> ClientUsage {
    let (by, name) = identify(config, peer, request.headers(), caller);
    let feature = match route {
        Route::Cancel => Some(Feature::Cancel),
        Route::List if request.uri().query().is_some_and(list::filters_by_change) => {
            Some(Feature::ChangeFilter)
        }
        Route::List | Route::Create | Route::Get => None,
    };
    ClientUsage { by, name, feature }
}

/// The first way that leads to a name; a header that says nothing is none.
fn identify(config: &Config, peer: &Peer, headers: &HeaderMap, caller: Option<&str>) -> (KnownBy, String) {
    let named =
        |name: Cow<'_, str>| Some(usage::cut(&name)).filter(|name| !name.is_empty()).map(str::to_owned);
    let said = config.usage.client_header.as_ref().and_then(|name| headers.get(name));
    if let Some(said) = said.and_then(|said| named(String::from_utf8_lossy(said.as_bytes()))) {
        return (KnownBy::Header, said);
    }
    if let Some(caller) = caller {
        return (KnownBy::Caller, usage::cut(caller).to_owned());
    }
    if let Some(certificate) = peer.certificate.as_deref() {
        return (KnownBy::Certificate, usage::cut(&name_of(certificate)).to_owned());
    }
    match token_claims::client_id(headers).and_then(|client_id| named(client_id.into())) {
        Some(client_id) => (KnownBy::Token, client_id),
        None => (KnownBy::Nothing, "not identified".into()),
    }
}

/// Enough of the fingerprint to find it, first, so that a long subject cannot hide it.
fn name_of(certificate: &ClientCertificate) -> String {
    let fingerprint = certificate.fingerprint();
    format!("{} {}", &fingerprint[..16], certificate.subject)
}

impl ClientUsage {
    /// Notes what only the answer tells, and whose request it was.
    pub(super) fn answered(&self, usage: &Usage, access: &Access, without_reference: bool) {
        if access.status == Some(StatusCode::UNAUTHORIZED.as_u16()) {
            return;
        }
        let Some(client) = self.client(usage, access) else { return };
        client.seen(access.route);
        let found = access.status == Some(StatusCode::OK.as_u16());
        let legacy_record =
            found && access.route == RouteLabel::Route(Route::Get) && access.side == Some(Side::Legacy);
        let features = [
            self.feature,
            without_reference.then_some(Feature::NoReference),
            legacy_record.then_some(Feature::LegacyRecord),
        ];
        features.into_iter().flatten().for_each(|feature| client.features.add((feature,)));
    }

    fn client(&self, usage: &Usage, access: &Access) -> Option<Arc<Client>> {
        let by_a_side = access.upstream_status.is_some_and(|status| matches!(status, 200..=299 | CONFLICT));
        let by_the_proxy = access.caller.is_some() || access.client_certificate.is_some();
        if by_a_side || by_the_proxy {
            Some(usage.client(self.by, &self.name))
        } else {
            usage.known(self.by, &self.name)
        }
    }
}

/// A side's answer to a reference that it knows.
const CONFLICT: u16 = StatusCode::CONFLICT.as_u16();

/// Tells a client that what it uses will go: `Deprecation` (RFC 9745), `Sunset` (RFC 8594), and where to read more.
pub(super) fn tell(deprecation: &Deprecation, headers: &mut HeaderMap) {
    const DEPRECATION: header::HeaderName = header::HeaderName::from_static("deprecation");
    const SUNSET: header::HeaderName = header::HeaderName::from_static("sunset");
    if let Some(since) = &deprecation.deprecation {
        headers.insert(DEPRECATION, since.clone());
    }
    if let Some(at) = &deprecation.sunset {
        headers.insert(SUNSET, at.clone());
    }
    if let Some(link) = &deprecation.link {
        headers.append(header::LINK, link.clone());
    }
}
