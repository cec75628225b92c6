//! The documents: links lead to files and headings that exist, and the tests that `docs/money-safety.md` and `docs/compat.md` name exist.

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
    let mut documents: Vec<_> = [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "deploy/README.md",
        "fuzz/README.md",
        "tests/fixtures/README.md",
    ]
    .map(|name| root.join(name))
    .into();
    let pages = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    documents.extend(pages);
    documents
}

/// A Markdown text without its blocks of code, in which `#` is no heading and brackets are no link.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// The targets of links in a Markdown text.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// Whether a link to another site has the form of one that works. Nothing is fetched.
fn is_well_formed(url: &str) -> bool {
    let Ok(url) = url.parse::<http::Uri>() else { return false };
    let host = url.host().unwrap_or_default();
    url.scheme_str() == Some("https") && host.contains('.') && !host.starts_with('.') && !host.ends_with('.')
}

/// A heading's anchor, as GitHub derives it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// What is wrong with a link in `document`.
fn broken(document: &Path, link: &str) -> Option<String> {
    if link.contains("://") {
        return (!is_well_formed(link)).then(|| format!("{}: {link} is not a link", document.display()));
    }
    let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { document.to_owned() } else { document.parent().unwrap().join(path) };
    if !target.exists() {
        return Some(format!("{}: {link} does not exist", document.display()));
    }
    if fragment.is_empty() {
        return None;
    }
    let text = prose(&read(&target));
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
        let text = prose(&read(&document));
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
    assert!(broken(&readme, "https://example com/page").is_some());
    assert!(broken(&readme, "http://example.com/").is_some());
    assert_eq!(broken(&readme, "https://example.com/page#part"), None);
    assert_eq!(broken(&readme, "docs/security.md#the-vendors-lock-out"), None);
    let headings = prose("# One\n```sh\n# no heading\n```\n## Two\n");
    assert_eq!(headings, "# One\n## Two\n");
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
    assert_eq!(missing_tests("docs/money-safety.md", 20), Vec::<String>::new());
}

#[test]
fn the_tests_that_keep_the_quirks_exist() {
    assert_eq!(missing_tests("docs/compat.md", 30), Vec::<String>::new());
    let text = read(&Path::new(ROOT).join("docs/compat.md"));
    let rows = text.split("## Quirks").nth(1).unwrap().lines().filter(|line| line.starts_with("| ")).skip(1);
    let kept = |row: &str| row.split('|').nth(4).is_some_and(|tests| tests.contains("::"));
    assert_eq!(rows.filter(|row| !kept(row)).collect::<Vec<_>>(), Vec::<&str>::new(), "no test keeps these");
}

/// The tests that a page names, more than so many, and that do not exist.
fn missing_tests(page: &str, more_than: usize) -> Vec<String> {
    let text = read(&Path::new(ROOT).join(page));
    let named: Vec<_> =
        text.split('`').filter(|quoted| quoted.contains("::") && !quoted.contains(' ')).collect();
    assert!(named.len() > more_than, "{page}: {named:?}");
    let mut tests = Vec::new();
    collect(&Path::new(ROOT).join("tests"), &mut tests);
    let exists = |name: &str| {
        let (modules, test) = name.rsplit_once("::").unwrap();
        let module = modules.rsplit("::").next().unwrap();
        tests.iter().any(|(file, text)| {
            (module == "…" || file.file_stem().unwrap() == module)
                && match test.strip_suffix('…') {
                    Some(start) => text.contains(&format!("fn {start}")),
                    None => text.contains(&format!("fn {test}(")),
                }
        })
    };
    named.into_iter().filter(|name| !exists(name)).map(str::to_owned).collect()
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
