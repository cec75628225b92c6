//! `deploy/` says what the program is: its configs are accepted, its numbers fit one another, and its alerts and graphs ask for metrics
//! that exist. That the files are what Docker, Kubernetes, systemd and Prometheus take is checked by their own tools in `.ci/deploy`.

mod container;
mod elsewhere;
mod kubernetes;
mod metrics;
mod postgres;
mod settings;
mod systemd;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Its text.
fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Its content, if it is YAML or JSON.
fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The words of the one line of a file that begins with this one, which is left out.
fn words(path: &str, first: &str) -> Vec<String> {
    let text = read(path);
    let lines: Vec<_> = text.lines().filter_map(|line| line.trim().strip_prefix(first)).collect();
    assert_eq!(lines.len(), 1, "lines of {path} that begin with {first}");
    lines[0].split_whitespace().map(str::to_owned).collect()
}

/// A text such as "45s".
fn seconds(text: &str) -> Duration {
    let number = text.strip_suffix('s').unwrap_or_else(|| panic!("{text} is not in seconds"));
    Duration::from_secs(number.parse().unwrap())
}
