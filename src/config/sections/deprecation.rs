//! `[deprecation]`: headers that announce the end of the old API.

use http::{HeaderValue, Uri};
use jiff::Timestamp;

use crate::config::read::KeyReader;

/// `[deprecation]`: the values of the headers on answers of the four routes; `None` = the header is not sent.
#[derive(Clone, Debug)]
pub(crate) struct Deprecation {
    /// `Deprecation` (RFC 9745).
    pub(crate) deprecation: Option<HeaderValue>,
    /// `Sunset` (RFC 8594).
    pub(crate) sunset: Option<HeaderValue>,
    /// `Link` with `rel="deprecation"` (RFC 9745, section 3).
    pub(crate) link: Option<HeaderValue>,
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Deprecation> {
    // An RFC 9745 date is a structured-field date: seconds since 1970 after an @. RFC 8594 takes an HTTP date.
    let deprecation = keys
        .on_reload("deprecation.deprecated_at")
        .optional(|text| header(format!("@{}", time(text)?.as_second())));
    let sunset = keys
        .on_reload("deprecation.sunset_at")
        .optional(|text| header(httpdate::fmt_http_date(time(text)?.into())));
    let link = keys.on_reload("deprecation.link").optional(link);
    Some(Deprecation { deprecation: deprecation?, sunset: sunset?, link: link? })
}

fn time(text: &str) -> Result<Timestamp, String> {
    let time: Timestamp =
        text.parse().map_err(|_| format!("{text:?} is not a time, like 2026-12-31T00:00:00Z"))?;
    // An HTTP date has no year before 1970.
    if time.as_second() < 0 { Err(format!("{text:?} is before 1970")) } else { Ok(time) }
}

fn link(text: &str) -> Result<HeaderValue, String> {
    let url: Uri = text.parse().map_err(|_| format!("{text:?} is not a url"))?;
    match url.scheme_str() {
        Some("https" | "http") => header(format!("<{url}>; rel=\"deprecation\"; type=\"text/html\"")),
        Some(_) | None => Err(format!("{text:?} is not a url that begins with https://")),
    }
}

fn header(text: String) -> Result<HeaderValue, String> {
    HeaderValue::try_from(text).map_err(|error| error.to_string())
}
