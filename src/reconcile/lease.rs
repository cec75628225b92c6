//! The lease that lets one process walk at a time. It is renewed in the background; one that was not renewed, because its process was
//! killed, ends by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::ledger::{Ledger, LedgerError};

/// How long a lease lasts without being renewed.
const LEASE_LASTS: Duration = Duration::from_secs(15);
const RENEW_EVERY: Duration = Duration::from_secs(4);
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// A lease that this process has.
pub struct Lease {
    ledger: Ledger,
    name: String,
    lost: Arc<AtomicBool>,
    renewing: JoinHandle<()>,
}

impl Lease {
    /// Takes the lease for walks of a tenant, or returns `None` if another process has it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn take(ledger: &Ledger, tenant: &str) -> Result<Option<Self>, LedgerError> {
        let name = name(tenant);
        if !ledger.take_lease(&name, LEASE_LASTS).await? {
            return Ok(None);
        }
        let lost = Arc::new(AtomicBool::new(false));
        let renewing = tokio::spawn(renew(ledger.clone(), name.clone(), lost.clone()));
        Ok(Some(Self { ledger: ledger.clone(), name, lost, renewing }))
    }

    /// As [`Lease::take`], and waits for one that is no longer renewed to expire. `on_wait` gets who has it and until when, once.
    ///
    /// # Errors
    /// As [`Lease::take`].
    pub async fn take_patiently(
        ledger: &Ledger,
        tenant: &str,
        on_wait: impl Fn(&str, Timestamp),
    ) -> Result<Option<Self>, LedgerError> {
        // A process that was killed holds its lease this long.
        let until = Instant::now() + LEASE_LASTS + RENEW_EVERY;
        let mut is_reported = false;
        loop {
            let lease = Self::take(ledger, tenant).await?;
            if lease.is_some() || Instant::now() > until {
                return Ok(lease);
            }
            if !std::mem::replace(&mut is_reported, true)
                && let Some((holder, until)) = ledger.reader().lease_of(&name(tenant)).await?
            {
                on_wait(&holder, until);
            }
            sleep(RETRY_EVERY).await;
        }
    }

    /// Whether this process still has it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.lost.load(Ordering::Relaxed)
    }

    pub async fn give_back(self) {
        self.renewing.abort();
        // It ends by itself.
        let _ = self.ledger.release_lease(&self.name).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

fn name(tenant: &str) -> String {
    format!("walk {tenant}")
}

async fn renew(ledger: Ledger, name: String, lost: Arc<AtomicBool>) {
    let mut renewed = Instant::now();
    loop {
        sleep(RENEW_EVERY).await;
        match ledger.take_lease(&name, LEASE_LASTS).await {
            Ok(true) => renewed = Instant::now(),
            Ok(false) => break,
            // Unless it is renewed in time, another process may have it.
            Err(_) if renewed.elapsed() > LEASE_LASTS => break,
            Err(_) => {}
        }
    }
    lost.store(true, Ordering::Relaxed);
}
