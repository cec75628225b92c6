//! However a path inside the conversion family is written, a POST or DELETE on it is never merely passed through.

use conversion_shim::translate::route::{Matched, Route, route};
use http::Method;
use proptest::prelude::*;

/// Ways to write one slash that leave the path the same for some server.
const SLASHES: [&str; 13] = [
    "/",
    "//",
    "/./",
    "/x/../",
    "%2F",
    "%2f",
    "\\",
    "%5C",
    "/%2e/",
    "/x/%2E%2e/",
    "/x%2Fy/../../",
    "//../",
    "/;y/./",
];
const ENDS: [&str; 7] = ["", "/", "//", "/.", "/x/..", ";x", "%2F"];

/// A letter as itself, in the other case, or percent-encoded.
fn spell(letter: char, how: u8) -> String {
    match how {
        0..=4 => letter.to_string(),
        5 => letter.to_ascii_uppercase().to_string(),
        6 => format!("%{:02x}", letter as u32),
        _ => format!("%{:02X}", letter as u32),
    }
}

fn segment(plain: &'static str) -> impl Strategy<Value = String> {
    let letters = prop::collection::vec(0..8_u8, plain.len());
    let parameter = prop::sample::select(vec!["", "", "", ";x", ";a=b", "%3Bx"]);
    (letters, parameter).prop_map(move |(how, parameter)| {
        let letters = plain.chars().zip(how).map(|(letter, how)| spell(letter, how));
        letters.collect::<String>() + parameter
    })
}

fn decorated() -> impl Strategy<Value = String> {
    let tail = prop_oneof![
        Just(vec![]),
        Just(vec!["stablecoins"]),
        Just(vec!["stablecoins", "1"]),
        Just(vec!["quotes"]),
        Just(vec!["stablecoins", "1", "cancel"]),
    ];
    let parts = tail.prop_flat_map(|tail| {
        let plain: Vec<_> = ["v2", "conversion"].into_iter().chain(tail).collect();
        let slashes = prop::collection::vec(prop::sample::select(SLASHES.to_vec()), plain.len());
        (slashes, plain.into_iter().map(segment).collect::<Vec<_>>())
    });
    (parts, prop::sample::select(ENDS.to_vec()), 0..3_usize).prop_map(|((slashes, segments), end, again)| {
        let path: String =
            slashes.into_iter().zip(segments).flat_map(|(slash, name)| [slash.to_owned(), name]).collect();
        (0..again).fold(path + end, |path, _| path.replace('%', "%25"))
    })
}

proptest! {
    #![proptest_config(super::cases(1500))]

    #[test]
    fn no_spelling_of_the_family_passes_through(path in decorated()) {
        for method in [Method::POST, Method::DELETE] {
            prop_assert_ne!(route(&method, &path, "/v2"), Matched::PassThrough, "{} {}", method, path);
        }
    }

    #[test]
    fn any_path_has_a_route_or_none(path in any::<String>(), base in prop::sample::select(vec!["", "/v2", "/é/v2"])) {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::PUT] {
            let _ = route(&method, &path, base);
            let _ = route(&method, &format!("{base}/conversion/stablecoins/{path}"), base);
        }
    }

    /// What is plainly something else stays untouched.
    #[test]
    fn other_families_pass_through(path in "/v2/[a-bd-z][a-z-]{0,12}(/[a-z0-9-]{1,12}){0,3}/?") {
        prop_assert_eq!(route(&Method::POST, &path, "/v2"), Matched::PassThrough);
    }

    #[test]
    fn an_id_survives_its_way_through_a_path(id in "[^/%\\\\]{1,20}") {
        prop_assume!(id != "." && id != "..");
        let path = |segment: &str| format!("/v2/conversion/stablecoins/{segment}");
        let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let Matched::Route(Route::Get, found) = route(&Method::GET, &path(&encoded), "/v2")
        else { return Err(TestCaseError::fail("not a get")) };
        prop_assert_eq!(found.as_str(), &id);
        prop_assert_eq!(
            route(&Method::GET, &path(&found.to_segment()), "/v2"),
            Matched::Route(Route::Get, found)
        );
    }
}
