//! SIGTERM while nobody knows yet what became of a create: the process stays until it does.

use std::time::Duration;

use conversion_shim::ledger::{Key, Reader, Settings};
use conversion_shim::sandbox::{ArmedFault, Fault, FaultKind, Operation, Sandbox};
use conversion_shim::translate::side::Side;

use super::clients::{CONVERSIONS, Http, Order};
use super::{ConfigFile, Position, soon, vendor};
use crate::support::dice;
use crate::support::replica::Replica;

const WAIT_MAX: Duration = Duration::from_secs(60);

struct Doubt {
    directory: tempfile::TempDir,
    vendor: Sandbox,
    replica: Replica,
    order: Order,
    /// Where the look-up of the create's outcome waits.
    gate: ArmedFault,
}

impl Doubt {
    /// A replica, and a vendor that makes the conversion, breaks off, and does not answer the look-up yet.
    async fn arrange() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let vendor = vendor().await;
        // Alone with its reference: a fresh ledger needs no duplicate check for a create on legacy, so the first look-up is the one.
        let file = ConfigFile::new(directory.path(), "shim.toml", &vendor, &ledger(&directory), "");
        file.write(Position::Back);
        let replica = Replica::start(&file.path).await.unwrap();
        let broken = Fault::new(FaultKind::Reset { applied: true }).on(Side::Legacy, Operation::Create);
        vendor.faults().arm(broken.times(1));
        let gate = Fault::new(FaultKind::Gate { applied: false }).on(Side::Legacy, Operation::List);
        let gate = vendor.faults().arm(gate);
        let order = Order::new("in doubt", &mut dice::from_environment());
        Self { directory, vendor, replica, order, gate }
    }

    /// Tells the replica to end while the look-up waits, and sees that it does not.
    async fn terminate(&mut self) {
        let from = self.replica.lines();
        self.replica.signal("TERM");
        self.replica.line_after(from, |line| line["message"] == "draining").await.expect("it drains");
        let http = Http::new();
        assert_eq!(http.get(self.replica.address(), "/v2/profiles").await, None, "nobody new is let in");
        assert!(self.replica.is_running());
    }

    /// Lets the look-up through: the process ends in order and the claim knows the id.
    async fn clear_up(self) -> String {
        self.gate.open();
        let ended = self.replica.ended().await;
        assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""));
        assert_eq!(self.vendor.inspector().applied(Side::Legacy, Operation::Create), 1);
        let reader = Reader::open(&Settings::new(ledger(&self.directory))).await.unwrap();
        let claim =
            reader.claim_by_ref(Key::new("default", &self.order.ref_id).unwrap()).await.unwrap().unwrap();
        let id = claim.record_id.expect("the outcome was kept");
        assert_eq!(self.vendor.inspector().record(Side::Legacy, &id).unwrap()["ref_id"], self.order.ref_id);
        id
    }
}

fn ledger(directory: &tempfile::TempDir) -> String {
    format!("sqlite:{}", directory.path().join("ledger.sqlite").display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_waits_gets_its_answer() {
    let mut doubt = Doubt::arrange().await;
    let (to, body) = (doubt.replica.address(), doubt.order.to_conversion());
    let asking = tokio::spawn(async move { Http::new().post(to, CONVERSIONS, &body, WAIT_MAX).await });
    soon(doubt.gate.reached(1)).await;
    doubt.terminate().await;
    let id = doubt.clear_up().await;
    let (status, body) = soon(asking).await.unwrap().unwrap();
    assert_eq!((status, body["id"].as_str()), (200, Some(id.as_str())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outcome_is_found_out_though_the_client_has_left() {
    let mut doubt = Doubt::arrange().await;
    let (to, body) = (doubt.replica.address(), doubt.order.to_conversion());
    let asking = tokio::spawn(async move { Http::two().post(to, CONVERSIONS, &body, WAIT_MAX).await });
    soon(doubt.gate.reached(1)).await;
    asking.abort();
    doubt.terminate().await;
    doubt.clear_up().await;
}
