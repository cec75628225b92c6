//! The table of metrics, from what the admin listener exports.

use std::collections::{BTreeMap, BTreeSet};

use super::{code, hold};
use crate::admin::metrics::everything;

/// A label that histograms have by their form.
const BUCKET: &str = "le";

/// The names of the labels in a sample's braces.
fn labels(sample: &str) -> impl Iterator<Item = &str> {
    let braces =
        sample.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(labels, _)| labels);
    braces.split("=\"").filter_map(|part| part.rsplit(['"', ',']).next()).filter(|name| !name.is_empty())
}

#[tokio::test]
async fn every_metric_is_listed_with_type_labels_and_help() {
    let text = everything().await;
    let mut found: BTreeMap<String, (String, BTreeSet<String>, String)> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        if let Some((metric, help)) = line.strip_prefix("# HELP ").and_then(|line| line.split_once(' ')) {
            name = metric.to_owned();
            found.entry(name.clone()).or_default().2 = help.to_owned();
        } else if let Some((metric, kind)) =
            line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' '))
        {
            found.entry(metric.to_owned()).or_default().0 = kind.to_owned();
        } else if line.starts_with(&name) && !name.is_empty() {
            let entry = &mut found.get_mut(&name).unwrap().1;
            entry.extend(labels(line).filter(|label| *label != BUCKET).map(str::to_owned));
        }
    }
    let row = |(name, (kind, labels, help)): (String, (String, BTreeSet<String>, String))| {
        let suffix = match kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let labels = labels.iter().map(|label| code(label)).collect::<Vec<_>>().join(", ");
        vec![code(&format!("{name}{suffix}")), kind, labels, help]
    };
    let rows: Vec<_> = found.into_iter().map(row).collect();
    hold("metrics", &["metric", "type", "labels", "help"], &rows);
}
