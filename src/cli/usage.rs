//! `usage`: which clients still call the old API, as a running proxy reports it.

use clap::Args;

use super::admin_client::{self, AdminArgs};
use super::one_client::{self, blocking, identified, record_text};
use super::output::{json_line, table};
use crate::admin::documents::{ClientDocument, StatusDocument, UsageDocument, UsageRecordDocument};

#[derive(Debug, Args)]
pub(super) struct UsageArgs {
    /// One client: its calls, the new API's calls that do the same, what blocks it, and a create before and after
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

pub(super) fn run(arguments: UsageArgs) -> u8 {
    let UsageArgs { client, admin } = arguments;
    if let Some(name) = client {
        let render = |json: Option<&str>, status: &StatusDocument| {
            one_client::render(&name, &status.usage, json.is_some())
        };
        return admin_client::show_with_code(admin, render);
    }
    admin_client::show(admin, |json, StatusDocument { usage, .. }| match json {
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
    if let Some(UsageRecordDocument { since, clients }) = &usage.on_record {
        rows.push(("ON RECORD", format!("in the ledger, over all replicas and restarts since {since}")));
        rows.extend(clients.iter().map(|client| ("", record_text(client))));
    }
    rows
}

fn client(client: &ClientDocument) -> Vec<(&str, String)> {
    let mut rows = vec![(client.client.as_str(), identified(client))];
    let routes: Vec<_> = client.routes.iter().map(|(route, count)| format!("{count} {route}")).collect();
    rows.push(("", routes.join(", ")));
    rows.extend(blocking(client).map(|text| ("", format!("BLOCKING: {text}"))));
    rows
}
