//! Two replicas on one PostgreSQL, killed and flipped at different moments, in front of a vendor in bad weather, while many
//! clients create and ask again. Afterwards every reference is exactly one conversion, and the money and the claims agree.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use conversion_shim::sandbox::{Dice, Mirror, Operation, Sandbox, Variants};
use conversion_shim::translate::side::Side;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::clients::{Audit, CONVERSIONS, Http, Kind, Order, Register, conversion_id};
use super::storm::Failovers;
use super::weather::{self, LAG};
use super::{ConfigFile, Position, soon, vendor};
use crate::support::dice;
use crate::support::postgres::Postgres;
use crate::support::replica::Replica;
use crate::support::variants;

const ORCHESTRATIONS: &str = "/v2/orchestration/orchestrations";
/// How long the clients may take to see everything through once the weather is fine.
const CALM: Duration = Duration::from_secs(90);
/// What both replicas have beside ledger and vendor. Short times, so that many things end in the unknown.
const SETTINGS: &str = "replicas = 2\ntimeouts.create = \"2s\"\nhold.retry_after = \"1s\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_converted_twice_whatever_happens() {
    let Some(postgres) = Postgres::start_new() else { return };
    let seconds = std::env::var("PROCESS_SECONDS").map_or(20, |text| text.parse().expect("a number"));
    let end = Instant::now() + Duration::from_secs(seconds);
    let until = Until { creates: usize::MAX, end, calm: Duration::ZERO };
    let (scene, audit) = run(&postgres.fresh_database(), 12, until, None).await;
    eprintln!("{}", scene.figures(&audit));
    audit.assert_clean();
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    assert!(audit.legacy > 0 && audit.new > 0 && count(&scene.kills) > 0 && count(&scene.flips) > 4);
}

/// Runs two replicas on that ledger, with so many clients, and compares at the end.
pub(super) async fn run(
    ledger: &str,
    clients: u64,
    until: Until,
    failovers: Option<Failovers>,
) -> (Arc<Scene>, Audit) {
    let mut dice = dice::from_environment();
    let directory = tempfile::tempdir().unwrap();
    let vendor = Arc::new(vendor().await);
    let variants = vary(&vendor, &mut dice);
    let scene = Arc::new(Scene::new(&vendor, until, failovers.is_none()));
    let older = scene.made_elsewhere(CONVERSIONS, "older", &mut dice).await;

    let settings = settings(&variants, failovers.is_some());
    let files = ["one.toml", "two.toml"]
        .map(|name| ConfigFile::new(directory.path(), name, &vendor, ledger, &settings));
    let mut operators = Vec::new();
    for (which, file) in files.into_iter().enumerate() {
        operators.push(Operator::begin(which, file, scene.clone(), dice.fork()).await);
    }
    let mut asking = JoinSet::new();
    for number in 0..clients {
        asking.spawn(client(scene.clone(), number, dice.fork()));
    }
    // Both replicas show their readers both sides before the first create can go to new.
    soon(vendor.inspector().wait_arrived(Side::Legacy, Operation::Create, 50)).await;
    for operator in &mut operators {
        operator.flip(Position::Hold).await;
    }
    sleep_until(older + LAG).await;
    scene.hand_out("older");
    let storm = tokio::spawn({
        let (vendor, dice, scene) = (vendor.clone(), dice.fork(), scene.clone());
        async move { weather::storm(&vendor, dice, scene.until.calm, || scene.is_over()).await }
    });
    let config = directory.path().join("one.toml");
    let failing_over = failovers.map(|failovers| {
        let scene = scene.clone();
        tokio::spawn(async move { failovers.run(scene, &config).await })
    });
    let outsiders = tokio::spawn(outsiders(scene.clone(), dice.fork()));
    let mut driving = JoinSet::new();
    operators.into_iter().for_each(|operator| drop(driving.spawn(operator.drive())));

    // The replicas live until the clients are done.
    let operators = driving.join_all().await;
    storm.await.unwrap();
    outsiders.await.unwrap();
    let _servers = match failing_over {
        Some(failing_over) => Some(failing_over.await.unwrap()),
        None => None,
    };
    timeout(CALM, asking.join_all()).await.expect("every order is seen through");
    let audit = compare(&scene, ledger, &operators).await;
    (scene, audit)
}

/// What both replicas have beside ledger and vendor, and what they know of the vendor.
fn settings(variants: &Variants, failover_keeps_commits: bool) -> String {
    let facts = variants::facts(variants).into_iter();
    let facts: String = facts.map(|(key, value)| format!("{key} = \"{value}\"\n")).collect();
    format!("{SETTINGS}\nledger.failover_keeps_commits = {failover_keeps_commits}\n{facts}")
}

/// What was asked for, answered, claimed, made and listed.
async fn compare(scene: &Scene, ledger: &str, operators: &[Operator]) -> Audit {
    let mut audit = scene.register.balance(scene.books_arrived.inspector(), ledger).await;
    audit.ids.sort();
    for operator in operators {
        let mut listed = scene.http.list(operator.address()).await;
        listed.sort();
        let missing = audit.ids.iter().filter(|id| listed.binary_search(id).is_err()).cloned();
        let missing = missing.map(|id| (Kind::FalseNotFound, format!("{id} is not listed")));
        audit.wrong.extend(missing.collect::<Vec<_>>());
        let too_many = listed.len() > audit.ids.len() && audit.wrong.is_empty();
        assert!(!too_many, "the merged list holds every conversion exactly once");
    }
    audit
}

/// How this vendor differs from the documented one.
fn vary(vendor: &Sandbox, dice: &mut Dice) -> Variants {
    let mut variants = variants::choose(|end| dice.below(end));
    for mirror in [&mut variants.mirror, &mut variants.mirror_back] {
        // A 409 may show the mirror, under an id that no list shows.
        if *mirror == Mirror::OtherId {
            *mirror = Mirror::SameId;
        }
    }
    eprintln!("{variants:?}");
    vendor.inspector().set_variants(variants.clone());
    variants
}

/// How long a run is, and how hard.
pub(super) struct Until {
    /// It ends after that many references,
    pub(super) creates: usize,
    /// or at this time.
    pub(super) end: Instant,
    /// The longest spell of fine weather.
    pub(super) calm: Duration,
}

/// What clients and operators share.
pub(super) struct Scene {
    vendor: SocketAddr,
    books_arrived: Arc<Sandbox>,
    http: Http,
    register: Register,
    /// Where the replicas are; nothing while one is down.
    replicas: [watch::Sender<Option<SocketAddr>>; 2],
    /// Orders whose conversion was made elsewhere, old enough for every list to show it.
    known: Mutex<Vec<Order>>,
    waiting: Mutex<Vec<Order>>,
    until: Until,
    posts: AtomicU64,
    flips: AtomicU64,
    kills: AtomicU64,
    pub(super) failovers: AtomicU64,
    pub(super) restores: AtomicU64,
    /// A fail-over waits for the heartbeat of a process that was killed within the last minute.
    pub(super) may_kill: AtomicBool,
}

impl Scene {
    fn new(vendor: &Arc<Sandbox>, until: Until, may_kill: bool) -> Self {
        Self {
            until,
            flips: AtomicU64::new(0),
            kills: AtomicU64::new(0),
            failovers: AtomicU64::new(0),
            restores: AtomicU64::new(0),
            may_kill: may_kill.into(),
            vendor: vendor.addr(),
            books_arrived: vendor.clone(),
            http: Http::new(),
            register: Register::default(),
            replicas: [watch::Sender::new(None), watch::Sender::new(None)],
            known: Mutex::default(),
            waiting: Mutex::default(),
            posts: AtomicU64::new(0),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until.end || self.register.orders() >= self.until.creates
    }

    /// How many references were asked for so far.
    pub(super) fn orders(&self) -> usize {
        self.register.orders()
    }

    /// How many answers named a conversion so far.
    pub(super) fn seen_through(&self) -> usize {
        self.register.answers()
    }

    /// Returns when both replicas run, and none is killed before it may be again.
    pub(super) async fn stop_killing(&self) {
        self.may_kill.store(false, Ordering::Relaxed);
        // One that is about to be killed.
        sleep(Duration::from_secs(2)).await;
        for replica in &self.replicas {
            let _ = replica.subscribe().wait_for(Option::is_some).await;
        }
    }

    /// What is claimed from now on may be lost.
    pub(super) fn begin_to_lose(&self) {
        self.register.begin_to_lose();
    }

    pub(super) fn end_to_lose(&self) {
        self.register.end_to_lose();
    }

    /// What happened, and what went wrong.
    pub(super) fn figures(&self, audit: &Audit) -> String {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let inspector = self.books_arrived.inspector();
        let creates = self.register.orders() as u64;
        format!(
            "{creates} creates, {} retries, {} flips, {} kills, {} fail-overs, {} restores; {} on legacy of {} sent, {} on new of {} sent; \
             {} doubles, {} lost, {} false 404s, {} false refusals, {} other",
            count(&self.posts).saturating_sub(creates),
            count(&self.flips),
            count(&self.kills),
            count(&self.failovers),
            count(&self.restores),
            audit.legacy,
            inspector.arrived(Side::Legacy, Operation::Create),
            audit.new,
            inspector.arrived(Side::New, Operation::Create),
            audit.count(Kind::Doubled),
            audit.count(Kind::Lost),
            audit.count(Kind::FalseNotFound),
            audit.count(Kind::FalseRefusal),
            audit.count(Kind::Other),
        )
    }

    /// Conversions that no replica has seen, such as those from before the proxy. Returns when the last one was made.
    async fn made_elsewhere(&self, path: &str, name: &str, dice: &mut Dice) -> Instant {
        for number in 0..20 {
            let order = Order::new(format!("{name}-{number}"), dice);
            let body = if path == CONVERSIONS { order.to_conversion() } else { order.to_orchestration() };
            // The weather strikes here as well.
            let made = async {
                loop {
                    let answer = self.http.post(self.vendor, path, &body, Duration::from_secs(5)).await;
                    if answer.is_some_and(|(status, _)| [200, 409].contains(&status)) {
                        break;
                    }
                    sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(CALM, made).await.expect("the vendor takes it in the end");
            self.register.ordered(&order);
            self.waiting.lock().unwrap().push(order);
        }
        Instant::now()
    }

    /// From now on clients ask for those that were made elsewhere under this name.
    fn hand_out(&self, name: &str) {
        let mut waiting = self.waiting.lock().unwrap();
        let known = waiting.extract_if(.., |order| order.ref_id.starts_with(name));
        self.known.lock().unwrap().extend(known);
    }
}

/// Somebody who uses the new API without the proxy, once creates have gone there: the duplicate check of a create on legacy must see it.
async fn outsiders(scene: Arc<Scene>, mut dice: Dice) {
    soon(scene.books_arrived.inspector().wait_arrived(Side::New, Operation::Create, 1)).await;
    let made = scene.made_elsewhere(ORCHESTRATIONS, "outside", &mut dice).await;
    sleep_until(made + LAG).await;
    scene.hand_out("outside");
}

/// Orders again and again until the time is over; sees every order through.
async fn client(scene: Arc<Scene>, number: u64, mut dice: Dice) {
    let mut mine: Vec<Order> = Vec::new();
    let mut count = 0;
    while !scene.is_over() {
        let known = if dice.one_in(4) { scene.known.lock().unwrap().pop() } else { None };
        let order = match known {
            Some(order) => order,
            // An old acquaintance, perhaps on another side by now if it were not for its claim.
            None if !mine.is_empty() && dice.one_in(4) => {
                mine[usize::try_from(dice.below(mine.len() as u64)).unwrap()].clone()
            }
            None => {
                count += 1;
                let order = Order::new(format!("order-{number}-{count}"), &mut dice);
                scene.register.ordered(&order);
                order
            }
        };
        // Impatient clients ask twice at once, at either replica.
        let hands = dice.pick([1, 1, 2, 3]);
        let mut asking = JoinSet::new();
        for _ in 0..hands {
            asking.spawn(see_through(scene.clone(), order.clone(), dice.fork()));
        }
        asking.join_all().await;
        mine.push(order);
    }
    // What nobody came to ask for.
    while let Some(order) = { scene.known.lock().unwrap().pop() } {
        see_through(scene.clone(), order, dice.fork()).await;
    }
}

/// Asks with the same reference until the answer is an answer.
async fn see_through(scene: Arc<Scene>, order: Order, mut dice: Dice) {
    loop {
        let wait_max = if dice.one_in(4) { 20 + dice.below(300) } else { 5000 };
        let address = *scene.replicas[usize::from(dice.one_in(2))].borrow();
        if let Some(address) = address {
            scene.posts.fetch_add(1, Ordering::Relaxed);
            scene.register.asked(&order);
            let wait_max = Duration::from_millis(wait_max);
            let answer = scene.http.post(address, CONVERSIONS, &order.to_conversion(), wait_max).await;
            match answer.map_or(Ok(None), |(status, body)| conversion_id(status, &body)) {
                Ok(None) => {}
                Ok(Some(id)) => {
                    scene.register.record_answer(&order, id.clone());
                    return read_back(&scene, &id, &mut dice).await;
                }
                Err(wrong) => {
                    scene.register.record_answer(&order, String::new());
                    return scene.register.wrong(Kind::FalseRefusal, format!("{}: {wrong}", order.ref_id));
                }
            }
        }
        sleep(Duration::from_millis(5) + dice.milliseconds(0, 60)).await;
    }
}

/// Whatever else goes wrong, a conversion that was answered is never "not found".
async fn read_back(scene: &Scene, id: &str, dice: &mut Dice) {
    let Some(address) = *scene.replicas[usize::from(dice.one_in(2))].borrow() else { return };
    match scene.http.get(address, &format!("{CONVERSIONS}/{id}")).await {
        Some((200, body)) if body["id"] == id => {}
        Some((status @ (200 | 404), body)) => {
            scene.register.wrong(Kind::FalseNotFound, format!("{id} was read as {status}: {body}"));
        }
        _ => {}
    }
}

/// Who runs one replica: moves its position, kills it, starts it again.
struct Operator {
    which: usize,
    file: ConfigFile,
    scene: Arc<Scene>,
    dice: Dice,
    replica: Option<Replica>,
    position: Position,
}

impl Operator {
    async fn begin(which: usize, file: ConfigFile, scene: Arc<Scene>, dice: Dice) -> Self {
        let position = Position::Observe;
        file.write(position);
        let mut operator = Self { which, file, scene, dice, replica: None, position };
        operator.start().await;
        operator
    }

    async fn start(&mut self) {
        for _ in 0..100 {
            match Replica::start(&self.file.path).await {
                Ok(replica) => {
                    self.scene.replicas[self.which].send_replace(Some(replica.address()));
                    self.replica = Some(replica);
                    return;
                }
                // A machine under load may need more than one attempt, and so does a fail-over.
                Err(ended) if ended.errors.contains("did not open within") => {}
                Err(ended) if ended.errors.contains("ledger: ") => {
                    sleep(Duration::from_millis(200)).await;
                }
                Err(ended) => panic!("it did not start: {ended:?}"),
            }
        }
        panic!("the ledger never opened in time");
    }

    fn address(&self) -> SocketAddr {
        self.replica.as_ref().unwrap().address()
    }

    /// Moves the replica and returns when the new position is in force.
    async fn flip(&mut self, position: Position) {
        if position == self.position {
            return;
        }
        let replica = self.replica.as_ref().unwrap();
        let from = replica.lines();
        self.file.write(position);
        // A reload is refused while the ledger cannot be asked, as in a fail-over on a busy machine.
        let reloaded = replica.line_at_last(from, |line| line["message"] == "config reloaded");
        let reloaded = timeout(Duration::from_secs(300), reloaded).await.expect("the ledger comes back");
        reloaded.expect("the replica has taken it up");
        self.position = position;
        self.scene.flips.fetch_add(1, Ordering::Relaxed);
    }

    /// Kills the replica, often while a create is under way at the vendor; perhaps moves it meanwhile.
    async fn kill(&mut self) {
        let side = self.dice.pick([Side::Legacy, Side::New]);
        let inspector = self.scene.books_arrived.inspector();
        let next = inspector.arrived(side, Operation::Create) + 1;
        // Nothing arrives there in some positions.
        let _ =
            timeout(self.dice.milliseconds(0, 300), inspector.wait_arrived(side, Operation::Create, next))
                .await;
        self.replica.take().unwrap().kill();
        self.scene.replicas[self.which].send_replace(None);
        self.scene.kills.fetch_add(1, Ordering::Relaxed);
        sleep(self.dice.milliseconds(0, 300)).await;
        if self.dice.one_in(2) {
            self.position = self.any_position();
            self.file.write(self.position);
        }
        self.start().await;
    }

    fn any_position(&mut self) -> Position {
        self.dice.pick([
            Position::Hold,
            Position::Canary,
            Position::Live,
            Position::Live,
            Position::Back,
            Position::Back,
        ])
    }

    /// At random until the time is over; then one replica on each side, so that every client can end.
    async fn drive(mut self) -> Self {
        while !self.scene.is_over() {
            if self.dice.one_in(3) && self.scene.may_kill.load(Ordering::Relaxed) {
                self.kill().await;
            } else {
                let position = self.any_position();
                self.flip(position).await;
            }
            sleep(self.dice.milliseconds(0, 500)).await;
        }
        self.flip([Position::Live, Position::Back][self.which]).await;
        self
    }
}
