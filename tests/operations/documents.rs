//! The documents: links lead to files and headings that exist, and the tests that `docs/money-safety.md` names exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The README is an entry, not a manual: longer text belongs to `docs/`.
const README_LINES_MAX: usize = 180;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    let mut documents: Vec<_> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "deploy/README.md"]
        .map(|name| root.join(name))
        .into();
    let pages = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    documents.extend(pages);
    documents
}

/// The targets of links in a Markdown text, without those to other sites.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.starts_with("http"))
}

/// A heading's anchor, as GitHub derives it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// What is wrong with a link in `document`.
fn broken(document: &Path, link: &str) -> Option<String> {
    let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { document.to_owned() } else { document.parent().unwrap().join(path) };
    if !target.exists() {
        return Some(format!("{}: {link} does not exist", document.display()));
    }
    if fragment.is_empty() {
        return None;
    }
    let text = read(&target);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchors: BTreeSet<_> =
        headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect();
    (!anchors.contains(fragment)).then(|| format!("{}: {link} has no such heading", document.display()))
}

#[test]
fn links_between_documents_resolve() {
    let mut checked = 0;
    let mut problems = Vec::new();
    for document in documents() {
        let text = read(&document);
        for link in links(&text) {
            checked += 1;
            problems.extend(broken(&document, link));
        }
    }
    assert!(checked > 50, "only {checked} links were found");
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn a_broken_link_is_found() {
    let readme = Path::new(ROOT).join("README.md");
    assert!(broken(&readme, "docs/no-such-page.md").is_some());
    assert!(broken(&readme, "docs/security.md#no-such-heading").is_some());
    assert_eq!(broken(&readme, "docs/security.md#the-vendors-lock-out"), None);
}

#[test]
fn the_index_lists_every_page() {
    let index = read(&Path::new(ROOT).join("docs/README.md"));
    for page in std::fs::read_dir(Path::new(ROOT).join("docs")).unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        assert!(
            name == "README.md" || index.contains(&format!("({name})")),
            "docs/README.md does not list {name}"
        );
    }
}

#[test]
fn the_readme_stays_short() {
    let lines = read(&Path::new(ROOT).join("README.md")).lines().count();
    assert!(lines <= README_LINES_MAX, "README.md has {lines} lines; move text to docs/");
}

#[test]
fn the_tests_behind_the_guarantee_exist() {
    let page = read(&Path::new(ROOT).join("docs/money-safety.md"));
    let named: Vec<_> =
        page.split('`').filter(|quoted| quoted.contains("::") && !quoted.contains(' ')).collect();
    assert!(named.len() > 20, "{named:?}");
    let mut tests = Vec::new();
    collect(&Path::new(ROOT).join("tests"), &mut tests);
    for name in named {
        let (modules, test) = name.rsplit_once("::").unwrap();
        let module = modules.rsplit("::").next().unwrap();
        let found = tests.iter().any(|(file, text)| {
            (module == "…" || file.file_stem().unwrap() == module)
                && match test.strip_suffix('…') {
                    Some(start) => text.contains(&format!("fn {start}")),
                    None => text.contains(&format!("fn {test}(")),
                }
        });
        assert!(found, "docs/money-safety.md names {name}, which is no test");
    }
}

/// Every source file below a folder, with its text.
fn collect(folder: &Path, files: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = read(&path);
            files.push((path, text));
        }
    }
}
