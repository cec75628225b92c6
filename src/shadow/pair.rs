//! Records of kind `pair`: one conversion that was made on each side, under a reference of its own there, and read from both.

use std::time::Duration;

use uuid::Uuid;

use super::clock::{milliseconds, now, today};
use super::coverage;
use super::json::Json;
use super::record::{ComparisonRecord, EndRecord, ResponseSummary, SCHEMA, ShadowLine, TARGET};
use super::record_builder::both_held;
use super::redact::Redactor;
use super::side_response::SideResponse;
use super::types::{ComparisonKind, Verdict};
use super::verdict::{Comparator, ComparisonResult};
use crate::config::{Config, Secret};
use crate::translate::route::Route;
use crate::translate::side::Side;
use crate::translate::timestamp;

/// The members that differ by nature, beside the id and the reference: each side stamps its own record.
const TIMES: [&str; 4] = ["created_at", "updated_at", "settled_at", "cancelled_at"];

/// What both sides answered to the same question about their own conversion: legacy, then new, in the legacy shape.
pub(crate) struct PairRead {
    pub(crate) route: Route,
    /// The query of a list.
    pub(crate) query: &'static str,
    /// The references of the two conversions.
    pub(crate) ref_ids: [String; 2],
    pub(crate) responses: [SideResponse; 2],
    pub(crate) latencies: [Duration; 2],
}

/// Whether a line of a log is one of these records.
pub(crate) fn is_pair_line(line: &str) -> bool {
    let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { return false };
    line["target"] == TARGET
        && serde_json::to_value(ComparisonKind::Pair).is_ok_and(|pair| line["kind"] == pair)
}

/// Compares reads and makes their lines, numbered as one process.
pub(crate) struct PairRecords<'a> {
    config: &'a Config,
    redactor: Redactor,
    process: String,
    sequence: u64,
}

impl<'a> PairRecords<'a> {
    pub(crate) fn new(config: &'a Config) -> Self {
        let key = config.shadow.redaction_key.as_ref().map(Secret::reveal);
        let process = Uuid::new_v4().simple().to_string()[..12].to_owned();
        Self { config, redactor: Redactor::new(key), process, sequence: 0 }
    }

    /// The verdict and the line of a read.
    #[must_use]
    pub(crate) fn line(&mut self, request_id: &str, read: &PairRead) -> (Verdict, ShadowLine) {
        let [served, new] = &read.responses;
        let other = aligned(read, served, new);
        let rules = &self.config.shadow.ignore;
        // Both sides answered a real create, so the whole records are compared, as for a get; `create` compares with a dry run.
        let route = if read.route == Route::Create { Route::Get } else { read.route };
        let comparator = Comparator { route, ref_id_made: false, rules, today: today() };
        let result = comparator.compare(served, &other);
        self.sequence += 1;
        let record = self.record(request_id, read, (&other, &result));
        (result.verdict, ShadowLine::Comparison(Box::new(record)))
    }

    /// The line after the last comparison.
    #[must_use]
    pub(crate) fn end(&mut self) -> ShadowLine {
        self.sequence += 1;
        let (target, process) = (TARGET.into(), self.process.clone());
        ShadowLine::End(EndRecord { schema: SCHEMA, target, time: now(), process, sequence: self.sequence })
    }

    fn record(
        &self,
        request_id: &str,
        read: &PairRead,
        (other, result): (&SideResponse, &ComparisonResult),
    ) -> ComparisonRecord {
        let served = &read.responses[0];
        let (query, by_reference) = coverage::known_query(read.query);
        let (asset_pair, seen) = served.accepted().map(coverage::seen).unwrap_or_default();
        let has_reference = || served.accepted().map(|record| record.text("ref_id").is_some());
        ComparisonRecord {
            schema: SCHEMA,
            target: TARGET.into(),
            time: now(),
            process: self.process.clone(),
            sequence: self.sequence,
            request_id: request_id.to_owned(),
            trace_id: None,
            config_hash: self.config.hash.clone(),
            hosts: Some(self.config.upstream.hosts()),
            stage: self.config.stage.to_string(),
            route: read.route,
            kind: ComparisonKind::Pair,
            query,
            ref_id_present: if read.route == Route::List { Some(by_reference) } else { has_reference() },
            asset_pair,
            seen,
            served: self.summary(Side::Legacy, served, read.latencies[0]),
            other: self.summary(Side::New, other, read.latencies[1]),
            verdict: result.verdict,
            both_held: both_held(served, other, result.counts),
            severity: result.severity,
            signature: result.signature.clone(),
            diffs: self.redactor.differences(&result.differences),
            diffs_left_out: 0,
            ignored: self.redactor.ignored(&result.ignored, &self.config.shadow.ignore),
            counts: result.counts,
            recheck: None,
            suppressed: 0,
        }
    }

    fn summary(&self, side: Side, response: &SideResponse, latency: Duration) -> ResponseSummary {
        ResponseSummary {
            side,
            status: response.status(),
            problem_type: self.redactor.problem_type(response),
            latency_ms: Some(milliseconds(latency)),
            bytes: None,
            skip_reason: response.skip_reason().map(str::to_owned),
        }
    }
}

/// The answer of new with what differs by nature as legacy has it: the reference, if it is the one that was sent, and the times, if they are
/// times.
fn aligned(read: &PairRead, served: &SideResponse, other: &SideResponse) -> SideResponse {
    let (Some(legacy), SideResponse::Document { status, document }) = (served.accepted(), other) else {
        return other.clone();
    };
    let mut document = document.clone();
    match (legacy.get("items"), &mut document) {
        (Some(Json::Array(rows)), Json::Object(members)) => {
            if let Some(Json::Array(others)) = members.get_mut("items") {
                rows.iter().zip(others).for_each(|(row, other)| align(read, row, other));
            }
        }
        (_, document) => align(read, legacy, document),
    }
    SideResponse::Document { status: *status, document }
}

fn align(read: &PairRead, served: &Json, other: &mut Json) {
    let Json::Object(members) = other else { return };
    let [old, new] = &read.ref_ids;
    // Only the reference that was sent: another one is a difference, and it must stay one.
    if let Some(ref_id) = members.get_mut("ref_id").filter(|ref_id| ref_id.as_text() == Some(new)) {
        *ref_id = Json::Text(old.clone());
    }
    let is_time = |value: &Json| value.as_text().is_some_and(|text| timestamp::parse(text).is_some());
    for name in TIMES {
        let both = members.get_mut(name).zip(served.get(name));
        if let Some((other, served)) = both.filter(|(other, served)| is_time(other) && is_time(served)) {
            *other = served.clone();
        }
    }
}
