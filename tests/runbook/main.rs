//! Walks `docs/runbook.md` as it is printed, on the sandbox: the real program, the page's config blocks in their order, its
//! commands, and what a client sees at each step.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic, in its helpers as well")]

#[path = "../operator/process.rs"]
mod process;

use std::time::Duration;

use conversion_shim::sandbox::{Operation, Options, PROFILE, Sandbox, TOKEN};
use conversion_shim::side::Side;
use process::{Config, Ran, Shim, run};
use serde_json::{Value, json};

const LEGACY: &str = "/v2/conversion/stablecoins";

/// The page's part under one heading.
struct Step<'a>(&'a str);

impl<'a> Step<'a> {
    fn under(page: &'a str, heading: &str) -> Self {
        let (_, after) = page.split_once(&format!("\n## {heading}\n")).expect(heading);
        Self(after.split("\n## ").next().unwrap())
    }

    /// Its blocks of this language.
    fn blocks(&self, language: &str) -> Vec<&'a str> {
        let fence = format!("```{language}\n");
        self.0.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
    }
}

/// The proxy behind the page's config, and a client that never changes.
struct Walk {
    config: Config,
    shim: Shim,
    vendor: Sandbox,
    client: reqwest::Client,
    page: String,
    steps: usize,
}

impl Walk {
    async fn begin() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/runbook.md")).unwrap();
        let vendor =
            Sandbox::start(Options { settle_after: Duration::ZERO, ..Options::default() }).await.unwrap();
        assert!(vendor.books().credit(PROFILE, "USD", "1000000"));
        let config = Config::new(&vendor);
        write(&config, Step::under(&page, "Step 1: stand in front").blocks("toml")[0]);
        let shim = Shim::start(&config).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { config, shim, vendor, client, page, steps: 0 }
    }

    fn step(&self, heading: &str) -> Step<'_> {
        Step::under(&self.page, heading)
    }

    /// Puts a block in place and waits until it is in force.
    async fn put(&mut self, heading: &str, at: usize) -> Value {
        let block = self.step(heading).blocks("toml")[at].to_owned();
        write(&self.config, &block);
        self.steps += 1;
        let accepted = async {
            loop {
                let lines = self.shim.log();
                let changed = lines.iter().filter(|line| line["message"] == "config reloaded").count();
                if changed >= self.steps {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let came = tokio::time::timeout(Duration::from_secs(20), accepted).await;
        let told =
            || self.shim.log().into_iter().filter(|line| line["target"] == "config").collect::<Vec<_>>();
        assert!(came.is_ok(), "{heading}, block {at} is not in force: {:#?}", told());
        self.status().await
    }

    async fn status(&self) -> Value {
        self.client.get(self.shim.admin("/status")).send().await.unwrap().json().await.unwrap()
    }

    /// Runs the commands under a heading, with the file that the test uses.
    async fn commands(&self, text: &str) -> Vec<Ran> {
        let mut ran = Vec::new();
        for block in Step(text).blocks("sh") {
            for line in block.lines().filter(|line| !line.is_empty()) {
                let words = line.split_whitespace().skip(1).map(|word| match word {
                    "conversion-shim.toml" => self.config.path().display().to_string(),
                    "shadow.jsonl" => records(&self.config),
                    word => word.to_owned(),
                });
                let mut words: Vec<_> = words.collect();
                // The config says port 0; the process knows which one it got.
                if words[0] == "status" {
                    words = vec!["status".into(), "--admin".into(), self.shim.admin_address().to_string()];
                }
                ran.push(run(&words.iter().map(String::as_str).collect::<Vec<_>>()).await);
            }
        }
        ran
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
        for (ref_id, tally) in self.vendor.books().conversions_by_ref() {
            assert!(tally.legacy + tally.new <= 1, "{ref_id}: {tally:?}");
        }
    }

    fn made(&self, side: Side) -> u64 {
        self.vendor.books().applied(side, Operation::Create)
    }
}

fn records(config: &Config) -> String {
    config.sqlite().with_file_name("shadow.jsonl").display().to_string()
}

fn write(config: &Config, block: &str) {
    let more = format!(
        "shadow.log = \"{}\"\nshadow.heartbeat = \"100ms\"\nshadow.match_sample = 1.0\nshadow.go.judged_min = 3\n\
         budget.per_second = 10000\ncanary.salt = \"conversion-cutover\"\n{block}",
        records(config)
    );
    config.write(&more);
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

/// Step 1; the id of a record of the old API.
async fn observe(walk: &Walk) -> String {
    let (status, made) = walk.create("old").await;
    assert_eq!((status, walk.made(Side::Legacy), walk.made(Side::New)), (200, 1, 0));
    let intro = walk.page.split("\n## ").next().unwrap();
    let ran = walk.commands(intro).await;
    assert_eq!(ran.iter().map(|ran| ran.code).collect::<Vec<_>>(), [Some(0), Some(0)], "{ran:?}");
    assert_eq!(ran[1].row("stage"), "observe");
    let ran = walk.commands(walk.step("Step 1: stand in front").0).await;
    assert_eq!(ran[0].code, Some(0), "{ran:?}");
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
    assert_eq!(walk.made(Side::New), 0, "a rehearsal sends nothing");
    // The file is written a moment after the count.
    let go = async {
        loop {
            let ran = walk.commands(walk.step("Step 2: compare").0).await.remove(0);
            if ran.code == Some(0) {
                return ran;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let ran = tokio::time::timeout(Duration::from_secs(20), go).await.expect("the report says GO");
    assert!(ran.out.contains("GO") && !ran.out.contains("NO-GO"), "{ran:?}");
}

async fn read_both(walk: &mut Walk, old: &str) {
    let status = walk.put("Step 3: let readers see both", 0).await;
    assert_eq!((&status["modes"]["get"], &status["modes"]["list"]), (&json!("both"), &json!("both")));
    assert_eq!(walk.get(&format!("/{old}")).await.0, 200);
    assert_eq!(walk.get("?limit=100").await.1["items"].as_array().unwrap().len(), 6);
}

async fn first_creates(walk: &mut Walk) {
    let before = walk.made(Side::Legacy);
    walk.put("Step 4: the first creates", 0).await;
    assert_eq!(walk.create("first-on-new").await.0, 200);
    assert_eq!((walk.made(Side::Legacy), walk.made(Side::New)), (before, 1));
    let ran = walk.commands(walk.step("Step 4: the first creates").0).await;
    assert!(ran[0].code == Some(0) && ran[0].out.contains("new"), "{ran:?}");
    let status = walk.put("Step 4: the first creates", 1).await;
    assert_eq!(status["canary"]["percent"], 5);
    walk.balances();
}

async fn everybody(walk: &mut Walk, old: &str) {
    walk.put("Step 5: everybody", 0).await;
    assert_eq!(walk.create("live").await.0, 200);
    assert_eq!(walk.create("old").await.0, 409, "a reference of the old API stays there");
    assert_eq!(walk.get(&format!("/{old}")).await.0, 200);
    assert_eq!(walk.made(Side::New), 2);
    walk.balances();
}

async fn back_and_forth(walk: &mut Walk) {
    let before = walk.made(Side::New);
    let status = walk.put("Going back", 0).await;
    assert_eq!((&status["modes"]["create"], &status["modes"]["get"]), (&json!("legacy"), &json!("both")));
    assert_eq!(walk.create("gone-back").await.0, 200);
    assert_eq!(walk.create("live").await.0, 409, "a reference of the new API stays there");
    assert_eq!(walk.made(Side::New), before);
    // What the page says the loader refuses.
    write(&walk.config, walk.step("Step 2: compare").blocks("toml")[0]);
    walk.shim.logged("config refused, nothing changed").await;
    assert_eq!(walk.status().await["modes"]["get"], "both");
    walk.put("Going back", 1).await;
    assert_eq!(walk.create("held").await.0, 503);
    assert_eq!(walk.get("?limit=1").await.0, 200);
    walk.put("Going back", 2).await;
    assert_eq!(walk.create("held").await.0, 200);
    walk.balances();
}

async fn seal(walk: &mut Walk) {
    let status = walk.put("Step 6: seal", 0).await;
    assert_eq!(status["modes"]["cancel"], "new");
    let looked = walk.vendor.books().arrived(Side::Legacy, Operation::List);
    let (code, made) = walk.create("sealed").await;
    assert_eq!(code, 200);
    let id = made["id"].as_str().unwrap();
    let cancel = walk.client.delete(walk.shim.public(&format!("{LEGACY}/{id}"))).bearer_auth(TOKEN);
    assert_eq!(cancel.send().await.unwrap().status(), 403);
    assert_eq!(walk.create("old").await.0, 409, "from the ledger's memory");
    assert_eq!(
        walk.vendor.books().arrived(Side::Legacy, Operation::List),
        looked,
        "the old API is not asked"
    );
}
