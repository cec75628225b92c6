//! One process on a SQLite file: nobody else gets at it, a killed one loses no claim, and readers are never sent back behind what
//! was made on the new API.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conversion_shim::ledger::{Key, Reader, Settings};
use conversion_shim::sandbox::{Dice, Fault, FaultKind, Operation};
use conversion_shim::translate::side::Side;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::clients::{CONVERSIONS, Http, Kind, Order, Register, conversion_id};
use super::{ConfigFile, Position, soon, vendor};
use crate::support::dice;
use crate::support::replica::Replica;

const WAIT_MAX: Duration = Duration::from_secs(20);
/// What a process says with its exit code.
const FAILED: Option<i32> = Some(1);
const CONFIG_REFUSED: Option<i32> = Some(3);

fn ledger(directory: &Path) -> String {
    format!("sqlite:{}", directory.join("ledger.sqlite").display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let vendor = vendor().await;
    let file = ConfigFile::new(directory.path(), "shim.toml", &vendor, &ledger(directory.path()), "");
    file.write(Position::Live);
    let first = Replica::start(&file.path).await.unwrap();
    let ended = Replica::start(&file.path).await.err().expect("the second one does not serve");
    assert_eq!(ended.code, FAILED);
    assert!(ended.errors.contains("in use by another process"), "{}", ended.errors);
    first.kill();
    let third = Replica::start(&file.path).await;
    assert!(third.is_ok(), "a dead process holds no lock");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_no_claim() {
    let mut dice = dice::from_environment();
    let directory = tempfile::tempdir().unwrap();
    let ledger = ledger(directory.path());
    let vendor = vendor().await;
    let file = ConfigFile::new(directory.path(), "shim.toml", &vendor, &ledger, "timeouts.create = \"3s\"");
    let (address, register) = (Arc::new(watch::Sender::new(None)), Arc::new(Register::default()));
    let http = Http::new();
    let mut clients = JoinSet::new();
    for number in 0..16 {
        let (http, to, register) = (http.clone(), address.subscribe(), register.clone());
        clients.spawn(client(number, http, to, register, dice.fork()));
    }
    // Writes take effect long after their sender is gone, and lists that are read meanwhile do not show them.
    let late = FaultKind::Delay { pause: Duration::from_millis(700), applied: false };
    vendor.faults().arm(Fault::new(late).on(None, Operation::Create).sometimes(50, 1));
    let positions = [Position::Live, Position::Back, Position::Canary, Position::Back, Position::Live];
    for position in positions {
        file.write(position);
        let replica = Replica::start(&file.path).await.unwrap();
        address.send_replace(Some(replica.address()));
        let arrived = |side| vendor.inspector().arrived(side, Operation::Create);
        let (legacy, new) = (arrived(Side::Legacy), arrived(Side::New));
        // Until fresh references have gone where the position sends them; the first ones are repeats of what the kill cut off.
        let wait = |side, seen: u64| vendor.inspector().wait_arrived(side, Operation::Create, seen + 8);
        let arriving = async {
            match position {
                Position::Live => wait(Side::New, new).await,
                Position::Back => wait(Side::Legacy, legacy).await,
                Position::Observe | Position::Hold | Position::Canary => tokio::select! {
                    () = wait(Side::Legacy, legacy) => {}
                    () = wait(Side::New, new) => {}
                },
            }
        };
        soon(arriving).await;
        let sent: Vec<String> = references_sent(&vendor);
        replica.kill();
        address.send_replace(None);
        let reader = Reader::open(&Settings::new(&ledger)).await.unwrap();
        for reference in sent {
            let claim = reader.claim_by_ref(Key::new("default", &reference).unwrap()).await.unwrap();
            assert!(claim.is_some(), "{reference} was sent and its claim is lost");
        }
    }
    vendor.faults().clear();
    let replica = Replica::start(&file.path).await.unwrap();
    address.send_replace(Some(replica.address()));
    soon(clients.join_all()).await;
    let audit = register.balance(vendor.inspector(), &ledger).await;
    audit.assert_clean();
    assert!(audit.legacy > 0 && audit.new > 0);
}

/// Every reference that a create has carried to the vendor.
fn references_sent(vendor: &conversion_shim::sandbox::Sandbox) -> Vec<String> {
    let creates =
        vendor.inspector().requests().into_iter().filter(|seen| seen.operation == Operation::Create);
    let reference = |body: &[u8]| {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        body["ref_id"].as_str().unwrap().to_owned()
    };
    creates.map(|seen| reference(&seen.body)).collect()
}

/// Sees a few orders through, whatever becomes of the process meanwhile.
async fn client(
    number: u64,
    http: Http,
    mut to: watch::Receiver<Option<std::net::SocketAddr>>,
    register: Arc<Register>,
    mut dice: Dice,
) {
    for count in 0..20 {
        let order = Order::new(format!("order-{number}-{count}"), &mut dice);
        register.ordered(&order);
        loop {
            let address = to.wait_for(Option::is_some).await.unwrap().unwrap();
            let answer = http.post(address, CONVERSIONS, &order.to_conversion(), WAIT_MAX).await;
            match answer.map_or(Ok(None), |(status, body)| conversion_id(status, &body)) {
                Ok(Some(id)) => break register.record_answer(&order, id),
                Ok(None) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(wrong) => break register.wrong(Kind::FalseRefusal, wrong),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_are_not_sent_back_behind_what_was_made_on_new() {
    let directory = tempfile::tempdir().unwrap();
    let vendor = vendor().await;
    let file = ConfigFile::new(directory.path(), "shim.toml", &vendor, &ledger(directory.path()), "");
    file.write(Position::Live);
    let replica = Replica::start(&file.path).await.unwrap();
    let order = Order::new("the first on new", &mut dice::from_environment());
    let answer = Http::new().post(replica.address(), CONVERSIONS, &order.to_conversion(), WAIT_MAX).await;
    let id = conversion_id(200, &answer.unwrap().1).unwrap().unwrap();

    let from = replica.lines();
    file.write(Position::Observe);
    let refused = replica.line_after(from, |line| line["message"] == "config refused, nothing changed").await;
    let refused = refused.unwrap();
    assert_eq!(refused["key"], "stage", "{refused}");
    let read = Http::new().get(replica.address(), &format!("{CONVERSIONS}/{id}")).await.unwrap();
    assert_eq!((read.0, read.1["id"].as_str()), (200, Some(id.as_str())), "the old modes are still in force");
    replica.kill();

    let ended = Replica::start(&file.path).await.err().expect("a start is refused as well");
    assert_eq!(ended.code, CONFIG_REFUSED, "{}", ended.errors);
    assert!(ended.errors.contains("stage") && ended.errors.contains("get is legacy"), "{}", ended.errors);
    // Going back is open all the same: creates on legacy, readers on both.
    file.write(Position::Back);
    assert!(Replica::start(&file.path).await.is_ok());
}
