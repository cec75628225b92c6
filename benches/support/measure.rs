//! One measurement: a server, a scenario, a slice of time. A scenario is measured with its servers in turn, slice by slice, so that drift
//! of the machine meets the proxy and its yardstick alike.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;

use super::{
    ALLOCATIONS, Server,
    cpu::{self, Clock, Sample, Times},
    load::{self, Load},
    scenario::{Expected, Scenario},
    upstream::Upstream,
};

const WARM_UP: Duration = Duration::from_millis(50);

/// How long and how hard.
pub(crate) struct Effort {
    /// Of one slice.
    pub(crate) time: Duration,
    /// For each server and scenario.
    pub(crate) slices: usize,
    pub(crate) connections: usize,
}

/// What one measurement saw.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) requests_per_second: f64,
    /// CPU time of the server's own threads per request, in microseconds.
    pub(crate) cpu_micros: f64,
    /// The server's share of time in the kernel, between 0 and 1.
    pub(crate) kernel_share: f64,
    /// Allocations of the whole process per request; load generator and upstream make none.
    pub(crate) allocations: f64,
    /// Calls that reached the upstream per request; anything but 1 means that unlike things are compared.
    pub(crate) upstream_calls: f64,
    /// How many CPUs other processes kept busy meanwhile.
    pub(crate) taken_by_others: f64,
}

/// A server and a scenario, with a reading for each slice.
pub(crate) struct Slot<'a> {
    pub(crate) server: &'a Server,
    pub(crate) scenario: &'a Scenario,
    pub(crate) readings: Vec<Reading>,
}

impl Slot<'_> {
    fn request(&self) -> &Arc<[u8]> {
        if self.server.is_bare { &self.scenario.yardstick } else { &self.scenario.request }
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

    /// Checks every chosen scenario once, then measures each with all servers in turn. Every other turn runs backwards.
    pub(crate) fn run(&self, scenarios: &'a [Scenario], effort: &Effort) -> io::Result<Vec<Slot<'a>>> {
        let mut all = Vec::new();
        for scenario in scenarios {
            let servers = self.servers.iter();
            let mut slots: Vec<_> =
                servers.map(|(server, ..)| Slot { server, scenario, readings: Vec::new() }).collect();
            slots.iter().try_for_each(|slot| self.check(slot))?;
            for slice in 0..effort.slices {
                let mut order: Vec<&mut Slot<'_>> = slots.iter_mut().collect();
                if slice % 2 == 1 {
                    order.reverse();
                }
                for slot in order {
                    let reading = self.measure(slot, effort)?;
                    slot.readings.push(reading);
                }
            }
            all.append(&mut slots);
        }
        Ok(all)
    }

    fn address(&self, server: &Server) -> io::Result<SocketAddr> {
        let found = self.servers.iter().find(|(running, ..)| running.name == server.name);
        found.map(|(_, address, _)| *address).ok_or_else(|| io::Error::other("not started"))
    }

    /// A fast wrong answer is worth nothing.
    fn check(&self, slot: &Slot<'_>) -> io::Result<()> {
        let scenario = slot.scenario;
        self.upstream.answer_with(scenario.answer.clone());
        let (head, body) = self.load.block_on(load::ask_once(self.address(slot.server)?, slot.request()))?;
        let right = match scenario.expected {
            _ if slot.server.is_bare => body == scenario.answer_body(),
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
        let load = Load::start(&self.load, self.address(server)?, effort.connections, slot.request());
        thread::sleep(WARM_UP);
        let before = self.snapshot(server, &load)?;
        thread::sleep(effort.time);
        let after = self.snapshot(server, &load)?;
        self.load.block_on(load.stop())?;
        let requests = after.answers - before.answers;
        if requests == 0 {
            return Err(io::Error::other(format!("{} answered nothing in {}", server.name, scenario.name)));
        }
        Ok(after.since(&before))
    }

    fn snapshot(&self, server: &Server, load: &Load) -> io::Result<Snapshot> {
        Ok(Snapshot {
            time: Instant::now(),
            answers: load.answers(),
            upstream_requests: self.upstream.requests(),
            allocations: ALLOCATIONS.get().map_or(0, |count| count()),
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
    allocations: usize,
    cpu: Sample,
    others: Duration,
}

impl Snapshot {
    fn since(&self, before: &Self) -> Reading {
        let seconds = (self.time - before.time).as_secs_f64();
        let answers = (self.answers - before.answers) as f64;
        let Times { all, user, kernel } = self.cpu.since(&before.cpu);
        Reading {
            requests_per_second: answers / seconds,
            cpu_micros: all.as_secs_f64() * 1e6 / answers,
            kernel_share: kernel.as_secs_f64() / (user + kernel).as_secs_f64(),
            allocations: (self.allocations - before.allocations) as f64 / answers,
            upstream_calls: (self.upstream_requests - before.upstream_requests) as f64 / answers,
            taken_by_others: self.others.saturating_sub(before.others).as_secs_f64() / seconds,
        }
    }
}
