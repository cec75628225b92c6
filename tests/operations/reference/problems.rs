//! The table of problem documents, from one failure of every kind.

use std::collections::BTreeSet;
use std::fs;

use conversion_shim::failure::catalogue::{CatalogueRow, catalogue};

use super::{code, hold};

/// The names that the source gives to failures.
fn names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in ["classify", "auth"] {
        let path = format!("{}/src/failure/{file}.rs", env!("CARGO_MANIFEST_DIR"));
        let source = fs::read_to_string(path).unwrap();
        let body = source.split("fn name(&self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
        names.extend(
            body.lines().filter_map(|line| line.split_once("=> \"")?.1.split('"').next()).map(str::to_owned),
        );
    }
    names
}

fn acted(rows: &[CatalogueRow], name: &str) -> &'static str {
    let mut outcomes =
        rows.iter().filter(|row| row.name == name && !name.is_empty()).map(|row| row.may_have_acted);
    match (outcomes.clone().any(|acted| acted), outcomes.all(|acted| acted)) {
        (false, _) => "no",
        (true, true) => "perhaps",
        (true, false) => "a write: perhaps",
    }
}

#[test]
fn every_problem_document_is_listed() {
    let rows = catalogue();
    let listed: BTreeSet<_> =
        rows.iter().map(|row| row.name.to_owned()).filter(|name| !name.is_empty()).collect();
    assert_eq!(listed, names(), "src/failure/catalogue.rs lacks a failure");
    let mut shown = rows.clone();
    shown.sort_by_key(|row| (row.status, row.name, row.may_have_acted));
    shown.dedup_by(|later, row| !row.name.is_empty() && later.name == row.name);
    let cells = |row: &CatalogueRow| {
        let wait = if row.retry_after { "yes" } else { "" };
        let (status, name) = (row.status.to_string(), code(row.name));
        let detail = row.detail.clone();
        vec![
            status,
            name,
            row.fault.to_owned(),
            code(&row.kind),
            acted(&rows, row.name).into(),
            wait.into(),
            detail,
        ]
    };
    let table: Vec<_> = shown.iter().map(cells).collect();
    hold("problems", &["status", "error", "fault", "`type`", "acted", "wait", "`detail`"], &table);
}
