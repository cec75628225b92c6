//! `demo`: the whole cutover in a minute and a half, with faults, on this machine.
//!
//! The vendor is the embedded one, in this process. The proxy is a process of its own, the same binary with a config file and an SQLite
//! ledger in a temporary folder, so that it can be killed. `fleet` is the clients of the old API, `walk` the stages and their faults,
//! `reconciliation` what the vendor holds at the end. Numbers come from the proxy's metrics, from answers that clients got, and from the
//! vendor's records.

mod exchange;
mod fleet;
mod folder;
mod latency;
mod proxy;
mod reconciliation;
pub(crate) mod screen;
mod totals;
mod walk;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::sandbox::{Options as VendorOptions, PROFILE, SECOND_PROFILE, Sandbox};

use self::fleet::Fleet;
use self::folder::Folder;
use self::latency::Prober;
use self::proxy::Proxy;
use self::reconciliation::Reconciliation;
use self::screen::Screen;
use self::totals::{Parts, Totals};

#[derive(Clone, Copy, Debug)]
pub(crate) struct DemoOptions {
    /// The plan of clients and faults follows from it.
    pub(crate) seed: u64,
    /// Under 20 s instead of about 90.
    pub(crate) fast: bool,
}

/// A demo that reached its end: the proxy and the vendor still run, until it is dropped.
pub(crate) struct CompletedDemo {
    pub(crate) reconciliation: Reconciliation,
    /// The operators' page of the proxy.
    pub(crate) page: String,
    _running: (Proxy, Arc<Sandbox>, Folder),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    #[error("the vendor cannot start: {0}")]
    Vendor(io::Error),
    #[error("temporary folder: {0}")]
    Folder(io::Error),
    #[error("the terminal: {0}")]
    Screen(io::Error),
    #[error("the proxy: {0}")]
    Proxy(String),
}

const CLIENTS: usize = 8;
/// Time for clients to learn how their last creates went.
const CONCLUDE_TIMEOUT: Duration = Duration::from_secs(30);
/// More than the fleet can convert.
const FUNDS: &str = "1000000000";

/// Walks through all stages and compares the clients' answers with the vendor's records. Dropping the future ends the proxy and removes
/// the folder.
///
/// # Errors
/// [`DemoError`]: a part could not start, or the proxy did not take a config.
pub(crate) async fn run(options: DemoOptions, screen: &mut Screen) -> Result<CompletedDemo, DemoError> {
    let vendor = Arc::new(vendor().await.map_err(DemoError::Vendor)?);
    let folder = Folder::new().map_err(DemoError::Folder)?;
    let mut proxy = Proxy::start(folder.path(), &vendor).await?;
    screen.begin(head(options.seed, &vendor, &proxy), walk::names().collect())?;
    let fleet = Fleet::start(options.seed, CLIENTS, &proxy.url());
    let register = fleet.register();
    let prober = Prober::start(register.clone(), &proxy.url(), vendor.clone()).map_err(DemoError::Vendor)?;
    let parts = Parts { vendor: &vendor, register: &register, prober: &prober };
    walk::walk(options, &mut proxy, parts, screen).await?;
    fleet.finish(CONCLUDE_TIMEOUT).await;
    screen.end(&Totals::read(&mut proxy, parts).await)?;
    let reconciliation = Reconciliation::compare(&register, vendor.inspector());
    Ok(CompletedDemo { reconciliation, page: proxy.page(), _running: (proxy, vendor, folder) })
}

fn head(seed: u64, vendor: &Sandbox, proxy: &Proxy) -> String {
    format!("demo, seed {seed}; vendor {}, operators' page {}", vendor.base_url(), proxy.page())
}

async fn vendor() -> io::Result<Sandbox> {
    let vendor = Sandbox::start(VendorOptions::default()).await?;
    for profile in [PROFILE, SECOND_PROFILE] {
        vendor.inspector().credit(profile, "USD", FUNDS);
    }
    Ok(vendor)
}
