//! `[shadow]`: how much is compared, with which resources, and the thresholds of a GO.

use std::path::PathBuf;
use std::time::Duration;

use super::ignore::{self, IgnoreRule};
use crate::config::read::KeyReader;
use crate::config::secret::{PLACEHOLDER, Secret};
use crate::config::values::{GIB, KIB, MIB, MILLISECOND};
use crate::translate::route::Route;

const REDACTION_KEY: &str = "shadow.redaction_key";
const SECOND: Duration = Duration::from_secs(1);

pub(crate) const LOG: &str = "shadow.log";

/// `[shadow]`
#[derive(Clone, Debug)]
pub struct Shadow {
    /// Share of each route's requests that is compared.
    pub(crate) sample: Sample,
    /// Share of the matches that is written to the log, 0 to 1.
    pub(crate) match_sample: f64,
    /// Maximum number of waiting jobs.
    pub(crate) jobs_max: usize,
    /// Maximum size of the bodies of waiting and running jobs, in bytes.
    pub(crate) bytes_max: usize,
    /// Maximum size of a body that is compared, in bytes.
    pub(crate) body_max: usize,
    /// Maximum number of running jobs.
    pub(crate) concurrency: usize,
    pub(crate) timeout: Duration,
    /// Time without comparisons after a 429 from an upstream.
    pub(crate) cooldown: Duration,
    pub(crate) heartbeat: Duration,
    /// Maximum number of records with one signature per `cap_window`.
    pub(crate) cap_per_signature: u32,
    pub(crate) cap_window: Duration,
    /// File for the records; `None` = standard output, with the rest of the log.
    pub(crate) log: Option<PathBuf>,
    /// Size at which that file is rotated, in bytes.
    pub(crate) log_max: usize,
    /// Number of rotated files that are kept.
    pub(crate) log_keep: usize,
    /// Key of the hashes that replace values; `None` = a random key at every start.
    pub(crate) redaction_key: Option<Secret>,
    pub(crate) ignore: Vec<IgnoreRule>,
    /// Thresholds that a route must reach for a GO.
    pub go: Go,
}

/// `[shadow.sample]`: share of a route's requests that is compared, 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) create: f64,
    pub(crate) get: f64,
    pub(crate) list: f64,
}

impl Sample {
    /// The share of one route. Cancel has no mode `shadow`.
    #[must_use]
    pub(crate) const fn of(&self, route: Route) -> f64 {
        match route {
            Route::Create => self.create,
            Route::Get => self.get,
            Route::List => self.list,
            Route::Cancel => 0.0,
        }
    }
}

/// What of the traffic a GO has to cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cover {
    /// What was never compared on both sides is named, and decides nothing.
    Named,
    /// Each asset pair, status and query parameter that clients used.
    Seen,
}

impl Cover {
    const ALL: [Self; 2] = [Self::Named, Self::Seen];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Seen => "seen",
        }
    }
}

/// `[shadow.go]`: thresholds of a GO in the report. Shares are 0 to 1, of a route's judged comparisons (those that could be
/// made) unless stated otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Go {
    /// Minimum number of judged comparisons.
    pub(crate) judged_min: u64,
    /// Minimum number of them in which both sides returned a record.
    pub(crate) counterparts_min: u64,
    /// What has to have been compared on both sides.
    pub(crate) cover: Cover,
    /// Maximum age of the last record.
    pub(crate) freshness_max: Duration,
    /// Maximum number of differences of severity `money`; a count, not a share.
    pub(crate) money_max: u64,
    /// Maximum share of mismatches of severity `contract`.
    pub(crate) contract_share_max: f64,
    /// Maximum share of mismatches of severity `cosmetic`.
    pub(crate) cosmetic_share_max: f64,
    pub(crate) transient_share_max: f64,
    pub(crate) progress_share_max: f64,
    pub(crate) error_disagreement_share_max: f64,
    pub(crate) failed_share_max: f64,
    pub(crate) not_comparable_share_max: f64,
    /// Maximum share of dropped jobs, of all sampled requests.
    pub(crate) dropped_share_max: f64,
    /// Maximum share of the time in which shadow was configured and did not run.
    pub(crate) idle_share_max: f64,
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Shadow> {
    let match_sample = keys.on_reload("shadow.match_sample").share();
    let jobs_max = keys.on_restart("shadow.jobs_max").number(1..=1_000_000);
    let bytes_max = keys.on_restart("shadow.bytes_max").bytes(MIB..=16 * GIB);
    let body_max = keys.on_reload("shadow.body_max").bytes(KIB..=GIB);
    let concurrency = keys.on_restart("shadow.concurrency").number(1..=1024);
    let timeout = keys.on_reload("shadow.timeout").duration(MILLISECOND);
    let cooldown = keys.on_reload("shadow.cooldown").duration(Duration::ZERO);
    let heartbeat = keys.on_reload("shadow.heartbeat").duration(Duration::from_millis(10));
    let cap_per_signature = keys.on_reload("shadow.cap_per_signature").number(1..=1_000_000);
    let cap_window = keys.on_reload("shadow.cap_window").duration(SECOND);
    let log = keys.on_restart(LOG).file();
    let log_max = keys.on_restart("shadow.log_max").bytes(64 * KIB..=GIB);
    let log_keep = keys.on_restart("shadow.log_keep").number(0..=10_000);
    let redaction_key = redaction_key(keys);
    let ignore = keys.on_reload("shadow.ignore").tables(ignore::parse);
    let sample = sample(keys);
    let go = go(keys);
    Some(Shadow {
        sample: sample?,
        match_sample: match_sample?,
        jobs_max: jobs_max?,
        bytes_max: bytes_max?,
        body_max: body_max?,
        concurrency: concurrency?,
        timeout: timeout?,
        cooldown: cooldown?,
        heartbeat: heartbeat?,
        cap_per_signature: cap_per_signature?,
        cap_window: cap_window?,
        log: log?,
        log_max: log_max?,
        log_keep: log_keep?,
        redaction_key: redaction_key?,
        ignore: ignore?,
        go: go?,
    })
}

fn redaction_key(keys: &mut KeyReader) -> Option<Option<Secret>> {
    let long_enough = |text: &str| match text.len() {
        ..16 => Err("is shorter than 16 characters".into()),
        // A short key can be guessed from the hashes of values that are known.
        16.. => Ok(()),
    };
    let key = keys.on_reload(REDACTION_KEY).secret("shadow.redaction_key_file", PLACEHOLDER, long_enough);
    if let Some(Some(_)) = key {
        keys.refuse_flag(REDACTION_KEY, "is a secret");
    }
    Some(key?.map(|(secret, ())| secret))
}

fn sample(keys: &mut KeyReader) -> Option<Sample> {
    let create = keys.on_reload("shadow.sample.create").share();
    let get = keys.on_reload("shadow.sample.get").share();
    let list = keys.on_reload("shadow.sample.list").share();
    Some(Sample { create: create?, get: get?, list: list? })
}

fn go(keys: &mut KeyReader) -> Option<Go> {
    let judged_min = keys.on_reload("shadow.go.judged_min").number(0..=u64::MAX);
    let counterparts_min = keys.on_reload("shadow.go.counterparts_min").number(0..=u64::MAX);
    let cover = keys.on_reload("shadow.go.cover").choice(Cover::ALL, Cover::as_str);
    let freshness_max = keys.on_reload("shadow.go.freshness_max").duration(SECOND);
    let money_max = keys.on_reload("shadow.go.money_max").number(0..=u64::MAX);
    let contract = keys.on_reload("shadow.go.contract_share_max").share();
    let cosmetic = keys.on_reload("shadow.go.cosmetic_share_max").share();
    let transient = keys.on_reload("shadow.go.transient_share_max").share();
    let progress = keys.on_reload("shadow.go.progress_share_max").share();
    let error_disagreement = keys.on_reload("shadow.go.error_disagreement_share_max").share();
    let failed = keys.on_reload("shadow.go.failed_share_max").share();
    let not_comparable = keys.on_reload("shadow.go.not_comparable_share_max").share();
    let dropped = keys.on_reload("shadow.go.dropped_share_max").share();
    let idle = keys.on_reload("shadow.go.idle_share_max").share();
    Some(Go {
        judged_min: judged_min?,
        counterparts_min: counterparts_min?,
        cover: cover?,
        freshness_max: freshness_max?,
        money_max: money_max?,
        contract_share_max: contract?,
        cosmetic_share_max: cosmetic?,
        transient_share_max: transient?,
        progress_share_max: progress?,
        error_disagreement_share_max: error_disagreement?,
        failed_share_max: failed?,
        not_comparable_share_max: not_comparable?,
        dropped_share_max: dropped?,
        idle_share_max: idle?,
    })
}
