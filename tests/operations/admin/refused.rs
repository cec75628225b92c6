//! A reload was refused, and the operator asks the running proxy with the very file that it refused.

use std::net::TcpListener;

use super::{get, until, vendor};
use crate::support::process::{Config, Shim, run_with};

#[tokio::test]
async fn status_and_usage_find_the_proxy_by_a_file_that_is_refused() {
    let vendor = vendor().await;
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = Config::new(&vendor);
    let listen = format!("admin.listen = \"{address}\"\n");
    config.write_only(&format!("stage = \"observe\"\n{listen}"));
    let shim = Shim::start(&config).await;
    for wrong in [
        "stage = observe\n",
        "stage = \"nonsense\"\n",
        "stage = \"observe\"\n[hold\n",
        "replicas = \"many\"\nhold = 1\n",
    ] {
        for file in [format!("{wrong}{listen}"), format!("{listen}{wrong}")] {
            config.write_only(&file);
            let active =
                |(_, now): &(_, serde_json::Value)| now["config"]["reload_refused"]["active"] == true;
            until(|| get(shim.admin("/status")), active).await;
            let reported = run_with(&config.path(), &["status"]).await;
            assert_eq!((reported.code, reported.row("stage")), (Some(0), "observe"), "{file}: {reported:?}");
            assert!(reported.row("refused").contains("still refused"), "{reported:?}");
            let note = format!("the config file is refused (run `check`); connecting to {address}\n");
            assert!(reported.err.contains(&note), "{reported:?}");
            let usage = run_with(&config.path(), &["usage"]).await;
            assert_eq!(usage.code, Some(0), "{usage:?}");
            assert!(usage.err.contains(&note), "{usage:?}");
        }
        config.write_only(&format!("stage = \"observe\"\n{listen}"));
        let settled = |(_, now): &(_, serde_json::Value)| now["config"]["reload_refused"]["active"] == false;
        until(|| get(shim.admin("/status")), settled).await;
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_read_means_the_usual_one() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write_only("admin.listen = \"somewhere\"\nstage = \"nonsense\"\n");
    let asked = run_with(&config.path(), &["status"]).await;
    assert!(
        asked.err.contains("the config file is refused (run `check`); connecting to 127.0.0.1:9090"),
        "{asked:?}"
    );
}
