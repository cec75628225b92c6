//! Paths, as servers read them.
//!
//! Held: a write whose path some server makes a conversion's, by steps that servers take in any order, is not passed through; what only reads is
//! never held back; and a record's id, written again as a segment, is the same id.

use conversion_shim::translate::route::{Matched, Route, is_path, route};
use http::Method;
use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;

const BASE: &str = "/v2";
const CREATE: &str = "/v2/conversion/stablecoins";

/// One step of a server that normalises paths.
fn step(number: u8, path: &str) -> String {
    let segments = path.split('/');
    match number % 5 {
        0 => percent_decode_str(path).decode_utf8_lossy().into_owned(),
        1 => path.replace('\\', "/"),
        2 => {
            let names = segments.map(|segment| segment.split(';').next().unwrap_or_default());
            names.collect::<Vec<_>>().join("/")
        }
        3 => segments.filter(|segment| !segment.is_empty()).flat_map(|segment| ["/", segment]).collect(),
        _ => without_dots(path),
    }
}

/// RFC 3986, 5.2.4: an empty segment is one.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<_> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    for (number, segment) in segments.iter().enumerate() {
        let is_last = number + 1 == segments.len();
        match *segment {
            "." | ".." => {
                if *segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    kept.iter().flat_map(|segment| ["/", segment]).collect()
}

fn is_conversion(path: &str) -> bool {
    let path = without_dots(path).to_ascii_lowercase();
    path.strip_prefix(CREATE).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(crate) fn check(data: &[u8]) {
    let Some((steps, path)) = data.split_first_chunk::<6>() else { return };
    // What arrives has been a request target.
    let Ok(target) = PathAndQuery::try_from(path) else { return };
    let path = target.path();
    if !path.starts_with('/') {
        return;
    }
    let mut read = path.to_owned();
    let mut is_taken = is_conversion(&read);
    for number in steps {
        read = step(*number, &read);
        is_taken |= is_conversion(&read);
    }
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let here = route(&method, path, BASE);
        assert!(!is_taken || here != Matched::PassThrough, "{method} {path} may be {read}");
    }
    let create = route(&Method::POST, path, BASE);
    assert_eq!(matches!(create, Matched::Route(Route::Create, _)), is_path(path, CREATE), "{path}");
    let list = route(&Method::GET, path, BASE);
    assert_ne!(list, Matched::UnroutedWrite, "{path}");
    if let Matched::Route(Route::Get, id) = list {
        let again = format!("{CREATE}/{}", id.to_segment());
        assert_eq!(route(&Method::GET, &again, BASE), Matched::Route(Route::Get, id.clone()), "{path}");
        assert_eq!(route(&Method::DELETE, path, BASE), Matched::Route(Route::Cancel, id), "{path}");
    }
}
