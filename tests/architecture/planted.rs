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
fn an_import_that_points_up_is_found() {
    let wrong = [
        ("ledger/mod.rs", "use crate::proxy::App;"),
        ("ledger/sqlite.rs", "use super::super::routes;"),
        ("http/headers.rs", "use super::super::config;"),
        ("upstream/token.rs", "use crate::{translate::side::Side, server::{self, Limits}};"),
        ("upstream/token.rs", "use crate::ledger::Ledger;"),
        ("failure/mod.rs", "fn f(_: &crate::config::Config) {}"),
        ("shadow/mod.rs", "use crate::proxy::App;"),
        ("shadow/mod.rs", "use crate::routes::create;"),
        ("deprecation/mod.rs", "use crate::proxy::App;"),
        ("server/mod.rs", "use conversion_shim::cli;"),
        ("report/mod.rs", "use crate::proxy::App;"),
        ("cli/mod.rs", "use crate::main;"),
        ("config/mod.rs", "mod inner { use super::super::server; }"),
        ("proxy/mod.rs", "use crate::Side;"),
        ("attic/mod.rs", ""),
    ];
    for (file, text) in wrong {
        assert_eq!(lines(rules::arrows, file, text), [1], "{file}: {text}");
    }
}

#[test]
fn an_import_that_points_down_is_none() {
    let right = [
        ("main.rs", "use conversion_shim::run;"),
        ("lib.rs", "pub mod cli; pub mod sandbox;"),
        ("failure/mod.rs", "use crate::translate::side::Side;"),
        (
            "config/mod.rs",
            "use crate::{failure::Failure, http, translate::route::Route}; mod load; use self::load::x;",
        ),
        ("config/load.rs", "use super::Config; use crate::config::check; pub(in crate::config) fn f() {}"),
        ("config/mod.rs", "mod inner { use super::load; }"),
        ("upstream/mod.rs", "use crate::config::Upstream; use crate::telemetry::spans;"),
        ("ledger/mod.rs", "use crate::telemetry::spans;"),
        ("admin/mod.rs", "use crate::{deprecation, server, shadow};"),
        ("report/mod.rs", "use crate::shadow::record::ComparisonRecord;"),
        ("proxy/mod.rs", "use crate::{routes, http, shadow, upstream};\nfn f() { crate::metric!(1); }"),
        (
            "server/mod.rs",
            "// crate::cli\n/* use crate::cli; /* crate::cli */ */ const A: &str = \"crate::cli\";",
        ),
        (
            "server/mod.rs",
            "const A: &str = r#\"use \"crate::cli\" \"#; const B: char = '\"'; fn f<'a>(_: &'a str) {}",
        ),
        ("server/mod.rs", "use crate::proxy;\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n}"),
    ];
    for (file, text) in right {
        assert_eq!(lines(rules::arrows, file, text), [0; 0], "{file}: {text}");
    }
}

#[test]
fn parts_for_the_command_line_alone_are_guarded() {
    for part in ["report", "sandbox", "simulate"] {
        let import = format!("\nuse crate::{part}::X;");
        for file in ["server/mod.rs", "main.rs", "admin/mod.rs", "shadow/mod.rs"] {
            assert_eq!(lines(rules::arrows, file, &import), [2], "{file}: {part}");
        }
        assert_eq!(lines(rules::arrows, "cli/serve.rs", &import), [0; 0], "{part}");
    }
    for import in ["use crate::http::headers;", "use crate::translate::create;", "use crate::config::Config;"]
    {
        assert_eq!(lines(rules::arrows, "sandbox/mod.rs", import), [1], "{import}");
    }
    assert_eq!(
        lines(rules::arrows, "sandbox/mod.rs", "use crate::translate::side::Side;\nmod oauth;"),
        [0; 0]
    );
    // The demo embeds the vendor, and the command alone runs the demo.
    assert_eq!(lines(rules::arrows, "demo/mod.rs", "use crate::sandbox::X;"), [0; 0]);
    assert_eq!(lines(rules::arrows, "demo/mod.rs", "use crate::report::X;"), [1]);
    assert_eq!(lines(rules::arrows, "admin/mod.rs", "use crate::demo::X;"), [1]);
    // The simulation plays what the create protocol decides, against the embedded vendor and without a server.
    for import in ["use crate::sandbox::X;", "use crate::routes::create;", "use crate::ledger::Ledger;"] {
        assert_eq!(lines(rules::arrows, "simulate/mod.rs", import), [0; 0], "{import}");
    }
    for import in ["use crate::gate::X;", "use crate::proxy::App;", "use crate::report::X;"] {
        assert_eq!(lines(rules::arrows, "simulate/mod.rs", import), [1], "{import}");
    }
}

/// What the rule on circles says of these files.
fn circles(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<Source> = files.iter().map(|(file, text)| Source::new(file, text)).collect();
    rules::circles(&files).iter().map(ToString::to_string).collect()
}

#[test]
fn a_circle_of_imports_is_found() {
    let wrong: [&[(&str, &str)]; 5] = [
        &[
            ("config/auth.rs", "use super::secret::Secret;\npub struct Auth;"),
            ("config/secret.rs", "use super::auth::Auth;\npub struct Secret;"),
        ],
        // By way of a third one.
        &[
            ("a/one.rs", "pub fn f() { super::two::f() }"),
            ("a/two.rs", "pub fn f() { crate::b::three::f() }"),
            ("b/three.rs", "use crate::a::one;\npub fn f() { one::f() }"),
        ],
        // By way of re-exports, one of them under another name.
        &[
            ("a/mod.rs", "mod one;\nmod two;\npub use self::{one::One, two::Two as Second};"),
            ("a/one.rs", "use super::Second;\npub struct One;"),
            ("a/two.rs", "use crate::a::One;\npub struct Two;"),
        ],
        // By way of a glob that re-exports.
        &[
            ("a/mod.rs", "mod one;\nmod two;\npub use one::*;"),
            ("a/one.rs", "use super::two::Two;\npub struct One;"),
            ("a/two.rs", "use super::One;\npub struct Two;"),
        ],
        // Within a macro.
        &[
            ("a/one.rs", "fn f() { html!{ (super::two::text()) } }\npub struct One;"),
            ("a/two.rs", "use super::one::One;\npub fn text() {}"),
        ],
    ];
    for files in wrong {
        let found = circles(files);
        assert_eq!(found.len(), 1, "{files:?}: {found:?}");
        for (file, _) in files.iter().filter(|(file, _)| !file.ends_with("mod.rs")) {
            assert!(found[0].contains(file), "{found:?}");
        }
    }
}

#[test]
fn what_is_no_circle_is_not_taken_for_one() {
    let right: [&[(&str, &str)]; 3] = [
        // A facade re-exports what its children take from one another.
        &[
            ("a/mod.rs", "mod one;\nmod two;\npub use self::{one::One, two::Two};"),
            ("a/one.rs", "pub struct One;"),
            ("a/two.rs", "use super::One;\npub struct Two;"),
        ],
        // A module and its children share what it defines.
        &[
            ("a/mod.rs", "mod one;\nuse one::One;\npub struct A;"),
            ("a/one.rs", "use super::A;\npub struct One;"),
        ],
        // Tests may.
        &[
            ("a/one.rs", "pub struct One;\n#[cfg(test)]\nmod tests { use super::super::two::Two; }"),
            ("a/two.rs", "use super::one::One;\npub struct Two;"),
        ],
    ];
    for files in right {
        assert_eq!(circles(files), [""; 0], "{files:?}");
    }
}

#[test]
fn formats_in_proxy_and_server_are_found() {
    let text = "use crate::translate::{route::Route, side::Side};\nuse crate::translate::create;";
    assert_eq!(lines(rules::formats, "proxy/mod.rs", text), [2]);
    assert_eq!(lines(rules::formats, "server/tls.rs", text), [2]);
    assert_eq!(lines(rules::formats, "routes/get.rs", text), [0; 0]);
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
        assert_eq!(lines(rules::pure_translation, "routes/list.rs", text), [0; 0], "{text}");
    }
    let pure = "// tokio::spawn\nuse std::borrow::Cow;\nconst A: &str = \"std::time::Instant\";";
    assert_eq!(lines(rules::pure_translation, "translate/mod.rs", pure), [0; 0]);
}

#[test]
fn a_file_over_the_cap_is_found() {
    let full = "const A: u8 = 1;\n".repeat(400);
    assert_eq!(lines(rules::file_length, "proxy/mod.rs", &full), [0; 0]);
    assert_eq!(lines(rules::file_length, "proxy/mod.rs", &format!("{full}\n")), [401]);
    let tests = format!("{full}#[cfg(test)]\nmod tests {{\n    fn f() {{}}\n}}\n");
    assert!(lines(rules::file_length, "proxy/mod.rs", &tests).is_empty(), "tests are not counted");
}

#[test]
fn a_name_that_says_nothing_is_found() {
    assert_eq!(lines(rules::empty_names, "translate/helpers.rs", ""), [1]);
    assert_eq!(lines(rules::empty_names, "utils/mod.rs", ""), [1]);
    assert_eq!(lines(rules::empty_names, "proxy/mod.rs", "\npub(crate) mod common {}"), [2]);
    assert_eq!(
        lines(rules::empty_names, "proxy/mod.rs", "mod commonwealth; // mod utils;\nuse x::models;"),
        [0; 0]
    );
}

#[test]
fn a_vendor_path_outside_its_file_is_found() {
    let text = "/// Serves /v2/conversion/stablecoins.\nconst A: &str = \"/conversion/stablecoins\";\nconst B: &str = \"/orchestration\";";
    assert_eq!(lines(rules::vendor_paths, "routes/get.rs", text), [2, 3]);
    assert_eq!(lines(rules::vendor_paths, "translate/route.rs", text), [2, 3]);
    assert_eq!(lines(rules::vendor_paths, "translate/paths.rs", text), [0; 0]);
    assert_eq!(lines(rules::vendor_paths, "sandbox/mod.rs", text), [0; 0]);
}

#[test]
fn a_statement_that_changes_the_audit_is_found() {
    let text = "const A: &str = \"INSERT INTO ledger_audit (at_us) SELECT $1 WHERE \";\n\
        const B: &str = \"UPDATE x SET y = 1\";\n\
        const C: &str = \"DELETE FROM ledger_audit WHERE at_us < $1\";\n\
        const D: &str = \"UPDATE \\\n    ledger_audit SET reason = ''\";\n\
        // DELETE FROM ledger_audit\n\
        const E: &str = \"truncate ledger_audit\";\n\
        const F: &str = \"DELETE FROM ledger_evidence\";";
    assert_eq!(lines(rules::append_only_audit, "ledger/audit.rs", text), [3, 4, 7, 8]);
}

#[test]
fn a_field_of_the_vendor_in_proxy_is_found() {
    let text =
        "struct S { source_amount: u8 }\nconst B: &str = \"profile_id\";\nfn f(request_profile_ids: u8) {}";
    assert_eq!(lines(rules::vendor_fields_in_proxy, "proxy/forwarding.rs", text), [1, 2]);
    assert_eq!(lines(rules::vendor_fields_in_proxy, "translate/create.rs", text), [0; 0]);
}

#[test]
fn an_open_match_on_failures_or_routes_is_found() {
    let text = "match x {\n    _ => 1,\n    _ if y => 2,\n    Err(_) => 3,\n    Ok(_) | (_, None) => 4,\n}\nmatches!(x, A)";
    for file in ["failure/mod.rs", "routes/create/protocol.rs", "routes/get.rs", "upstream/authenticated.rs"]
    {
        assert_eq!(lines(rules::exhaustive_matches, file, text), [2, 3, 4, 7], "{file}");
    }
    assert_eq!(lines(rules::exhaustive_matches, "upstream/client.rs", text), [0; 0]);
}

#[test]
fn an_exception_from_the_limits_on_functions_is_found() {
    let text = "#[allow(clippy::too_many_lines)]\nfn f() {}\n#[expect(clippy::too_many_arguments, reason = \"x\")]\nfn g() {}";
    assert_eq!(lines(rules::function_limits, "proxy/mod.rs", text), [1, 3]);
}

#[test]
fn a_loose_file_is_found() {
    assert_eq!(lines(rules::loose_files, "outlive.rs", ""), [1]);
    for file in ["main.rs", "lib.rs", "http/mod.rs"] {
        assert_eq!(lines(rules::loose_files, file, ""), [0; 0], "{file}");
    }
}

#[test]
fn unfinished_code_is_found() {
    assert_eq!(
        lines(rules::unfinished_code, "proxy/mod.rs", "fn f() {\n    x.unwrap ();\n    todo!(\"later\");\n}"),
        [2, 3]
    );
    let fine = "fn f() { x.unwrap_or(1); y.unwrap_or_default(); } // unwrap() todo!\n#[cfg(test)]\nfn t() { x.unwrap(); }";
    assert_eq!(lines(rules::unfinished_code, "proxy/mod.rs", fine), [0; 0]);
}

#[test]
fn files_of_test_modules_are_left_out() {
    let files = vec![
        Source::new("ledger/mod.rs", "#[cfg(test)]\nmod tests;\nmod sqlite;"),
        Source::new("ledger/tests.rs", "use crate::cli;"),
        Source::new("ledger/tests/faults.rs", "use crate::cli;"),
        Source::new("ledger/sqlite.rs", ""),
    ];
    let kept: Vec<String> = without_test_files(files).into_iter().map(|source| source.file).collect();
    assert_eq!(kept, ["ledger/mod.rs", "ledger/sqlite.rs"]);
}

#[test]
fn every_rule_runs_over_the_tree() {
    let files =
        [Source::new("proxy/mod.rs", "use crate::cli;\nfn profile_id() { x.unwrap() }\nmod utils {}")];
    let found: Vec<String> = rules::all(&files).iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 4, "{found:#?}");
}

#[test]
fn a_config_key_outside_its_section_is_found() {
    let wrong = ["const A: &str = \"set ledger.url first\";", "fn f() { g(\"timeouts.create\"); }"];
    let right = [
        "fn f(ledger: &Ledger) -> &str { ledger.url.reveal() }",
        "// ledger.url",
        "const A: &str = \"my.ledger.url, ledger.urls, ledger\";",
        "#[cfg(test)]\nmod tests {\n    const A: &str = \"ledger.url\";\n}",
    ];
    for text in wrong {
        assert_eq!(lines(rules::config_keys, "cli/serve.rs", text), [1], "{text}");
        assert_eq!(lines(rules::config_keys, "config/sections/ledger.rs", text), [0; 0], "{text}");
    }
    for text in right {
        assert_eq!(lines(rules::config_keys, "cli/serve.rs", text), [0; 0], "{text}");
    }
}
