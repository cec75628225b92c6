//! SIGHUP makes a running proxy read its configuration at once, whatever its poll interval is.

use conversion_shim::sandbox::{Options, Sandbox};

use crate::support::process::{Config, Shim};

#[tokio::test]
async fn sighup_reloads_at_once() {
    let vendor = Sandbox::start(Options::default()).await.unwrap();
    let config = Config::new(&vendor);
    // An hour: the only look at the file within this test is the signal's.
    config.write("stage = \"observe\"\n");
    let slow = ["--set", "reload.poll_interval=1h"];
    let shim = Shim::serve(&[&["--config", config.path().to_str().unwrap()], &slow[..]].concat()).await;
    config.write("stage = \"hold\"\n");
    shim.signal("-HUP");
    let reloaded = shim.logged("config reloaded").await;
    assert!(reloaded["keys"].as_str().unwrap().starts_with("stage,"), "{reloaded}");
}
