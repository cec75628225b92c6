//! SIGTERM and SIGINT, from the first moment of `serve`.
//!
//! A thread of its own waits for them, because reading a config from a file system that hangs blocks the main thread, and no runtime exists
//! yet. A handler is also what lets the first process of a container end at all: the kernel drops a signal for it that it does not handle.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::OK;

/// Time for the start to stop by itself, where it can.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);

/// Whether a signal has asked the process to end. Clones share the state.
#[derive(Clone, Debug)]
pub(super) struct Termination {
    requested: CancellationToken,
    serving: Arc<AtomicBool>,
}

impl Termination {
    /// Handles the signals from now on. Before anything is served, they end the process with success.
    pub(super) fn listen() -> io::Result<Self> {
        // Registered here and not in the thread: a signal right after this call must not meet the default handler.
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let [terminate, interrupt] = handlers(&runtime)?;
        let termination =
            Self { requested: CancellationToken::new(), serving: Arc::new(AtomicBool::new(false)) };
        let ours = termination.clone();
        thread::Builder::new().name("shim-signals".into()).spawn(move || {
            runtime.block_on(first(terminate, interrupt));
            ours.request();
        })?;
        Ok(termination)
    }

    fn request(&self) {
        self.requested.cancel();
        thread::sleep(STOP_TIMEOUT);
        // The main thread is blocked, and nothing is in flight.
        if !self.serving.load(Ordering::Acquire) {
            std::process::exit(OK.into());
        }
    }

    /// From now on, a signal begins a drain.
    pub(super) fn serving(&self) {
        self.serving.store(true, Ordering::Release);
    }

    /// Resolves with the first signal.
    pub(super) async fn requested(&self) {
        self.requested.cancelled().await;
    }

    /// Resolves with a signal before anything is served.
    pub(super) async fn requested_at_start(&self) {
        self.requested().await;
        if self.serving.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
    }
}

fn handlers(runtime: &Runtime) -> io::Result<[Signal; 2]> {
    let _within = runtime.enter();
    // The default action of SIGHUP ends the process; a handler must exist before the watcher listens for it.
    drop(signal(SignalKind::hangup())?);
    Ok([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?])
}

async fn first(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
