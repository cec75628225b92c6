//! Every block of the page in every config that is delivered.

use super::page::{Step, configs, page, with_block};
use crate::support::process::run;

/// The configs that somebody starts from.
pub(crate) const SHIPPED: [&str; 3] = [
    "config/production.example.toml",
    "deploy/compose/config/conversion-shim.toml",
    "deploy/kubernetes/conversion-shim.toml",
];

#[tokio::test]
async fn every_block_fits_every_config_that_is_shipped() {
    let page = page();
    let blocks = configs(&page);
    assert!(blocks.len() >= 10, "{blocks:?}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("conversion-shim.toml");
    for path in SHIPPED {
        let shipped = std::fs::read_to_string(path).unwrap();
        for (heading, at) in &blocks {
            let block = &format!("ledger.id = \"made\"\n{}", Step::under(&page, heading).blocks("toml")[*at]);
            std::fs::write(&file, with_block(&shipped, block)).unwrap();
            let ran = run(&["check", "--config", file.to_str().unwrap()]).await;
            assert_eq!(ran.code, Some(0), "{path}, {heading}, block {at}: {}", ran.err);
            // The block is in force, and what stood beside it still is.
            for (key, value) in block.lines().filter_map(|line| line.split_once(" = ")) {
                let shown = ran.row(key).split("  ").next().unwrap().to_owned();
                assert_eq!(
                    shown,
                    value.trim_matches(['"', '[', ']']),
                    "{path}, {heading}, block {at}: {key}"
                );
            }
            assert!(
                ran.row("canary.salt").starts_with("conversion-cutover"),
                "{path}, {heading}, block {at}"
            );
        }
    }
}

#[tokio::test]
async fn a_table_that_the_page_forbids_is_refused_as_it_says() {
    let page = page();
    assert!(page.contains("`duplicate key`"));
    let shipped = std::fs::read_to_string(SHIPPED[0]).unwrap();
    let block = Step::under(&page, "Step 4: the first creates").blocks("toml")[0];
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("conversion-shim.toml");
    std::fs::write(&file, with_block(&shipped, block) + "\n[canary]\npercent = 5\n").unwrap();
    let ran = run(&["check", "--config", file.to_str().unwrap()]).await;
    assert!(ran.code == Some(3) && ran.err.contains("duplicate key"), "{ran:?}");
}
