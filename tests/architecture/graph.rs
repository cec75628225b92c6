//! Which file uses which. A path leads to the file that defines what it names: `use crate::config::Mode` is an import of
//! `config/modes.rs`, although `config/mod.rs` re-exports it. What a module imports from its own children is left out.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    paths::{Import, NamedPath},
    source::Source,
};

/// More hops than any chain of re-exports has; a chain that is longer leads round in a circle.
const MAX_HOPS: usize = 16;

struct Node<'a> {
    source: &'a Source,
    paths: Vec<NamedPath>,
}

/// The files of a crate and the imports between them.
pub(crate) struct Graph<'a> {
    nodes: Vec<Node<'a>>,
    by_module: BTreeMap<&'a [String], usize>,
}

/// The file that a path leads to, or the module when it ends there.
enum Target {
    Item(usize),
    Module(usize),
}

impl<'a> Graph<'a> {
    pub(crate) fn new(sources: &'a [Source]) -> Self {
        let nodes: Vec<_> = sources.iter().map(|source| Node { source, paths: source.paths() }).collect();
        // Both crate roots have the empty path; what is named from the root is the library's.
        let library = sources.iter().enumerate().filter(|(_, source)| source.file != "main.rs");
        let by_module = library.map(|(at, source)| (source.module.as_slice(), at)).collect();
        Self { nodes, by_module }
    }

    /// For every file the files that it uses, with the line of the first use.
    fn edges(&self) -> Vec<BTreeMap<usize, usize>> {
        let edges_of = |from: usize| {
            let mut edges = BTreeMap::new();
            for path in &self.nodes[from].paths {
                if let Some(to) = self.used_file(from, path)
                    && !self.contains(from, to)
                {
                    edges.entry(to).or_insert(path.line);
                }
            }
            edges
        };
        (0..self.nodes.len()).map(edges_of).collect()
    }

    /// Whether a file is the other one or the root of a module that the other one is in. A module is made of its children,
    /// and they share what it defines: an import of a child by its parent makes no circle.
    fn contains(&self, outer: usize, inner: usize) -> bool {
        self.nodes[inner].source.module.starts_with(&self.nodes[outer].source.module)
    }

    fn used_file(&self, from: usize, path: &NamedPath) -> Option<usize> {
        let target = self.follow(from, path, MAX_HOPS)?;
        match target {
            Target::Item(to) => Some(to),
            // A module is imported for the paths that begin with it, and those are followed themselves.
            Target::Module(to) => path.import.as_ref().is_some_and(Import::is_glob).then_some(to),
        }
    }

    /// Follows a path as it is written in a file.
    fn follow(&self, from: usize, path: &NamedPath, hops: usize) -> Option<Target> {
        if let Some(absolute) = self.absolute(from, path) {
            return self.resolve(&absolute, hops);
        }
        let (first, rest) = path.segments.split_first()?;
        if path.import.is_some() || rest.is_empty() {
            return None;
        }
        let imported = self.absolute(from, self.import_of(from, first)?)?;
        self.resolve(&[&imported, rest].concat(), hops)
    }

    /// The path from the crate's root, if it begins there, relative to its module, or with a child of its module.
    fn absolute(&self, from: usize, path: &NamedPath) -> Option<Vec<String>> {
        let child = || [&self.nodes[from].source.module, &path.segments[..1]].concat();
        match &path.within_crate {
            Some(absolute) => Some(absolute.clone()),
            None if self.by_module.contains_key(child().as_slice()) => {
                Some([&self.nodes[from].source.module, path.segments.as_slice()].concat())
            }
            None => None,
        }
    }

    /// Follows a path from the crate's root.
    fn resolve(&self, path: &[String], hops: usize) -> Option<Target> {
        let hops = hops.checked_sub(1)?;
        let depth = (0..=path.len()).rev().find(|depth| self.by_module.contains_key(&path[..*depth]))?;
        let at = self.by_module[&path[..depth]];
        let Some((name, rest)) = path[depth..].split_first() else { return Some(Target::Module(at)) };
        if self.nodes[at].source.defines(name) {
            return Some(Target::Item(at));
        }
        if let Some(origin) = self.import_of(at, name).and_then(|import| self.absolute(at, import)) {
            return self.resolve(&[&origin, rest].concat(), hops);
        }
        let globs =
            self.nodes[at].paths.iter().filter(|path| path.import.as_ref().is_some_and(Import::is_glob));
        let mut behind_globs = globs.filter_map(|glob| {
            let origin = self.absolute(at, glob)?;
            let found = self.resolve(&[origin.as_slice(), &path[depth..]].concat(), hops)?;
            let Target::Item(to) = found else { return None };
            (self.nodes[to].source.defines(name)).then_some(found)
        });
        // A macro may have made it; then it belongs to the file of the macro's call.
        Some(behind_globs.next().unwrap_or(Target::Item(at)))
    }

    fn import_of(&self, at: usize, name: &str) -> Option<&NamedPath> {
        self.nodes[at]
            .paths
            .iter()
            .find(|path| path.import.as_ref().is_some_and(|import| import.name == name))
    }

    /// Sets of files that import one another, each in order, with one line of every import among them.
    pub(crate) fn circles(&self) -> Vec<Vec<(&'a Source, Vec<String>)>> {
        let edges = self.edges();
        let mut tarjan = Tarjan::new(&edges);
        for node in 0..edges.len() {
            tarjan.visit(node);
        }
        let describe = |members: &BTreeSet<usize>, from: usize| {
            let within = edges[from].iter().filter(|(to, _)| members.contains(to));
            let lines = within.map(|(to, line)| format!("{line} imports {}", self.nodes[*to].source.file));
            (self.nodes[from].source, lines.collect())
        };
        let several = tarjan.components.iter().filter(|members| members.len() > 1);
        several.map(|members| members.iter().map(|from| describe(members, *from)).collect()).collect()
    }
}

/// Tarjan's strongly connected components.
struct Tarjan<'a> {
    edges: &'a [BTreeMap<usize, usize>],
    index: Vec<Option<usize>>,
    low: Vec<usize>,
    stack: Vec<usize>,
    next: usize,
    components: Vec<BTreeSet<usize>>,
}

impl<'a> Tarjan<'a> {
    fn new(edges: &'a [BTreeMap<usize, usize>]) -> Self {
        let (index, low) = (vec![None; edges.len()], vec![0; edges.len()]);
        Self { edges, index, low, stack: Vec::new(), next: 0, components: Vec::new() }
    }

    fn visit(&mut self, node: usize) {
        if self.index[node].is_some() {
            return;
        }
        self.index[node] = Some(self.next);
        self.low[node] = self.next;
        self.next += 1;
        self.stack.push(node);
        for &to in self.edges[node].keys() {
            match self.index[to] {
                None => {
                    self.visit(to);
                    self.low[node] = self.low[node].min(self.low[to]);
                }
                Some(index) if self.stack.contains(&to) => self.low[node] = self.low[node].min(index),
                Some(_) => {}
            }
        }
        if Some(self.low[node]) == self.index[node] {
            let from = self.stack.iter().position(|on_stack| *on_stack == node).unwrap_or_default();
            self.components.push(self.stack.split_off(from).into_iter().collect());
        }
    }
}
