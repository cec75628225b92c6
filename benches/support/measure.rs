//! One measurement: a server, a scenario, some seconds. And the rounds that repeat them, so that drift of the machine meets
//! every measurement alike.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;

use super::{
    Server,
    cpu::{self, Clock, Memory, Sample},
    load::{self, Load},
    scenario::{Expected, Scenario, Target},
    upstream::Upstream,
};

const WARM_UP: Duration = Duration::from_millis(200);

/// How long and how hard.
pub(crate) struct Effort {
    pub(crate) time: Duration,
    pub(crate) rounds: usize,
    pub(crate) connections: usize,
}

/// What one measurement saw.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) requests_per_second: f64,
    /// CPU time of the server's own threads per request, in microseconds.
    pub(crate) cpu_micros: f64,
    /// Calls that reached the upstream per request; anything but 1 means that unlike things are compared.
    pub(crate) upstream_calls: f64,
    /// How many CPUs other processes kept busy meanwhile.
    pub(crate) taken_by_others: f64,
    /// The peak of the whole process while it ran.
    pub(crate) peak_kib: u64,
}

/// A server and a scenario, with a reading per round.
pub(crate) struct Slot<'a> {
    pub(crate) server: &'a Server,
    pub(crate) scenario: &'a Scenario,
    pub(crate) readings: Vec<Reading>,
}

impl Slot<'_> {
    /// Whether this slot is what the other one's cost is held against.
    pub(crate) fn is_base_of(&self, other: &Slot<'_>) -> bool {
        match other.scenario.target {
            Target::OfBare(_) => {
                self.server.name == "bare"
                    && other.server.name != "bare"
                    && self.scenario.name == other.scenario.name
            }
            Target::OfPassThrough(base, _) => {
                self.server.name == other.server.name && self.scenario.name == base
            }
        }
    }
}

/// Everything that runs during a benchmark. Servers, upstream and load have runtimes of their own.
pub(crate) struct Bench<'a> {
    clock: Clock,
    upstream: Upstream,
    servers: Vec<(&'a Server, SocketAddr, Runtime)>,
    load: Runtime,
}

impl<'a> Bench<'a> {
    /// Starts the upstream and every server, each with so many worker threads.
    pub(crate) fn start(servers: &'a [Server], workers: usize, clock: Clock) -> io::Result<Self> {
        let upstream = Upstream::start()?;
        let mut running = Vec::new();
        for server in servers {
            let runtime = super::runtime(server.name, workers)?;
            let address = runtime.block_on((server.start)(upstream.address))?;
            running.push((server, address, runtime));
        }
        Ok(Self { clock, upstream, servers: running, load: super::runtime("load", 1)? })
    }

    /// Checks every chosen scenario once, then measures them in rounds. Every other round runs backwards.
    pub(crate) fn run(&self, scenarios: &'a [Scenario], effort: &Effort) -> io::Result<Vec<Slot<'a>>> {
        let mut slots = self.slots(scenarios);
        for slot in &slots {
            self.check(slot)?;
        }
        for round in 0..effort.rounds {
            let mut order: Vec<&mut Slot<'_>> = slots.iter_mut().collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for slot in order {
                let reading = self.measure(slot, effort)?;
                slot.readings.push(reading);
            }
        }
        Ok(slots)
    }

    fn slots(&self, scenarios: &'a [Scenario]) -> Vec<Slot<'a>> {
        let of = |scenario: &'a Scenario| {
            let serving =
                self.servers.iter().filter(|(server, ..)| server.translates || !scenario.is_translated());
            serving.map(move |(server, ..)| Slot { server, scenario, readings: Vec::new() })
        };
        scenarios.iter().flat_map(of).collect()
    }

    fn address(&self, server: &Server) -> io::Result<SocketAddr> {
        let found = self.servers.iter().find(|(running, ..)| running.name == server.name);
        found.map(|(_, address, _)| *address).ok_or_else(|| io::Error::other("not started"))
    }

    /// A fast wrong answer is worth nothing.
    fn check(&self, slot: &Slot<'_>) -> io::Result<()> {
        let scenario = slot.scenario;
        self.upstream.answer_with(scenario.answer.clone());
        let (head, body) =
            self.load.block_on(load::ask_once(self.address(slot.server)?, &scenario.request))?;
        let right = match scenario.expected {
            Expected::SameBytes => body == scenario.answer_body(),
            Expected::Conversions(wanted) => {
                memchr::memmem::find_iter(&body, br#""target_asset""#).count() == wanted
                    && memchr::memmem::find(&body, br#""destination_asset""#).is_none()
            }
        };
        if right && head.starts_with("HTTP/1.1 200 ") {
            return Ok(());
        }
        let body = String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
        let (server, name) = (slot.server.name, scenario.name);
        Err(io::Error::other(format!("{server} answers {name} wrongly:\n{head}{body}")))
    }

    fn measure(&self, slot: &Slot<'_>, effort: &Effort) -> io::Result<Reading> {
        let (server, scenario) = (slot.server, slot.scenario);
        self.upstream.answer_with(scenario.answer.clone());
        Memory::reset_peak();
        let load = Load::start(
            &self.load,
            self.address(server)?,
            effort.connections,
            &Arc::clone(&scenario.request),
        );
        thread::sleep(WARM_UP);
        let before = self.snapshot(server, &load)?;
        thread::sleep(effort.time);
        let after = self.snapshot(server, &load)?;
        self.load.block_on(load.stop())?;
        let requests = after.answers - before.answers;
        if requests == 0 {
            return Err(io::Error::other(format!("{} answered nothing in {}", server.name, scenario.name)));
        }
        Ok(after.since(&before, Memory::read()?))
    }

    fn snapshot(&self, server: &Server, load: &Load) -> io::Result<Snapshot> {
        Ok(Snapshot {
            time: Instant::now(),
            answers: load.answers(),
            upstream_requests: self.upstream.requests(),
            cpu: self.clock.sample(server.name)?,
            others: cpu::taken_by_others()?,
        })
    }
}

/// All counters at one instant.
struct Snapshot {
    time: Instant,
    answers: u64,
    upstream_requests: u64,
    cpu: Sample,
    others: Duration,
}

impl Snapshot {
    fn since(&self, before: &Self, memory: Memory) -> Reading {
        let seconds = (self.time - before.time).as_secs_f64();
        let answers = (self.answers - before.answers) as f64;
        Reading {
            requests_per_second: answers / seconds,
            cpu_micros: self.cpu.since(&before.cpu).as_secs_f64() * 1e6 / answers,
            upstream_calls: (self.upstream_requests - before.upstream_requests) as f64 / answers,
            taken_by_others: self.others.saturating_sub(before.others).as_secs_f64() / seconds,
            peak_kib: memory.peak_kib,
        }
    }
}
