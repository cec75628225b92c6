//! `docs/reference.md`: every table is written from the program, and compared with it. `UPDATE_DOCS=1` writes them anew.

mod config_keys;
mod metrics;
mod problems;

use std::sync::{Mutex, PoisonError};
use std::{env, fs};

use crate::support::wire::binary::run;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference.md");
/// The tests of this module write one file.
static WRITING: Mutex<()> = Mutex::new(());

/// Holds one table of the page to what the program says.
fn hold(table: &str, header: &[&str], rows: &[Vec<String>]) {
    let _one = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let (begin, end) =
        (format!("<!-- generated: {table}: begin -->\n"), format!("<!-- generated: {table}: end -->\n"));
    let page = fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(&begin).unwrap();
    let (now, after) = rest.split_once(&end).unwrap();
    assert!(!rows.is_empty(), "no row for {table}");
    let table = rendered(header, rows);
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(PAGE, format!("{before}{begin}{table}{end}{after}")).unwrap();
    } else {
        assert_eq!(now, table, "docs/reference.md is not what the program says: run with UPDATE_DOCS=1");
    }
}

fn rendered(header: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<String>| {
        format!("|{}|\n", cells.iter().map(|cell| cell_of(cell)).collect::<Vec<_>>().join("|"))
    };
    let mut text = line(header.iter().map(|cell| (*cell).to_owned()).collect());
    text += &format!("|{}\n", "---|".repeat(header.len()));
    text + &rows.iter().map(|row| line(row.clone())).collect::<String>()
}

fn cell_of(text: &str) -> String {
    if text.is_empty() { " ".into() } else { format!(" {} ", text.replace('|', "\\|").replace('<', "&lt;")) }
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

/// The indented lines below a line of a help text, as first word and the rest. A line without a word continues the one above.
fn listed(help: &str, heading: &str) -> Vec<(String, String)> {
    let below =
        help.split(&format!("\n{heading}\n")).nth(1).unwrap_or_else(|| panic!("no {heading} in {help}"));
    let mut rows: Vec<(String, String)> = Vec::new();
    for line in below.lines().take_while(|line| line.starts_with("  ")) {
        match line
            .strip_prefix("  ")
            .filter(|line| !line.starts_with(' '))
            .and_then(|line| line.split_once("  "))
        {
            Some((word, rest)) => rows.push((word.to_owned(), rest.trim().to_owned())),
            None => {
                let (_, text) = rows.last_mut().unwrap();
                *text += if text.is_empty() || line.trim_start().starts_with('`') { "; " } else { " " };
                *text += line.trim();
            }
        }
    }
    rows
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let (_, help, _) = run(&["--help"], "");
    let rows: Vec<_> =
        listed(&help, "Exit codes:").into_iter().map(|(code, means)| vec![code, means]).collect();
    let codes: Vec<_> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(codes, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
    hold("exit codes", &["code", "meaning"], &rows);
}

#[test]
fn audit_kinds_are_those_of_the_help() {
    let (_, help, _) = run(&["audit", "--help"], "");
    let kinds = listed(&help, "Kinds:");
    let gates = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/gates.md")).unwrap();
    for (kind, _) in &kinds {
        assert!(gates.contains(&format!("`{kind}`")), "docs/gates.md does not explain {kind}");
    }
    let rows: Vec<_> = kinds.into_iter().map(|(kind, when)| vec![code(&kind), when]).collect();
    hold("audit kinds", &["kind", "written when"], &rows);
}
