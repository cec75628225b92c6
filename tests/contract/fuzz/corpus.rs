//! The inputs that the fuzz targets of `fuzz/` found worth keeping. Each is checked again, by what its target holds.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[path = "../../../fuzz/checks/create_body.rs"]
mod create_body;
#[path = "../../../fuzz/checks/cursor.rs"]
mod cursor;
#[path = "../../../fuzz/checks/daily_report.rs"]
mod daily_report;
#[path = "../../../fuzz/checks/framing.rs"]
mod framing;
#[path = "../../../fuzz/checks/list.rs"]
mod list;
#[path = "../../../fuzz/checks/paths.rs"]
mod paths;

type Check = fn(&[u8]);

const CHECKS: [(&str, Check); 6] = [
    ("create_body", create_body::check),
    ("cursor", cursor::check),
    ("daily_report", daily_report::check),
    ("framing", framing::check),
    ("list", list::check),
    ("paths", paths::check),
];

fn files(folder: &str) -> impl Iterator<Item = fs::DirEntry> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
    fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())).map(Result::unwrap)
}

#[test]
fn every_input_of_the_corpus_holds() {
    for (target, check) in CHECKS {
        let mut inputs = 0;
        for file in files(&format!("corpus/{target}")) {
            println!("{}", file.path().display());
            check(&fs::read(file.path()).unwrap());
            inputs += 1;
        }
        assert!(inputs > 10, "{target}: {inputs} inputs");
    }
}

#[test]
fn every_target_has_its_check_here() {
    let targets = files("fuzz_targets").map(|file| file.file_name().into_string().unwrap());
    let checks = CHECKS.iter().map(|(target, _)| format!("{target}.rs"));
    assert_eq!(targets.collect::<BTreeSet<_>>(), checks.collect());
}
