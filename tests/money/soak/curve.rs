//! What the process holds, over time, and how much of that it may hold at the end.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

/// Looks at one process from outside.
pub(crate) struct Gauge {
    pid: u32,
    admin: SocketAddr,
    since: Instant,
}

/// One look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    at: Duration,
    rss_kib: u64,
    files: usize,
    threads: u64,
    /// Requests that clients wait for.
    in_flight: usize,
    /// Writes under way, whether their client waits or has left.
    writes: u64,
    /// Comparisons that wait, and the memory of their bodies.
    waiting: u64,
    held_bytes: u64,
    sent: u64,
}

impl fmt::Display for Point {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, rss_kib, files, threads, in_flight, writes, waiting, held_bytes, sent } = self;
        write!(
            out,
            "{:>7.1} s {rss_kib:>8} KiB {files:>4} fds {threads:>3} threads {in_flight:>3} in flight {writes:>3} writes \
             {waiting:>4} comparisons waiting {held_bytes:>8} bytes held {sent:>8} acts",
            at.as_secs_f32()
        )
    }
}

impl Gauge {
    pub(crate) fn new(pid: u32, admin: SocketAddr) -> Self {
        Self { pid, admin, since: Instant::now() }
    }

    pub(crate) async fn look(&self, in_flight: usize, sent: u64) -> Point {
        let proc = format!("/proc/{}", self.pid);
        let status = std::fs::read_to_string(format!("{proc}/status")).expect("the process runs");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let files = std::fs::read_dir(format!("{proc}/fd")).unwrap().count();
        let reported = self.status().await;
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        Point {
            at: self.since.elapsed(),
            rss_kib: field("VmRSS:"),
            files,
            threads: field("Threads:"),
            in_flight,
            writes: count(&reported["writes_in_flight"]),
            waiting: count(&reported["shadow"]["waiting"]),
            held_bytes: count(&reported["shadow"]["bytes_held"]),
            sent,
        }
    }

    /// What the process has open, by name.
    fn open_files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(format!("/proc/{}/fd", self.pid)).unwrap().flatten();
        let mut names: Vec<_> = entries
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .map(|target| target.display().to_string())
            .collect();
        names.sort();
        names
    }

    /// `/status`, on a connection that ends with it.
    async fn status(&self) -> Value {
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        let response = client.get(format!("http://{}/status", self.admin)).send().await.unwrap();
        response.json().await.unwrap()
    }

    /// Waits until nothing is under way any more, idle connections have gone, and, when there is a `before`, no more is open
    /// than then.
    pub(crate) async fn at_rest(&self, curve: &Curve, before: Option<Point>) -> Point {
        let deadline = Instant::now() + Duration::from_secs(90);
        let mut last = self.look(0, 0).await;
        let mut unchanged_since = last.at;
        loop {
            sleep(Duration::from_millis(100)).await;
            let now = self.look(0, 0).await;
            if (now.files, now.writes, now.held_bytes) != (last.files, 0, 0) {
                unchanged_since = now.at;
            }
            let level = before.is_none_or(|before| {
                now.files <= before.files + SPARE_FILES && now.threads <= before.threads + SPARE_THREADS
            });
            if level && now.at - unchanged_since > STILL {
                return now;
            }
            assert!(
                Instant::now() < deadline,
                "it does not come to rest: {now}\nopen: {:#?}\nbefore: {before:?}\n{curve}",
                self.open_files()
            );
            last = now;
        }
    }
}

/// Longer than idle connections are kept in this test's config.
const STILL: Duration = Duration::from_millis(2500);
/// A connection of the ledger more (see `pool_max` of the config), and the look itself.
const SPARE_FILES: usize = 6;
/// Threads for blocking work come and go.
const SPARE_THREADS: u64 = 4;
/// What one process may hold at the end beyond what it held after a third: the memory of homes, caches of the ledger, an
/// allocator's habits. A leak of one connection's buffers a second is more than that.
const SPARE_KIB: u64 = 24 * 1024;

/// All looks, in order; each is printed when it comes.
#[derive(Default)]
pub(crate) struct Curve {
    name: &'static str,
    points: Vec<Point>,
}

impl Curve {
    pub(crate) const fn named(name: &'static str) -> Self {
        Self { name, points: Vec::new() }
    }

    pub(crate) fn push(&mut self, point: Point) {
        eprintln!("{:>6} {point}", self.name);
        self.points.push(point);
    }

    /// The last third holds hardly more memory than the first one did.
    pub(crate) fn assert_level(&self) {
        let third = self.points.len() / 3;
        let most = |points: &[Point]| points.iter().map(|point| point.rss_kib).max().unwrap_or(0);
        let (first, last) = (most(&self.points[..third.max(1)]), most(&self.points[2 * third..]));
        assert!(last <= first + first / 4 + SPARE_KIB, "{first} KiB became {last} KiB\n{self}");
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.points.iter().try_for_each(|point| writeln!(out, "{:>6} {point}", self.name))
    }
}
