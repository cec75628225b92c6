//! The same day in all three shapes, word for word. `INSTA_UPDATE=always cargo test --test operations report::golden` writes them anew; read
//! what changed before it is kept.

use super::{report, story, write};

#[test]
fn the_day_for_people() {
    let dir = tempfile::tempdir().unwrap();
    let log = write(dir.path(), "day.log", story::day());
    let ended = report(&[log.to_str().unwrap()], "");
    assert_eq!((ended.code, ended.complaint.as_str()), (6, ""));
    assert!(ended.out.lines().all(|line| line.chars().count() <= 120), "{}", ended.out);
    assert!(!ended.out.contains('\u{1b}'), "colours belong on a terminal");
    insta::assert_snapshot!("text", ended.out);
}

#[test]
fn the_day_for_machines_and_as_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("report.html");
    let ended = report(&["--format", "json", "--html", page.to_str().unwrap()], &story::day());
    assert_eq!((ended.code, ended.complaint.as_str()), (6, ""));
    insta::assert_snapshot!("json", ended.out);
    insta::assert_snapshot!("html", std::fs::read_to_string(page).unwrap());
}
