//! Reads Rust source as the rules need it: without comments and without test code. Not a parser: it knows just enough of the
//! language to see where those begin and end. What the code names is read in `paths.rs`; the rules live in `rules.rs`.

use std::{collections::BTreeSet, fs, io, path::Path};

use crate::paths::{NamedPath, PathReader, is_word};

/// One file under `src/`, reduced to what ships.
pub(crate) struct Source {
    /// Relative to `src/`, with forward slashes.
    pub(crate) file: String,
    /// The modules from the crate root down: `translate/create.rs` is `["translate", "create"]`.
    pub(crate) module: Vec<String>,
    /// The code with comments, `#[cfg(test)]` items and the insides of string literals blanked.
    pub(crate) code: String,
    /// As `code`, but with strings kept.
    pub(crate) code_and_strings: String,
    /// How many lines are left without the `#[cfg(test)]` items.
    pub(crate) lines: usize,
    /// The names of all items, whatever their depth.
    defined: BTreeSet<String>,
    /// Modules declared as `#[cfg(test)] mod name;`, whose files are test code as a whole.
    test_modules: Vec<String>,
}

impl Source {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        let (mut code, mut code_and_strings) = blank(text);
        let tests = test_items(&code);
        let test_lines: usize = tests.iter().map(|item| lines_of(&code[item.start..item.end])).sum();
        let test_modules = tests.iter().filter_map(|item| item.module.clone()).collect();
        for item in &tests {
            for text in [&mut code, &mut code_and_strings] {
                erase(&mut text[item.start..item.end]);
            }
        }
        let code: String = code.into_iter().collect();
        Self {
            file: file.to_owned(),
            module: module_of(file),
            lines: text.lines().count().saturating_sub(test_lines),
            defined: defined_items(&code),
            code,
            code_and_strings: code_and_strings.into_iter().collect(),
            test_modules,
        }
    }

    /// The directory of `src/` that this file belongs to; `main` and `lib` for the two crate roots.
    pub(crate) fn part(&self) -> &str {
        match self.module.first() {
            Some(part) => part,
            None => self.file.trim_end_matches(".rs"),
        }
    }

    /// Whether an item of this name is defined in the file.
    pub(crate) fn defines(&self, name: &str) -> bool {
        self.defined.contains(name)
    }

    /// The insides of the string literals; everything else is blank.
    pub(crate) fn strings(&self) -> String {
        let both = self.code.chars().zip(self.code_and_strings.chars());
        both.map(|(code, text)| if code == text && code != '\n' { ' ' } else { text }).collect()
    }

    /// Every path the code names, with its line; `use` trees are spelled out.
    pub(crate) fn paths(&self) -> Vec<NamedPath> {
        PathReader::new(&self.code, &self.module).read()
    }
}

/// All files below `src`, test-only ones left out.
pub(crate) fn read_tree(src: &Path) -> io::Result<Vec<Source>> {
    let mut files = Vec::new();
    collect(src, "", &mut files)?;
    files.sort_by(|one, other| one.file.cmp(&other.file));
    Ok(without_test_files(files))
}

fn collect(dir: &Path, prefix: &str, into: &mut Vec<Source>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), into)?;
        } else if name.ends_with(".rs") {
            into.push(Source::new(&name, &fs::read_to_string(entry.path())?));
        }
    }
    Ok(())
}

/// Drops the files that a `#[cfg(test)] mod name;` brings in, and what lies below them.
pub(crate) fn without_test_files(files: Vec<Source>) -> Vec<Source> {
    let tests: Vec<Vec<String>> = files
        .iter()
        .flat_map(|file| {
            file.test_modules.iter().map(|name| file.module.iter().cloned().chain([name.clone()]).collect())
        })
        .collect();
    files.into_iter().filter(|file| !tests.iter().any(|test| file.module.starts_with(test))).collect()
}

fn defined_items(code: &str) -> BTreeSet<String> {
    const KEYWORDS: [&str; 9] =
        ["const", "enum", "fn", "macro_rules", "static", "struct", "trait", "type", "union"];
    let words: Vec<&str> = code.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()).collect();
    let items = words.windows(2).filter(|pair| KEYWORDS.contains(&pair[0]));
    items.map(|pair| pair[1].to_owned()).collect()
}

fn module_of(file: &str) -> Vec<String> {
    let stem = file.trim_end_matches(".rs");
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    if stem == "lib" || stem == "main" { Vec::new() } else { stem.split('/').map(str::to_owned).collect() }
}

fn lines_of(item: &[char]) -> usize {
    1 + item.iter().filter(|&&c| c == '\n').count()
}

fn erase(text: &mut [char]) {
    text.iter_mut().filter(|c| **c != '\n').for_each(|c| *c = ' ');
}

/// Blanks comments in both results and the insides of strings in the first; every character keeps its place.
fn blank(text: &str) -> (Vec<char>, Vec<char>) {
    let original: Vec<char> = text.chars().collect();
    let (mut code, mut with_strings) = (original.clone(), original.clone());
    let mut at = 0;
    while at < original.len() {
        let rest = &original[at..];
        if let Some(length) = comment_length(rest) {
            erase(&mut code[at..at + length]);
            erase(&mut with_strings[at..at + length]);
            at += length;
        } else if let Some(length) = literal_length(rest, at.checked_sub(1).map(|before| original[before])) {
            erase(&mut code[at..at + length]);
            at += length;
        } else {
            at += 1;
        }
    }
    (code, with_strings)
}

fn comment_length(rest: &[char]) -> Option<usize> {
    match rest {
        ['/', '/', ..] => Some(rest.iter().position(|&c| c == '\n').unwrap_or(rest.len())),
        ['/', '*', ..] => {
            let (mut depth, mut at) = (0_usize, 0);
            while at < rest.len() {
                match &rest[at..] {
                    ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
                    ['*', '/', ..] if depth == 1 => return Some(at + 2),
                    ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
                    _ => at += 1,
                }
            }
            Some(rest.len())
        }
        _ => None,
    }
}

/// The length of a string or character literal that starts here; a lifetime is none.
fn literal_length(rest: &[char], before: Option<char>) -> Option<usize> {
    match rest {
        ['"', ..] => Some(quoted_length(rest, '"')),
        ['\'', '\\', ..] => Some(quoted_length(rest, '\'')),
        ['\'', _, '\'', ..] => Some(3),
        ['r', ..] if !before.is_some_and(|c| is_word(c) && c != 'b' && c != 'c') => raw_length(rest),
        _ => None,
    }
}

fn quoted_length(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

fn raw_length(rest: &[char]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|&&c| c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = hashes + 2;
    let found = rest[body..].windows(end.len()).position(|window| window == end);
    Some(found.map_or(rest.len(), |at| body + at + end.len()))
}

/// An item under `#[cfg(test)]`: its place, and its name when it is a module in a file of its own.
struct TestItem {
    start: usize,
    end: usize,
    module: Option<String>,
}

fn test_items(code: &[char]) -> Vec<TestItem> {
    let mut items: Vec<TestItem> = Vec::new();
    for marker in ["#[cfg(test)]", "#![cfg(test)]"] {
        let marker: Vec<char> = marker.chars().collect();
        let found = code.windows(marker.len()).enumerate().filter(|(_, window)| *window == marker);
        for (start, _) in found {
            items.push(test_item(code, start, start + marker.len(), marker[1] == '!'));
        }
    }
    items.sort_by_key(|item| item.start);
    // An item inside another is part of it already.
    let mut end = 0;
    items.retain(|item| {
        let outer = item.start >= end;
        end = end.max(item.end);
        outer
    });
    items
}

fn test_item(code: &[char], start: usize, body: usize, whole_file: bool) -> TestItem {
    let end = if whole_file { code.len() } else { item_end(code, body) };
    let declaration: String = code[body..end].iter().collect();
    let module = declaration.strip_suffix(';').and_then(|text| text.trim().rsplit_once("mod "));
    TestItem { start, end, module: module.map(|(_, name)| name.trim().to_owned()) }
}

/// An item ends at its first `;` outside of brackets, or with the block that opens there.
fn item_end(code: &[char], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.iter().enumerate().skip(from) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}
