//! A bounded crowd: so many requests a second from a few clients, half of them over HTTP/2, and what they were answered.

use conversion_shim::sandbox::Dice;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::acts::{ACTS, Client, Known};

/// Clients at once; each does one thing at a time.
const CLIENTS: u32 = 8;
/// Acts that have to succeed at least once.
const SUCCEEDING: [&str; 4] = ["create", "list", "pass", "token"];
/// Longest time that clients go on for that.
const MIX_WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct Load {
    address: SocketAddr,
    rate: u32,
    in_flight: AtomicUsize,
    sent: AtomicU64,
    /// How often each act was answered with each status; 0 = not at all.
    answers: Mutex<BTreeMap<&'static str, BTreeMap<u16, u64>>>,
}

impl Load {
    pub(crate) fn new(address: SocketAddr, rate: u32) -> Self {
        Self {
            address,
            rate,
            in_flight: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            answers: Mutex::default(),
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn answers(&self) -> BTreeMap<&'static str, BTreeMap<u16, u64>> {
        self.answers.lock().unwrap().clone()
    }

    /// Sends the clients on their way until `end`. Their connections close when they are done.
    pub(crate) fn start(self: &Arc<Self>, end: Instant, dice: &mut Dice) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            clients.spawn(Arc::clone(self).client(number, end, dice.fork()));
        }
        clients
    }

    async fn client(self: Arc<Self>, number: u32, end: Instant, mut dice: Dice) {
        let (http, name) = (Client::new(self.address, number.is_multiple_of(2)), format!("client-{number}"));
        let mut known = Known::default();
        let pause = Duration::from_secs(1) * CLIENTS / self.rate;
        let pause_millis = u64::try_from(pause.as_millis()).unwrap();
        // Longer where chance has not yet brought everything, as on a busy machine.
        while Instant::now() < end || (!self.is_mixed() && Instant::now() < end + MIX_WITHIN) {
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            let (act, came) = http.act(&mut known, &name, &mut dice).await;
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            self.sent.fetch_add(1, Ordering::Relaxed);
            *self.answers.lock().unwrap().entry(act).or_default().entry(came.unwrap_or(0)).or_default() += 1;
            sleep(dice.milliseconds(0, 2 * pause_millis)).await;
        }
    }

    fn is_mixed(&self) -> bool {
        let answers = self.answers();
        ACTS.iter().all(|act| answers.contains_key(act))
            && SUCCEEDING.iter().all(|act| answers[act].contains_key(&200))
    }

    /// Every act was tried, the good ones succeeded, and nothing was answered with an error of ours.
    pub(crate) fn assert_mixed(&self) {
        let answers = self.answers();
        for act in ACTS {
            assert!(answers.contains_key(act), "{act} never happened: {answers:?}");
        }
        for act in SUCCEEDING {
            assert!(answers[act].contains_key(&200), "{act} never succeeded: {answers:?}");
        }
        assert!(!answers.values().any(|statuses| statuses.contains_key(&500)), "{answers:?}");
    }
}
