//! The process shell: arguments in, exit code out.

use std::process::ExitCode;

/// Every request makes dozens of small allocations; `docs/performance.md` compares it with the C library's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    conversion_shim::run(std::env::args_os())
}
