//! The process shell: arguments, runtime, exit code.

fn main() {}
