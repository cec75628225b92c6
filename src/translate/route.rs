//! Which of the four routes a request is, decided on the path as any server might read it.
//!
//! The path is matched after normalising, so that no spelling of a route slips past the translation; what is forwarded on
//! pass-through is always the path as the client wrote it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The four operations of the old API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteName {
    /// `POST …/conversion/stablecoins`
    Create,
    /// `GET …/conversion/stablecoins/{id}`
    Get,
    /// `GET …/conversion/stablecoins`
    List,
    /// `DELETE …/conversion/stablecoins/{id}`
    Cancel,
}

impl RouteName {
    /// All four, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Create, Self::Get, Self::List, Self::Cancel];

    /// The name used in config and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::List => "list",
            Self::Cancel => "cancel",
        }
    }
}

impl fmt::Display for RouteName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A route with what its path says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Make a conversion.
    Create,
    /// Read one, by id.
    Get(Id),
    /// Read many.
    List,
    /// Stop one, by id.
    Cancel(Id),
}

impl Route {
    /// Which of the four it is.
    #[must_use]
    pub const fn name(&self) -> RouteName {
        match self {
            Self::Create => RouteName::Create,
            Self::Get(_) => RouteName::Get,
            Self::List => RouteName::List,
            Self::Cancel(_) => RouteName::Cancel,
        }
    }
}

/// A conversion's id as the client meant it: decoded. It is encoded again wherever it becomes part of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(String);

impl Id {
    /// The id itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as one path segment; no character of it can end the segment.
    #[must_use]
    pub fn to_segment(&self) -> Cow<'_, str> {
        const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
        utf8_percent_encode(&self.0, RESERVED).into()
    }
}

/// What a request is to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    /// One of the four.
    Route(Route),
    /// A request that may write, in the family's namespace, and is none of the four. Passed through, it could be a create
    /// that nothing fences; whether that matters depends on the modes.
    UnroutedWrite,
    /// Anything else.
    PassThrough,
}

/// Finds the route of a request. `base_path` is what clients have in their base URL, such as `/v2`.
#[must_use]
pub fn route(method: &Method, path: &str, base_path: &str) -> Matched {
    let plain = normalise(path);
    let inside = plain.strip_prefix(base_path).and_then(|rest| rest.strip_prefix("/conversion/stablecoins"));
    match (method, inside) {
        (&Method::POST, Some("")) => return Matched::Route(Route::Create),
        (&Method::GET, Some("")) => return Matched::Route(Route::List),
        (method, Some(rest)) => {
            if let Some(id) = rest.strip_prefix('/').filter(|id| !id.is_empty() && !id.contains('/')) {
                match *method {
                    Method::GET => return Matched::Route(Route::Get(Id(id.to_owned()))),
                    Method::DELETE => return Matched::Route(Route::Cancel(Id(id.to_owned()))),
                    _ => {}
                }
            }
        }
        (_, None) => {}
    }
    if is_unrouted_write(method, path, base_path) { Matched::UnroutedWrite } else { Matched::PassThrough }
}

/// Whether a request that is none of the four might all the same write in the family's namespace. Methods have many
/// spellings too: only those that by definition change nothing are above suspicion.
#[must_use]
pub fn is_unrouted_write(method: &Method, path: &str, base_path: &str) -> bool {
    !method.is_safe() && in_family(path, base_path)
}

/// Whether a request's path is this one, in whatever spelling. `plain` has one spelling only.
#[must_use]
pub fn is_path(path: &str, plain: &str) -> bool {
    normalise(path) == plain
}

/// The path with its percent-escapes decoded once, empty and dot segments resolved, and no slash at the end.
fn normalise(path: &str) -> Cow<'_, str> {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let tidy = !decoded.contains("//") && !decoded.contains("/.") && !decoded.ends_with('/');
    if tidy {
        return decoded;
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    Cow::Owned(segments.iter().flat_map(|segment| ["/", segment]).collect())
}

/// Whether some server might take this path for one in the conversion family. Servers differ in how often they decode,
/// whether they do so before or after they resolve dot segments, whether empty segments count and `;parameters` do, and
/// whether a backslash is a slash. Each way to read the path is tried, letter case forgiven.
fn in_family(path: &str, base_path: &str) -> bool {
    const TIMES: usize = 4;
    let family = format!("{base_path}/conversion").to_ascii_lowercase();
    let mut readings = BTreeSet::from([plainer(path)]);
    for _ in 0..TIMES {
        let next: BTreeSet<String> = readings.iter().flat_map(|reading| resolutions(reading)).collect();
        if next.iter().any(|reading| reading.strip_prefix(&family).is_some_and(starts_segment)) {
            return true;
        }
        let next =
            next.into_iter().chain(readings.iter().cloned()).map(|reading| plainer(&reading)).collect();
        if next == readings {
            return false;
        }
        readings = next;
    }
    // Still changing after so many decodings: nobody writes that in good faith.
    true
}

/// Decoded once more, slashes forward, letters small.
fn plainer(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().replace('\\', "/").to_ascii_lowercase()
}

/// The ways to resolve dot segments: with `;parameters` or without them, among all segments or those that are not empty.
fn resolutions(path: &str) -> [String; 4] {
    [(false, false), (false, true), (true, false), (true, true)].map(|(keep_parameters, count_empty)| {
        let mut segments: Vec<&str> = Vec::new();
        for segment in path.split('/').skip(usize::from(count_empty && path.starts_with('/'))) {
            let name = segment.split_once(';').map_or(segment, |(name, _)| name);
            match if keep_parameters { segment } else { name } {
                "." => {}
                ".." => drop(segments.pop()),
                "" if !count_empty => {}
                segment => segments.push(segment),
            }
        }
        let filled = segments.iter().filter(|segment| !segment.is_empty());
        filled.flat_map(|segment| ["/", segment]).collect()
    })
}

fn starts_segment(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}
