//! Walks `docs/runbook.md` as it is printed, on the sandbox: the real program with the config that is shipped for one machine, the page's
//! config blocks in their order, its commands in every way that it offers, and what a client sees at each step.

mod page;
mod shipped;
mod ways;

use std::time::Duration;

use crate::support::process::Shim;
use conversion_shim::sandbox::{Operation, Options, PROFILE, SECOND_PROFILE, Sandbox, TOKEN};
use conversion_shim::translate::side::Side;
use page::{Step, page, with_block};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Connection as _};
use ways::{Said, Ways};

const LEGACY: &str = "/v2/conversion/stablecoins";
const HOUR: Duration = Duration::from_secs(60 * 60);
/// Somewhat more than the longest time for which a client retries.
const WEEK: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// The proxy behind the page's config, and a client that never changes.
struct Walk {
    ways: Ways,
    shim: Shim,
    vendor: Sandbox,
    client: reqwest::Client,
    page: String,
    /// Blocks that were put in place, and how many of them before the proxy was last started.
    steps: usize,
    before: usize,
    /// What the page has put beside the blocks.
    beside: String,
}

impl Walk {
    async fn begin() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let page = page();
        let vendor =
            Sandbox::start(Options { settle_after: Duration::ZERO, ..Options::default() }).await.unwrap();
        assert!(vendor.inspector().credit(PROFILE, "USD", "1000000"));
        let mut ways = Ways::of(&page);
        // The trial's vendor, on a port of its own.
        for (side, url) in
            [("LEGACY", vendor.base_url()), ("NEW", vendor.base_url()), ("OAUTH", vendor.token_url())]
        {
            ways.set(&format!("SHIM_UPSTREAM__{side}__URL"), url);
        }
        let block = Step::under(&page, "Step 1: put the proxy in front").blocks("toml")[0];
        std::fs::write(ways.config(), with_block(&shipped(), block)).unwrap();
        ways.make_ledger();
        let shim = serve(&ways).await;
        ways.set("SHIM_ADMIN__LISTEN", shim.admin_address().to_string());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { ways, shim, vendor, client, page, steps: 0, before: 0, beside: String::new() }
    }

    fn step(&self, heading: &str) -> Step<'_> {
        Step::under(&self.page, heading)
    }

    /// Puts a block in place as the page says, in one way after the other, and waits until it is in force.
    async fn put(&mut self, heading: &str, at: usize) -> Value {
        let block = self.step(heading).blocks("toml")[at].to_owned();
        self.replace(&block);
        self.steps += 1;
        let accepted = async {
            loop {
                let lines = self.shim.log();
                let changed = lines.iter().filter(|line| line["message"] == "config reloaded").count();
                if changed + self.before >= self.steps {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let came = tokio::time::timeout(Duration::from_secs(20), accepted).await;
        let reported =
            || self.shim.log().into_iter().filter(|line| line["target"] == "config").collect::<Vec<_>>();
        assert!(came.is_ok(), "{heading}, block {at} is not in force: {:#?}", reported());
        self.status().await
    }

    /// The page's commands for every change.
    fn replace(&self, block: &str) {
        let block = format!("{block}{}", self.beside);
        std::fs::write(self.ways.root().join("next.toml"), with_block(&shipped(), &block)).unwrap();
        let change = *self.step("How to change the config").blocks("sh").last().unwrap();
        let said = self.ways.run_in(self.steps % self.ways.count(), change, &[]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        assert!(said.out.contains("modes"), "{said:?}");
    }

    async fn status(&self) -> Value {
        self.client.get(self.shim.admin("/status")).send().await.unwrap().json().await.unwrap()
    }

    /// Runs the commands under a heading behind so many blocks of config, in every way.
    fn commands(&self, heading: &str, configs: usize) -> Vec<Said> {
        let blocks = self.step(heading).commands_behind(configs).join("");
        // Few to a page, so that there are pages.
        let blocks = blocks.replace("=1000", "=2");
        let token_file = self.ways.root().join("trial/token");
        std::fs::write(&token_file, TOKEN).unwrap();
        self.ways.run(&blocks, &[("TOKEN", TOKEN), ("token_file", token_file.to_str().unwrap())])
    }

    /// Runs what the page prints before the first block of a step, in one of the ways: what the gate needs, and nothing else.
    fn prepare(&self, heading: &str) -> Vec<Said> {
        let way = self.steps % self.ways.count();
        let token_file = self.ways.root().join("trial/token");
        std::fs::write(&token_file, TOKEN).unwrap();
        let more = [
            ("token_file", token_file.to_str().unwrap()),
            ("profile", PROFILE),
            ("second_profile", SECOND_PROFILE),
        ];
        let quick = |block: &&str| {
            block.replace("--pairs 20", "--settle 1s --pairs 4").replace("--out -", "--settle 1s --out -")
        };
        let blocks = self.step(heading).commands_behind(0);
        blocks.iter().map(quick).map(|block| self.ways.run_in(way, &block, &more)).collect()
    }

    /// So much time goes by: everything in the ledger is as much older, and the proxy is started again.
    async fn pass(&mut self, time: Duration) {
        self.shim.signal("-TERM");
        assert_eq!(self.shim.ended().await, Some(0));
        let older = i64::try_from(time.as_micros()).unwrap();
        let ledger =
            sqlx::sqlite::SqliteConnectOptions::new().filename(self.ways.root().join("trial/ledger.db"));
        let mut ledger = ledger.connect().await.unwrap();
        for (table, columns) in [
            ("ref_claims", &["created_at_us", "updated_at_us"][..]),
            ("ledger_settings", &["at_us"]),
            ("ledger_evidence", &["at_us", "begin_us", "end_us"]),
            ("ledger_usage", &["last_seen_us", "blocked_us"]),
            ("ledger_walks", &["end_us", "started_at_us", "updated_at_us"]),
        ] {
            let set: Vec<_> = columns.iter().map(|column| format!("{column} = {column} - {older}")).collect();
            let sql = format!("UPDATE {table} SET {}", set.join(", "));
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut ledger).await.unwrap();
        }
        let days = time.as_secs() / 86_400;
        let sql =
            format!("UPDATE conversion_migrations SET installed_on = datetime(installed_on, '-{days} days')");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut ledger).await.unwrap();
        ledger.close().await.unwrap();
        self.shim = serve(&self.ways).await;
        self.before = self.steps;
        self.ways.set("SHIM_ADMIN__LISTEN", self.shim.admin_address().to_string());
    }

    async fn create(&self, ref_id: &str) -> (u16, Value) {
        let body = json!({
            "profile_id": PROFILE, "amount": "1", "source_asset": "USD", "target_asset": "PYUSD", "ref_id": ref_id,
        });
        let request = self.client.post(self.shim.public(LEGACY)).bearer_auth(TOKEN).body(body.to_string());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let request = self.client.get(self.shim.public(&format!("{LEGACY}{path}"))).bearer_auth(TOKEN);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// What every step must leave true: no reference was converted twice.
    fn balances(&self) {
        let of_clients = |ref_id: &String| !ref_id.trim().to_lowercase().starts_with("probe");
        for (ref_id, tally) in
            self.vendor.inspector().conversions_by_ref().into_iter().filter(|(ref_id, _)| of_clients(ref_id))
        {
            assert!(tally.legacy + tally.new <= 1, "{ref_id}: {tally:?}");
        }
    }

    fn made(&self, side: Side) -> u64 {
        self.vendor.inspector().applied(side, Operation::Create)
    }
}

/// The config of a machine of one's own.
fn shipped() -> String {
    std::fs::read_to_string("config/production.example.toml").unwrap()
}

/// The proxy as the page runs it, but for the vendor, whose balances the test reads, ports of its own, and shorter timeouts.
async fn serve(ways: &Ways) -> Shim {
    let mut set = as_tried(ways);
    set.extend(["shadow.heartbeat=100ms", "budget.per_second=10000", "timeouts.create=1s"].map(String::from));
    start(ways, &[], &set).await
}

/// The trial's variables as flags, with any ports.
fn as_tried(ways: &Ways) -> Vec<String> {
    let flag = |(name, value): &(String, String)| {
        let key = name.strip_prefix("SHIM_").unwrap().to_lowercase().replace("__", ".");
        let value = value.replace("trial/", &format!("{}/trial/", ways.root().display()));
        format!("{key}={value}")
    };
    let mut set: Vec<_> = ways.variables().iter().map(flag).collect();
    set.extend(
        ["listen=127.0.0.1:0", "admin.listen=127.0.0.1:0", "reload.poll_interval=100ms"].map(String::from),
    );
    set
}

async fn start(ways: &Ways, first: &[&str], set: &[String]) -> Shim {
    let config = ways.config();
    let mut arguments = [first, &["--config", config.to_str().unwrap()]].concat();
    arguments.extend(set.iter().flat_map(|set| ["--set", set]));
    Shim::serve(&arguments).await
}

/// The trial, as far as to the first request, of every config that is shipped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_config_that_is_shipped_can_be_tried() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let page = page();
    let begin = Step::under(&page, "Try it on the sandbox first").blocks("sh")[1];
    assert!(begin.contains("\nconversion-shim serve --sandbox --config \"$config\" "), "{begin}");
    for path in shipped::SHIPPED {
        let mut ways = Ways::of(&page);
        std::fs::copy(path, ways.config()).unwrap();
        ways.make_ledger();
        // Commands without `--sandbox` must not leave the machine either.
        let checked = ways.run_in(ways.count() - 1, "shim check --config \"$config\"", &[]);
        assert_eq!(checked.code, Some(0), "{path}: {checked:?}");
        let hosts: Vec<_> = checked.out.lines().filter(|line| line.contains("://")).collect();
        assert!(hosts.iter().filter(|line| line.contains("upstream.")).count() == 3, "{path}: {hosts:#?}");
        assert!(hosts.iter().all(|line| line.contains("http://127.0.0.1:8081/")), "{path}: {hosts:#?}");
        let mut set = as_tried(&ways);
        set.push("sandbox.listen=127.0.0.1:0".into());
        let shim = start(&ways, &["--sandbox"], &set).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let status: Value = client.get(shim.admin("/status")).send().await.unwrap().json().await.unwrap();
        assert_eq!((&status["stage"], &status["ledger"]["kind"]), (&json!("observe"), &json!("sqlite")));
        let list = client.get(shim.public(LEGACY)).bearer_auth(TOKEN).send().await.unwrap();
        assert_eq!(list.status(), 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_true() {
    let mut walk = Walk::begin().await;
    let old = observe(&walk).await;
    compare(&mut walk).await;
    read_both(&mut walk, &old).await;
    first_creates(&mut walk).await;
    everybody(&mut walk, &old).await;
    back_and_forth(&mut walk).await;
    seal(&mut walk).await;
    walk.balances();
    walk.shim.signal("-TERM");
    assert_eq!(walk.shim.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconcile_and_backfill_run_as_printed() {
    let walk = Walk::begin().await;
    let made = "2026-01-01T00:00:00Z";
    walk.vendor.inspector().seed_conversion(json!({
        "profile_id": PROFILE, "amount": "1", "source_asset": "USD", "target_asset": "PYUSD", "status": "SETTLED", "ref_id": "ancient",
        "created_at": made, "updated_at": made,
    }));
    let token_file = walk.ways.root().join("trial/token");
    std::fs::write(&token_file, TOKEN).unwrap();
    let more = [("token_file", token_file.to_str().unwrap())];
    let blocks = walk.step("Reconcile and backfill").blocks("sh").join("");
    for said in walk.ways.run(&blocks, &more) {
        assert_eq!(said.code, Some(0), "{said:?}");
        for expected in [
            "backfill of tenant default: clean",
            "reconcile of tenant default: clean",
            "1 on legacy, 0 on new",
        ] {
            assert!(said.out.contains(expected), "{expected}: {said:?}");
        }
    }
    let shown = walk.ways.run("shim ledger show ancient --config \"$config\"", &more);
    assert!(shown.iter().all(|said| said.out.contains("checked")), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_made_and_restored_as_printed() {
    let mut walk = Walk::begin().await;
    assert_eq!(walk.create("kept").await.0, 200);
    let blocks: Vec<_> = walk
        .step("Back up and restore a SQLite ledger")
        .blocks("sh")
        .into_iter()
        .map(str::to_owned)
        .collect();
    let file = |way: usize| walk.ways.root().join(format!("trial/backup-{way}.db"));
    for way in 0..walk.ways.count() {
        let said = walk.ways.run_in(way, &blocks[0], &[("backup", file(way).to_str().unwrap())]);
        assert!(said.code == Some(0) && said.out.contains("checked  yes"), "{said:?}");
    }
    walk.shim.signal("-TERM");
    assert_eq!(walk.shim.ended().await, Some(0));
    let ledger = walk.ways.root().join("trial/ledger.db");
    for beside in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{beside}", ledger.display()));
    }
    std::fs::rename(file(0), &ledger).unwrap();
    for said in walk.ways.run(&blocks[1], &[]) {
        assert!(said.code == Some(0) && said.out.contains("accepted"), "{said:?}");
    }
    walk.shim = serve(&walk.ways).await;
    let shown = walk.ways.run_in(0, "shim ledger show kept --config \"$config\"", &[]);
    assert!(shown.out.contains("legacy"), "{shown:?}");
}

/// Step 1; the id of a record of the old API.
async fn observe(walk: &Walk) -> String {
    let (status, made) = walk.create("old").await;
    assert_eq!((status, walk.made(Side::Legacy), walk.made(Side::New)), (200, 1, 0));
    let shown = walk.client.get(walk.shim.admin("/")).send().await.unwrap().text().await.unwrap();
    for name in [
        "Since start",
        "unknown outcomes",
        "creates without ref_id",
        "Upstream latency",
        "Requests in the last hour",
        "Clients of the old API",
    ] {
        assert!(walk.page.contains(&format!("*{name}*")), "the page sends nobody to {name}");
        assert!(shown.contains(&format!(">{name}<")), "the operator's page has no {name}");
    }
    for said in walk.commands("Step 1: put the proxy in front", 1) {
        assert_eq!((said.code, said.err.contains("conversion-shim: ")), (Some(0), false), "{said:?}");
        for reported in
            ["stage  ", "observe", "ready  ", "requests, last", "claims", "backfill of tenant default: clean"]
        {
            assert!(said.out.contains(reported), "{reported}: {said:?}");
        }
    }
    made["id"].as_str().unwrap().to_owned()
}

async fn compare(walk: &mut Walk) {
    let status = walk.put("Step 2: compare", 0).await;
    assert_eq!(status["modes"]["create"], "shadow");
    for at in 0..5 {
        let (code, made) = walk.create(&format!("compared-{at}")).await;
        assert_eq!(code, 200);
        assert_eq!(walk.get(&format!("/{}", made["id"].as_str().unwrap())).await.0, 200);
        assert_eq!(walk.get("?limit=2").await.0, 200);
    }
    let all_done = async {
        while walk.status().await["shadow"]["done"] != 15 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all_done).await.expect("they are compared");
    assert_eq!(walk.made(Side::New), 0, "a dry run sends nothing");
    // The file is written a moment after the count.
    let go = async {
        loop {
            let ran = walk.commands("Step 2: compare", 1);
            if ran.iter().all(|said| said.code == Some(7)) {
                return ran;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    for said in tokio::time::timeout(Duration::from_secs(20), go).await.expect("get and list are not proven")
    {
        assert!(said.out.contains("  create  GO\n") && !said.out.contains("NO-GO"), "{said:?}");
        for route in ["get   ", "list  "] {
            assert!(said.out.contains(&format!("  {route}  NOT PROVEN\n")), "{said:?}");
        }
    }
}

async fn read_both(walk: &mut Walk, old: &str) {
    walk.pass(WEEK).await;
    let prepared = walk.prepare("Step 3: read from both APIs");
    assert!(walk.ways.root().join("trial/facts.toml").exists(), "{prepared:?}");
    walk.beside = format!("facts.file = \"{}/trial/facts.toml\"\n", walk.ways.root().display());
    let status = walk.put("Step 3: read from both APIs", 0).await;
    assert_eq!((&status["modes"]["get"], &status["modes"]["list"]), (&json!("both"), &json!("both")));
    assert_eq!(walk.get(&format!("/{old}")).await.0, 200);
    let all = walk.get("?limit=100").await.1;
    let is_of_client =
        |row: &&Value| !row["ref_id"].as_str().unwrap().trim().to_lowercase().starts_with("probe");
    assert_eq!(all["items"].as_array().unwrap().iter().filter(is_of_client).count(), 6, "{all}");
    // The brake, before the ledger is opened for the new API.
    walk.put("Going back", 3).await;
    assert_eq!(walk.create("held-early").await.0, 503);
    walk.put("Step 3: read from both APIs", 0).await;
}

async fn first_creates(walk: &mut Walk) {
    let prepared = walk.prepare("Step 4: the first creates");
    assert_eq!(prepared.len(), 2, "{prepared:?}");
    assert!(prepared[0].code == Some(0) && prepared[0].out.contains("  list    GO\n"), "{prepared:?}");
    assert!(prepared[1].out.contains("ledger.new_in_use = true"), "{prepared:?}");
    let (before, probes) = (walk.made(Side::Legacy), walk.made(Side::New));
    walk.put("Step 4: the first creates", 0).await;
    assert_eq!(walk.create("first-on-new").await.0, 200);
    assert_eq!((walk.made(Side::Legacy), walk.made(Side::New)), (before, probes + 1));
    for said in walk.commands("Step 4: the first creates", 1) {
        assert!(said.code == Some(0) && said.out.contains("new"), "{said:?}");
        assert_eq!(said.out.matches("backfill of tenant default: clean").count(), 2, "{said:?}");
        assert!(said.out.contains("reconcile of tenant default: clean"), "{said:?}");
    }
    let status = walk.put("Step 4: the first creates", 1).await;
    assert_eq!(status["canary"]["percent"], 5);
    let status = walk.put("Going back", 0).await;
    assert_eq!((&status["stage"], &status["modes"]["create"]), (&json!("canary"), &json!("legacy")));
    assert_eq!(walk.create("first-on-new").await.0, 409, "a reference of the new API stays there");
    assert_eq!(walk.made(Side::New), probes + 1);
    walk.put("Step 4: the first creates", 1).await;
    walk.balances();
}

async fn everybody(walk: &mut Walk, old: &str) {
    walk.pass(HOUR).await;
    for said in walk.prepare("Step 5: all profiles") {
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    let before = walk.made(Side::New);
    walk.put("Step 5: all profiles", 0).await;
    assert_eq!(walk.create("live").await.0, 200);
    assert_eq!(walk.create("old").await.0, 409, "a reference of the old API stays there");
    assert_eq!(walk.get(&format!("/{old}")).await.0, 200);
    assert_eq!(walk.made(Side::New), before + 1);
    for said in walk.commands("Step 5: all profiles", 1) {
        // More than three pages of what the old API holds, all settled at once.
        assert!(said.code == Some(0) && said.out.ends_with("\n0\n0\n0\nthat was all\n"), "{said:?}");
        assert!(said.out.contains("BLOCKING"), "{said:?}");
    }
    walk.balances();
}

async fn back_and_forth(walk: &mut Walk) {
    let before = walk.made(Side::New);
    let status = walk.put("Going back", 1).await;
    assert_eq!((&status["modes"]["create"], &status["modes"]["get"]), (&json!("legacy"), &json!("both")));
    assert_eq!(walk.create("gone-back").await.0, 200);
    assert_eq!(walk.create("live").await.0, 409, "a reference of the new API stays there");
    assert_eq!(walk.made(Side::New), before);
    // What the page says the loader refuses.
    walk.replace(walk.step("Step 2: compare").blocks("toml")[0]);
    walk.shim.logged("config refused, nothing changed").await;
    assert_eq!(walk.status().await["modes"]["get"], "both");
    walk.put("Going back", 2).await;
    assert_eq!(walk.create("held").await.0, 503);
    assert_eq!(walk.get("?limit=1").await.0, 200);
    walk.put("Going back", 4).await;
    assert_eq!(walk.create("held").await.0, 200);
    walk.balances();
}

async fn seal(walk: &mut Walk) {
    // A replica writes the usage of its clients every ten seconds.
    let kept = async {
        while walk
            .ways
            .run_in(0, "shim gate --config \"$config\" --to sealed", &[])
            .out
            .contains("not on record yet")
        {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), kept).await.expect("usage is kept");
    walk.pass(WEEK).await;
    for said in walk.prepare("Step 6: seal") {
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    let status = walk.put("Step 6: seal", 0).await;
    assert_eq!(status["modes"]["cancel"], "new");
    let looked = walk.vendor.inspector().arrived(Side::Legacy, Operation::List);
    let (code, made) = walk.create("sealed").await;
    assert_eq!(code, 200);
    let id = made["id"].as_str().unwrap();
    let cancel = walk.client.delete(walk.shim.public(&format!("{LEGACY}/{id}"))).bearer_auth(TOKEN);
    assert_eq!(cancel.send().await.unwrap().status(), 403);
    assert_eq!(walk.create("old").await.0, 409, "from the ledger's memory");
    assert_eq!(
        walk.vendor.inspector().arrived(Side::Legacy, Operation::List),
        looked,
        "the old API is not asked"
    );
}
