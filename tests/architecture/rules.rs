//! The rules themselves, one function each. How source is read is the business of `source.rs` and `paths.rs`; that each rule
//! can fail is shown in `planted.rs`.

use std::fmt;

use crate::{
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

/// Every rule over the whole house.
pub(crate) fn all(house: &[Source]) -> Vec<Violation> {
    let mut found = translation_meets_sockets(house);
    for source in house {
        for rule in
            [arrows, pure_translation, file_length, empty_names, vendor_words_in_proxy, unfinished_code]
        {
            found.extend(rule(source));
        }
    }
    found.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    found
}

/// Rooms by rank, lowest first. `sandbox` is missing on purpose: it stands aside.
const RANKS: [&[&str]; 12] = [
    &["translate"],
    &["http", "failure"],
    &["config"],
    &["telemetry"],
    &["ledger", "upstream"],
    &["deprecation", "shadow", "routes"],
    &["proxy"],
    &["server"],
    &["admin"],
    &["report"],
    &["cli"],
    &["main", "lib"],
];

/// Arrows between rooms of one rank that are allowed all the same.
const SIDEWAYS: [(&str, &str); 2] = [("upstream", "config"), ("telemetry", "config")];

fn rank(room: &str) -> Option<usize> {
    RANKS.iter().position(|rooms| rooms.contains(&room))
}

/// The room that a path leads into, if it leads into another one than its own.
fn other_room<'a>(source: &Source, path: &'a NamedPath) -> Option<&'a str> {
    let room = path.within_crate.as_ref()?.first()?;
    (room != source.room()).then_some(room)
}

/// Imports point down.
pub(crate) fn arrows(source: &Source) -> Vec<Violation> {
    let from = source.room();
    let mut found = Vec::new();
    if rank(from).is_none() && from != "sandbox" {
        found.push(Violation::new(
            source,
            1,
            format!("`{from}` has no rank: give the room a place in RANKS"),
        ));
    }
    for path in source.paths() {
        if let Some(to) = other_room(source, &path)
            && let Err(reason) = may_name(from, to)
        {
            found.push(Violation::new(source, path.line, format!("`{from}` names `{to}`: {reason}")));
        }
    }
    // One statement may name a room several times.
    found.dedup();
    found
}

fn may_name(from: &str, to: &str) -> Result<(), &'static str> {
    match (from, to) {
        ("cli", "sandbox") | ("sandbox", "side") => Ok(()),
        (_, "sandbox") => Err("only `cli` may name the sandbox"),
        ("sandbox", _) => Err("the sandbox may name only `side`"),
        _ if SIDEWAYS.contains(&(from, to)) => Ok(()),
        _ => match (rank(from), rank(to)) {
            (_, None) => Err("no such room in RANKS; name things by the room they live in"),
            (Some(from), Some(to)) if from <= to => Err("imports point down only"),
            _ => Ok(()),
        },
    }
}

/// Only `cutover` and `shadow` may know both what a record means and how it travels.
pub(crate) fn translation_meets_sockets(house: &[Source]) -> Vec<Violation> {
    let exempt = ["cutover", "shadow", "auth", "cli", "translate", "upstream"];
    let mut found = Vec::new();
    for source in house.iter().filter(|source| !exempt.contains(&source.room())) {
        let room = source.room();
        let mut room_files = house.iter().filter(|other| other.room() == room);
        if room_files.any(|file| file.paths().iter().any(|path| leads_to(path, "upstream"))) {
            let translations = source.paths().into_iter().filter(|path| leads_to(path, "translate"));
            let counted = translations.filter(|path| room != "proxy" || !leads_to_route(path));
            found.extend(counted.map(|path| {
                let rule =
                    format!("`{room}` names both `translate` and `upstream`: only cutover and shadow may");
                Violation::new(source, path.line, rule)
            }));
        }
    }
    found
}

fn leads_to(path: &NamedPath, room: &str) -> bool {
    path.within_crate.as_ref().is_some_and(|path| path.first().is_some_and(|first| first == room))
}

fn leads_to_route(path: &NamedPath) -> bool {
    path.within_crate.as_ref().is_some_and(|path| path.get(1).is_some_and(|second| second == "route"))
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
    if source.room() != "translate" {
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

const MOST_LINES: usize = 400;

/// Files aim at 250 lines and stop at 400, tests not counted.
pub(crate) fn file_length(source: &Source) -> Vec<Violation> {
    if source.lines <= MOST_LINES {
        return Vec::new();
    }
    let rule = format!("{} lines without tests, more than {MOST_LINES}: split it by meaning", source.lines);
    vec![Violation::new(source, MOST_LINES + 1, rule)]
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

/// `proxy` tells the story; the vendor's vocabulary is `translate`'s.
pub(crate) fn vendor_words_in_proxy(source: &Source) -> Vec<Violation> {
    if source.room() != "proxy" {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (line, text) in numbered(&source.code_and_strings) {
        let paths = VENDOR_PATHS.into_iter().filter(|path| text.contains(path));
        let fields = VENDOR_FIELDS.into_iter().filter(|field| has_words(text, &[field]));
        for word in paths.chain(fields) {
            found.push(Violation::new(
                source,
                line,
                format!("`proxy` holds the vendor's `{word}`: that is translate's"),
            ));
        }
    }
    found
}

/// What stops the process, or was left for later, does not ship.
pub(crate) fn unfinished_code(source: &Source) -> Vec<Violation> {
    let forbidden: [(&str, &[&str]); 2] = [("unwrap()", &["unwrap", "(", ")"]), ("todo!", &["todo", "!"])];
    let mut found = Vec::new();
    for (line, text) in numbered(&source.code) {
        for (name, words) in forbidden {
            if has_words(text, words) {
                found.push(Violation::new(source, line, format!("`{name}` does not ship")));
            }
        }
    }
    found
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
