//! The table of config keys, from `config/default.toml`; that these are the keys is asked of the program.

use std::fs;

use conversion_shim::config::explain;
use conversion_shim::config::load::{Sources, load};

use super::{code, hold};

/// Longer defaults are lists, which the file shows better.
const DEFAULT_LENGTH_MAX: usize = 60;
const EFFECT: &str = "Takes effect: ";

struct Key {
    name: String,
    default: String,
    effect: String,
    meaning: String,
}

/// Every key of the file with the comment above it.
fn keys(file: &str) -> Vec<Key> {
    let (mut section, mut comment, mut keys) = (String::new(), Vec::new(), Vec::new());
    for line in file.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.to_owned());
        } else if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = format!("{name}.");
            comment.clear();
        } else if let Some((name, default)) = line.split_once(" = ") {
            let (effect, meaning) = explained(&comment);
            keys.push(Key { name: format!("{section}{name}"), default: default.to_owned(), effect, meaning });
            comment.clear();
        } else {
            comment.clear();
        }
    }
    keys
}

/// When a change takes effect, and the other lines as one text. An indented line is an item of a list.
fn explained(comment: &[String]) -> (String, String) {
    let (mut effect, mut meaning) = (String::new(), String::new());
    for line in comment {
        let text = line.split_whitespace().collect::<Vec<_>>().join(" ");
        match text.strip_prefix(EFFECT) {
            Some(when) => effect = when.trim_end_matches('.').to_owned(),
            None if meaning.is_empty() => meaning = text,
            None => {
                let is_item = line.starts_with("   ") && !line.starts_with("     ");
                meaning += if is_item { " · " } else { " " };
                meaning += &text;
            }
        }
    }
    (effect, meaning)
}

#[test]
fn every_key_is_listed_with_its_default_and_range() {
    let file = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/default.toml")).unwrap();
    let keys = keys(&file);
    let mut known: Vec<_> =
        explain(&load(&Sources::default()).unwrap()).into_iter().map(|row| row.key.to_owned()).collect();
    let mut found: Vec<_> = keys.iter().map(|key| key.name.clone()).collect();
    known.sort();
    found.sort();
    assert_eq!(found, known);
    let rows: Vec<_> = keys
        .into_iter()
        .map(|key| {
            assert!(
                ["on reload", "on restart"].contains(&key.effect.as_str()),
                "{}: {:?}",
                key.name,
                key.effect
            );
            let default =
                if key.default.len() > DEFAULT_LENGTH_MAX { "a list".into() } else { code(&key.default) };
            vec![code(&key.name), default, key.effect, key.meaning]
        })
        .collect();
    hold("config keys", &["key", "default", "takes effect", "meaning and range"], &rows);
}
