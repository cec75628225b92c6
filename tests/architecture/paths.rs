//! Finds the paths that code names: `use` trees, spelled out, and paths in the middle of expressions and types.

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A path as the code names it, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedPath {
    pub(crate) line: usize,
    /// As written, `use` trees spelled out.
    pub(crate) segments: Vec<String>,
    /// From the crate root, when the path starts with `crate`, the crate's name, `self` or `super`.
    pub(crate) within_crate: Option<Vec<String>>,
}

#[derive(PartialEq, Eq)]
enum Token {
    Word(String),
    PathSeparator,
    Mark(char),
}

fn tokens(code: &str) -> Vec<(usize, Token)> {
    let mut tokens = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let token = match &rest[..length] {
                "::" => Token::PathSeparator,
                word if is_word(first) => Token::Word(word.to_owned()),
                _ => Token::Mark(first),
            };
            tokens.push((number + 1, token));
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// Walks the tokens once, remembering which inline modules it is in, because `super` depends on them.
pub(crate) struct PathReader {
    tokens: Vec<(usize, Token)>,
    at: usize,
    module: Vec<String>,
    blocks: Vec<Option<String>>,
    found: Vec<NamedPath>,
}

impl PathReader {
    pub(crate) fn new(code: &str, module: &[String]) -> Self {
        Self { tokens: tokens(code), at: 0, module: module.to_vec(), blocks: Vec::new(), found: Vec::new() }
    }

    pub(crate) fn read(mut self) -> Vec<NamedPath> {
        let mut inline_module = None;
        while let Some((_, token)) = self.tokens.get(self.at) {
            match token {
                Token::Word(word) if word == "use" => {
                    self.at += 1;
                    self.use_tree(&[]);
                }
                Token::Word(word) if word == "mod" => {
                    self.at += 1;
                    inline_module = self.word();
                }
                Token::Word(_) => self.inline_path(),
                Token::Mark('{') => {
                    self.blocks.push(inline_module.take());
                    self.at += 1;
                }
                Token::Mark(mark) => {
                    match mark {
                        '}' => drop(self.blocks.pop()),
                        ';' => inline_module = None,
                        _ => {}
                    }
                    self.at += 1;
                }
                Token::PathSeparator => self.at += 1,
            }
        }
        self.found
    }

    /// Takes the next token if it is a word.
    fn word(&mut self) -> Option<String> {
        match self.tokens.get(self.at) {
            Some((_, Token::Word(word))) => {
                let word = word.clone();
                self.at += 1;
                Some(word)
            }
            _ => None,
        }
    }

    fn take(&mut self, wanted: &Token) -> bool {
        let there = self.tokens.get(self.at).is_some_and(|(_, token)| token == wanted);
        self.at += usize::from(there);
        there
    }

    fn inline_path(&mut self) {
        let mut segments: Vec<String> = self.word().into_iter().collect();
        while self.take(&Token::PathSeparator) {
            match self.word() {
                Some(word) => segments.push(word),
                None => break,
            }
        }
        // An own macro (`crate::name!`) lives at the root wherever it was written: it names no room.
        let own = segments.len() == 2 && segments[0] == "crate";
        if !(own && self.tokens.get(self.at).is_some_and(|(_, next)| *next == Token::Mark('!'))) {
            self.note(segments);
        }
    }

    /// Reads `a::b::{c, d as e, f::*}` and notes each leaf; an alias is skipped.
    fn use_tree(&mut self, prefix: &[String]) {
        let mut path = prefix.to_vec();
        self.take(&Token::PathSeparator);
        while let Some(word) = self.word() {
            path.push(word);
            if !self.take(&Token::PathSeparator) {
                break;
            }
        }
        if self.take(&Token::Mark('{')) {
            while !self.take(&Token::Mark('}')) && self.at < self.tokens.len() {
                let before = self.at;
                self.use_tree(&path);
                self.take(&Token::Mark(','));
                // Whatever a macro put here that is no tree: step over it.
                self.at += usize::from(self.at == before);
            }
            return;
        }
        self.take(&Token::Mark('*'));
        if self.tokens.get(self.at).is_some_and(|(_, next)| *next == Token::Word("as".to_owned())) {
            self.at += 2;
        }
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        if path.len() > prefix.len() || !prefix.is_empty() {
            self.note(path);
        } else {
            self.at += 1;
        }
    }

    fn note(&mut self, segments: Vec<String>) {
        let line = self.tokens[self.at.saturating_sub(1)].0;
        let within_crate = self.resolve(&segments);
        self.found.push(NamedPath { line, segments, within_crate });
    }

    fn resolve(&self, segments: &[String]) -> Option<Vec<String>> {
        let mut here: Vec<String> =
            self.module.iter().cloned().chain(self.blocks.iter().flatten().cloned()).collect();
        let (first, mut rest) = segments.split_first()?;
        match first.as_str() {
            "crate" | "conversion_shim" => here.clear(),
            "self" => {}
            "super" => drop(here.pop()),
            _ => return None,
        }
        while rest.first().is_some_and(|next| next == "super") {
            here.pop();
            rest = &rest[1..];
        }
        here.extend(rest.iter().cloned());
        Some(here)
    }
}
