//! Each rule against code that breaks it, and against the nearest code that does not: a checker that cannot fail checks nothing.

use crate::{
    rules::{self, Violation},
    source::{Source, without_test_files},
};

/// The line of each violation that a rule finds in one planted file.
fn lines(rule: fn(&Source) -> Vec<Violation>, file: &str, text: &str) -> Vec<usize> {
    let found = rule(&Source::new(file, text));
    found.iter().map(|violation| line_of(violation, file)).collect()
}

fn line_of(violation: &Violation, file: &str) -> usize {
    let text = violation.to_string();
    let line = text.strip_prefix(&format!("src/{file}:")).and_then(|rest| rest.split(':').next());
    line.and_then(|line| line.parse().ok()).unwrap_or_default()
}

#[test]
fn an_arrow_that_points_up_is_found() {
    let wrong = [
        ("ledger/mod.rs", "use crate::proxy::App;"),
        ("ledger/sqlite.rs", "use super::super::cutover;"),
        ("headers.rs", "use super::config;"),
        ("upstream/token.rs", "use crate::{side::Side, server::{self, Limits}};"),
        ("failure.rs", "fn f(_: &crate::config::Config) {}"),
        ("shadow/mod.rs", "use crate::proxy::Story;"),
        ("shadow/mod.rs", "use crate::routes::create;"),
        ("server.rs", "use conversion_shim::cli;"),
        ("config/mod.rs", "mod inner { use super::super::server; }"),
        ("proxy.rs", "use crate::Side;"),
        ("attic.rs", ""),
    ];
    for (file, text) in wrong {
        assert_eq!(lines(rules::arrows, file, text), [1], "{file}: {text}");
    }
}

#[test]
fn an_arrow_that_points_down_is_none() {
    let right = [
        ("main.rs", "use conversion_shim::cli;"),
        ("lib.rs", "pub mod cli; pub mod side;"),
        ("failure.rs", "use crate::translate::side::Side;"),
        (
            "config/mod.rs",
            "use crate::{failure::Failure, headers, translate::route::Route}; mod load; use self::load::x;",
        ),
        ("config/load.rs", "use super::Config; use crate::config::check; pub(in crate::config) fn f() {}"),
        ("config/mod.rs", "mod inner { use super::load; }"),
        ("upstream/mod.rs", "use crate::config::Upstream;"),
        ("proxy.rs", "use crate::{cutover, headers, shadow, upstream};\nfn f() { crate::metric!(1); }"),
        (
            "server.rs",
            "// crate::cli\n/* use crate::cli; /* crate::cli */ */ const A: &str = \"crate::cli\";",
        ),
        (
            "server.rs",
            "const A: &str = r#\"use \"crate::cli\" \"#; const B: char = '\"'; fn f<'a>(_: &'a str) {}",
        ),
        ("server.rs", "use crate::proxy;\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n}"),
    ];
    for (file, text) in right {
        assert_eq!(lines(rules::arrows, file, text), [0; 0], "{file}: {text}");
    }
}

#[test]
fn the_sandbox_stands_aside() {
    assert_eq!(lines(rules::arrows, "server.rs", "\nuse crate::sandbox::Sandbox;"), [2]);
    assert_eq!(lines(rules::arrows, "main.rs", "use conversion_shim::sandbox::Sandbox;"), [1]);
    assert_eq!(lines(rules::arrows, "sandbox/mod.rs", "use crate::http::headers;"), [1]);
    assert_eq!(
        lines(rules::arrows, "sandbox/mod.rs", "use crate::translate::side::Side;\nmod books;"),
        [0; 0]
    );
    assert_eq!(lines(rules::arrows, "cli/serve.rs", "use crate::sandbox::Sandbox;"), [0; 0]);
}

#[test]
fn translation_and_sockets_meet_only_in_cutover_and_shadow() {
    let both = "use crate::upstream::Client;\nuse crate::translate::create;";
    let meets = |files: &[(&str, &str)]| {
        let house: Vec<Source> = files.iter().map(|(file, text)| Source::new(file, text)).collect();
        rules::translation_meets_sockets(&house).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for file in ["cutover/create.rs", "shadow/mod.rs", "cli/serve.rs"] {
        assert_eq!(meets(&[(file, both)]), [""; 0], "{file}");
    }
    assert!(meets(&[("proxy.rs", both)])[0].starts_with("src/proxy.rs:2: "));
    let apart =
        meets(&[("server.rs", "use crate::upstream;"), ("server/tls.rs", "use crate::translate::route;")]);
    assert!(apart[0].starts_with("src/server/tls.rs:1: "), "one room in two files");
    assert_eq!(meets(&[("proxy.rs", "use crate::{translate::route::{self, Route}, upstream};")]), [""; 0]);
}

#[test]
fn impure_translation_is_found() {
    let impure = [
        "use tokio::time::sleep;",
        "use hyper::StatusCode;",
        "fn f(_: reqwest::Url) {}",
        "fn f() { tracing::warn!(\"x\"); }",
        "use std::{borrow::Cow, time::Instant};",
        "use std::{fs};",
        "fn f() { let _ = ::std::fs::read(\"x\"); }",
        "use crate::config::Config;",
    ];
    for text in impure {
        assert_eq!(lines(rules::pure_translation, "translate/list.rs", text), [1], "{text}");
        assert_eq!(lines(rules::pure_translation, "cutover/list.rs", text), [0; 0], "{text}");
    }
    let pure = "// tokio::spawn\nuse std::borrow::Cow;\nconst A: &str = \"std::time::Instant\";";
    assert_eq!(lines(rules::pure_translation, "translate/mod.rs", pure), [0; 0]);
}

#[test]
fn a_file_over_the_cap_is_found() {
    let full = "const A: u8 = 1;\n".repeat(400);
    assert_eq!(lines(rules::file_length, "proxy.rs", &full), [0; 0]);
    assert_eq!(lines(rules::file_length, "proxy.rs", &format!("{full}\n")), [401]);
    let tests = format!("{full}#[cfg(test)]\nmod tests {{\n    fn f() {{}}\n}}\n");
    assert!(lines(rules::file_length, "proxy.rs", &tests).is_empty(), "tests are not counted");
}

#[test]
fn a_name_that_says_nothing_is_found() {
    assert_eq!(lines(rules::empty_names, "translate/helpers.rs", ""), [1]);
    assert_eq!(lines(rules::empty_names, "utils/mod.rs", ""), [1]);
    assert_eq!(lines(rules::empty_names, "proxy.rs", "\npub(crate) mod common {}"), [2]);
    assert_eq!(
        lines(rules::empty_names, "proxy.rs", "mod commonwealth; // mod utils;\nuse x::models;"),
        [0; 0]
    );
}

#[test]
fn the_vendors_words_in_proxy_are_found() {
    let text = "const A: &str = \"/v2/conversion/stablecoins\";\nstruct S { source_amount: u8 }\nconst B: &str = \"profile_id\";";
    assert_eq!(lines(rules::vendor_words_in_proxy, "proxy.rs", text), [1, 2, 3]);
    assert_eq!(lines(rules::vendor_words_in_proxy, "proxy/access.rs", text), [1, 2, 3]);
    assert_eq!(lines(rules::vendor_words_in_proxy, "translate/create.rs", text), [0; 0]);
    let clean = "/// Serves /v2/conversion/stablecoins.\nfn f(request_profile_ids: u8) {}";
    assert_eq!(lines(rules::vendor_words_in_proxy, "proxy.rs", clean), [0; 0]);
}

#[test]
fn unfinished_code_is_found() {
    assert_eq!(
        lines(rules::unfinished_code, "proxy.rs", "fn f() {\n    x.unwrap ();\n    todo!(\"later\");\n}"),
        [2, 3]
    );
    let fine = "fn f() { x.unwrap_or(1); y.unwrap_or_default(); } // unwrap() todo!\n#[cfg(test)]\nfn t() { x.unwrap(); }";
    assert_eq!(lines(rules::unfinished_code, "proxy.rs", fine), [0; 0]);
}

#[test]
fn files_of_test_modules_are_left_out() {
    let house = vec![
        Source::new("ledger/mod.rs", "#[cfg(test)]\nmod tests;\nmod sqlite;"),
        Source::new("ledger/tests.rs", "use crate::cli;"),
        Source::new("ledger/tests/faults.rs", "use crate::cli;"),
        Source::new("ledger/sqlite.rs", ""),
    ];
    let kept: Vec<String> = without_test_files(house).into_iter().map(|source| source.file).collect();
    assert_eq!(kept, ["ledger/mod.rs", "ledger/sqlite.rs"]);
}

#[test]
fn every_rule_runs_over_the_house() {
    let house = [Source::new("proxy.rs", "use crate::cli;\nfn profile_id() { x.unwrap() }\nmod utils {}")];
    let found: Vec<String> = rules::all(&house).iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 4, "{found:#?}");
}
