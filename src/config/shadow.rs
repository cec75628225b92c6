//! `[shadow]`: how much is compared, with what means, and what a comparison must show before a route may move on.

use std::path::PathBuf;
use std::time::Duration;

use super::ignore::IgnoreRule;
use super::read::Written;
use super::secret::Secret;
use super::{ignore, values};
use crate::translate::route::Route;

/// `[shadow]`
#[derive(Clone, Debug)]
pub struct Shadow {
    /// Which share of each route's requests is compared.
    pub sample: Sample,
    /// Share of the matches that is written to the log.
    pub match_sample: f64,
    /// Most jobs that wait.
    pub jobs_max: usize,
    /// Most bytes that waiting and running jobs hold.
    pub bytes_max: usize,
    /// Longest body that is compared, in bytes.
    pub body_max: usize,
    /// Most jobs at once.
    pub concurrency: usize,
    /// The whole time of one job.
    pub timeout: Duration,
    /// How long nothing is compared after an upstream said 429.
    pub cooldown: Duration,
    /// How often the log tells how shadow itself is doing.
    pub heartbeat: Duration,
    /// Most records of one signature in each `cap_window`.
    pub cap_per_signature: u32,
    /// See `cap_per_signature`.
    pub cap_window: Duration,
    /// A file for the records; `None` = standard output, with the rest of the log.
    pub log: Option<PathBuf>,
    /// The size at which that file is put aside, in bytes.
    pub log_max: usize,
    /// How many files put aside are kept.
    pub log_keep: usize,
    /// Key of the hashes that stand for values; `None` = another one at every start.
    pub redaction_key: Option<Secret>,
    /// Accepted differences.
    pub ignore: Vec<IgnoreRule>,
    /// When a route may move on.
    pub go: Go,
}

/// Which share of a route's requests is compared, 0 to 1.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Rehearsals of creates.
    pub create: f64,
    /// Gets.
    pub get: f64,
    /// Pages of lists.
    pub list: f64,
}

impl Sample {
    /// The share of one route. Cancel has no mode `shadow`.
    #[must_use]
    pub const fn of(&self, route: Route) -> f64 {
        match route {
            Route::Create => self.create,
            Route::Get => self.get,
            Route::List => self.list,
            Route::Cancel => 0.0,
        }
    }
}

/// `[shadow.go]`: what the report must find for a GO. Shares are 0 to 1, of the judged comparisons of a route unless said
/// otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Go {
    /// Fewest judged comparisons.
    pub judged_min: u64,
    /// Fewest of them in which both sides held the record.
    pub counterparts_min: u64,
    /// Greatest age of the last record.
    pub freshness_max: Duration,
    /// Most differences of severity `money`; a count, not a share.
    pub money_max: u64,
    /// Largest share of mismatches of severity `contract`.
    pub contract_share_max: f64,
    /// Largest share of mismatches of severity `cosmetic`.
    pub cosmetic_share_max: f64,
    /// Largest share of `transient`.
    pub transient_share_max: f64,
    /// Largest share of `progress`.
    pub progress_share_max: f64,
    /// Largest share of `error_disagreement`.
    pub error_disagreement_share_max: f64,
    /// Largest share of `shadow_failed`, of all records.
    pub failed_share_max: f64,
    /// Largest share of `not_comparable`, of all records.
    pub not_comparable_share_max: f64,
    /// Largest share of jobs that were dropped, of all that were due.
    pub dropped_share_max: f64,
    /// Largest share of the window in which shadow was configured and not running.
    pub idle_share_max: f64,
}

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;
const SECOND: Duration = Duration::from_secs(1);

pub(super) fn shadow(written: &mut Written) -> Option<Shadow> {
    let match_sample = written.share("shadow.match_sample");
    let jobs_max = written.number("shadow.jobs_max", 1..=1_000_000_usize);
    let bytes_max = written.bytes("shadow.bytes_max", MIB..=16 * GIB);
    let body_max = written.bytes("shadow.body_max", 1024..=GIB);
    let concurrency = written.number("shadow.concurrency", 1..=1024_usize);
    let timeout = written.duration("shadow.timeout", Duration::from_millis(1));
    let cooldown = written.duration("shadow.cooldown", Duration::ZERO);
    let heartbeat = written.duration("shadow.heartbeat", Duration::from_millis(10));
    let cap_per_signature = written.number("shadow.cap_per_signature", 1..=1_000_000_u32);
    let cap_window = written.duration("shadow.cap_window", SECOND);
    let log = written.optional("shadow.log", values::file_path);
    let log_max = written.bytes("shadow.log_max", 64 * 1024..=GIB);
    let log_keep = written.number("shadow.log_keep", 0..=10_000_usize);
    let redaction_key = written.secret("shadow.redaction_key", redaction_key);
    let redaction_key_file = written.optional("shadow.redaction_key_file", values::file_path);
    if matches!(redaction_key, Some(Some(_))) {
        written.not_by_flag("shadow.redaction_key", "is a secret");
    }
    let ignore = written.tables("shadow.ignore", ignore::rule);
    let sample = sample(written);
    let go = go(written);
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
        redaction_key: redaction_key_file.and(redaction_key)?.map(|(key, ())| key),
        ignore: ignore?,
        go: go?,
    })
}

fn redaction_key(text: &str) -> Result<(), String> {
    if text.len() < 16 { Err("is shorter than 16 characters".into()) } else { Ok(()) }
}

fn sample(written: &mut Written) -> Option<Sample> {
    let create = written.share("shadow.sample.create");
    let get = written.share("shadow.sample.get");
    let list = written.share("shadow.sample.list");
    Some(Sample { create: create?, get: get?, list: list? })
}

fn go(written: &mut Written) -> Option<Go> {
    let judged_min = written.number("shadow.go.judged_min", 0..=u64::MAX);
    let counterparts_min = written.number("shadow.go.counterparts_min", 0..=u64::MAX);
    let freshness_max = written.duration("shadow.go.freshness_max", SECOND);
    let money_max = written.number("shadow.go.money_max", 0..=u64::MAX);
    let contract = written.share("shadow.go.contract_share_max");
    let cosmetic = written.share("shadow.go.cosmetic_share_max");
    let transient = written.share("shadow.go.transient_share_max");
    let progress = written.share("shadow.go.progress_share_max");
    let error_disagreement = written.share("shadow.go.error_disagreement_share_max");
    let failed = written.share("shadow.go.failed_share_max");
    let not_comparable = written.share("shadow.go.not_comparable_share_max");
    let dropped = written.share("shadow.go.dropped_share_max");
    let idle = written.share("shadow.go.idle_share_max");
    Some(Go {
        judged_min: judged_min?,
        counterparts_min: counterparts_min?,
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
