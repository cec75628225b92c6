//! `conversion-shim report` as operators meet it: logs in, through the real binary, and a verdict, a report and an exit code out.
//! The logs are made up in `story.rs`; the time of the report is fixed.

mod commands;
mod golden;
mod logs;
mod lost;
mod page;
mod record;
mod repeated;
mod thresholds;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::story;

/// How a run ended.
struct Ended {
    code: i32,
    out: String,
    complaint: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.complaint))
    }
}

/// Runs `report` at the time of the story, with that standard input.
fn report(arguments: &[&str], input: &str) -> Ended {
    report_in(&[], arguments, input)
}

/// The same, with more in its environment.
fn report_in(environment: &[(&str, &str)], arguments: &[&str], input: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conversion-shim"));
    command.args(["report", "--now", story::NOW]).args(arguments);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SHIM_")) {
        command.env_remove(name);
    }
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that refuses before it reads has closed its end; that is its right.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let ended = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: ended.status.code().unwrap(), out: text(ended.stdout), complaint: text(ended.stderr) }
}

/// The report as JSON.
fn json(arguments: &[&str], input: &str) -> Value {
    report(&[&["--format", "json"], arguments].concat(), input).json()
}

fn write(dir: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let file = dir.join(name);
    std::fs::write(&file, text).unwrap();
    file
}
