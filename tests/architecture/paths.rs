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
    /// When a `use` names it.
    pub(crate) import: Option<Import>,
}

/// What a `use` brings into its module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    /// The name that it goes by there; `*` for a glob.
    pub(crate) name: String,
    /// Whether other modules see it as well.
    pub(crate) public: bool,
}

impl Import {
    pub(crate) fn is_glob(&self) -> bool {
        self.name == "*"
    }
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
    /// Whether the item that begins here has been declared `pub`, to whomever.
    public: bool,
    found: Vec<NamedPath>,
}

impl PathReader {
    pub(crate) fn new(code: &str, module: &[String]) -> Self {
        let module = module.to_vec();
        Self { tokens: tokens(code), at: 0, module, blocks: Vec::new(), public: false, found: Vec::new() }
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
                Token::Word(word) if word == "pub" => {
                    self.at += 1;
                    self.visibility();
                    continue;
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
            self.public = false;
        }
        self.found
    }

    /// Steps over `(crate)` or `(in crate::config)`, which is no use of a path.
    fn visibility(&mut self) {
        self.public = true;
        if self.take(&Token::Mark('(')) {
            while self.at < self.tokens.len() && !self.take(&Token::Mark(')')) {
                self.at += 1;
            }
        }
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
        // An own macro (`crate::name!`) lives at the root wherever it was written: it names no part.
        let own = segments.len() == 2 && segments[0] == "crate";
        if !(own && self.tokens.get(self.at).is_some_and(|(_, next)| *next == Token::Mark('!'))) {
            self.note(segments, None);
        }
    }

    /// Reads `a::b::{c, d as e, f::*}` and notes each leaf.
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
        let is_glob = self.take(&Token::Mark('*'));
        let alias = self.take(&Token::Word("as".to_owned())).then(|| self.word()).flatten();
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        if path.len() > prefix.len() || !prefix.is_empty() {
            let own_name = if is_glob { Some("*".to_owned()) } else { path.last().cloned() };
            let import = alias.or(own_name).map(|name| Import { name, public: self.public });
            self.note(path, import);
        } else {
            self.at += 1;
        }
    }

    fn note(&mut self, segments: Vec<String>, import: Option<Import>) {
        let line = self.tokens[self.at.saturating_sub(1)].0;
        let within_crate = self.resolve(&segments);
        self.found.push(NamedPath { line, segments, within_crate, import });
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
