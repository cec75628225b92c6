//! The house rules that the compiler does not know, checked on the text of `src/`. What ships is held to them; `#[cfg(test)]`
//! code is not. Every violation is reported at once, with file and line.
//!
//! # The arrows
//!
//! A room is a top-level module. Imports point down: a room may name rooms of a lower rank, and itself.
//!
//! | rank | rooms |
//! |---|---|
//! | below all | `side`, `copy`, `meters` |
//! | 0 | `translate`, `headers`, `body`, `outlive`, `spans` |
//! | 1 | `failure` |
//! | 2 | `config`, `upstream`, `ledger`, `telemetry` |
//! | 3 | `cutover`, `shadow`, `auth` |
//! | 4 | `proxy` |
//! | 5 | `server` |
//! | 6 | `cli` |
//! | 7 | `main`, `lib` |
//!
//! - Sideways, by exception: `upstream` → `config` and `telemetry` → `config`, for their typed settings.
//! - `sandbox` stands aside: only `cli` may name it, and it may name only `side`.
//! - Only `cutover`, `shadow` and `auth` (token requests) name both `translate` and `upstream`. `proxy` asks `translate::route`, which does not count;
//!   `cli` wires everything up and may name what it likes.
//!
//! # The rest
//!
//! - `translate` is pure: it names no runtime, no HTTP stack, no logging, no configuration, no clock and no file.
//! - A source file stops at 400 lines, its tests not counted.
//! - No module is called `utils`, `helpers`, `common`, `models` or `services`.
//! - `proxy` holds no vendor path and no field name.
//! - No `unwrap()` and no `todo!`.

mod paths;
mod planted;
mod rules;
mod source;

use std::{io, path::Path};

#[test]
fn the_house_keeps_its_rules() -> io::Result<()> {
    let house = source::read_house(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))?;
    assert!(house.iter().any(|file| file.file == "lib.rs"), "src/ was not found");
    let violations = rules::all(&house);
    let report: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(report.is_empty(), "{} violations:\n{}", report.len(), report.join("\n"));
    Ok(())
}
