//! The latency that the proxy adds: the same record is read from the vendor and through the proxy, in turn.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::exchange::Http;
use super::fleet::Register;
use crate::sandbox::Sandbox;
use crate::translate::paths::{CONVERSIONS, collection};

/// Pause between two pairs of reads.
const PAUSE: Duration = Duration::from_millis(40);
const CLIENT: &str = "latency";

/// Added microseconds at two quantiles.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Added {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
}

/// Reads in pairs until it is dropped.
pub(super) struct Prober {
    /// What the read through the proxy took longer than the one beside it, in microseconds.
    added: Arc<Mutex<Histogram<u32>>>,
    task: JoinHandle<()>,
}

impl Prober {
    /// Reads through `proxy` and from `vendor`, both base URLs of the APIs.
    pub(super) fn start(register: Register, proxy: &str, vendor: Arc<Sandbox>) -> io::Result<Self> {
        let added = Arc::new(Mutex::new(Histogram::new(3).map_err(io::Error::other)?));
        let task = tokio::spawn(read(register, format!("{proxy}{CONVERSIONS}"), vendor, added.clone()));
        Ok(Self { added, task })
    }

    pub(super) fn added(&self) -> Added {
        let added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        Added { p50: added.value_at_quantile(0.5), p99: added.value_at_quantile(0.99) }
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Never ends. A pair counts if both reads succeed. The first read after a pause pays for threads and caches that fell asleep, so each pair
/// begins with two reads that are not counted, and the order changes.
async fn read(register: Register, proxy: String, vendor: Arc<Sandbox>, added: Arc<Mutex<Histogram<u32>>>) {
    let (http, base) = (Http::new(), vendor.base_url());
    let mut direct_first = true;
    loop {
        sleep(PAUSE).await;
        let Some(id) = register.newest() else { continue };
        let Some(side) = vendor.inspector().side_of(&id) else { continue };
        let direct = format!("{base}{}/{id}", collection(side));
        let through = format!("{proxy}/{id}");
        direct_first = !direct_first;
        let urls = if direct_first { [&direct, &through] } else { [&through, &direct] };
        let _ = (timed(&http, urls[1]).await, timed(&http, urls[0]).await);
        let pair = (timed(&http, urls[0]).await, timed(&http, urls[1]).await);
        if let (Some(one), Some(other)) = pair {
            let (direct, through) = if direct_first { (one, other) } else { (other, one) };
            let mut added = added.lock().unwrap_or_else(PoisonError::into_inner);
            added.saturating_record(through.saturating_sub(direct));
        }
    }
}

/// Microseconds of a read that was answered with 200.
async fn timed(http: &Http, url: &str) -> Option<u64> {
    let start = Instant::now();
    let reply = http.get(url, CLIENT).await.filter(|reply| reply.status == 200)?;
    drop(reply);
    u64::try_from(start.elapsed().as_micros()).ok()
}
