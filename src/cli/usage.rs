//! `usage`: asks a running proxy who still calls the old API, and tells it to people.

use super::status::{self, StatusArgs};
use super::{json_line, table};
use crate::admin::documents::{Client, Status, Usage};

pub(super) fn run(arguments: StatusArgs) -> u8 {
    status::tell(arguments, |json, Status { usage, .. }| match json {
        // Texts and numbers: nothing here can fail to serialize.
        Some(_) => json_line(&serde_json::to_string(usage).unwrap_or_default()),
        None => table(&rows(usage)),
    })
}

fn rows(usage: &Usage) -> Vec<(&str, String)> {
    let mut rows: Vec<_> = usage.clients.iter().flat_map(client).collect();
    if rows.is_empty() {
        rows.push(("nobody", "whose request was taken has called the four routes since the start".into()));
    }
    if usage.others > 0 {
        let more = format!("{} requests of more than {} clients", usage.others, usage.clients_max);
        rows.push(("others", more));
    }
    if let Some(since) = &usage.full_since {
        let full = format!(
            "since {since}, with {} clients; {} that were not seen for long and had nothing in the way were forgotten",
            usage.clients_max, usage.given_way
        );
        rows.push(("FULL", full));
    }
    rows
}

fn client(client: &Client) -> Vec<(&str, String)> {
    let by = format!("known by {}; {} requests, last {}", client.by, client.requests, client.last_seen);
    let mut rows = vec![(client.client.as_str(), by)];
    let routes: Vec<_> = client.routes.iter().map(|(route, count)| format!("{count} {route}")).collect();
    rows.push(("", routes.join(", ")));
    let blocking = client.blocking.iter().map(|(feature, count)| match feature.as_str() {
        "cancel" => format!("IN THE WAY: {count} cancels, which the new API does not have"),
        "change_filter" => {
            format!("IN THE WAY: {count} lists filtered by updated_at, which the new API does not have")
        }
        "no_reference" => format!("IN THE WAY: {count} creates without ref_id, which the new API demands"),
        "legacy_record" => format!("IN THE WAY: {count} gets of records that the old API holds"),
        other => format!("IN THE WAY: {count} {other}"),
    });
    rows.extend(blocking.map(|text| ("", text)));
    rows
}
