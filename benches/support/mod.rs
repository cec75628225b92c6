//! What the end-to-end benchmark is made of: the scenarios as data, an upstream, a load generator, the yardstick, a CPU clock
//! and the arithmetic between them. Nothing here knows the proxy under test; `proxy.rs` plugs it in.

#![allow(dead_code, reason = "each benchmark uses a part")]

pub(crate) mod bare;
pub(crate) mod cpu;
pub(crate) mod load;
pub(crate) mod measure;
pub(crate) mod records;
pub(crate) mod scenario;
pub(crate) mod shim;
pub(crate) mod table;
pub(crate) mod upstream;

use std::{io, net::SocketAddr, pin::Pin, sync::OnceLock};

use tokio::runtime::{Builder, Runtime};

/// Counts the allocations of the process so far, where they are counted.
pub(crate) static ALLOCATIONS: OnceLock<fn() -> usize> = OnceLock::new();

/// Starts a server in front of the given upstream and says where it listens. Runs on the server's own runtime: whatever it
/// spawns there is counted as the server's CPU time.
pub(crate) type Start = fn(upstream: SocketAddr) -> Pin<Box<dyn Future<Output = io::Result<SocketAddr>>>>;

/// A server under test.
pub(crate) struct Server {
    /// Also the prefix of its threads' names; the kernel keeps 15 characters of those.
    pub(crate) name: &'static str,
    /// Whether it only passes through, and so is asked for the same bytes by another path.
    pub(crate) is_bare: bool,
    /// How to start it.
    pub(crate) start: Start,
}

/// A runtime whose threads, helpers for blocking calls included, are named `name-0`, `name-1`, …
pub(crate) fn runtime(name: &'static str, workers: usize) -> io::Result<Runtime> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let next = AtomicUsize::new(0);
    Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name_fn(move || format!("{name}-{}", next.fetch_add(1, Ordering::Relaxed)))
        .enable_all()
        .build()
}
