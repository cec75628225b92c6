//! What the retirement of the old API needs of every request on its routes: who made it, what of it stands in the way, and headers
//! that tell clients.

use std::sync::Arc;

use http::{HeaderMap, Request, StatusCode, header};

use super::{App, ClientCertificate, Peer};
use crate::auth::claims;
use crate::config::{Config, Retirement, RouteName};
use crate::cutover::list;
use crate::side::Side;
use crate::telemetry::access::Access;
use crate::telemetry::metrics::labels::RouteLabel;
use crate::telemetry::usage::{Client, Feature, KnownBy};

/// Finds the client of a request on one of the four routes, and notes what the request alone tells.
pub(super) fn note<B>(
    app: &App,
    config: &Config,
    peer: &Peer,
    route: RouteName,
    request: &Request<B>,
    caller: Option<&str>,
) -> Arc<Client> {
    let client = find(app, config, peer, request.headers(), caller);
    client.seen(route.into());
    match route {
        RouteName::Cancel => client.features.add((Feature::Cancel,)),
        RouteName::List if request.uri().query().is_some_and(list::filters_by_change) => {
            client.features.add((Feature::ChangeFilter,));
        }
        RouteName::List | RouteName::Create | RouteName::Get => {}
    }
    client
}

fn find(app: &App, config: &Config, peer: &Peer, headers: &HeaderMap, caller: Option<&str>) -> Arc<Client> {
    let said = config.usage.client_header.as_ref().and_then(|name| headers.get(name));
    if let Some(said) = said {
        return app.usage.client(KnownBy::Header, &String::from_utf8_lossy(said.as_bytes()));
    }
    if let Some(caller) = caller {
        return app.usage.client(KnownBy::Caller, caller);
    }
    if let Some(certificate) = peer.certificate.as_deref() {
        return app.usage.client(KnownBy::Certificate, &name_of(certificate));
    }
    match claims::client_id(headers) {
        Some(client_id) => app.usage.client(KnownBy::Token, &client_id),
        None => app.usage.client(KnownBy::Nothing, "not identified"),
    }
}

/// Enough of the fingerprint to find it, first, so that a long subject cannot hide it.
fn name_of(certificate: &ClientCertificate) -> String {
    let fingerprint = certificate.fingerprint();
    format!("{} {}", &fingerprint[..16], certificate.subject)
}

/// Notes what only the answer tells.
pub(super) fn note_answer(client: &Client, access: &Access, without_reference: bool) {
    if without_reference {
        client.features.add((Feature::NoReference,));
    }
    let found = access.status == Some(StatusCode::OK.as_u16());
    if found && access.route == RouteLabel::Get && access.side == Some(Side::Legacy) {
        client.features.add((Feature::LegacyRecord,));
    }
}

/// Tells a client that what it uses will go: `Deprecation` (RFC 9745), `Sunset` (RFC 8594), and where to read more.
pub(super) fn tell(retirement: &Retirement, headers: &mut HeaderMap) {
    const DEPRECATION: header::HeaderName = header::HeaderName::from_static("deprecation");
    const SUNSET: header::HeaderName = header::HeaderName::from_static("sunset");
    if let Some(since) = &retirement.deprecation {
        headers.insert(DEPRECATION, since.clone());
    }
    if let Some(at) = &retirement.sunset {
        headers.insert(SUNSET, at.clone());
    }
    if let Some(link) = &retirement.link {
        headers.append(header::LINK, link.clone());
    }
}
