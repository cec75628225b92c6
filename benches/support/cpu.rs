//! The CPU time of the threads of one server, and the memory of the process, as the kernel counts them.
//!
//! The first field of `/proc/self/task/*/schedstat` counts nanoseconds on a CPU; it lags a running thread by a tick at most.
//! Kernels built without it show zeros, so it is checked before it is trusted, against `utime + stime` (ticks of 10 ms).

use std::{collections::HashMap, fs, io, thread, time::Duration};

const BURNER: &str = "burner-0";
const TICK: Duration = Duration::from_millis(10);

/// Where thread times are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Nanoseconds from `schedstat`.
    SchedStat,
    /// Ticks from `stat`.
    Stat,
}

/// CPU time by thread, for the threads of one server.
#[derive(Default)]
pub(crate) struct Sample(HashMap<String, Times>);

/// CPU time of threads.
#[derive(Clone, Copy, Default)]
pub(crate) struct Times {
    /// By the chosen clock.
    pub(crate) all: Duration,
    /// In user mode, in ticks of 10 ms: good for shares over many seconds.
    pub(crate) user: Duration,
    /// In the kernel, in the same ticks.
    pub(crate) kernel: Duration,
}

impl std::ops::Add for Times {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (all, user) = (self.all + other.all, self.user + other.user);
        Self { all, user, kernel: self.kernel + other.kernel }
    }
}

impl Sample {
    /// What was used since an earlier sample; a thread that ended in between counts for nothing.
    pub(crate) fn since(&self, earlier: &Self) -> Times {
        let used = |(id, now): (&String, &Times)| {
            let before = earlier.0.get(id).copied().unwrap_or_default();
            Times {
                all: now.all.saturating_sub(before.all),
                user: now.user.saturating_sub(before.user),
                kernel: now.kernel.saturating_sub(before.kernel),
            }
        };
        self.0.iter().map(used).fold(Times::default(), |sum, times| sum + times)
    }
}

impl Clock {
    /// The finest clock that counts here: burns CPU until `stat` has seen 200 ms of it, and believes `schedstat` if it agrees.
    pub(crate) fn checked() -> io::Result<Self> {
        let burner = thread::Builder::new().name(BURNER.to_owned());
        let measured = burner.spawn(burn)?.join();
        let (stat, schedstat) = measured.map_err(|_| io::Error::other("the burner thread failed"))??;
        let difference = stat.abs_diff(schedstat);
        Ok(if difference <= TICK * 4 { Self::SchedStat } else { Self::Stat })
    }

    /// The CPU time of every thread whose name is `prefix`, a dash and a number.
    pub(crate) fn sample(self, prefix: &str) -> io::Result<Sample> {
        let mut times = HashMap::new();
        for task in fs::read_dir("/proc/self/task")? {
            let path = task?.path();
            // A thread may end while its files are read.
            let Ok(name) = fs::read_to_string(path.join("comm")) else { continue };
            if name.trim_end().rsplit_once('-').is_some_and(|(name, _)| name == prefix) {
                let read = |file: &str| fs::read_to_string(path.join(file));
                let (Ok(stat), Ok(schedstat)) = (read("stat"), read("schedstat")) else { continue };
                let id = path.file_name().map(|id| id.to_string_lossy().into_owned()).unwrap_or_default();
                let unreadable = || io::Error::other(format!("unreadable: {stat} {schedstat}"));
                times.insert(id, self.times(&stat, &schedstat).ok_or_else(unreadable)?);
            }
        }
        Ok(Sample(times))
    }

    fn times(self, stat: &str, schedstat: &str) -> Option<Times> {
        let [user, kernel] = from_stat(stat)?;
        let all = if self == Self::SchedStat { from_schedstat(schedstat)? } else { user + kernel };
        Some(Times { all, user, kernel })
    }
}

/// Burns about 200 ms and returns what either file says of it.
fn burn() -> io::Result<(Duration, Duration)> {
    let stat = || Clock::Stat.sample("burner");
    let schedstat = || Clock::SchedStat.sample("burner");
    let (stat_before, schedstat_before) = (stat()?, schedstat()?);
    while stat()?.since(&stat_before).all < TICK * 20 {
        spin();
    }
    Ok((stat()?.since(&stat_before).all, schedstat()?.since(&schedstat_before).all))
}

fn spin() {
    let work = (0..200_000_u64).fold(0_u64, |work, step| std::hint::black_box(work.wrapping_mul(31) ^ step));
    std::hint::black_box(work);
}

fn from_schedstat(text: &str) -> Option<Duration> {
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// `utime` and `stime` are fields 14 and 15; the name before them may hold spaces, so counting starts behind it.
fn from_stat(text: &str) -> Option<[Duration; 2]> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u32>().ok();
    Some([TICK * ticks(11)?, TICK * ticks(12)?])
}

/// Keeps this thread, and all that it starts, on one core.
pub(crate) fn run_on(core: usize) -> io::Result<()> {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &cores)?)
}

/// CPU time that other processes took from the machine since it started. While it grows, measurements mean little.
pub(crate) fn taken_by_others() -> io::Result<Duration> {
    let machine = fs::read_to_string("/proc/stat")?;
    let fields = machine.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let fields: Vec<u32> = fields.filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal: all but the two that are rest.
    let busy: u32 =
        fields.iter().take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4)).map(|(_, t)| t).sum();
    let [user, kernel] = from_stat(&fs::read_to_string("/proc/self/stat")?).unwrap_or_default();
    Ok((TICK * busy).saturating_sub(user + kernel))
}

/// Memory of the whole process, upstream and load generator included.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// `VmRSS`, in KiB.
    pub(crate) resident_kib: u64,
}

impl Memory {
    pub(crate) fn read() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
        };
        Ok(Self { resident_kib: field("VmRSS:") })
    }
}
