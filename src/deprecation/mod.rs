//! Support for retiring the legacy API: records who still calls it and which features block its end, and adds the deprecation header
//! fields to responses.
//!
//! Any client can send a request under any name, so nothing is recorded before the response is known. A new client enters the table only
//! if someone verified its credentials: an upstream that accepted the request or recognised the `ref_id` (409), or the proxy, which
//! authenticates callers and certificates. A known client counts unless the response is 401.

pub(crate) mod on_record;
pub(crate) mod token_claims;
pub(crate) mod usage;

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, Request, StatusCode, header};

use self::usage::{ClientEntry, Feature, KnownBy, NOT_IDENTIFIED, UsageTable};
use crate::config::{Config, Deprecation};
use crate::http::peer::{ClientCertificate, Peer};
use crate::telemetry::access::Access;
use crate::telemetry::metrics::labels::RouteLabel;
use crate::translate::route::Route;
use crate::translate::side::Side;

/// What the usage table will record about a request on one of the four routes, once its response is known.
pub(crate) struct ClientUsage {
    by: KnownBy,
    name: String,
    feature: Option<Feature>,
}

/// Identifies the client, and the feature that the request itself shows.
pub(crate) fn identify<B>(
    config: &Config,
    peer: &Peer,
    route: Route,
    request: &Request<B>,
    caller: Option<&str>,
) -> ClientUsage {
    let (by, name) = client_name(config, peer, request.headers(), caller);
    let feature = match route {
        Route::Cancel => Some(Feature::Cancel),
        Route::List if request.uri().query().is_some_and(filters_by_change) => Some(Feature::ChangeFilter),
        Route::List | Route::Create | Route::Get => None,
    };
    ClientUsage { by, name, feature }
}

/// Whether the query of a list filters by the time of the last change, which the new API does not support.
fn filters_by_change(query: &str) -> bool {
    // The cheap test first: almost no query contains the word.
    query.contains("updated")
        && form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key.starts_with("updated_at."))
}

/// The first of header, caller, certificate and token that gives a name.
fn client_name(config: &Config, peer: &Peer, headers: &HeaderMap, caller: Option<&str>) -> (KnownBy, String) {
    let usable =
        |name: Cow<'_, str>| Some(usage::truncated(&name)).filter(|name| !name.is_empty()).map(str::to_owned);
    let header = config.usage.client_header.as_ref().and_then(|name| headers.get(name));
    if let Some(name) = header.and_then(|value| usable(String::from_utf8_lossy(value.as_bytes()))) {
        return (KnownBy::Header, name);
    }
    if let Some(caller) = caller {
        return (KnownBy::Caller, usage::truncated(caller).to_owned());
    }
    if let Some(certificate) = peer.certificate.as_deref() {
        return (KnownBy::Certificate, usage::truncated(&certificate_name(certificate)).to_owned());
    }
    match token_claims::client_id(headers).and_then(|client_id| usable(client_id.into())) {
        Some(client_id) => (KnownBy::Token, client_id),
        None => (KnownBy::Nothing, NOT_IDENTIFIED.into()),
    }
}

/// The fingerprint comes first, so that a long subject cannot push it out of the truncated name.
fn certificate_name(certificate: &ClientCertificate) -> String {
    let fingerprint = certificate.fingerprint();
    format!("{} {}", &fingerprint[..16], certificate.subject)
}

impl ClientUsage {
    /// Records the request, with the features that only its response shows.
    pub(crate) fn record(&self, usage: &UsageTable, access: &Access, without_reference: bool) {
        if access.status == Some(StatusCode::UNAUTHORIZED.as_u16()) {
            return;
        }
        let Some(client) = self.client(usage, access) else { return };
        client.record_request(access.route);
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

    /// `None`: the client is unknown, and nothing verified its credentials.
    fn client(&self, usage: &UsageTable, access: &Access) -> Option<Arc<ClientEntry>> {
        let by_upstream = access.upstream_status.is_some_and(|status| matches!(status, 200..=299 | CONFLICT));
        let by_proxy = access.caller.is_some() || access.client_certificate.is_some();
        if by_upstream || by_proxy {
            Some(usage.client(self.by, &self.name))
        } else {
            usage.known(self.by, &self.name)
        }
    }
}

const CONFLICT: u16 = StatusCode::CONFLICT.as_u16();

/// Adds `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and `Link` to a response, as configured.
pub(crate) fn add_headers(deprecation: &Deprecation, headers: &mut HeaderMap) {
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
