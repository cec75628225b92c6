//! Errors of a listening socket, for every accept loop.

use std::io;
use std::time::Duration;

/// The pause after a failed `accept`.
const PAUSE: Duration = Duration::from_millis(50);

/// Logs a failed `accept` and pauses. Such an error (usually EMFILE) is temporary and returns at once, so that a loop without a pause
/// would use a whole CPU.
pub(crate) async fn pause_after(error: &io::Error) {
    tracing::warn!(target: "server", %error, "a connection could not be accepted");
    tokio::time::sleep(PAUSE).await;
}
