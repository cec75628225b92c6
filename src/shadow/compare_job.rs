//! One comparison from the captured job to its record: read or compute the other side's response, compare, recheck, record.

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header;
use tokio::time::{sleep, timeout_at};

use super::capture::is_written;
use super::clock::today;
use super::dry_run::{self, DryRun};
use super::job::{CompareJob, ServedResponse};
use super::probe_rows::{self, WithoutProbes};
use super::record_builder::{Compared, build};
use super::shadow_client::{DueRequest, ReadFailure, ShadowReply};
use super::side_response::SideResponse;
use super::stats::{ShadowDropReason, SignatureTotal};
use super::types::{Recheck, Verdict};
use super::verdict::{Comparator, ComparisonResult, signature};
use super::worker::Worker;
use crate::http::capture::CaptureState;
use crate::http::decode::{Decoded, decode};
use crate::telemetry::drift::ReadAnswer;
use crate::translate::route::Route;
use crate::translate::side::Side;

/// How long a job waits before it uses the CPU, so that the client's response leaves the process first.
const HEAD_START: Duration = Duration::from_millis(10);

/// The first pause between two reads of a record that is not shown yet; doubled after each.
const OWN_PAUSE: Duration = Duration::from_millis(200);

/// Runs one job to its record. `Err` when the job is dropped.
pub(super) async fn run(worker: Rc<Worker>, mut job: CompareJob) -> Result<(), ShadowDropReason> {
    sleep(HEAD_START).await;
    let served = served_response(&job.served);
    let compared = match job.route {
        Route::Create if job.is_own => compare_own(&worker, &job, &served).await?,
        Route::Create => compare_dry_run(&mut job, &served)?,
        Route::Get | Route::List | Route::Cancel => compare_read(&worker, &job, &served).await?,
    };
    // An equal record holds nothing that the other side's reader would not have met.
    if compared.result.verdict != Verdict::Match && !job.is_own {
        notice(&worker, &job.served);
    }
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
    let comparator = Comparator { route: job.route, ref_id_made, rules, today: today() };
    let without_probes = (job.route == Route::List).then(|| probe_rows::set_aside(served, other)).flatten();
    let Some(WithoutProbes { pages: [served, other], rows }) = without_probes else {
        return comparator.compare(served, other);
    };
    let mut result = comparator.compare(&served, &other);
    if let Some(counts) = &mut result.counts {
        counts.probe = rows;
    }
    result
}

/// Compares with the response that the new API would give. Nothing is sent.
fn compare_dry_run(job: &mut CompareJob, served: &SideResponse) -> Result<Compared, ShadowDropReason> {
    let start = Instant::now();
    // `try_recv`: the answer has ended, so the copy of the request is whole now, or it never will be.
    let body = job.request.body.take().and_then(|mut receiver| receiver.try_recv().ok());
    let (response, ref_id_made) = match body.as_ref().map(|copy| (copy.state(), copy.bytes())) {
        Some((CaptureState::Whole, body)) => {
            let DryRun { response, ref_id_made } = dry_run::run(body);
            (response, ref_id_made)
        }
        // Out of memory says nothing about the APIs: the job is dropped and counted, not recorded.
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
    let other = match timeout_at(deadline.into(), worker.client.read_new(due(job, deadline), served)).await {
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

fn due(job: &CompareJob, deadline: Instant) -> DueRequest<'_> {
    DueRequest { request: &job.request, until: deadline.into() }
}

/// Compares the answer to a create on the new API with the record there. It may take a while until a read shows it.
async fn compare_own(
    worker: &Worker,
    job: &CompareJob,
    served: &SideResponse,
) -> Result<Compared, ShadowDropReason> {
    let timeout = job.request.config.shadow.timeout;
    let (start, mut pause) = (Instant::now(), OWN_PAUSE);
    let deadline = start + timeout;
    let Some(created) = served.accepted() else {
        let other = failed("not_a_record", Duration::ZERO);
        return Ok(own(job, served, other));
    };
    loop {
        let read = timeout_at(deadline.into(), worker.client.read_own(due(job, deadline), created)).await;
        let compared = match read {
            Ok(Ok(reads)) => worst(job, served, reads, start.elapsed()),
            Ok(Err(ReadFailure::Dropped(reason))) => return Err(reason),
            Ok(Err(ReadFailure::Failed(reason))) => {
                return Ok(own(job, served, failed(reason, start.elapsed())));
            }
            Err(_elapsed) => return Ok(own(job, served, failed("timeout", timeout))),
        };
        // A read that would end after the deadline is not begun: its answer would be thrown away.
        let is_over = Instant::now() + pause >= deadline;
        if compared.result.verdict != Verdict::NoCounterpart || is_over {
            return Ok(compared);
        }
        sleep(pause).await;
        pause *= 2;
    }
}

/// Of two reads of one record, the one that differs.
fn worst(job: &CompareJob, served: &SideResponse, reads: [SideResponse; 2], latency: Duration) -> Compared {
    let [by_id, by_ref] = reads
        .map(|response| own(job, served, ShadowReply { response, bytes: None, latency, filtered_out: 0 }));
    let is_fine =
        |compared: &Compared| matches!(compared.result.verdict, Verdict::Match | Verdict::MatchAfterRules);
    // Either read may be served from an index that lags; a match from one of them must not hide what the other shows.
    if is_fine(&by_id) { by_ref } else { by_id }
}

fn own(job: &CompareJob, served: &SideResponse, other: ShadowReply) -> Compared {
    let rules = &job.request.config.shadow.ignore;
    let comparator = Comparator { route: job.route, ref_id_made: false, rules, today: today() };
    let result = comparator.compare_own(served, &other.response);
    Compared { other, result, recheck: None }
}

const fn failed(reason: &'static str, latency: Duration) -> ShadowReply {
    ShadowReply { response: SideResponse::Failed(reason), bytes: None, latency, filtered_out: 0 }
}

/// Reads both sides again. The first finding stays when that does not end before the deadline.
async fn recheck(worker: &Worker, job: &CompareJob, mut first: Compared, deadline: Instant) -> Compared {
    // The first reads were apart by the answer to the client and the wait in the queue; these two follow each other at once.
    let second = timeout_at(deadline.into(), compare_again(worker, job, deadline)).await.unwrap_or(None);
    let Some(second) = second else {
        first.recheck = Some(Recheck::Failed);
        return first;
    };
    let rules = &job.request.config.shadow.ignore;
    let comparator = Comparator { route: job.route, ref_id_made: false, rules, today: today() };
    match comparator.confirm(&first.result, second) {
        None
        | Some(ComparisonResult {
            verdict: Verdict::Match | Verdict::MatchAfterRules | Verdict::Progress,
            ..
        }) => {
            first.recheck = Some(Recheck::Gone);
            // The differences stay in the record: one that comes back every day can be read there.
            first.result.verdict = Verdict::Transient;
            first.result.signature = signature(job.route, Verdict::Transient, &first.result.differences);
        }
        Some(second) if second.verdict == Verdict::Mismatch => {
            first.recheck = Some(Recheck::Stays);
            first.result = second;
        }
        Some(_) => first.recheck = Some(Recheck::Failed),
    }
    first
}

async fn compare_again(worker: &Worker, job: &CompareJob, deadline: Instant) -> Option<ComparisonResult> {
    let served = worker.client.read_legacy(due(job, deadline)).await.ok()?;
    let other = worker.client.read_new(due(job, deadline), &served).await.ok()?;
    Some(compare(job, &served, &other.response, false))
}

/// Takes note of what the old API's answer holds and this version does not know.
fn notice(worker: &Worker, served: &ServedResponse) {
    if served.body.state() != CaptureState::Whole {
        return;
    }
    let decoded = decode(&served.headers, served.body.bytes(), served.body.max());
    let body = match &decoded {
        Decoded::Plain => served.body.bytes(),
        Decoded::Bytes(body) => body,
        Decoded::Unreadable | Decoded::Unsupported => return,
    };
    let content_type = served.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let (side, status) = (Side::Legacy, served.status.as_u16());
    worker.client.drift().inspect(ReadAnswer { side, status, content_type, body });
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
        Decoded::Unreadable | Decoded::Unsupported => SideResponse::skipped("encoding"),
    }
}

/// Counts the comparison and hands its record to the writer.
fn record(worker: &Worker, job: &CompareJob, served: &SideResponse, compared: Compared) {
    let settings = &job.request.config.shadow;
    let redactor = worker.redactors.with_key(settings.redaction_key.as_ref());
    let record = build(&redactor, job, served, &compared);
    let stats = worker.shadow.stats();
    let ComparisonResult { ignored, expired, .. } = &compared.result;
    // Expired rules are counted too, so that the report can say that one is still needed.
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
