//! Matching a request to one of the four routes.
//!
//! The path is matched after normalisation, so that no spelling of a route bypasses the translation. Pass-through always
//! forwards the path as the client wrote it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::identifier;
use super::paths::{CONVERSION_NAMESPACE, CONVERSIONS, ORCHESTRATIONS, collection};
use super::side::Side;

/// An operation of the legacy API that the proxy translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// `POST …/conversion/stablecoins`
    Create,
    /// `GET …/conversion/stablecoins/{id}`
    Get,
    /// `GET …/conversion/stablecoins`
    List,
    /// `DELETE …/conversion/stablecoins/{id}`
    Cancel,
}

impl Route {
    /// Every route, in display order.
    pub(crate) const ALL: [Self; 4] = [Self::Create, Self::Get, Self::List, Self::Cancel];

    /// The name in config, logs, metrics and JSON.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::List => "list",
            Self::Cancel => "cancel",
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A text that names no [`Route`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown route; expected create, get, list or cancel")]
pub struct UnknownRoute;

impl FromStr for Route {
    type Err = UnknownRoute;

    fn from_str(text: &str) -> Result<Self, UnknownRoute> {
        Self::ALL.into_iter().find(|route| route.as_str() == text).ok_or(UnknownRoute)
    }
}

/// A record id from a path, percent-decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(String);

impl Id {
    /// An id that the vendor assigned.
    #[must_use]
    pub(crate) fn known(id: &str) -> Self {
        Self(id.to_owned())
    }

    /// The id after percent-decoding.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id in the spelling in which the vendor most likely stores it: a UUID in lower case, any other id as it is.
    #[must_use]
    pub(crate) fn canonical(&self) -> Self {
        Self(identifier::canonical(&self.0).into_owned())
    }

    /// Whether an answer with the id `found` shows the record that this id names.
    #[must_use]
    pub(crate) fn is_shown_as(&self, found: &str) -> bool {
        identifier::names(found, &self.0)
    }

    /// The id as one path segment. Everything but RFC 3986's unreserved characters is escaped, so the id cannot end the segment.
    #[must_use]
    pub fn to_segment(&self) -> Cow<'_, str> {
        const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
        utf8_percent_encode(&self.0, RESERVED).into()
    }

    /// The path of the record with this id on a side.
    pub(crate) fn path_on(&self, side: Side) -> String {
        format!("{}/{}", collection(side), self.to_segment())
    }
}

/// What a request is to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    /// One of the four routes, with the id in its path. The id is empty for a create and a list, which name no record.
    Route(Route, Id),
    /// A write under the conversions path that no route takes. Passed through, it could be a create without a duplicate
    /// check; the modes decide whether that matters.
    UnroutedWrite,
    /// Any other request; it is streamed to legacy unchanged.
    PassThrough,
}

/// Whether a path is the new API's own collection, in any spelling.
#[must_use]
pub(crate) fn is_native_create(path: &str, base_path: &str) -> bool {
    is_path(path, &format!("{base_path}{ORCHESTRATIONS}"))
}

/// Matches a request to a route. `base_path` is the path prefix in the clients' base URL, such as `/v2`.
#[must_use]
pub fn route(method: &Method, path: &str, base_path: &str) -> Matched {
    let normalised = normalise(path);
    let inside = normalised.strip_prefix(base_path).and_then(|rest| rest.strip_prefix(CONVERSIONS));
    if let Some((route, id)) = inside.and_then(|rest| within_conversions(method, rest)) {
        return Matched::Route(route, Id(id.to_owned()));
    }
    if is_unrouted_write(method, path, base_path) { Matched::UnroutedWrite } else { Matched::PassThrough }
}

/// The route and the id for `rest`, the part of the path after the collection's own.
fn within_conversions<'a>(method: &Method, rest: &'a str) -> Option<(Route, &'a str)> {
    let is_collection = rest.is_empty();
    let id = rest.strip_prefix('/').filter(|id| !id.is_empty() && !id.contains('/'));
    match (method, id) {
        (&Method::POST, None) if is_collection => Some((Route::Create, "")),
        (&Method::GET, None) if is_collection => Some((Route::List, "")),
        (&Method::GET, Some(id)) => Some((Route::Get, id)),
        (&Method::DELETE, Some(id)) => Some((Route::Cancel, id)),
        // `HEAD` and the rest have no translation; whether they may pass is decided by `is_unrouted_write`.
        (_, _) => None,
    }
}

/// Whether a request that no route takes might write under the conversions path. Every method counts as a write that is not
/// safe by RFC 9110, section 9.2.1, an unknown one included.
#[must_use]
pub(crate) fn is_unrouted_write(method: &Method, path: &str, base_path: &str) -> bool {
    !method.is_safe() && may_be_conversion_path(path, base_path)
}

/// Whether a path equals `plain` after normalisation. `plain` is normalised already.
#[must_use]
pub fn is_path(path: &str, plain: &str) -> bool {
    normalise(path) == plain
}

/// The path with percent-escapes decoded once, empty and dot segments resolved (RFC 3986, section 5.2.4), and no slash at the
/// end.
#[must_use]
pub(crate) fn normalise(path: &str) -> Cow<'_, str> {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let is_normal = !decoded.contains("//") && !decoded.contains("/.") && !decoded.ends_with('/');
    if is_normal {
        return decoded;
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            // As most servers do; RFC 3986, section 5.2.4, asks it of dots alone.
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    Cow::Owned(segments.iter().flat_map(|segment| ["/", segment]).collect())
}

/// Whether a server might read this path as one under the conversions path. Servers differ in how often they decode, whether
/// they do so before or after they resolve dot segments, whether empty segments and `;parameters` count, and whether a
/// backslash is a slash. Every order of these steps is tried, ignoring case.
fn may_be_conversion_path(path: &str, base_path: &str) -> bool {
    // No client writes a path in good faith that can be read in more ways, so the safe answer is yes.
    const READINGS_MAX: usize = 64;
    let namespace = format!("{base_path}{CONVERSION_NAMESPACE}").to_ascii_lowercase();
    let first = path.to_ascii_lowercase();
    let mut known = BTreeSet::from([first.clone()]);
    let mut unread = vec![first];
    while let Some(reading) = unread.pop() {
        // Where a segment `..` is left, what comes before it is not where the path leads.
        if without_dots(&reading).strip_prefix(&namespace).is_some_and(starts_segment) {
            return true;
        }
        for next in steps(&reading) {
            if !known.contains(&next) {
                known.insert(next.clone());
                unread.push(next);
            }
        }
        if known.len() > READINGS_MAX {
            return true;
        }
    }
    false
}

/// The steps of servers that normalise a path, each by itself.
fn steps(path: &str) -> [String; 5] {
    let decoded = percent_decode_str(path).decode_utf8_lossy().to_ascii_lowercase();
    let with_slashes = path.replace('\\', "/");
    // Some servers drop what follows a semicolon in a segment (path parameters, RFC 3986, section 3.3).
    let names = path.split('/').map(|segment| segment.split_once(';').map_or(segment, |(name, _)| name));
    let full = path.split('/').filter(|segment| !segment.is_empty());
    let without_empty = full.flat_map(|segment| ["/", segment]).collect();
    [decoded, with_slashes, names.collect::<Vec<_>>().join("/"), without_empty, without_dots(path)]
}

/// Dot segments resolved (RFC 3986, section 5.2.4). An empty segment is one that `..` takes back.
fn without_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    segments.iter().flat_map(|segment| ["/", segment]).collect()
}

fn starts_segment(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}
