//! The process shell: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    conversion_shim::run(std::env::args_os())
}
