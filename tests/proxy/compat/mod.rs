//! Client stacks as they are installed, unchanged, before the program with its sandbox; docs/compat.md shows the table.

mod differences;
mod matrix;
mod relay;
mod script;
mod stacks;
mod transcript;
