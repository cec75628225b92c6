//! The rules themselves, one function each. How source is read is the business of `source.rs` and `paths.rs`; that each rule
//! can fail is shown in `planted.rs`.

use std::fmt;

use crate::{
    graph::Graph,
    paths::{NamedPath, is_word},
    source::Source,
};

/// One broken rule, where it was broken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    file: String,
    line: usize,
    rule: String,
}

impl Violation {
    fn new(source: &Source, line: usize, rule: impl Into<String>) -> Self {
        Self { file: source.file.clone(), line, rule: rule.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "src/{}:{}: {}", self.file, self.line, self.rule)
    }
}

/// Every rule over the whole tree.
pub(crate) fn all(files: &[Source]) -> Vec<Violation> {
    let mut found = circles(files);
    for source in files {
        for rule in [
            arrows,
            formats,
            pure_translation,
            exhaustive_matches,
            vendor_paths,
            vendor_fields_in_proxy,
            config_keys,
            file_length,
            function_limits,
            loose_files,
            empty_names,
            unfinished_code,
            append_only_audit,
        ] {
            found.extend(rule(source));
        }
    }
    found.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    found
}

/// Parts by rank, lowest first; a part imports from ranks below its own.
const RANKS: [&[&str]; 13] = [
    &["translate"],
    &["http", "failure"],
    &["config"],
    &["telemetry"],
    &["ledger", "upstream"],
    &["routes", "shadow", "deprecation", "reconcile"],
    &["gate", "probe"],
    &["proxy"],
    &["server"],
    &["admin"],
    &["demo"],
    &["cli"],
    &["main", "lib"],
];

/// Imported by `cli` alone; the sandbox also by `demo`, and by `simulate`, which plays it without a network.
const CLI_ONLY: [&str; 3] = ["report", "sandbox", "simulate"];
/// `report` reads what parts of this rank write, and `simulate` plays what they decide.
const REPORT_READS: usize = 5;

fn rank(part: &str) -> Option<usize> {
    RANKS.iter().position(|parts| parts.contains(&part))
}

/// The part that a path leads into, if it leads into another one than its own.
fn other_part<'a>(source: &Source, path: &'a NamedPath) -> Option<&'a str> {
    let part = path.within_crate.as_ref()?.first()?;
    (part != source.part()).then_some(part)
}

/// Imports point down.
pub(crate) fn arrows(source: &Source) -> Vec<Violation> {
    let from = source.part();
    let mut found = Vec::new();
    if rank(from).is_none() && !CLI_ONLY.contains(&from) {
        found.push(Violation::new(source, 1, format!("`{from}` has no rank: give the part a line in RANKS")));
    }
    for path in source.paths() {
        if let Some(to) = other_part(source, &path)
            && let Err(reason) = may_import(from, to, &path)
        {
            found.push(Violation::new(source, path.line, format!("`{from}` imports `{to}`: {reason}")));
        }
    }
    // One statement may name a part several times.
    found.dedup();
    found
}

fn may_import(from: &str, to: &str, path: &NamedPath) -> Result<(), &'static str> {
    match (from, to) {
        // What the library offers to the binary.
        ("main", "run") => Ok(()),
        ("cli" | "lib", to) if CLI_ONLY.contains(&to) => Ok(()),
        // Their vendor is the embedded one.
        ("demo" | "simulate", "sandbox") => Ok(()),
        (_, to) if CLI_ONLY.contains(&to) => Err("only `cli` may"),
        ("sandbox", _) => match second(path) {
            Some("side") if to == "translate" => Ok(()),
            _ => Err("the sandbox is the vendor: it may import `translate::side` only"),
        },
        _ => match (if CLI_ONLY.contains(&from) { Some(REPORT_READS + 1) } else { rank(from) }, rank(to)) {
            (_, None) => Err("no such part in RANKS; name things by the part they live in"),
            (Some(from), Some(to)) if from <= to => Err("imports point down only"),
            _ => Ok(()),
        },
    }
}

/// The module or item within the part that a path leads into.
fn second(path: &NamedPath) -> Option<&str> {
    path.within_crate.as_ref()?.get(1).map(String::as_str)
}

/// What those may import from `translate` that do not look into bodies.
const ENVELOPE: [&str; 3] = ["route", "side", "timestamp"];

/// `proxy` and `server` carry bodies; what a body means is for `routes` and `shadow`.
pub(crate) fn formats(source: &Source) -> Vec<Violation> {
    if !["proxy", "server"].contains(&source.part()) {
        return Vec::new();
    }
    let paths = source.paths();
    let inside = paths.iter().filter(|path| other_part(source, path) == Some("translate"));
    let formats = inside.filter(|path| second(path).is_some_and(|module| !ENVELOPE.contains(&module)));
    let rule = format!("`{}` looks into bodies: that is for `routes` and `shadow`", source.part());
    formats.map(|path| Violation::new(source, path.line, rule.clone())).collect()
}

/// No files import one another, directly or by way of others.
pub(crate) fn circles(files: &[Source]) -> Vec<Violation> {
    let graph = Graph::new(files);
    let violation = |circle: Vec<(&Source, Vec<String>)>| {
        let files =
            circle.iter().map(|(source, lines)| format!("{} (line {})", source.file, lines.join(", line ")));
        let rule = format!("files import one another: {}", files.collect::<Vec<_>>().join("; "));
        circle.first().map(|(first, _)| Violation::new(first, 1, rule))
    };
    graph.circles().into_iter().filter_map(violation).collect()
}

/// What `translate` may not name, as path prefixes.
const IMPURE: [&[&str]; 9] = [
    &["tokio"],
    &["hyper"],
    &["hyper_util"],
    &["reqwest"],
    &["tracing"],
    &["config"],
    &["crate", "config"],
    &["std", "time"],
    &["std", "fs"],
];

/// Translation takes values and returns values.
pub(crate) fn pure_translation(source: &Source) -> Vec<Violation> {
    if source.part() != "translate" {
        return Vec::new();
    }
    let impure = |path: &NamedPath| {
        let names = |prefix: &&[&str]| {
            path.segments.iter().map(String::as_str).take(prefix.len()).eq(prefix.iter().copied())
        };
        IMPURE.iter().find(|prefix| names(prefix)).map(|prefix| prefix.join("::"))
    };
    let paths = source.paths();
    let found = paths.iter().filter_map(|path| impure(path).map(|name| (path.line, name)));
    found
        .map(|(line, name)| Violation::new(source, line, format!("`translate` is pure: no `{name}` here")))
        .collect()
}

const MAX_LINES: usize = 400;

/// Files aim at 250 lines and stop at 400, tests not counted.
pub(crate) fn file_length(source: &Source) -> Vec<Violation> {
    if source.lines <= MAX_LINES {
        return Vec::new();
    }
    let rule = format!("{} lines without tests, more than {MAX_LINES}: split it by meaning", source.lines);
    vec![Violation::new(source, MAX_LINES + 1, rule)]
}

const EMPTY_NAMES: [&str; 5] = ["utils", "helpers", "common", "models", "services"];

/// A module's name says what lives there.
pub(crate) fn empty_names(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    for name in source.module.iter().filter(|name| EMPTY_NAMES.contains(&name.as_str())) {
        found.push(Violation::new(source, 1, format!("`{name}` says nothing about what lives there")));
    }
    for (line, text) in numbered(&source.code) {
        for name in EMPTY_NAMES.into_iter().filter(|name| has_words(text, &["mod", name])) {
            found.push(Violation::new(
                source,
                line,
                format!("`mod {name}` says nothing about what lives there"),
            ));
        }
    }
    found
}

const VENDOR_PATHS: [&str; 2] = ["/conversion", "/orchestration"];
/// Directories of this program, not of the vendor.
const OWN_PATH: &str = "/conversion-shim";
const VENDOR_PATHS_FILE: &str = "translate/paths.rs";

/// A change of the vendor's paths is a change of one file.
pub(crate) fn vendor_paths(source: &Source) -> Vec<Violation> {
    if source.part() == "sandbox" || source.file == VENDOR_PATHS_FILE {
        return Vec::new();
    }
    let holds = |text: &str| {
        let text = text.replace(OWN_PATH, "");
        VENDOR_PATHS.into_iter().find(|path| text.contains(path))
    };
    let found = numbered(&source.code_and_strings).filter_map(|(line, text)| Some((line, holds(text)?)));
    found
        .map(|(line, path)| {
            Violation::new(source, line, format!("vendor path `{path}…` outside {VENDOR_PATHS_FILE}"))
        })
        .collect()
}

const VENDOR_FIELDS: [&str; 20] = [
    "account_id",
    "cancelled_at",
    "completed_at",
    "created_at",
    "customer_id",
    "destination_amount",
    "destination_asset",
    "fail_reason",
    "identity_id",
    "next_page_cursor",
    "orchestration_rule_id",
    "page_cursor",
    "profile_id",
    "recipient_profile_id",
    "ref_id",
    "settled_at",
    "source_amount",
    "source_asset",
    "target_asset",
    "updated_at",
];

/// `proxy` does not know the fields of records.
pub(crate) fn vendor_fields_in_proxy(source: &Source) -> Vec<Violation> {
    if source.part() != "proxy" {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (line, text) in numbered(&source.code_and_strings) {
        for field in VENDOR_FIELDS.into_iter().filter(|field| has_words(text, &[field])) {
            found.push(Violation::new(source, line, format!("`proxy` names the vendor's field `{field}`")));
        }
    }
    found
}

const DEFAULT_TOML: &str = include_str!("../../config/default.toml");
/// Names old keys beside the new ones.
const RENAMED_KEYS_FILE: &str = "config/renamed.rs";

/// The keys below a table of `config/default.toml`.
fn keys() -> Vec<String> {
    let (mut keys, mut table) = (Vec::new(), "");
    for line in DEFAULT_TOML.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = name;
        } else if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| key.chars().all(is_word)) {
            keys.push(format!("{table}.{key}"));
        }
    }
    keys.retain(|key| !key.starts_with('.'));
    keys
}

/// A key is named by the section that reads it. Other texts take its name from there.
pub(crate) fn config_keys(source: &Source) -> Vec<Violation> {
    let in_section = source.module.starts_with(&["config".into(), "sections".into()]);
    if in_section || source.file == RENAMED_KEYS_FILE {
        return Vec::new();
    }
    let (keys, texts) = (keys(), source.strings());
    let named = |text: &str, key: &str| {
        let continues = |next: Option<char>| next.is_some_and(is_word);
        text.match_indices(key).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            !continues(before) && before != Some('.') && !continues(text[at + key.len()..].chars().next())
        })
    };
    let found = numbered(&texts).filter_map(|(line, text)| {
        let key = keys.iter().find(|key| named(text, key))?;
        Some(Violation::new(source, line, format!("names the key `{key}`: take it from `config::keys`")))
    });
    found.collect()
}

/// Whoever adds a failure or a state is asked by the compiler, at every place, what it means for money.
pub(crate) fn exhaustive_matches(source: &Source) -> Vec<Violation> {
    // The last one says what a 401 proves about a create.
    let strict = ["failure", "routes"].contains(&source.part()) || source.file == "upstream/authenticated.rs";
    if !strict {
        return Vec::new();
    }
    let open: [(&str, &[&str]); 4] = [
        ("_ =>", &["_", "=", ">"]),
        ("_ if", &["_", "if"]),
        ("matches!", &["matches", "!"]),
        ("Err(_)", &["Err", "(", "_", ")"]),
    ];
    forbid(source, &open, "name each case: the compiler then asks about a new one")
}

/// clippy counts lines and parameters of functions; nobody opts out.
pub(crate) fn function_limits(source: &Source) -> Vec<Violation> {
    let opted_out: [(&str, &[&str]); 2] =
        [("too_many_lines", &["too_many_lines"]), ("too_many_arguments", &["too_many_arguments"])];
    forbid(source, &opted_out, "no exception from the limits on functions")
}

fn forbid(source: &Source, forbidden: &[(&str, &[&str])], reason: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for (line, text) in numbered(&source.code) {
        for (name, words) in forbidden {
            if has_words(text, words) {
                found.push(Violation::new(source, line, format!("`{name}`: {reason}")));
            }
        }
    }
    found
}

/// Beside the crate roots, every file is in the directory of its part.
pub(crate) fn loose_files(source: &Source) -> Vec<Violation> {
    let loose = !source.file.contains('/') && !["main.rs", "lib.rs"].contains(&source.file.as_str());
    let rule = "a loose file at the root: move it into the directory of its part";
    loose.then(|| Violation::new(source, 1, rule)).into_iter().collect()
}

/// What stops the process, or was left for later, does not ship.
pub(crate) fn unfinished_code(source: &Source) -> Vec<Violation> {
    let forbidden: [(&str, &[&str]); 2] = [("unwrap()", &["unwrap", "(", ")"]), ("todo!", &["todo", "!"])];
    forbid(source, &forbidden, "does not ship")
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Whether the line holds these words and marks one after the other, spaces aside.
fn has_words(line: &str, wanted: &[&str]) -> bool {
    words(line).windows(wanted.len()).any(|window| window == wanted)
}

fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let end =
            if is_word(first) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        words.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    words
}

/// The tables to which rows are only added, and what would change or remove one.
const APPEND_ONLY: [&str; 2] = ["LEDGER_AUDIT", "LEDGER_EVIDENCE"];
const CHANGES: [&str; 7] = ["UPDATE", "DELETE", "TRUNCATE", "DROP", "ALTER", "REPLACE", "CONFLICT"];

/// Rows of the audit and of evidence are added and read. A statement is one literal, which may go over several lines.
pub(crate) fn append_only_audit(source: &Source) -> Vec<Violation> {
    let both: Vec<_> = source.code.chars().zip(source.code_and_strings.chars()).collect();
    let (mut found, mut statement, mut line, mut begun) = (Vec::new(), String::new(), 1, 1);
    for (code, text) in both {
        // Outside of literals both are the same; line breaks within one are too.
        if code == text && text != '\n' && !text.is_whitespace() {
            found.extend(changes_audit(&statement).map(|word| (begun, word)));
            statement.clear();
        } else if code != text {
            if statement.is_empty() {
                begun = line;
            }
            statement.push(text);
        } else if !statement.is_empty() {
            statement.push(' ');
        }
        line += usize::from(text == '\n');
    }
    let rule = |word: &str| format!("`{word}`: rows of the audit and of evidence are only added");
    found.into_iter().map(|(line, word)| Violation::new(source, line, rule(word))).collect()
}

/// The word with which a statement changes one of them.
pub(crate) fn changes_audit(statement: &str) -> Option<&'static str> {
    let upper = statement.to_uppercase();
    let all = words(&upper);
    if !APPEND_ONLY.iter().any(|table| all.contains(table)) {
        return None;
    }
    CHANGES.into_iter().find(|change| all.contains(change))
}
