//! Each client goes through the whole old API twice: at the sandbox's own old API, and through the proxy. It must see the same.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use conversion_shim::sandbox::{Options, Sandbox};
use futures_util::StreamExt as _;
use tempfile::TempDir;

use super::relay::Relay;
use super::stacks::{Client, Protocol, Stack};
use super::transcript::Seen;
use super::{differences, script, transcript};
use crate::support::ledger;
use crate::support::wire::binary::Binary;
use crate::support::wire::tls::Pair;

const STAGES: [&str; 3] = ["observe", "live", "sealed"];

/// The certificate of every server here, and its files.
struct Site {
    pair: Pair,
    dir: TempDir,
}

impl Site {
    fn file(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }
}

/// What a client saw at one place, over how many connections.
pub(crate) struct Visit {
    pub(crate) seen: Vec<Seen>,
    pub(crate) connections: usize,
}

async fn visit(client: &Arc<Client>, protocol: Protocol, site: &Site, target: std::net::SocketAddr) -> Visit {
    let relay = Relay::to(target).await;
    let origin = format!("http{}://{}", if protocol.tls { "s" } else { "" }, relay.address);
    let mut command = client.command(&origin, protocol.version, &site.file("tls.crt"));
    let running = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(script::steps().as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    let ran = running.await.unwrap();
    let said = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (said(ran.stdout), said(ran.stderr));
    assert!(ran.status.success(), "{:?}: {err}\n{out}", client.stack);
    Visit { seen: transcript::read(&out), connections: relay.connections() }
}

async fn directly(client: &Arc<Client>, protocol: Protocol, site: &Site) -> Visit {
    let tls = protocol.tls.then(|| site.pair.server());
    let options = Options { settle_after: Duration::from_secs(3600), seed: true, tls, ..Options::default() };
    let sandbox = Sandbox::start(options).await.unwrap();
    visit(client, protocol, site, sandbox.addr()).await
}

async fn through(client: &Arc<Client>, protocol: Protocol, site: &Site, stage: &str) -> Visit {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shim.toml");
    let url = format!("sqlite:{}", dir.path().join("ledger.db").display());
    let mut config = format!("stage = \"{stage}\"\n{}", ledger::keys(&url, stage != "observe"));
    config.push_str("sandbox.listen = \"127.0.0.1:0\"\nsandbox.settle_after = \"1h\"\n");
    if protocol.tls {
        let (certificate, key) = (site.file("tls.crt"), site.file("tls.key"));
        write!(config, "tls.certificate = {certificate:?}\ntls.key = {key:?}\n").unwrap();
    }
    std::fs::write(&file, config).unwrap();
    let arguments = ["--sandbox", "--config", file.to_str().unwrap()];
    let shim = Binary::run_by(&[], dir, &arguments).serving().await;
    visit(client, protocol, site, shim.address).await
}

/// A row of the table: one stack and protocol, and for each stage what differed.
struct Row {
    label: [String; 2],
    stages: [Vec<String>; 3],
}

async fn row(client: Arc<Client>, protocol: Protocol, site: Arc<Site>) -> Row {
    let direct = directly(&client, protocol, &site).await;
    let spoken = direct.seen.iter().find(|seen| seen.version != protocol.spoken && seen.status != "error");
    assert_eq!(spoken.map(ToString::to_string), None, "{:?} over {}", client.stack, protocol.name());
    let mut stages = [const { Vec::new() }; 3];
    for (stage, found) in STAGES.into_iter().zip(&mut stages) {
        let proxied = through(&client, protocol, &site, stage).await;
        *found = differences::between(stage, &direct, &proxied);
        if protocol.offers_h2c() {
            // docs/limitations.md: it may miss the refusal of a body that it still sends.
            found.retain(|what| !what.contains("proxied  too_long error"));
        }
    }
    Row { label: [format!("{} {}", client.stack.name(), client.version), protocol.name()], stages }
}

fn table(rows: &[Row], missing: &[Stack]) -> String {
    let mut table =
        format!("\n{:<32} {:<24}{:>10}{:>10}{:>10}\n", "client", "protocol", STAGES[0], STAGES[1], STAGES[2]);
    for Row { label: [client, protocol], stages } in rows {
        write!(table, "{client:<32} {protocol:<24}").unwrap();
        for found in stages {
            let cell = if found.is_empty() { "same".to_owned() } else { format!("{} differ", found.len()) };
            write!(table, "{cell:>10}").unwrap();
        }
        table.push('\n');
    }
    for stack in missing {
        writeln!(table, "{:<32} not run: it is not installed", stack.name()).unwrap();
    }
    table
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_unchanged_client_cannot_tell() {
    let site = Site { pair: Pair::new(), dir: tempfile::tempdir().unwrap() };
    site.pair.write(site.dir.path());
    let mut missing = Vec::new();
    let mut visits = Vec::new();
    let only = std::env::var("COMPAT_STACK").ok();
    let chosen = |stack: &Stack| only.as_ref().is_none_or(|only| stack.name().contains(only.as_str()));
    for stack in Stack::ALL.into_iter().filter(chosen) {
        match Client::build(stack, site.dir.path()).map(Arc::new) {
            Some(client) => {
                visits.extend(stack.protocols().into_iter().map(|protocol| (client.clone(), protocol)))
            }
            None => missing.push(stack),
        }
    }
    let site = Arc::new(site);
    let visits =
        visits.into_iter().map(|(client, protocol)| tokio::spawn(row(client, protocol, site.clone())));
    // Some at a time: each is a client and a server, and mostly waits for one of them to start.
    let rows: Vec<Row> = futures_util::stream::iter(visits).buffered(4).map(Result::unwrap).collect().await;
    let table = table(&rows, &missing);
    // Past the test runner, which shows nothing of a test that passes.
    std::io::stderr().lock().write_all(table.as_bytes()).unwrap();
    let found = rows
        .iter()
        .flat_map(|row| STAGES.iter().zip(&row.stages).map(move |(stage, found)| (row, stage, found)));
    let found = found.flat_map(|(row, stage, found)| {
        found.iter().map(move |what| format!("{} {stage}: {what}", row.label.join(", ")))
    });
    let found: Vec<_> = found.collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(missing.is_empty() || std::env::var_os("CI").is_none(), "missing, and this is CI: {missing:?}");
    assert!(rows.len() + missing.len() > 0, "no client stack has the name {only:?}");
}
