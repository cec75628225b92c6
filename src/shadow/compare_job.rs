//! The story of one comparison: what was served, what the other side says, what that comes to, and what is told of it.

use std::io::Read as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::answer::Answer;
use super::capture::{CapturedRequest, Job, Served, is_written};
use super::dry_run::DryRun;
use super::heartbeat::today;
use super::json::Json;
use super::record::{Answered, Counts, Record, SCHEMA, TARGET};
use super::record_writer::{milliseconds, now};
use super::runner::Worker;
use super::shadow_client::{NotRead, ShadowReply, skipped};
use super::stats::{ShadowDropReason, Signature};
use super::types::{Kind, Recheck, Verdict};
use super::verdict::{self, Comparison, Judgement};
use super::{coverage, dry_run};
use crate::http::capture::CaptureState;
use crate::translate::route::Route;
use crate::translate::side::Side;

/// How long the client's answer has the machine to itself: what is handed to the kernel by then is on its way.
const HEAD_START: Duration = Duration::from_millis(10);

/// The most differences that one record tells.
const DIFFS_MAX: usize = 50;

/// Compares, tells and counts.
pub(super) async fn run(worker: Rc<Worker>, mut job: Job) -> Result<(), ShadowDropReason> {
    tokio::time::sleep(HEAD_START).await;
    let served = served_answer(&job.served);
    let time = job.asked.config.shadow.timeout;
    let examined = match job.route {
        Route::Create => rehearse(&mut job, &served)?,
        Route::Get | Route::List | Route::Cancel => {
            let until = Instant::now() + time;
            let examined = match timeout_at(until.into(), read(&worker, &job, &served)).await {
                Ok(examined) => examined?,
                Err(_) => Examined::failed(&job, &served, "timeout", time),
            };
            match examined.judgement.verdict {
                Verdict::Mismatch => again(&worker, &job, examined, until).await,
                _ => examined,
            }
        }
    };
    tell(&worker, &job, &served, examined);
    Ok(())
}

/// What a comparison came to.
struct Examined {
    looked: ShadowReply,
    judgement: Judgement,
    recheck: Option<Recheck>,
}

impl Examined {
    fn new(job: &Job, served: &Answer, looked: ShadowReply, ref_id_made: bool) -> Self {
        let judgement = judge(job, served, &looked.answer, ref_id_made);
        Self { looked, judgement, recheck: None }
    }

    fn failed(job: &Job, served: &Answer, why: &'static str, latency: Duration) -> Self {
        let answer = Answer::Failed(why);
        Self::new(job, served, ShadowReply { answer, bytes: None, latency, filtered_out: 0 }, false)
    }
}

fn judge(job: &Job, served: &Answer, other: &Answer, ref_id_made: bool) -> Judgement {
    let rules = &job.asked.config.shadow.ignore;
    Comparison { route: job.route, ref_id_made, rules, today: today() }.judge(served, other)
}

/// Nothing is sent: the new API's answer is made up from the request.
fn rehearse(job: &mut Job, served: &Answer) -> Result<Examined, ShadowDropReason> {
    let start = Instant::now();
    let body = job.asked.body.take().and_then(|mut handed| handed.try_recv().ok());
    let (answer, ref_id_made) = match body.as_ref().map(|copy| (copy.state(), copy.bytes())) {
        Some((CaptureState::Whole, body)) => {
            let DryRun { answer, ref_id_made } = dry_run::rehearse(body);
            (answer, ref_id_made)
        }
        Some((CaptureState::NoRoom, _)) => return Err(ShadowDropReason::Bytes),
        Some((CaptureState::TooLong, _)) => (skipped("too_big"), false),
        Some((CaptureState::Partial, _)) | None => (skipped("incomplete"), false),
    };
    let looked = ShadowReply { answer, bytes: None, latency: start.elapsed(), filtered_out: 0 };
    Ok(Examined::new(job, served, looked, ref_id_made))
}

async fn read(worker: &Worker, job: &Job, served: &Answer) -> Result<Examined, ShadowDropReason> {
    let start = Instant::now();
    match worker.look.at_new(&job.asked, served).await {
        Ok(looked) => Ok(Examined::new(job, served, looked, false)),
        Err(NotRead::Dropped(why)) => Err(why),
        Err(NotRead::Failed(why)) => Ok(Examined::failed(job, served, why, start.elapsed())),
    }
}

/// Two reads a moment apart may differ because something happened in between. Reading both again tells; if that is not done
/// in time, what was found stays found.
async fn again(worker: &Worker, job: &Job, mut examined: Examined, until: Instant) -> Examined {
    let second = timeout_at(until.into(), read_both(worker, job)).await.unwrap_or(None);
    match second.as_ref().map(|second| second.verdict) {
        Some(Verdict::Match | Verdict::MatchAfterRules | Verdict::Progress) => {
            examined.recheck = Some(Recheck::Gone);
            examined.judgement.verdict = Verdict::Transient;
            examined.judgement.signature =
                verdict::signature(job.route, Verdict::Transient, &examined.judgement.differences);
        }
        Some(Verdict::Mismatch) => {
            examined.recheck = Some(Recheck::Stays);
            examined.judgement = second.unwrap_or(examined.judgement);
        }
        _ => examined.recheck = Some(Recheck::Failed),
    }
    examined
}

async fn read_both(worker: &Worker, job: &Job) -> Option<Judgement> {
    let served = worker.look.at_legacy(&job.asked).await.ok()?;
    let looked = worker.look.at_new(&job.asked, &served).await.ok()?;
    Some(judge(job, &served, &looked.answer, false))
}

/// The answer that the client got, as far as it was kept.
fn served_answer(served: &Served) -> Answer {
    match served.body.state() {
        CaptureState::Whole => {}
        CaptureState::TooLong => return skipped("too_big"),
        CaptureState::Partial | CaptureState::NoRoom => return skipped("incomplete"),
    }
    let status = served.status.as_u16();
    match served.encoding.as_deref() {
        None | Some("identity") => Answer::read(status, served.body.bytes()),
        Some("gzip") => match unpacked(served.body.bytes(), served.body.max()) {
            Some(plain) => Answer::read(status, &plain),
            None => skipped("encoding"),
        },
        Some(_) => skipped("encoding"),
    }
}

/// Unpacks at most `max` bytes; none if there are more, or it is not gzip.
fn unpacked(packed: &[u8], max: usize) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(packed).take(max as u64 + 1).read_to_end(&mut plain).ok()?;
    (read <= max).then_some(plain)
}

/// One record and the counts.
fn tell(worker: &Worker, job: &Job, served: &Answer, examined: Examined) {
    let record = record(worker, job, served, &examined);
    let tally = worker.shadow.tally();
    let rules = &job.asked.config.shadow.ignore;
    let Judgement { ignored, expired, .. } = &examined.judgement;
    for rule in ignored.iter().map(|(_, rule)| rule).chain(expired) {
        tally.hit(rules[*rule].path.as_str());
    }
    tally.done(Signature {
        signature: record.signature.clone(),
        route: record.route,
        verdict: record.verdict,
        severity: record.severity,
        count: 1,
        last_seen: record.time.clone(),
    });
    let settings = &job.asked.config.shadow;
    let sampled = is_written(settings.match_sample, &record.request_id);
    worker.journal.borrow_mut().record(record, sampled, settings);
}

fn record(worker: &Worker, job: &Job, served: &Answer, examined: &Examined) -> Record {
    let Examined { looked, judgement, recheck } = examined;
    let CapturedRequest { config, request_id, uri, .. } = &job.asked;
    let (query, by_reference) = coverage::known_query(uri.query().unwrap_or_default());
    let (asset_pair, seen) = record_of(served).map(coverage::seen).unwrap_or_default();
    let ref_id_present = match job.route {
        Route::List => Some(by_reference),
        Route::Create | Route::Get | Route::Cancel => {
            record_of(served).map(|record| record.text("ref_id").is_some())
        }
    };
    let shown = &judgement.differences[..judgement.differences.len().min(DIFFS_MAX)];
    let ignored = &judgement.ignored[..judgement.ignored.len().min(DIFFS_MAX)];
    let other = answered(worker, Side::New, &looked.answer, looked.latency);
    let skip_reason = not_compared(judgement, served, &looked.answer);
    Record {
        schema: SCHEMA,
        target: TARGET.into(),
        time: now(),
        request_id: request_id.clone(),
        trace_id: trace_id(&job.asked),
        config_hash: config.hash.clone(),
        stage: config.stage.to_string(),
        route: job.route,
        kind: if job.route == Route::Create { Kind::Rehearsal } else { Kind::Read },
        query,
        ref_id_present,
        asset_pair,
        seen,
        served: Answered {
            status: Some(job.served.status.as_u16()),
            bytes: Some(job.served.body.bytes().len() as u64),
            ..answered(worker, Side::Legacy, served, job.served.latency)
        },
        other: Answered { bytes: looked.bytes, skip_reason, ..other },
        verdict: judgement.verdict,
        both_held: both_held(served, &looked.answer, judgement.counts),
        severity: judgement.severity,
        signature: judgement.signature.clone(),
        diffs: worker.redactor.differences(shown),
        diffs_left_out: (judgement.differences.len() - shown.len()) as u64,
        ignored: worker.redactor.ignored(ignored, &config.shadow.ignore),
        counts: judgement.counts.map(|counts| Counts { filtered_out: looked.filtered_out, ..counts }),
        recheck: *recheck,
        suppressed: 0,
    }
}

/// Whether there was a record, or a row, on either side.
fn both_held(served: &Answer, other: &Answer, rows: Option<Counts>) -> bool {
    record_of(served).and(record_of(other)).is_some()
        && rows.is_none_or(|rows| rows.served.min(rows.other) > 0)
}

/// Why the other answer was not compared: what it is itself, or what both are to each other.
fn not_compared(judgement: &Judgement, served: &Answer, other: &Answer) -> Option<String> {
    let both = judgement.skip_reason.filter(|_| served.skip_reason().is_none());
    other.skip_reason().or(both).map(str::to_owned)
}

/// The answer's document, unless it is a refusal.
fn record_of(served: &Answer) -> Option<&Json> {
    served.document().filter(|_| !served.is_refusal())
}

fn answered(worker: &Worker, side: Side, answer: &Answer, latency: Duration) -> Answered {
    Answered {
        side: side.into(),
        status: answer.status(),
        problem_type: worker.redactor.problem_type(answer),
        latency_ms: Some(milliseconds(latency)),
        bytes: None,
        skip_reason: answer.skip_reason().map(str::to_owned),
    }
}

/// The trace id of a `traceparent`: `00-<32 hex digits>-…`.
fn trace_id(asked: &CapturedRequest) -> Option<String> {
    let trace = asked.headers.get("traceparent")?.to_str().ok()?.split('-').nth(1)?;
    let is_id = trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| trace.to_owned())
}
