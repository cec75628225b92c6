//! The ledger's server goes away under load, killed or frozen: creates are refused and nothing is sent, everything that needs no
//! ledger goes on, and when the server is back creates are as well, without a restart.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use conversion_shim::sandbox::{Dice, Operation, Sandbox};
use conversion_shim::translate::side::Side;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::clients::{CONVERSIONS, Http, Kind, Order, Register, conversion_id};
use super::{ConfigFile, Position, soon, vendor};
use crate::support::dice;
use crate::support::postgres::Postgres;
use crate::support::replica::Replica;

const CLIENTS: usize = 8;
/// A create may take half a minute, the ledger a second: whoever waits for less than a client's timeout waits for the ledger.
const SETTINGS: &str = "replicas = 2\nledger.timeout = \"1s\"\ntimeouts.create = \"60s\"";
const WAIT_MAX: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_ledger_refuses_creates_and_comes_back() {
    let Some(postgres) = Postgres::start_new() else { return };
    outage(&postgres, Postgres::stop, Postgres::start).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_ledger_refuses_creates_and_comes_back() {
    let Some(postgres) = Postgres::start_new() else { return };
    outage(&postgres, Postgres::freeze, Postgres::thaw).await;
}

async fn outage(postgres: &Postgres, goes: fn(&Postgres), comes: fn(&Postgres)) {
    let ledger = postgres.fresh_database();
    let directory = tempfile::tempdir().unwrap();
    let vendor = vendor().await;
    let file = ConfigFile::new(directory.path(), "shim.toml", &vendor, &ledger, SETTINGS);
    file.write(Position::Live);
    let replica = Replica::start(&file.path).await.unwrap();
    let load = Load::begin(replica.address());

    // The ledger works, both before and after; what is under way when it goes may end either way.
    load.until(200).await;
    goes(postgres);
    load.next_round().await;
    let sent = posts(&vendor);
    load.until(503).await;
    load.next_round().await;
    load.until(503).await;
    assert_eq!(posts(&vendor), sent, "nothing is sent while the ledger cannot be asked");
    readers_work(&load, &vendor).await;
    comes(postgres);
    // Requests may still end with what they met before.
    load.next_round().await;
    load.until(200).await;

    let register = load.end().await;
    let audit = register.balance(vendor.inspector(), &ledger).await;
    audit.assert_clean();
    assert!(audit.new > 0);
}

/// Creates that were sent on.
fn posts(vendor: &Sandbox) -> u64 {
    [Side::Legacy, Side::New]
        .into_iter()
        .map(|side| vendor.inspector().arrived(side, Operation::Create))
        .sum()
}

/// Get, list and pass-through, of both sides' records.
async fn readers_work(load: &Load, vendor: &Sandbox) {
    let (http, to) = (&load.http, load.to);
    let legacy = vendor.inspector().seed_conversion(serde_json::json!({ "status": "SETTLED" }));
    let listed = http.list(to).await;
    let on_new = listed.iter().find(|id| **id != legacy).unwrap();
    assert!(listed.contains(&legacy));
    for id in [&legacy, on_new] {
        let (status, body) = http.get(to, &format!("{CONVERSIONS}/{id}")).await.unwrap();
        assert_eq!((status, body["id"].as_str()), (200, Some(id.as_str())));
    }
    assert_eq!(http.get(to, "/v2/profiles").await.unwrap().0, 200);
}

/// Clients that create one thing after the other, each until it is seen through, and tell of every answer.
struct Load {
    http: Http,
    to: SocketAddr,
    register: Arc<Register>,
    /// Every client's last status, and how many requests it has ended.
    answers: Vec<watch::Receiver<(u16, u64)>>,
    stop: watch::Sender<bool>,
    clients: JoinSet<()>,
}

impl Load {
    fn begin(to: SocketAddr) -> Self {
        let mut dice = dice::from_environment();
        let (http, register, stop) = (Http::new(), Arc::new(Register::default()), watch::Sender::new(false));
        let (mut clients, mut answers) = (JoinSet::new(), Vec::new());
        for number in 0..CLIENTS {
            let (sender, receiver) = watch::channel((0, 0));
            answers.push(receiver);
            let client =
                Client { number, http: http.clone(), to, register: register.clone(), answers: sender };
            clients.spawn(client.run(dice.fork(), stop.subscribe()));
        }
        Self { http, to, register, answers, stop, clients }
    }

    /// Every client has been answered with this status.
    async fn until(&self, status: u16) {
        for answers in &self.answers {
            soon(answers.clone().wait_for(|(last, _)| *last == status)).await.unwrap();
        }
    }

    /// Every client has ended what was under way when this was called, and a request that it began afterwards.
    async fn next_round(&self) {
        for answers in &self.answers {
            let now = answers.borrow().1;
            soon(answers.clone().wait_for(|(_, count)| *count >= now + 2)).await.unwrap();
        }
    }

    async fn end(self) -> Arc<Register> {
        self.stop.send_replace(true);
        soon(self.clients.join_all()).await;
        self.register
    }
}

struct Client {
    number: usize,
    http: Http,
    to: SocketAddr,
    register: Arc<Register>,
    answers: watch::Sender<(u16, u64)>,
}

impl Client {
    async fn run(self, mut dice: Dice, stop: watch::Receiver<bool>) {
        let mut count = 0;
        while !*stop.borrow() {
            count += 1;
            let order = Order::new(format!("order-{}-{count}", self.number), &mut dice);
            self.register.ordered(&order);
            while !self.is_done(&order).await {
                // A pause, so that refusals at once do not fill a busy machine.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// Asks once.
    async fn is_done(&self, order: &Order) -> bool {
        let answer = self.http.post(self.to, CONVERSIONS, &order.to_conversion(), WAIT_MAX).await;
        let Some((status, body)) = answer else {
            self.register.wrong(Kind::Other, format!("{} was not answered in time", order.ref_id));
            return false;
        };
        if ![200, 409, 503].contains(&status) {
            self.register.wrong(Kind::Other, format!("{} was answered {status}: {body}", order.ref_id));
        }
        self.answers
            .send_modify(|answers| *answers = (if status == 409 { 200 } else { status }, answers.1 + 1));
        match conversion_id(status, &body) {
            Ok(Some(id)) => {
                self.register.record_answer(order, id);
                true
            }
            _ => false,
        }
    }
}
