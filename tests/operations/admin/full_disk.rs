//! The real binary with a SQLite ledger whose disk is full for a while.

use conversion_shim::sandbox::Operation;
use conversion_shim::translate::side::Side;
use reqwest::StatusCode;

use super::{create, get, until, vendor};
use crate::support::ledger;
use crate::support::process::{Config, Shim};
use crate::support::small_disk::SmallDisk;

#[tokio::test]
async fn creates_are_refused_and_not_sent_until_there_is_room_and_no_restart_is_needed() {
    let Some(disk) = SmallDisk::mount(2048) else { return };
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    let url = format!("sqlite:{}", disk.path().join("ledger.db").display());
    let ledger = ledger::keys(&url, true);
    config.write_only(&format!("stage = \"live\"\nadmin.listen = \"127.0.0.1:0\"\n{ledger}"));
    let shim = Shim::start(&config).await;
    let mut made = 0;
    for round in 0..3 {
        disk.fill();
        // A few claims find room in blocks that the log has already.
        let mut refused = 0;
        for n in 0..5000 {
            match create(&shim, &format!("full-{round}-{n}")).await {
                StatusCode::OK => made += 1,
                // Nothing else can have refused it.
                StatusCode::SERVICE_UNAVAILABLE => refused += 1,
                other => panic!("{other}"),
            }
            if refused == 3 {
                break;
            }
        }
        assert_eq!(refused, 3, "the disk is full");
        assert_eq!(vendor.inspector().arrived(Side::New, Operation::Create), made, "nothing else was sent");
        disk.free();
        until(|| get(shim.admin("/readyz")), |(status, _)| *status == StatusCode::OK).await;
        assert_eq!(create(&shim, &format!("after-{round}")).await, StatusCode::OK);
        made += 1;
    }
    assert_eq!(vendor.inspector().arrived(Side::New, Operation::Create), made);
    let down = shim.logged("the ledger fails; creates are refused until it works again").await;
    assert!(down["error"].as_str().unwrap().contains("full"), "{down}");
    let again = shim.logged("the ledger works again").await;
    assert!(again["seconds"].as_f64().unwrap() > 0.0, "{again}");
}
