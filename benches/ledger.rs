//! What a claim costs in a ledger of many claims, beside an empty one of the same engine in the same run.
//!
//! ```text
//! cargo bench --bench ledger                                     # SQLite, ten million claims, in a temporary folder
//! cargo bench --bench ledger -- --claims 100000 --dir /var/tmp
//! cargo bench --bench ledger -- --large postgres:///large --empty postgres:///empty
//! ```
//!
//! 98.5 % of the claims know their record and two fifths of them are on the new API, as after a migration. They are inserted by the
//! database itself. The databases of `--large` and `--empty` must be new: the benchmark leaves its claims in them.

#![allow(
    clippy::expect_used,
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "a benchmark measures in fractions, and stops where it cannot go on"
)]

use std::{
    error::Error,
    fmt::Write as _,
    future::Future,
    io::{self, Write as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Parser;
use conversion_shim::{
    ledger::{Fingerprint, Identity, Key, Ledger, Reader, Settings, back_up},
    translate::side::Side,
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection, raw_sql};

/// What a claim costs in a ledger of many claims.
#[derive(Parser)]
struct Flags {
    /// Claims in the large ledger.
    #[arg(long, default_value_t = 10_000_000)]
    claims: u64,
    /// Claims that are timed in each.
    #[arg(long, default_value_t = 2000)]
    samples: usize,
    /// Folder in which the SQLite ledgers get a folder of their own. The default is that of temporary files.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// PostgreSQL database that gets the claims.
    #[arg(long, requires = "empty")]
    large: Option<String>,
    /// PostgreSQL database that stays empty.
    #[arg(long, requires = "large")]
    empty: Option<String>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

const TENANT: &str = "default";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let flags = Flags::parse();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir_in(flags.dir.unwrap_or_else(std::env::temp_dir))?;
    let file = |name: &str| format!("sqlite:{}", dir.path().join(name).display());
    let settings =
        [flags.large.unwrap_or_else(|| file("large")), flags.empty.unwrap_or_else(|| file("empty"))]
            .map(|url| Settings { identity: identity(), ..Settings::new(&url) });
    // The schema is made by the program itself.
    for settings in &settings {
        Ledger::open(settings).await?.shutdown().await;
    }
    let [large, _] = &settings;
    let start = Instant::now();
    fill(large, flags.claims).await?;
    say(&format!("{} claims inserted in {:.0} s", flags.claims, start.elapsed().as_secs_f64()))?;
    claims(&settings, flags.samples.max(100)).await?;
    stats(large).await?;
    if large.url.starts_with("sqlite:") {
        let start = Instant::now();
        let copy = back_up(large, &dir.path().join("copy")).await?;
        let elapsed = start.elapsed().as_secs_f64();
        say(&format!("backup with its check: {elapsed:.1} s, {:.1} GB", copy.bytes as f64 / 1e9))?;
    }
    Ok(())
}

fn identity() -> Identity {
    Identity {
        id: Some("bench".into()),
        new_in_use: true,
        tenant: Some(TENANT.into()),
        ..Identity::default()
    }
}

/// Inserts claims as the program leaves them, a million at a time, and gathers the statistics that a database in use has.
async fn fill(settings: &Settings, claims: u64) -> Result<(), sqlx::Error> {
    if settings.url.starts_with("sqlite:") {
        let mut connection = SqliteConnection::connect(&settings.url).await?;
        // The indexes are filled without an order, so they stay in memory meanwhile.
        raw_sql("PRAGMA cache_size = -4000000; PRAGMA synchronous = OFF").execute(&mut connection).await?;
        let id = "lower(hex(randomblob(16)))";
        for (first, last) in millions(claims) {
            let numbers = format!(
                "WITH RECURSIVE numbers (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})"
            );
            raw_sql(AssertSqlSafe(insert(&numbers, id))).execute(&mut connection).await?;
        }
        raw_sql("ANALYZE").execute(&mut connection).await?;
        connection.close().await
    } else {
        let mut connection = PgConnection::connect(&settings.url).await?;
        let id = "md5(random()::text)";
        for (first, last) in millions(claims) {
            let numbers = format!("WITH numbers AS (SELECT generate_series({first}, {last}) AS n)");
            raw_sql(AssertSqlSafe(insert(&numbers, id))).execute(&mut connection).await?;
        }
        raw_sql("VACUUM ANALYZE").execute(&mut connection).await?;
        connection.close().await
    }
}

/// The first and last number of each million.
fn millions(claims: u64) -> impl Iterator<Item = (u64, u64)> {
    (1..=claims).step_by(1_000_000).map(move |first| (first, claims.min(first + 999_999)))
}

/// References and ids have no order, as clients and the vendor make them.
fn insert(numbers: &str, id: &str) -> String {
    let fingerprint = "ab".repeat(32);
    format!(
        "{numbers} INSERT INTO ref_claims (tenant, ref_id, side, state, fingerprint, record_id, generation, begun, closed, \
         created_at_us, updated_at_us) SELECT '{TENANT}', {id}, CASE WHEN n % 5 < 2 THEN 'new' ELSE 'legacy' END, \
         CASE WHEN n % 200 = 0 THEN 'claimed' WHEN n % 200 = 1 THEN 'refused' ELSE 'fenced' END, '{fingerprint}', \
         CASE WHEN n % 200 < 3 THEN NULL ELSE {id} END, 1, 1, CASE WHEN n % 200 = 1 THEN 1 ELSE 0 END, \
         1750000000000000 + CAST(n AS BIGINT) * 1000000, 1750000000000000 + CAST(n AS BIGINT) * 1000000 FROM numbers"
    )
}

/// Times a first claim and a claim that is there, in both ledgers in turn, one at a time.
async fn claims(settings: &[Settings; 2], samples: usize) -> Result<(), Box<dyn Error>> {
    let [large, empty] = [Ledger::open(&settings[0]).await?, Ledger::open(&settings[1]).await?];
    let mut times: [Vec<Duration>; 4] = Default::default();
    for n in 0..samples {
        let ref_id = format!("timed-{n}");
        let key = Key::new(TENANT, &ref_id)?;
        let claim = |ledger: &Ledger| {
            let ledger = ledger.clone();
            async move { ledger.claim(key, Side::Legacy, &Fingerprint([7; 32])).await }
        };
        times[0].push(timed(claim(&empty)).await?);
        times[1].push(timed(claim(&large)).await?);
        times[2].push(timed(claim(&empty)).await?);
        times[3].push(timed(claim(&large)).await?);
    }
    say(&format!("\n{samples} of each, one at a time; ms{:18}{:>8}{:>8}", "", "p50", "p99"))?;
    let names =
        ["claim, empty ledger", "claim, large", "claim that is there, empty", "claim that is there, large"];
    for (name, times) in names.iter().zip(&mut times) {
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        say(&format!("{name:46}{:8.3}{:8.3}", at(0.5), at(0.99)))?;
    }
    large.shutdown().await;
    empty.shutdown().await;
    Ok(())
}

async fn stats(large: &Settings) -> Result<(), Box<dyn Error>> {
    let mut line = String::from("\n`ledger stats`, seconds:");
    for _ in 0..3 {
        let start = Instant::now();
        let stats = Reader::open(large).await?.stats().await?;
        let claims: u64 = stats.counts.iter().map(|count| count.claims).sum();
        write!(line, " {:.2} ({claims} claims)", start.elapsed().as_secs_f64())?;
    }
    Ok(say(&line)?)
}

async fn timed<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<Duration, E> {
    let start = Instant::now();
    work.await?;
    Ok(start.elapsed())
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}
