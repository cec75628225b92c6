//! `[usage]` and `[deprecation]`: who still calls the old API, and what they are told of its end.

use http::{HeaderName, HeaderValue, Uri};
use jiff::Timestamp;

use super::read::Written;

/// `[usage]`
#[derive(Clone, Debug)]
pub struct Usage {
    /// The header in which clients say who they are; `None` = none.
    pub client_header: Option<HeaderName>,
}

/// `[deprecation]`: headers on answers of the four routes, as they are sent; `None` = not sent.
#[derive(Clone, Debug)]
pub struct Deprecation {
    /// `Deprecation`: since when the old API is deprecated.
    pub deprecation: Option<HeaderValue>,
    /// `Sunset`: when it will go.
    pub sunset: Option<HeaderValue>,
    /// `Link`: where to read more.
    pub link: Option<HeaderValue>,
}

pub(super) fn usage(written: &mut Written) -> Option<Usage> {
    let client_header = written.optional("usage.client_header", client_header);
    Some(Usage { client_header: client_header? })
}

pub(super) fn deprecation(written: &mut Written) -> Option<Deprecation> {
    let deprecation =
        written.optional("deprecation.deprecated_at", |text| value(format!("@{}", time(text)?.as_second())));
    let sunset =
        written.optional("deprecation.sunset_at", |text| value(httpdate::fmt_http_date(time(text)?.into())));
    let link = written.optional("deprecation.link", link);
    Some(Deprecation { deprecation: deprecation?, sunset: sunset?, link: link? })
}

/// Whoever is named by a credential would be written into a table that operators read.
fn client_header(text: &str) -> Result<HeaderName, String> {
    let name: HeaderName = text.parse().map_err(|_| format!("{text:?} is not the name of a header"))?;
    let secret = [http::header::AUTHORIZATION, http::header::PROXY_AUTHORIZATION, http::header::COOKIE];
    if secret.contains(&name) { Err(format!("{text:?} holds credentials")) } else { Ok(name) }
}

fn time(text: &str) -> Result<Timestamp, String> {
    let time: Timestamp =
        text.parse().map_err(|_| format!("{text:?} is not a time, like 2026-12-31T00:00:00Z"))?;
    // Neither header can say anything earlier.
    if time.as_second() < 0 { Err(format!("{text:?} is before 1970")) } else { Ok(time) }
}

fn link(text: &str) -> Result<HeaderValue, String> {
    let url: Uri = text.parse().map_err(|_| format!("{text:?} is not a url"))?;
    match url.scheme_str() {
        Some("https" | "http") => value(format!("<{url}>; rel=\"deprecation\"; type=\"text/html\"")),
        _ => Err(format!("{text:?} is not a url that begins with https://")),
    }
}

fn value(text: String) -> Result<HeaderValue, String> {
    HeaderValue::try_from(text).map_err(|error| error.to_string())
}
