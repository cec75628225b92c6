//! Never convert twice, under everything at once: random interleavings of creates, retries, changes of mode on two replicas,
//! faults before and after the write, lagging and lying lists, ledger outages, restarts and clients that leave, ledgers that are lost,
//! exchanged or replaced by an older copy.
//!
//! A world is one vendor, one ledger and two proxies, and one seed. After every round the vendor's own records are checked
//! (`oracle`), and at the end that every reference can still be converted, once.
//!
//! `MODEL_WORLDS` and `MODEL_ROUNDS` make it longer; `MODEL_SEED` replays one world: the same decisions, as far as their
//! answers allow, in an order of arrival that the machine chooses.

mod faults;
mod oracle;
mod pager;
mod world;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use world::{Counts, World};

/// Worlds that live at the same time: enough that one world's waiting is another's work. They take every core, and tests beside them take
/// of that.
const AT_ONCE: usize = 24;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

#[test]
fn no_reference_is_ever_converted_twice() {
    let rounds = number("MODEL_ROUNDS").unwrap_or(10);
    let seeds = match number("MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("MODEL_WORLDS").unwrap_or(40),
    };
    let alone = seeds.end - seeds.start == 1;
    let counts = live(seeds, rounds);
    println!("{counts:?}");
    // A model in which hardly anything happens proves nothing.
    assert!(alone || counts.accepted * 12 > counts.creates, "{counts:?}");
    assert!(alone || counts.exchanged.min(counts.refused).min(counts.held) > 0, "{counts:?}");
    assert!(
        alone || counts.conflicts.min(counts.unknown).min(counts.unavailable).min(counts.listings) > 0,
        "{counts:?}"
    );
}

/// Every world has a thread of its own while it lives.
fn live(seeds: Range<u64>, rounds: u64) -> Counts {
    let next = AtomicU64::new(seeds.start);
    let worker = || {
        let mut counts = Counts::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                return counts;
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let world = || runtime.block_on(async { World::new(seed).await.live(rounds).await });
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(world)) {
                Ok(one) => counts.add(one),
                Err(_) => panic!("replay with MODEL_SEED={seed} MODEL_ROUNDS={rounds}"),
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().expect("a world ended badly; its seed is above")).fold(
            Counts::default(),
            |mut all, one| {
                all.add(one);
                all
            },
        )
    })
}
