//! Makes the record of one comparison. Every value in it passes the redactor.

use std::time::Duration;

use super::clock::{milliseconds, now};
use super::coverage;
use super::job::{CapturedRequest, CompareJob};
use super::probe_rows::clients_rows;
use super::record::{ComparisonRecord, ResponseSummary, RowCounts, SCHEMA, TARGET};
use super::redact::Redactor;
use super::shadow_client::ShadowReply;
use super::side_response::SideResponse;
use super::types::{ComparisonKind, Recheck};
use super::verdict::ComparisonResult;
use crate::translate::route::Route;
use crate::translate::side::Side;

/// Most differences in one record; the rest is counted.
const DIFFS_MAX: usize = 50;

pub(super) struct Compared {
    pub(super) other: ShadowReply,
    pub(super) result: ComparisonResult,
    pub(super) recheck: Option<Recheck>,
}

pub(super) fn build(
    redactor: &Redactor,
    job: &CompareJob,
    served: &SideResponse,
    compared: &Compared,
) -> ComparisonRecord {
    let Compared { other, result, recheck } = compared;
    let CapturedRequest { config, request_id, uri, .. } = &job.request;
    let (query, by_reference) = coverage::known_query(uri.query().unwrap_or_default());
    let (asset_pair, seen) =
        served.accepted().map(|it| coverage::seen(&clients_rows(it))).unwrap_or_default();
    // In canary the compared answer came from new, although the client asked as if it were legacy.
    let served_by = if job.is_own { Side::New } else { Side::Legacy };
    let diffs = &result.differences[..result.differences.len().min(DIFFS_MAX)];
    let ignored = &result.ignored[..result.ignored.len().min(DIFFS_MAX)];
    ComparisonRecord {
        schema: SCHEMA,
        target: TARGET.into(),
        time: now(),
        // The writer numbers what it writes.
        process: String::new(),
        sequence: 0,
        request_id: request_id.clone(),
        trace_id: trace_id(&job.request),
        config_hash: config.hash.clone(),
        hosts: Some(config.upstream.hosts()),
        stage: config.stage.to_string(),
        route: job.route,
        kind: kind(job),
        query,
        ref_id_present: ref_id_present(job.route, served, by_reference),
        asset_pair,
        seen,
        served: ResponseSummary {
            status: Some(job.served.status.as_u16()),
            bytes: Some(job.served.body.bytes().len() as u64),
            ..summary(redactor, served_by, served, job.served.latency)
        },
        other: ResponseSummary {
            bytes: other.bytes,
            skip_reason: not_compared(result, served, &other.response),
            ..summary(redactor, Side::New, &other.response, other.latency)
        },
        verdict: result.verdict,
        both_held: both_held(served, &other.response, result.counts),
        severity: result.severity,
        signature: result.signature.clone(),
        diffs: redactor.differences(diffs),
        diffs_left_out: (result.differences.len() - diffs.len()) as u64,
        ignored: redactor.ignored(ignored, &config.shadow.ignore),
        counts: result.counts.map(|counts| RowCounts { filtered_out: other.filtered_out, ..counts }),
        recheck: *recheck,
        suppressed: 0,
    }
}

fn kind(job: &CompareJob) -> ComparisonKind {
    match job.route {
        Route::Create if job.is_own => ComparisonKind::OwnRecord,
        Route::Create => ComparisonKind::DryRun,
        Route::Get | Route::List | Route::Cancel => ComparisonKind::Read,
    }
}

fn ref_id_present(route: Route, served: &SideResponse, by_reference: bool) -> Option<bool> {
    match route {
        Route::List => Some(by_reference),
        Route::Create | Route::Get | Route::Cancel => {
            served.accepted().map(|record| record.text("ref_id").is_some())
        }
    }
}

/// Whether both sides answered a record, or at least one row each.
pub(super) fn both_held(served: &SideResponse, other: &SideResponse, rows: Option<RowCounts>) -> bool {
    served.accepted().and(other.accepted()).is_some()
        && rows.is_none_or(|rows| rows.served.min(rows.other) > 0)
}

/// Why the other response was not compared: for a reason of its own, or because the two cannot be compared with each other.
fn not_compared(result: &ComparisonResult, served: &SideResponse, other: &SideResponse) -> Option<String> {
    let of_both = result.skip_reason.filter(|_| served.skip_reason().is_none());
    other.skip_reason().or(of_both).map(str::to_owned)
}

fn summary(redactor: &Redactor, side: Side, response: &SideResponse, latency: Duration) -> ResponseSummary {
    ResponseSummary {
        side,
        status: response.status(),
        problem_type: redactor.problem_type(response),
        latency_ms: Some(milliseconds(latency)),
        bytes: None,
        skip_reason: response.skip_reason().map(str::to_owned),
    }
}

/// The trace id of a W3C `traceparent` header: `00-<32 hex digits>-…`.
fn trace_id(request: &CapturedRequest) -> Option<String> {
    let trace = request.headers.get("traceparent")?.to_str().ok()?.split('-').nth(1)?;
    let is_id = trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| trace.to_owned())
}
