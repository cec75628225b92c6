//! The command line through the real binary: what it prints, what it reads, how it ends.

mod commands;
mod completions;
mod endings;
mod outputs;
mod problems;
mod words;
