//! Rules about the source that the compiler does not know, checked on the text of `src/`. Code under `#[cfg(test)]` is exempt.
//! Every violation is reported at once, with file and line.
//!
//! # Imports point down
//!
//! A part is a directory of `src/`. `RANKS` in `rules.rs` lists the parts by rank; a part imports from ranks below its own, and itself.
//!
//! - `CLI_ONLY` there names the parts that `cli` alone imports, with their exceptions. `sandbox` stands for another company and imports
//!   `translate::side` only.
//! - `proxy` and `server` know which route and side a request has, not what its body means: of `translate` they import `route`, `side` and
//!   `timestamp`.
//! - No circle of imports between files. A path leads to the file that defines the item, whichever module re-exports it.
//!
//! # Within a file
//!
//! - `translate` is pure: no runtime, no HTTP stack, no logging, no configuration, no clock, no file.
//! - Failures and what routes decide are matched exhaustively: no `_` arm, no `matches!`, no `Err(_)` in `failure/`, `routes/` and
//!   `upstream/authenticated.rs`.
//! - Vendor paths are literals of `translate/paths.rs` only; `proxy` also holds none of the vendor's field names. `sandbox` is the vendor.
//! - A config key is named in its section under `config/sections` only; other texts take it from `config::keys`.
//! - A file has at most 400 lines. clippy stops a function at 50 lines and five parameters (`clippy.toml`); no exception in the source.
//! - The root holds `main.rs` and `lib.rs`. No module is called `utils`, `helpers`, `common`, `models` or `services`.
//! - No `unwrap()` and no `todo!`.
//! - No statement changes or removes a row of the ledger's audit or evidence.

mod graph;
mod paths;
mod planted;
mod rules;
mod source;

use std::{io, path::Path};

#[test]
fn the_source_follows_the_architecture() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = source::read_tree(&root.join("src"))?;
    assert!(files.iter().any(|file| file.file == "lib.rs"), "src/ was not found");
    let report: Vec<String> = rules::all(&files).iter().map(ToString::to_string).collect();
    assert!(report.is_empty(), "{} violations:\n{}", report.len(), report.join("\n"));
    Ok(())
}

/// The migrations make the table of the audit, and none changes it: the proxy's role on PostgreSQL need not own it.
#[test]
fn migrations_leave_the_audit_alone() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ledger/schema");
    let mut statements = 0;
    for entry in std::fs::read_dir(folder)? {
        for statement in std::fs::read_to_string(entry?.path())?.split(';') {
            statements += 1;
            assert_eq!(rules::changes_audit(statement), None, "{statement}");
        }
    }
    assert!(statements > 10, "{statements}");
    Ok(())
}

/// The limits on functions are clippy's to check; this keeps them from being loosened in passing.
#[test]
fn clippy_limits_functions() -> io::Result<()> {
    let limits = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("clippy.toml"))?;
    for limit in ["too-many-lines-threshold = 50", "too-many-arguments-threshold = 5"] {
        assert!(limits.lines().any(|line| line == limit), "clippy.toml: {limit}");
    }
    Ok(())
}
