//! A SQLite ledger whose disk is full for a while: what was answered is there afterwards, what was refused may be tried again, and the
//! same process goes on.

use std::time::Duration;

use conversion_shim::ledger::{Health, Ledger, LedgerError, Settings};
use conversion_shim::translate::side::Side::New;

use super::{BODY, key};
use crate::support::small_disk::SmallDisk;
use crate::support::soon;

struct OnDisk {
    disk: SmallDisk,
    settings: Settings,
}

impl OnDisk {
    fn of(kib: usize) -> Option<Self> {
        let disk = SmallDisk::mount(kib)?;
        let url = format!("sqlite:{}", disk.path().join("ledger.sqlite").display());
        Some(Self { disk, settings: Settings { timeout: Duration::from_secs(20), ..Settings::new(url) } })
    }
}

/// Claims until one fails, and keeps the names of those that were confirmed.
async fn claim_until_it_fails(ledger: &Ledger, name: &str, confirmed: &mut Vec<String>) -> LedgerError {
    for n in 0..100_000 {
        let reference = format!("{name}-{n}");
        match ledger.claim(key(&reference), New, &BODY).await {
            Ok(_) => confirmed.push(reference),
            Err(error) => return error,
        }
    }
    panic!("the disk is not full");
}

async fn holds(ledger: &Ledger, confirmed: &[String]) {
    for reference in confirmed {
        let claim = ledger.reader().claim_by_ref(key(reference)).await.unwrap();
        assert!(claim.is_some(), "{reference} was confirmed, and is not there");
    }
}

async fn works_again(ledger: &Ledger) {
    soon(async { while ledger.probe().await.is_err() {} }).await;
    assert!(ledger.health().is_ready());
}

#[tokio::test]
async fn a_disk_that_was_full_costs_no_confirmed_claim_and_no_restart() {
    let Some(OnDisk { disk, settings }) = OnDisk::of(4096) else { return };
    let ledger = Ledger::open(&settings).await.unwrap();
    let mut confirmed = Vec::new();
    for round in 0..12 {
        // At every length of the last piece of the log, and with no room even for its index.
        disk.fill_but(round % 4);
        let error = claim_until_it_fails(&ledger, &format!("full-{round}"), &mut confirmed).await;
        assert!(matches!(error, LedgerError::Unavailable(_)), "round {round}: {error:?}");
        assert!(matches!(ledger.health(), Health::Down { .. }), "round {round}");
        // While it lasts, and however often it is asked.
        for n in 0..5 {
            let reference = format!("again-{round}-{n}");
            match ledger.claim(key(&reference), New, &BODY).await {
                // The log was copied into the file, and its blocks are used again.
                Ok(_) => confirmed.push(reference),
                Err(error) => {
                    assert!(matches!(error, LedgerError::Unavailable(_)), "round {round}: {error:?}")
                }
            }
        }
        holds(&ledger, &confirmed).await;
        disk.free();
        works_again(&ledger).await;
        let after = format!("after-{round}");
        ledger.claim(key(&after), New, &BODY).await.unwrap();
        confirmed.push(after);
    }
    holds(&ledger, &confirmed).await;
    ledger.shutdown().await;
    let reopened = Ledger::open(&settings).await.unwrap();
    holds(&reopened, &confirmed).await;
    reopened.claim(key("next"), New, &BODY).await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_without_room_costs_nothing() {
    // Room for the longest log, the file and its index.
    let Some(OnDisk { disk, settings }) = OnDisk::of(48 * 1024) else { return };
    let ledger = Ledger::open(&settings).await.unwrap();
    let mut confirmed = Vec::new();
    // The write-ahead log has its blocks already when the checkpoint asks for those of the file.
    for n in 0..600 {
        let reference = format!("before-{n}");
        ledger.claim(key(&reference), New, &BODY).await.unwrap();
        confirmed.push(reference);
    }
    disk.fill_but(30);
    claim_until_it_fails(&ledger, "near-the-end", &mut confirmed).await;
    holds(&ledger, &confirmed).await;
    disk.free();
    works_again(&ledger).await;
    for n in 0..2500 {
        let reference = format!("after-{n}");
        ledger.claim(key(&reference), New, &BODY).await.unwrap();
        confirmed.push(reference);
    }
    holds(&ledger, &confirmed).await;
    ledger.shutdown().await;
    holds(&Ledger::open(&settings).await.unwrap(), &confirmed).await;
}

#[tokio::test]
async fn a_start_on_a_full_disk_costs_nothing() {
    let Some(OnDisk { disk, settings }) = OnDisk::of(4096) else { return };
    let mut confirmed = Vec::new();
    for (round, blocks) in [(0, 0), (1, 1), (2, 3), (3, 20)] {
        let ledger = Ledger::open(&settings).await.unwrap();
        ledger.claim(key(&format!("before-{round}")), New, &BODY).await.unwrap();
        confirmed.push(format!("before-{round}"));
        ledger.shutdown().await;
        disk.fill_but(blocks);
        // The log may have the few blocks that it needs; it is then full soon.
        if let Ok(ledger) =
            Ledger::open(&Settings { timeout: Duration::from_secs(2), ..settings.clone() }).await
        {
            claim_until_it_fails(&ledger, &format!("full-{round}"), &mut confirmed).await;
            ledger.shutdown().await;
        }
        disk.free();
        let ledger = Ledger::open(&settings).await.unwrap();
        holds(&ledger, &confirmed).await;
        ledger.claim(key(&format!("after-{round}")), New, &BODY).await.unwrap();
        ledger.shutdown().await;
    }
}
