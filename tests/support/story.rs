//! Logs made up for the tests.

use conversion_shim::shadow::heartbeat_record::{
    DroppedJobs, HeartbeatRecord, IdleSeconds, RouteShare, RuleHits, Suppressed,
};
use conversion_shim::shadow::record::{
    ComparisonRecord, ConversionCount, Diff, ResponseSummary, RowCounts, SCHEMA, ShadowLine, TARGET,
};
use conversion_shim::shadow::types::{COMPARED, ComparisonKind, DiffKind, Recheck, Severity, Verdict};
use conversion_shim::translate::route::Route;
use conversion_shim::translate::side::Side;
use jiff::{SignedDuration, Timestamp};

/// When the reports are made.
pub(crate) const NOW: &str = "2026-11-21T12:00:00Z";

/// The vendor of a config that names none.
pub(crate) const HOSTS: &str = "legacy=api.paxos.com:443 new=api.paxos.com:443";

/// So many minutes before that.
pub(crate) fn ago(minutes: i64) -> String {
    let now: Timestamp = NOW.parse().unwrap();
    (now - SignedDuration::from_mins(minutes)).to_string()
}

/// A match of five minutes ago.
pub(crate) fn record(route: Route) -> ComparisonRecord {
    let dry_run = route == Route::Create;
    let answered = |side, latency_ms| ResponseSummary {
        side,
        status: Some(if dry_run { 201 } else { 200 }),
        problem_type: None,
        latency_ms,
        bytes: Some(412),
        skip_reason: None,
    };
    ComparisonRecord {
        schema: SCHEMA,
        target: TARGET.into(),
        time: ago(5),
        process: String::new(),
        sequence: 0,
        request_id: "0193a4c2-0001".into(),
        trace_id: None,
        config_hash: "3f9c1e02ab77".into(),
        hosts: Some(HOSTS.into()),
        stage: "shadow".into(),
        route,
        kind: if dry_run { ComparisonKind::DryRun } else { ComparisonKind::Read },
        query: Vec::new(),
        ref_id_present: Some(true),
        asset_pair: Some("USD/PYUSD".into()),
        seen: vec![seen("USD/PYUSD", "SETTLED")],
        served: answered(Side::Legacy, Some(41.5)),
        other: answered(Side::New, if dry_run { None } else { Some(63.0) }),
        verdict: Verdict::Match,
        both_held: true,
        severity: None,
        signature: format!("{}00000000000000", route as u8 + 10),
        diffs: Vec::new(),
        diffs_left_out: 0,
        ignored: Vec::new(),
        counts: None,
        recheck: None,
        suppressed: 0,
    }
}

pub(crate) fn seen(asset_pair: &str, status: &str) -> ConversionCount {
    ConversionCount { asset_pair: asset_pair.into(), status: status.into(), count: 1 }
}

/// A record of that verdict, with a signature of its own.
pub(crate) fn differing(route: Route, verdict: Verdict, severity: Option<Severity>) -> ComparisonRecord {
    let signature =
        format!("{:x}{:x}{:x}0aa0bb0cc0dd0", route as u8, verdict as u8, severity.map_or(9, |it| it as u8));
    let both_held = !matches!(verdict, Verdict::NoCounterpart | Verdict::ErrorDisagreement);
    ComparisonRecord { verdict, both_held, severity, signature, ..record(route) }
}

pub(crate) fn diff(path: &str, kind: DiffKind, severity: Severity, served: &str, other: &str) -> Diff {
    Diff {
        path: path.into(),
        kind,
        served: Some(served.into()),
        other: Some(other.into()),
        rule: None,
        severity,
    }
}

/// A quiet hour of one process that samples everything.
pub(crate) fn heartbeat() -> HeartbeatRecord {
    let sampled = |route| RouteShare { route, share: 1.0 };
    HeartbeatRecord {
        schema: SCHEMA,
        target: TARGET.into(),
        time: ago(4),
        process: "shim-0".into(),
        sequence: 0,
        next_seconds: None,
        config_hash: "3f9c1e02ab77".into(),
        hosts: Some(HOSTS.into()),
        stage: "shadow".into(),
        routes: COMPARED.map(sampled).to_vec(),
        seconds: 3600.0,
        idle_seconds: 0.0,
        idle: Vec::new(),
        idle_reason: None,
        due: 0,
        done: 0,
        dropped: Vec::new(),
        waiting: 0,
        suppressed: Vec::new(),
        rules: Vec::new(),
        drift: Vec::new(),
    }
}

pub(crate) fn lines(records: impl IntoIterator<Item = ComparisonRecord>) -> String {
    records.into_iter().map(|record| line(&ShadowLine::Comparison(Box::new(record)))).collect()
}

pub(crate) fn heartbeat_line(heartbeat: HeartbeatRecord) -> String {
    line(&ShadowLine::Heartbeat(Box::new(heartbeat)))
}

fn line(line: &ShadowLine) -> String {
    serde_json::to_string(line).unwrap() + "\n"
}

/// Enough matches of a route for a GO, in one line.
pub(crate) fn enough(route: Route) -> ComparisonRecord {
    ComparisonRecord { suppressed: 1999, ..record(route) }
}

/// A route that may move on: enough matches, and a heartbeat.
pub(crate) fn green(route: Route) -> String {
    lines([enough(route)]) + &heartbeat_line(heartbeat())
}

/// A day with something of everything: lists are GO, gets and creates are not.
pub(crate) fn day() -> String {
    let mut log = String::from("INFO conversion_shim: serving on 127.0.0.1:8080\n");
    for hour in 0..24 {
        let minutes = 1440 - hour * 60;
        log += &hourly(minutes, hour);
        log += r#"{"timestamp":"2026-11-21T00:00:00Z","level":"INFO","target":"access","route":"get","mode":"shadow","status":200}"#;
        log += "\n";
        log += &heartbeat_line(hourly_heartbeat(minutes - 55, hour));
    }
    log += &oddities();
    log += &green_torn();
    log
}

fn hourly(minutes: i64, hour: i64) -> String {
    let day = (hour - 12).abs();
    let busy = 14_u64.saturating_sub(day as u64);
    let pairs = ["USD/PYUSD", "USDC/USD", "USD/USDG"];
    let queries: [&[&str]; 3] =
        [&["limit"], &["created_at.begin", "limit", "order"], &["limit", "page_cursor", "profile_id"]];
    let matched = |route, suppressed, at: i64| {
        let mut record = record(route);
        record.time = ago(minutes - at);
        record.request_id = format!("0193a4c2-{hour:02}{at:02}");
        record.suppressed = suppressed;
        let statuses: &[&str] = if route == Route::Create { &["CREATED"] } else { &["SETTLED", "CREATED"] };
        record.asset_pair = None;
        record.seen = statuses.iter().map(|status| seen(pairs[(hour % 3) as usize], status)).collect();
        record.served.latency_ms = Some((38 + hour * 7 % 23 + at) as f64);
        record.other.latency_ms =
            record.other.latency_ms.map(|_| (55 + hour * 11 % 41 * if hour == 17 { 9 } else { 1 }) as f64);
        record
    };
    let mut records = vec![matched(Route::Create, busy * 2, 1), matched(Route::Get, busy * 20, 2)];
    let mut list = matched(Route::List, busy * 9, 3);
    list.query = queries[(hour % 3) as usize].iter().map(|&name| name.into()).collect();
    list.ref_id_present = Some(false);
    list.counts = Some(RowCounts { served: 20, other: 20, filtered_out: 1, probe: 0 });
    records.push(list);
    lines(records)
}

fn hourly_heartbeat(minutes: i64, hour: i64) -> HeartbeatRecord {
    let rule = |path: &str, owner: &str, expires: &str, hits, expired| RuleHits {
        path: path.into(),
        reason: "the new API touches records when it settles them".into(),
        owner: owner.into(),
        expires: expires.into(),
        expired,
        hits,
    };
    let cooling = hour == 17;
    // Totals of a process: each of the two writes every other one.
    let hours = u64::try_from(hour / 2 + 1).unwrap();
    let idle = if hour % 2 == 1 && hour >= 17 { 360.0 } else { 0.0 };
    let idle_by_reason = (idle > 0.0).then(|| IdleSeconds { reason: "cooldown".into(), seconds: idle });
    HeartbeatRecord {
        time: ago(minutes),
        process: format!("shim-{}", hour % 2),
        seconds: (3600 * hours) as f64,
        idle_seconds: idle,
        idle: idle_by_reason.into_iter().collect(),
        idle_reason: cooling.then(|| "cooldown".into()),
        due: 258 * hours,
        done: 255 * hours,
        dropped: vec![
            DroppedJobs { route: Route::Get, reason: "budget".into(), count: 2 * hours },
            DroppedJobs { route: Route::List, reason: "jobs".into(), count: hours },
        ],
        rules: vec![
            rule("items[*].updated_at", "payments-platform", "2027-01-31", 2 * hours, false),
            rule("metadata.*", "ledger-team", "2027-03-31", 0, false),
            rule("settled_at", "payments-platform", "2026-10-31", 0, true),
        ],
        suppressed: if hour == 23 {
            vec![Suppressed {
                route: Route::Get,
                verdict: Verdict::Progress,
                severity: None,
                both_held: true,
                signature: differing(Route::Get, Verdict::Progress, None).signature,
                count: 7,
            }]
        } else {
            Vec::new()
        },
        ..heartbeat()
    }
}

fn oddities() -> String {
    use DiffKind::{Extra, Missing, Type, Value};
    use Severity::{Contract, Cosmetic, Money};
    let get = |verdict, severity, minutes| {
        let mut record = differing(Route::Get, verdict, severity);
        record.time = ago(minutes);
        record.request_id = format!("0193a4c2-d{minutes:03}");
        record
    };
    let mut money = get(Verdict::Mismatch, Some(Money), 200);
    money.trace_id = Some("4bf92f3577b34da6a3ce929d0e0e4736".into());
    money.diffs = vec![
        diff("amount", Value, Money, "100.00", "100.01"),
        diff("updated_at", Missing, Cosmetic, "#5d41402a", "–"),
    ];
    money.recheck = Some(Recheck::Stays);
    let again = ComparisonRecord {
        time: ago(90),
        request_id: "0193a4c2-d090".into(),
        suppressed: 3,
        ..money.clone()
    };
    let mut contract = get(Verdict::Mismatch, Some(Contract), 180);
    contract.diffs = vec![diff("metadata", Type, Contract, "object", "string")];
    let mut refused = get(Verdict::ErrorDisagreement, Some(Contract), 170);
    refused.other.status = Some(404);
    refused.other.problem_type = Some("not_found".into());
    refused.diffs = vec![diff("status_code", Value, Contract, "200", "404")];
    let mut absent = get(Verdict::NoCounterpart, None, 160);
    absent.other.status = Some(404);
    absent.suppressed = 40;
    let mut failed = get(Verdict::ShadowFailed, None, 150);
    (failed.other.status, failed.other.latency_ms) = (None, None);
    failed.other.skip_reason = Some("timeout".into());
    let mut ruled = differing(Route::List, Verdict::MatchAfterRules, None);
    ruled.time = ago(140);
    ruled.suppressed = 30;
    ruled.query = vec!["limit".into()];
    let accepted = Diff {
        rule: Some("items[*].updated_at".into()),
        ..diff("items[3].updated_at", Value, Cosmetic, "…:00Z", "…:02Z")
    };
    ruled.ignored = vec![accepted];
    let mut shape = differing(Route::List, Verdict::Mismatch, Some(Cosmetic));
    shape.diffs = vec![diff("items[0].extra", Extra, Cosmetic, "–", "#9f86d081")];
    shape.time = ago(130);
    lines([money, again, contract, refused, absent, failed, get(Verdict::Progress, None, 145), ruled, shape])
}

/// What a process leaves that is cut off while it writes.
fn green_torn() -> String {
    let mut torn = lines([record(Route::Get)]);
    torn.truncate(180);
    torn
}
