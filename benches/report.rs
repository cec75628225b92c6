//! `report` over a million records: seconds, and the most memory it ever had. The target is 10 s and 300 MiB.
//!
//! ```text
//! cargo bench --bench report                        # a million
//! cargo bench --bench report -- --records 100000
//! ```
//!
//! Writes a log of many kinds of records and runs the program itself over it, three times.

#![allow(
    clippy::expect_used,
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "a benchmark measures in fractions, and stops where it cannot go on"
)]

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;

const RUNS: usize = 3;
const SECONDS_MAX: f64 = 10.0;
const MIB_MAX: u64 = 300;

#[derive(Parser)]
struct Arguments {
    /// How many records
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("shadow.log");
    write_log(&log, arguments.records)?;
    let mib = std::fs::metadata(&log)?.len() >> 20;
    let mut out = io::stdout().lock();
    writeln!(out, "{} records, {mib} MiB", arguments.records)?;
    for _ in 0..RUNS {
        let (took, peak_kib) = run(&log)?;
        let verdict =
            if took.as_secs_f64() <= SECONDS_MAX && peak_kib >> 10 <= MIB_MAX { "met" } else { "MISSED" };
        writeln!(
            out,
            "{:6.2} s of {SECONDS_MAX} s  {:4} MiB of {MIB_MAX} MiB  {:.0} records/s  {verdict}",
            took.as_secs_f64(),
            peak_kib >> 10,
            arguments.records as f64 / took.as_secs_f64()
        )?;
    }
    Ok(())
}

/// Matches, mismatches with differences in many signatures, lines of others, heartbeats.
fn write_log(log: &Path, records: u64) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(log)?);
    let mut sequence = 0;
    for number in 0..records {
        let time = format!(
            "2026-11-21T{:02}:{:02}:{:02}.{:06}Z",
            number / 3600 % 24,
            number / 60 % 60,
            number % 60,
            number % 999_983
        );
        let route = ["create", "get", "list"][(number % 3) as usize];
        let pair = ["USD/PYUSD", "USDC/USD", "USD/USDG", "USDP/USD"][(number % 4) as usize];
        let (verdict, rest) = match number % 5 {
            0 => (
                "mismatch",
                format!(
                    r#","severity":"contract","signature":"{:016x}","diffs":[{{"path":"items[{}].metadata","kind":"type","served":"object","other":"string","severity":"contract"}},{{"path":"items[{}].updated_at","kind":"value","served":"2026-11-21T10:00:00Z","other":"2026-11-21T10:00:01Z","severity":"cosmetic"}}]"#,
                    number % 20_000,
                    number % 7,
                    number % 7
                ),
            ),
            1 => ("no_counterpart", r#","signature":"00000000000000c0""#.to_owned()),
            _ => (
                "match",
                format!(r#","signature":"00000000000000a{}","suppressed":{}"#, number % 3, number % 100),
            ),
        };
        sequence += 1;
        writeln!(
            out,
            r#"{{"line":"comparison","schema":3,"target":"shadow","time":"{time}","process":"3f9c1e02ab77","sequence":{sequence},"request_id":"0193a4c2-7d1e-7c3a-b5f7-{number:012x}","trace_id":"{number:032x}","config_hash":"3f9c1e02ab77","stage":"shadow","route":"{route}","kind":"read","query":["created_at.begin","limit"],"ref_id_present":true,"asset_pair":"{pair}","seen":[{{"asset_pair":"{pair}","status":"SETTLED","count":18}},{{"asset_pair":"{pair}","status":"CREATED","count":2}}],"served":{{"side":"legacy","status":200,"latency_ms":{}.25,"bytes":8412}},"other":{{"side":"new","status":200,"latency_ms":{}.5,"bytes":9120}},"verdict":"{verdict}","counts":{{"served":20,"other":20,"filtered_out":1}}{rest}}}"#,
            number % 97,
            number % 211
        )?;
        if number % 500 == 0 {
            sequence += 1;
            writeln!(
                out,
                r#"{{"line":"heartbeat","schema":3,"target":"shadow","time":"{time}","process":"3f9c1e02ab77","sequence":{sequence},"config_hash":"3f9c1e02ab77","stage":"shadow","routes":[{{"route":"get","share":1.0}}],"seconds":60.0,"idle_seconds":0.0,"due":500,"done":500,"dropped":[],"waiting":0}}"#
            )?;
            writeln!(out, r#"{{"target":"access","mode":"shadow","route":"get","status":200}}"#)?;
        }
    }
    out.flush()
}

/// One run: how long it took, and its most memory in KiB.
fn run(log: &Path) -> io::Result<(Duration, u64)> {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_conversion-shim"))
        .args(["report", "--format", "json"])
        .arg(log)
        .stdout(Stdio::null())
        .spawn()?;
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        peak = peak_kib(&child).unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok((began.elapsed(), peak))
}

fn peak_kib(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
