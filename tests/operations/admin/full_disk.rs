//! The real binary with a SQLite ledger whose disk is full for a while.

use conversion_shim::sandbox::Operation;
use conversion_shim::translate::side::Side;
use reqwest::StatusCode;

use super::{create, get, until, vendor};
use crate::support::ledger;
use crate::support::process::{Config, Shim, run};
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

/// What a start on a full disk serves: everything but creates, of which a log that was left may still take some. How many it took.
async fn serves_all_but_creates(shim: &Shim, known: &str) -> u64 {
    let readable = get(shim.public(&format!("/v2/conversion/stablecoins/{known}"))).await;
    assert_eq!(readable.0, StatusCode::OK, "{}", readable.1);
    assert_eq!(get(shim.public("/v2/conversion/stablecoins")).await.0, StatusCode::OK);
    assert_eq!(get(shim.public("/v2/profiles")).await.0, StatusCode::OK);
    let mut made = 0;
    loop {
        match create(shim, &format!("{known}-{made}")).await {
            StatusCode::OK => made += 1,
            refused => break assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE),
        }
    }
    // Where the log takes a small write now and then, so does the probe.
    if made == 0 {
        let ready = get(shim.admin("/readyz")).await;
        assert_eq!(ready.0, StatusCode::SERVICE_UNAVAILABLE, "{}", ready.1);
        assert!(ready.1.to_string().contains("full"), "{}", ready.1);
    }
    made
}

#[tokio::test]
async fn a_start_on_a_full_disk_serves_all_but_creates_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(2048) else { return };
    for (stage, in_use, side) in [("ready", false, Side::Legacy), ("live", true, Side::New)] {
        let vendor = vendor().await;
        let config = Config::new(&vendor);
        let url = format!("sqlite:{}", disk.path().join(format!("{stage}.db")).display());
        let ledger = ledger::keys(&url, in_use);
        config.write_only(&format!("stage = \"{stage}\"\nadmin.listen = \"127.0.0.1:0\"\n{ledger}"));
        let mut closed = 0;
        // Ended in order, which leaves the ledger's file alone, and killed, which leaves its log.
        for signal in ["-TERM", "-KILL"] {
            let mut shim = Shim::start(&config).await;
            assert_eq!(create(&shim, &format!("before{signal}")).await, StatusCode::OK);
            let listed = get(shim.public("/v2/conversion/stablecoins")).await.1;
            let known = listed["items"][0]["id"].as_str().unwrap().to_owned();
            shim.signal(signal);
            let _ = shim.ended().await;
            let arrived = vendor.inspector().arrived(side, Operation::Create);
            disk.fill();

            let shim = Shim::start(&config).await;
            let made = serves_all_but_creates(&shim, &known).await;
            closed += u32::from(made == 0);
            assert_eq!(
                vendor.inspector().arrived(side, Operation::Create),
                arrived + made,
                "nothing else was sent"
            );
            disk.free();
            until(|| get(shim.admin("/readyz")), |(status, _)| *status == StatusCode::OK).await;
            assert_eq!(create(&shim, &format!("before{signal}")).await, StatusCode::CONFLICT);
            assert_eq!(create(&shim, &format!("after{signal}")).await, StatusCode::OK);
        }
        assert!(closed > 0, "{stage}: the disk was full from the first write on");
    }
}

#[tokio::test]
async fn a_start_on_a_full_disk_refuses_another_ledger_than_the_config_means() {
    let Some(disk) = SmallDisk::mount(2048) else { return };
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    let url = format!("sqlite:{}", disk.path().join("ledger.db").display());
    ledger::make(&url, true);
    disk.fill();
    let another = ledger::named(&url, true).replace("\"test\"", "\"another\"");
    config.write_only(&format!("stage = \"live\"\n{another}"));
    let ran = run(&["serve", "--config", config.path().to_str().unwrap()]).await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.err.contains("ledger.id"), "{ran:?}");
}
