//! `usage`: which clients still call the old API, as a running proxy reports it.

use super::admin_client::{self, StatusArgs};
use super::output::{json_line, table};
use crate::admin::documents::{ClientDocument, StatusDocument, UsageDocument};

pub(super) fn run(arguments: StatusArgs) -> u8 {
    admin_client::show(arguments, |json, StatusDocument { usage, .. }| match json {
        // Strings and numbers always serialize.
        Some(_) => json_line(&serde_json::to_string(usage).unwrap_or_default()),
        None => table(&rows(usage)),
    })
}

fn rows(usage: &UsageDocument) -> Vec<(&str, String)> {
    let mut rows: Vec<_> = usage.clients.iter().flat_map(client).collect();
    if rows.is_empty() {
        rows.push(("clients", "none with an accepted request to the four routes since start".into()));
    }
    if usage.other_requests > 0 {
        let more =
            format!("{} requests of clients beyond the first {}", usage.other_requests, usage.clients_max);
        rows.push(("others", more));
    }
    if let Some(since) = &usage.full_since {
        let full = format!(
            "since {since}, with {} clients; {} idle clients without blocking requests were evicted",
            usage.clients_max, usage.evicted
        );
        rows.push(("FULL", full));
    }
    rows
}

fn client(client: &ClientDocument) -> Vec<(&str, String)> {
    let by = format!(
        "identified by {}; {} requests, last {}",
        client.identified_by, client.requests, client.last_seen
    );
    let mut rows = vec![(client.client.as_str(), by)];
    let routes: Vec<_> = client.routes.iter().map(|(route, count)| format!("{count} {route}")).collect();
    rows.push(("", routes.join(", ")));
    let blocking = client.blocking.iter().map(|(feature, count)| match feature.as_str() {
        "cancel" => format!("BLOCKING: {count} cancels, which the new API does not support"),
        "change_filter" => {
            format!("BLOCKING: {count} lists filtered by updated_at, which the new API does not support")
        }
        "no_reference" => format!("BLOCKING: {count} creates without ref_id, which the new API requires"),
        "legacy_record" => format!("BLOCKING: {count} gets of records that only the old API holds"),
        other => format!("BLOCKING: {count} {other}"),
    });
    rows.extend(blocking.map(|text| ("", text)));
    rows
}
