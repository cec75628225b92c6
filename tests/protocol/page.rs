//! What `docs/money-safety.md` shows of what the tests found.

use std::sync::{Mutex, PoisonError};
use std::{env, fs};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/money-safety.md");

/// Tests that run at the same time write the page one after the other.
static WRITING: Mutex<()> = Mutex::new(());

/// Holds the text between two marks to what was found; with `UPDATE_DOCS` set it is written instead.
pub(crate) fn write_or_compare(begin: &str, end: &str, found: &str) {
    let _turn = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let (before, rest) = document.split_once(begin).expect("the mark before the text");
    let (now, after) = rest.split_once(end).expect("the mark after the text");
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(DOCUMENT, format!("{before}{begin}{found}{end}{after}")).unwrap();
    } else {
        assert!(now == found, "docs/money-safety.md is not what was found: run with UPDATE_DOCS=1\n{found}");
    }
}
