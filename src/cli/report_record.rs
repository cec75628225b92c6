//! `report --record`: puts what a report showed on record in the ledger.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::check;
use super::ledger::orders::operator_name;
use super::ledger::{LedgerCommandError, named};
use super::output::block_on;
use crate::config::{self, Config, ConfigProblem, ConfigRow, Go};
use crate::gate;
use crate::ledger::reload_guard::identity_of;
use crate::ledger::{EvidenceKind, GateEvidence, Identity, Ledger, OpenError, Reader};
use crate::report::document::{Check, Report, RouteReport};

/// Where a report is recorded, and what it was made from.
pub(super) struct Recording<'a> {
    pub(super) config: &'a Config,
    pub(super) ledger: &'a config::LedgerSection,
    /// Of all bytes that were read, in their order.
    pub(super) input: Sha256,
}

/// Why the ledger takes no evidence with this config, as `serve` would refuse it; none while the ledger does not answer.
pub(super) fn problems(
    config: &Config,
    ledger: &config::LedgerSection,
    rows: &[ConfigRow],
) -> Vec<ConfigProblem> {
    let identity = Identity { create: false, ..identity_of(config, ledger) };
    let contradicted = block_on(async {
        let reader = Reader::open(&named(ledger)).await?;
        let mismatches = reader.identified(Some(&ledger.tenant)).await?.mismatches(&identity);
        if mismatches.is_empty() { Ok(()) } else { Err(OpenError::Mismatch(mismatches).into()) }
    });
    match contradicted {
        Err(LedgerCommandError::Open(error)) => check::ledger_problems(&error, rows),
        Ok(())
        | Err(LedgerCommandError::Runtime(_) | LedgerCommandError::Read(_) | LedgerCommandError::Lookup(_)) => {
            Vec::new()
        }
    }
}

/// Records the report, whatever its verdict.
pub(super) fn record(recording: Recording<'_>, report: &Report) -> Result<(), LedgerCommandError> {
    let Recording { config, ledger, input } = recording;
    // As `--format json` prints it. Its fields always serialize.
    let document = serde_json::to_string_pretty(report).unwrap_or_default() + "\n";
    let evidence = GateEvidence {
        kind: EvidenceKind::Report,
        verdict: report.verdict.name().to_owned(),
        window: report.window_of_records(),
        numbers: numbers(report, &config.shadow.go).to_string(),
        input_sha256: const_hex::encode(input.finalize()),
        output_sha256: const_hex::encode(Sha256::digest(document)),
        config: config.hash.clone(),
        operator: operator_name(),
    };
    block_on(async {
        let opened = Ledger::open_beside(&named(ledger)).await?;
        Ok(opened.record_evidence(&ledger.tenant, evidence).await?)
    })
}

/// What a gate judges, by route, and the thresholds that this verdict rests on.
fn numbers(report: &Report, go: &Go) -> serde_json::Value {
    let route = |route: &RouteReport| {
        let missed: Vec<_> =
            route.checks.iter().filter(|check| !check.passed).map(|check| check.name).collect();
        let numbers = json!({
            "verdict": route.verdict.name(), "records": route.records, "judged": route.judged, "paired": route.paired,
            "missed": missed, "checks": checks(route),
        });
        (route.route.as_str().to_owned(), numbers)
    };
    let routes: serde_json::Map<_, _> = report.routes.iter().map(route).collect();
    json!({ "thresholds": gate::thresholds(go), "routes": routes })
}

/// Each figure that is judged; `found` is null where it is not known.
fn checks(route: &RouteReport) -> serde_json::Map<String, serde_json::Value> {
    let check =
        |check: &Check| (check.name.to_owned(), json!({ "found": check.found, "passed": check.passed }));
    route.checks.iter().map(check).collect()
}
