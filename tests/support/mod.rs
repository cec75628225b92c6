//! Support code of the test binaries. Each binary includes all of it and uses a part.

pub(crate) mod browser;
pub(crate) mod dice;
pub(crate) mod failover;
pub(crate) mod ledger;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod replica;
pub(crate) mod small_disk;
pub(crate) mod story;
pub(crate) mod test_bed;
pub(crate) mod variants;
pub(crate) mod wire;

use std::future::Future;
use std::time::Duration;

/// Waits for a signal. The deadline turns a signal that never comes into a failure; it is far beyond any wait on a busy machine.
pub(crate) async fn soon<T>(signal: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), signal).await.expect("the signal comes before the deadline")
}
