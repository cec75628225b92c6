//! Paths. What counts: a write that any server down the road might take for a create or a cancel is never merely passed through,
//! and what is a route stays the same one however often its path is written again.

use conversion_shim::translate::route::{Matched, Route, is_path, route};
use http::Method;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;

use super::cases;
use super::mutation::mutated;

const CREATE: &str = "/v2/conversion/stablecoins";
const INPUTS: [&str; 11] = [
    CREATE,
    "/v2/conversion/stablecoins/3d7a1e5b-9c2f-4d8a-a6b3-0e4f2c8d1a9b",
    "/v2//conversion/./stablecoins/",
    "/v2/conversion%2Fstablecoins%2f1",
    "/v2/profiles/../conversion/stablecoins",
    "/V2/Conversion;a=b/stablecoins",
    "/v2/orchestration/orchestrations/1",
    "/v2\\conversion\\stablecoins",
    "/v2%252Fconversion/stablecoins",
    "/v2/%252563onversion/stablecoins",
    "/v2/conversion/stablecoins/%2541%20%3F%23",
];
const WORDS: &[&str] = &[
    "/",
    "//",
    "/./",
    "/../",
    "%2F",
    "%2f",
    "%252F",
    "%25",
    "%2e",
    "%2E%2E",
    "\\",
    "%5c",
    ";x",
    "%3b",
    "%00",
    "%",
    "%C3%A9",
    "é",
    "conversion",
    "stablecoins",
    "CONVERSION",
    "v2",
    "%63",
    "%ff",
    "?",
    "#",
    "..;/",
];

fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

/// As some server reads it: decoded up to three times, backslashes turned, letters small.
fn readings(path: &str) -> Vec<String> {
    let mut all = vec![path.to_owned()];
    for _ in 0..3 {
        all.push(decoded(all.last().unwrap()));
    }
    let turned: Vec<_> = all.iter().map(|path| path.replace('\\', "/").to_ascii_lowercase()).collect();
    all.extend(turned);
    all
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_path_that_some_server_reads_as_a_create_is_not_passed_through(bytes in mutated(INPUTS, WORDS)) {
        let path = String::from_utf8_lossy(&bytes);
        for method in [Method::POST, Method::DELETE] {
            let taken = readings(&path).iter().any(|path| matches!(route(&method, path, "/v2"), Matched::Route(..)));
            let here = route(&method, &path, "/v2");
            prop_assert!(!taken || here != Matched::PassThrough, "{} {}", method, path);
        }
        // What only reads is never held back, and no other method is a route.
        prop_assert_ne!(route(&Method::GET, &path, "/v2"), Matched::UnroutedWrite);
        for method in [Method::PUT, Method::HEAD, Method::OPTIONS, Method::PATCH] {
            prop_assert!(!matches!(route(&method, &path, "/v2"), Matched::Route(..)), "{} {}", method, path);
        }
    }

    #[test]
    fn a_route_stays_what_it_is_when_its_path_is_written_again(bytes in mutated(INPUTS, WORDS)) {
        let path = String::from_utf8_lossy(&bytes);
        let create = matches!(route(&Method::POST, &path, "/v2"), Matched::Route(Route::Create, _));
        let list = matches!(route(&Method::GET, &path, "/v2"), Matched::Route(Route::List, _));
        prop_assert_eq!(create, is_path(&path, CREATE), "{}", path);
        prop_assert_eq!(create, list, "{}", path);
        if let Matched::Route(Route::Get, id) = route(&Method::GET, &path, "/v2") {
            let again = format!("{CREATE}/{}", id.to_segment());
            prop_assert!(again.parse::<http::Uri>().is_ok_and(|uri| uri.path() == again), "{}", again);
            prop_assert_eq!(route(&Method::GET, &again, "/v2"), Matched::Route(Route::Get, id.clone()));
            prop_assert_eq!(route(&Method::DELETE, &path, "/v2"), Matched::Route(Route::Cancel, id));
        }
    }
}
