//! One process whose SQLite ledger is lost, exchanged for another deployment's, or replaced by an older copy, while it runs and after it
//! was killed, under clients that keep asking: the start is refused or creates are held, and go on with the right file, or after
//! `ledger accept`.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use conversion_shim::sandbox::{Dice, Fault, FaultKind, Operation, Sandbox};
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::clients::{CONVERSIONS, Http, Kind, Order, Register, conversion_id};
use super::{ConfigFile, Position, soon, vendor};
use crate::support::dice;
use crate::support::ledger;
use crate::support::process::run_with;
use crate::support::replica::Replica;

const WAIT_MAX: Duration = Duration::from_secs(20);
const CLIENTS: u64 = 8;
/// Answers that clients get between two exchanges.
const PROGRESS: u64 = 12;
const CONFIG_REFUSED: Option<i32> = Some(3);
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

/// What is found in the ledger's place, and what a refused start says of it.
#[derive(Clone, Copy, Debug)]
enum Found {
    Nothing,
    /// Another deployment's.
    Another,
    /// From before it was opened for creates on new.
    Unopened,
    /// The newest copy that `ledger backup` made, which holds creates.
    Backup,
    /// A copy that holds nothing.
    Copy,
}

impl Found {
    fn file(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Another => Some("another.db"),
            Self::Unopened => Some("unopened.db"),
            Self::Backup => Some("backup.db"),
            Self::Copy => Some("copy.db"),
        }
    }

    fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Nothing => Some("there is no ledger"),
            Self::Another => Some("ledger.id: is test"),
            Self::Unopened => Some("ledger.new_in_use"),
            Self::Backup | Self::Copy => None,
        }
    }
}

/// How the file comes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    AfterAKill,
    /// In the place of the open file, which is moved aside.
    Renamed,
    /// Into the open file.
    InPlace,
}

const EXCHANGES: [(Found, How); 11] = [
    (Found::Nothing, How::AfterAKill),
    (Found::Another, How::AfterAKill),
    (Found::Unopened, How::AfterAKill),
    (Found::Backup, How::AfterAKill),
    (Found::Copy, How::AfterAKill),
    (Found::Nothing, How::Renamed),
    (Found::Another, How::Renamed),
    (Found::Unopened, How::Renamed),
    (Found::Backup, How::Renamed),
    (Found::Copy, How::Renamed),
    (Found::Copy, How::InPlace),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_is_lost_exchanged_or_restored_converts_nothing_twice() {
    let mut dice = dice::from_environment();
    let mut scene = Scene::new().await;
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(scene.client(number, dice.fork()));
    }
    let faults = scene.vendor.faults();
    let late = FaultKind::Delay { pause: Duration::from_millis(300), applied: false };
    faults.arm(Fault::new(late).on(None, Operation::Create).sometimes(30, 1));
    faults.arm(Fault::new(FaultKind::Reset { applied: true }).on(None, Operation::Create).sometimes(10, 2));
    let mut exchanges = EXCHANGES.to_vec();
    scene.start(Position::Live).await;
    while !exchanges.is_empty() {
        let (found, how) =
            exchanges.swap_remove(usize::try_from(dice.below(exchanges.len() as u64)).unwrap());
        scene.make_copies().await;
        scene.progress().await;
        let position = dice.pick([Position::Live, Position::Back, Position::Canary]);
        scene.exchange(found, how, position).await;
    }
    scene.progress().await;
    scene.over.store(true, Ordering::Relaxed);
    soon(clients.join_all()).await;
    let audit = scene.register.balance(scene.vendor.inspector(), &scene.url).await;
    audit.assert_clean();
    assert!(audit.legacy > 0 && audit.new > 0);
}

struct Scene {
    vendor: Sandbox,
    directory: tempfile::TempDir,
    url: String,
    file: ConfigFile,
    http: Http,
    register: Arc<Register>,
    /// Every order that a client has an answer to.
    answered: Arc<Mutex<Vec<Order>>>,
    answers: Arc<watch::Sender<u64>>,
    address: Arc<watch::Sender<Option<SocketAddr>>>,
    over: Arc<AtomicBool>,
    replica: Option<Replica>,
    /// References that the operator tries.
    tried: u64,
}

impl Scene {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let vendor = vendor().await;
        let url = |name: &str| format!("sqlite:{}", directory.path().join(name).display());
        let (ledger, settings) = (url("ledger.db"), "timeouts.create = \"2s\"");
        let file = ConfigFile::new(directory.path(), "shim.toml", &vendor, &ledger, settings);
        fs::copy(directory.path().join("ledger.db"), directory.path().join("unopened.db")).unwrap();
        ledger::make_another(&url("another.db"));
        Self {
            vendor,
            url: ledger,
            file,
            directory,
            http: Http::new(),
            register: Arc::default(),
            answered: Arc::default(),
            answers: Arc::new(watch::Sender::new(0)),
            address: Arc::new(watch::Sender::new(None)),
            over: Arc::default(),
            replica: None,
            tried: 0,
        }
    }

    /// A client that orders, and asks again until it knows, until it is over.
    fn client(&self, number: u64, mut dice: Dice) -> impl Future<Output = ()> + Send + 'static {
        let (http, register, over) = (self.http.clone(), self.register.clone(), self.over.clone());
        let (mut to, answers, answered) =
            (self.address.subscribe(), self.answers.clone(), self.answered.clone());
        async move {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                count += 1;
                let order = Order::new(format!("order-{number}-{count}"), &mut dice);
                register.ordered(&order);
                see_through(&http, &mut to, &register, &order).await;
                answered.lock().unwrap().push(order);
                answers.send_modify(|count| *count += 1);
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn start(&mut self, position: Position) {
        self.file.write(position);
        let replica = Replica::start(&self.file.path).await.unwrap_or_else(|ended| panic!("{ended:?}"));
        self.address.send_replace(Some(replica.address()));
        self.replica = Some(replica);
    }

    fn kill(&mut self) {
        self.replica.take().unwrap().kill();
        self.address.send_replace(None);
    }

    /// Waits until clients got some more answers.
    async fn progress(&self) {
        let mut answers = self.answers.subscribe();
        let target = *answers.borrow() + PROGRESS;
        soon(answers.wait_for(|count| *count >= target)).await.unwrap();
    }

    /// A backup as the runbook says, and one as SQLite's own tools make it.
    async fn make_copies(&mut self) {
        let backup = self.path("backup.db");
        let _ = fs::remove_file(&backup);
        let ran = run_with(&self.file.path, &["ledger", "backup", backup.to_str().unwrap()]).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let copy = self.path("copy.db");
        let _ = fs::remove_file(&copy);
        ledger::vacuum_into(&self.path("ledger.db"), &copy).await;
    }

    async fn exchange(&mut self, found: Found, how: How, position: Position) {
        let what = format!("{found:?} {how:?} {position:?}");
        match how {
            How::AfterAKill => self.kill(),
            How::Renamed => self.rename("ledger.db", "aside.db"),
            How::InPlace => {}
        }
        if how == How::AfterAKill {
            self.rename("ledger.db", "aside.db");
        }
        self.put(found);
        if how != How::AfterAKill {
            let refuses = |line: &serde_json::Value| {
                line["message"] == "the ledger fails; creates are refused until it works again"
            };
            assert!(self.replica.as_ref().unwrap().line_after(0, refuses).await.is_some(), "{what}");
            self.is_refused(&what).await;
            self.kill();
        }
        self.remove();
        self.put(found);
        let mut is_held = how != How::AfterAKill;
        match found.refusal() {
            Some(refusal) => {
                self.file.write(position);
                let ended = Replica::start(&self.file.path).await.err().expect("it does not serve");
                assert_eq!(ended.code, CONFIG_REFUSED, "{what}: {ended:?}");
                assert!(ended.errors.contains(refusal), "{what}: {ended:?}");
                self.remove();
                self.rename("aside.db", "ledger.db");
            }
            // Claims are lost. What was under way when the process ended must have ended too, and be listed.
            None => {
                is_held |= matches!(found, Found::Backup);
                self.vendor.faults().go_down().await;
                soon(self.vendor.inspector().wait_idle()).await;
                self.vendor.faults().come_up().await.unwrap();
            }
        }
        self.start(position).await;
        if is_held {
            self.is_refused(&what).await;
            let why = ["ledger", "accept", "--why", "compared with the vendor"];
            let ran = run_with(&self.file.path, &why).await;
            assert!(ran.out.starts_with("hold lifted: "), "{what}: {ran:?}");
        }
        if found.refusal().is_none() {
            self.ask_for_everything_again().await;
        }
    }

    /// A create is refused, and nothing is sent.
    async fn is_refused(&mut self, what: &str) {
        self.tried += 1;
        let order = Order::new(format!("held-{}", self.tried), &mut dice::from_environment());
        let to = self.address.borrow().unwrap();
        let answer = self.http.post(to, CONVERSIONS, &order.to_conversion(), WAIT_MAX).await;
        assert_eq!(answer.as_ref().map(|(status, _)| *status), Some(503), "{what}: {answer:?}");
        let made = self.vendor.inspector().conversions_by_ref();
        assert_eq!(made.get(&order.ref_id), None, "{what}");
    }

    /// Every client repeats what it has an answer to: that answer is still true.
    async fn ask_for_everything_again(&self) {
        let orders = self.answered.lock().unwrap().clone();
        let again = |order: Order| {
            let mut to = self.address.subscribe();
            async move { see_through(&self.http, &mut to, &self.register, &order).await }
        };
        let asking = stream::iter(orders).map(again).buffer_unordered(8).for_each(|()| async {});
        soon(asking).await;
    }

    /// Copies what is found into the ledger's place, into the file that is there if there is one.
    fn put(&self, found: Found) {
        if let Some(file) = found.file() {
            fs::copy(self.path(file), self.path("ledger.db")).unwrap();
        }
    }

    /// Gives the files of one ledger other names. No part of another ledger stays beside them: SQLite would replay its log.
    fn rename(&self, from: &str, to: &str) {
        for part in PARTS {
            let _ = fs::remove_file(self.path(&format!("{to}{part}")));
            let _ = fs::rename(self.path(&format!("{from}{part}")), self.path(&format!("{to}{part}")));
        }
    }

    fn remove(&self) {
        for part in PARTS {
            let _ = fs::remove_file(self.path(&format!("ledger.db{part}")));
        }
    }
}

/// Asks with the same reference until the answer is one.
async fn see_through(
    http: &Http,
    to: &mut watch::Receiver<Option<SocketAddr>>,
    register: &Register,
    order: &Order,
) {
    loop {
        let address = to.wait_for(Option::is_some).await.unwrap().unwrap();
        let answer = http.post(address, CONVERSIONS, &order.to_conversion(), WAIT_MAX).await;
        match answer.map_or(Ok(None), |(status, body)| conversion_id(status, &body)) {
            Ok(Some(id)) => return register.record_answer(order, id),
            Ok(None) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(wrong) => return register.wrong(Kind::FalseRefusal, wrong),
        }
    }
}
