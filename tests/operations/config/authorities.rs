//! Certificate authorities of the machine, as the real binary finds them.

use std::path::Path;

use crate::support::process::{Shim, run_within};
use crate::support::wire::tls::Pair;

/// A config with an https upstream.
fn config(directory: &Path) -> String {
    let file = directory.join("shim.toml");
    let keys = "listen = \"127.0.0.1:0\"\nadmin.listen = \"\"\nlog.format = \"json\"\nupstream.legacy.url = \"https://vendor.test/v2\"\n";
    std::fs::write(&file, keys).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn without_any_an_https_upstream_is_refused_at_start() {
    let directory = tempfile::tempdir().unwrap();
    let (nowhere, rubbish) = (directory.path().join("nowhere"), directory.path().join("rubbish.pem"));
    std::fs::write(&rubbish, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
    for path in [nowhere, rubbish] {
        let path = path.to_str().unwrap();
        let config = config(directory.path());
        let ran =
            run_within(&["serve", "--config", &config], &[("SSL_CERT_FILE", path), ("SSL_CERT_DIR", path)])
                .await;
        assert_ne!(ran.code, Some(0), "{ran:?}");
        let said = format!("{}{}", ran.out, ran.err);
        for word in ["no certificate authority", "SSL_CERT_FILE", path, "upstream.ca_file"] {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_of_the_store_is_a_warning_while_something_can() {
    let directory = tempfile::tempdir().unwrap();
    let (good, _) = Pair::new().write(directory.path());
    let mixed = directory.path().join("mixed.pem");
    // One that is no base64, and one that is no certificate.
    let damaged =
        ["!", "AAAA"].map(|text| format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"));
    let bundle = format!("{}{}", std::fs::read_to_string(good).unwrap(), damaged.concat());
    std::fs::write(&mixed, bundle).unwrap();
    let environment = [("SSL_CERT_FILE", mixed.to_str().unwrap()), ("SSL_CERT_DIR", "/nowhere")];
    let config = config(directory.path());
    let shim = Shim::run(&["--config", &config], &environment).await;
    let log = shim.log();
    for words in ["certificate store cannot be read", "certificate of the system's store cannot be used"] {
        let warned = |line: &&serde_json::Value| {
            line["level"] == "WARN" && line["message"].as_str().unwrap().contains(words)
        };
        assert!(log.iter().any(|line| warned(&line)), "{words}: {log:?}");
    }
}
