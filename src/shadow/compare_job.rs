//! One comparison from the captured job to its record: read or compute the other side's response, compare, recheck, record.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::capture::is_written;
use super::clock::today;
use super::dry_run::{self, DryRun};
use super::job::{CompareJob, ServedResponse};
use super::record_builder::{Compared, build};
use super::shadow_client::{ReadFailure, ShadowReply};
use super::side_response::SideResponse;
use super::stats::{ShadowDropReason, SignatureTotal};
use super::types::{Recheck, Verdict};
use super::verdict::{Comparator, ComparisonResult, signature};
use super::worker::Worker;
use crate::http::capture::CaptureState;
use crate::http::decode::{Decoded, decode};
use crate::translate::route::Route;

/// How long a job waits before it uses the CPU, so that the client's response leaves the process first.
const HEAD_START: Duration = Duration::from_millis(10);

/// Runs one job to its record. `Err` when the job is dropped.
pub(super) async fn run(worker: Rc<Worker>, mut job: CompareJob) -> Result<(), ShadowDropReason> {
    tokio::time::sleep(HEAD_START).await;
    let served = served_response(&job.served);
    let compared = match job.route {
        Route::Create => compare_dry_run(&mut job, &served)?,
        Route::Get | Route::List | Route::Cancel => compare_read(&worker, &job, &served).await?,
    };
    record(&worker, &job, &served, compared);
    Ok(())
}

fn compare(
    job: &CompareJob,
    served: &SideResponse,
    other: &SideResponse,
    ref_id_made: bool,
) -> ComparisonResult {
    let rules = &job.request.config.shadow.ignore;
    Comparator { route: job.route, ref_id_made, rules, today: today() }.compare(served, other)
}

/// Compares with the response that the new API would give. Nothing is sent.
fn compare_dry_run(job: &mut CompareJob, served: &SideResponse) -> Result<Compared, ShadowDropReason> {
    let start = Instant::now();
    let body = job.request.body.take().and_then(|mut receiver| receiver.try_recv().ok());
    let (response, ref_id_made) = match body.as_ref().map(|copy| (copy.state(), copy.bytes())) {
        Some((CaptureState::Whole, body)) => {
            let DryRun { response, ref_id_made } = dry_run::run(body);
            (response, ref_id_made)
        }
        Some((CaptureState::OverBudget, _)) => return Err(ShadowDropReason::Bytes),
        Some((CaptureState::TooLong, _)) => (SideResponse::skipped("too_big"), false),
        Some((CaptureState::Partial, _)) | None => (SideResponse::skipped("incomplete"), false),
    };
    let result = compare(job, served, &response, ref_id_made);
    let other = ShadowReply { response, bytes: None, latency: start.elapsed(), filtered_out: 0 };
    Ok(Compared { other, result, recheck: None })
}

/// Compares with what the new API answers. A mismatch is read again, as two reads a moment apart may differ because something
/// happened in between.
async fn compare_read(
    worker: &Worker,
    job: &CompareJob,
    served: &SideResponse,
) -> Result<Compared, ShadowDropReason> {
    let timeout = job.request.config.shadow.timeout;
    let start = Instant::now();
    let deadline = start + timeout;
    let other = match timeout_at(deadline.into(), worker.client.read_new(&job.request, served)).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(ReadFailure::Dropped(reason))) => return Err(reason),
        Ok(Err(ReadFailure::Failed(reason))) => failed(reason, start.elapsed()),
        Err(_elapsed) => failed("timeout", timeout),
    };
    let result = compare(job, served, &other.response, false);
    let compared = Compared { other, result, recheck: None };
    match compared.result.verdict {
        Verdict::Mismatch => Ok(recheck(worker, job, compared, deadline).await),
        Verdict::Match
        | Verdict::MatchAfterRules
        | Verdict::Progress
        | Verdict::Transient
        | Verdict::NoCounterpart
        | Verdict::NotComparable
        | Verdict::ErrorDisagreement
        | Verdict::ShadowFailed => Ok(compared),
    }
}

const fn failed(reason: &'static str, latency: Duration) -> ShadowReply {
    ShadowReply { response: SideResponse::Failed(reason), bytes: None, latency, filtered_out: 0 }
}

/// Reads both sides again. The first finding stays when that does not end before the deadline.
async fn recheck(worker: &Worker, job: &CompareJob, mut first: Compared, deadline: Instant) -> Compared {
    let second = timeout_at(deadline.into(), compare_again(worker, job)).await.unwrap_or(None);
    match second {
        Some(ComparisonResult {
            verdict: Verdict::Match | Verdict::MatchAfterRules | Verdict::Progress,
            ..
        }) => {
            first.recheck = Some(Recheck::Gone);
            first.result.verdict = Verdict::Transient;
            first.result.signature = signature(job.route, Verdict::Transient, &first.result.differences);
        }
        Some(second) if second.verdict == Verdict::Mismatch => {
            first.recheck = Some(Recheck::Stays);
            first.result = second;
        }
        Some(_) | None => first.recheck = Some(Recheck::Failed),
    }
    first
}

async fn compare_again(worker: &Worker, job: &CompareJob) -> Option<ComparisonResult> {
    let served = worker.client.read_legacy(&job.request).await.ok()?;
    let other = worker.client.read_new(&job.request, &served).await.ok()?;
    Some(compare(job, &served, &other.response, false))
}

/// The response that the client got, if the copy of its body is complete and can be decoded.
fn served_response(served: &ServedResponse) -> SideResponse {
    match served.body.state() {
        CaptureState::Whole => {}
        CaptureState::TooLong => return SideResponse::skipped("too_big"),
        CaptureState::Partial | CaptureState::OverBudget => return SideResponse::skipped("incomplete"),
    }
    let status = served.status.as_u16();
    match decode(&served.headers, served.body.bytes(), served.body.max()) {
        Decoded::Plain => SideResponse::read(status, served.body.bytes()),
        Decoded::Bytes(body) => SideResponse::read(status, &body),
        Decoded::Unreadable => SideResponse::skipped("encoding"),
    }
}

/// Counts the comparison and hands its record to the writer.
fn record(worker: &Worker, job: &CompareJob, served: &SideResponse, compared: Compared) {
    let record = build(&worker.redactor, job, served, &compared);
    let stats = worker.shadow.stats();
    let settings = &job.request.config.shadow;
    let ComparisonResult { ignored, expired, .. } = &compared.result;
    for rule in ignored.iter().map(|(_, rule)| rule).chain(expired) {
        stats.hit(settings.ignore[*rule].path.as_str());
    }
    stats.done(SignatureTotal {
        signature: record.signature.clone(),
        route: record.route,
        verdict: record.verdict,
        severity: record.severity,
        count: 1,
        last_seen: record.time.clone(),
    });
    let sampled = is_written(settings.match_sample, &record.request_id);
    worker.writer.borrow_mut().record(record, sampled, settings);
}
