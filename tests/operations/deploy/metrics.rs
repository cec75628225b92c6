//! Alerts and graphs: every query can be read and asks for metrics that `docs/metrics.md` lists, which a test of its own holds to what
//! the program exports.

use std::collections::BTreeSet;

use promql_parser::parser::{self, Expr};
use serde_json::Value;

use super::{read, yaml};

const ALERTS: &str = "deploy/prometheus/alerts.yaml";
const DASHBOARD: &str = "deploy/grafana/dashboard.json";

/// Made by Prometheus itself about whom it asks.
const OF_PROMETHEUS: [&str; 1] = ["up"];

#[test]
fn every_metric_that_is_asked_for_is_exported() {
    let exported = exported();
    assert!(exported.contains("conversion_shim_ledger_up"), "{exported:?}");
    let mut wrong = Vec::new();
    for (place, query) in queries() {
        for metric in metrics(&place, &query) {
            if !exported.contains(&metric) && !OF_PROMETHEUS.contains(&metric.as_str()) {
                wrong.push(format!("{place} asks for {metric}"));
            }
        }
    }
    assert!(wrong.is_empty(), "not in docs/metrics.md: {wrong:#?}");
}

#[test]
fn every_metric_that_the_runbook_sends_to_is_exported() {
    let exported = exported();
    let page = read("docs/runbook.md");
    let quoted = page.split('`').filter(|quoted| quoted.starts_with("conversion_shim_"));
    let named: Vec<_> = quoted.map(|quoted| quoted.split('{').next().unwrap()).collect();
    assert!(named.len() >= 5, "{named:?}");
    for name in named {
        assert!(
            exported.iter().any(|series| series.strip_suffix("_count").unwrap_or(series) == name),
            "{name}"
        );
    }
}

#[test]
fn every_metric_has_a_graph() {
    let dashboard = queries().into_iter().filter(|(place, _)| place.starts_with(DASHBOARD));
    let shown: BTreeSet<_> = dashboard.flat_map(|(place, query)| metrics(&place, &query)).collect();
    let documented = documented();
    let families =
        documented.iter().filter(|(name, _)| !shown.iter().any(|shown| shown.starts_with(name.as_str())));
    let missing: Vec<_> = families.map(|(name, _)| name).collect();
    assert!(missing.is_empty(), "{DASHBOARD} does not show {missing:?}");
}

#[test]
fn every_alert_says_what_it_means_and_where_to_read_on() {
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        assert!(
            ["critical", "warning"].iter().any(|severity| alert["labels"]["severity"] == *severity),
            "{name}"
        );
        for text in ["summary", "description"] {
            assert!(
                alert["annotations"][text].as_str().is_some_and(|text| !text.is_empty()),
                "{name}: {text}"
            );
        }
        assert_eq!(
            alert["annotations"]["runbook"],
            format!("docs/runbook.md#{}", name.to_lowercase()),
            "{name}"
        );
        assert!(
            read("docs/runbook.md").contains(&format!("\n### {name}\n")),
            "no part of the runbook is about {name}"
        );
        let on_call = alert["annotations"]["on_call"].as_str().unwrap_or_else(|| panic!("{name}: on_call"));
        let place = on_call.strip_prefix("docs/on-call.md#").unwrap_or_else(|| panic!("{name}: {on_call}"));
        let page = read("docs/on-call.md");
        let mut titles = page.lines().filter_map(|line| line.strip_prefix("## "));
        assert!(titles.any(|title| title.to_lowercase().replace(' ', "-") == place), "{name}: {on_call}");
    }
}

#[test]
fn panels_have_places_of_their_own() {
    let dashboard = yaml(DASHBOARD);
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
        for (x, y) in
            (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
        {
            assert!(taken.insert((x, y)), "{} lies over another", panel["title"]);
        }
    }
}

fn alerts() -> Vec<Value> {
    let groups = yaml(ALERTS)["groups"].clone();
    let alerts: Vec<_> = groups
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect();
    assert!(alerts.len() > 10);
    alerts
}

/// Every query, and where it stands.
fn queries() -> Vec<(String, String)> {
    let mut queries: Vec<_> =
        alerts().iter().map(|alert| (format!("{ALERTS} {}", alert["alert"]), text(&alert["expr"]))).collect();
    let dashboard = yaml(DASHBOARD);
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push((format!("{DASHBOARD} {}", panel["title"]), text(&target["expr"])));
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        queries.push((format!("{DASHBOARD} {}", annotation["name"]), text(&annotation["expr"])));
    }
    let variable = &dashboard["templating"]["list"][1]["definition"];
    let metric = text(variable).strip_prefix("label_values(").unwrap().split(',').next().unwrap().to_owned();
    queries.push((format!("{DASHBOARD} instance"), metric));
    queries
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The metrics that a query asks for.
fn metrics(place: &str, query: &str) -> BTreeSet<String> {
    let query = query.replace("$__rate_interval", "1m");
    let expression = parser::parse(&query).unwrap_or_else(|error| panic!("{place}: {query}: {error}"));
    let mut names = BTreeSet::new();
    collect(&expression, &mut names);
    names
}

fn collect(expression: &Expr, names: &mut BTreeSet<String>) {
    match expression {
        Expr::VectorSelector(selector) => names.extend(selector.name.clone()),
        Expr::MatrixSelector(selector) => names.extend(selector.vs.name.clone()),
        Expr::Aggregate(inner) => collect(&inner.expr, names),
        Expr::Unary(inner) => collect(&inner.expr, names),
        Expr::Paren(inner) => collect(&inner.expr, names),
        Expr::Subquery(inner) => collect(&inner.expr, names),
        Expr::Call(call) => call.args.args.iter().for_each(|argument| collect(argument, names)),
        Expr::Binary(both) => {
            collect(&both.lhs, names);
            collect(&both.rhs, names);
        }
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => {}
        Expr::Extension(_) => panic!("no extension is known"),
    }
}

/// Name and type, from the tables of `docs/metrics.md`.
fn documented() -> Vec<(String, String)> {
    let page = read("docs/metrics.md");
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        Some((name.to_owned(), cells.next()?.to_owned()))
    });
    rows.collect()
}

/// The names of all series.
fn exported() -> BTreeSet<String> {
    let series = documented().into_iter().flat_map(|(name, kind)| match kind.as_str() {
        "histogram" => ["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")).to_vec(),
        "counter" | "gauge" | "info" => vec![name],
        other => panic!("docs/metrics.md: {name} is a {other}"),
    });
    series.collect()
}
