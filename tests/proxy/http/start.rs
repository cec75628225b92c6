//! Signals before anything is served: nothing is in flight, so the process ends at once and in good order.

use std::process::Command;

use crate::support::soon;
use crate::support::wire::binary::Binary;
use crate::support::wire::raw::RawListener;

const SIGTERM: u32 = 15;

/// The program, whose ledger accepts a connection and never answers.
fn opening(launcher: &[&str], ledger: &RawListener, more: &[&str]) -> Binary {
    let url = format!("ledger.url=postgres://shim@{}/shim", ledger.address());
    let keys = ["sandbox.listen=127.0.0.1:0", "stage=observe", "ledger.timeout=10m", &url];
    let arguments: Vec<_> = ["--sandbox"]
        .into_iter()
        .chain([&keys[..], more].concat().into_iter().flat_map(|key| ["--set", key]))
        .collect();
    Binary::run_by(launcher, tempfile::tempdir().unwrap(), &arguments)
}

fn assert_in_order(shim: &Binary) {
    let output = shim.output();
    assert!(!output.iter().any(|line| line.contains("\"ERROR\"") || line.contains("panicked")), "{output:?}");
}

#[tokio::test]
async fn a_signal_ends_the_process_while_its_ledger_does_not_answer() {
    for signal in ["TERM", "INT"] {
        let ledger = RawListener::open().await;
        let mut shim = opening(&[], &ledger, &[]);
        let _connection = ledger.next().await;
        shim.signal(signal);
        assert_eq!(shim.ended().await, Some(0), "{signal}");
        assert_in_order(&shim);
    }
}

/// Where exporting spans has begun, its end is waited for as well.
#[tokio::test]
async fn a_signal_ends_the_process_while_spans_are_exported() {
    let ledger = RawListener::open().await;
    let collector = RawListener::open().await;
    let endpoint = format!("tracing.endpoint={}", collector.url("/v1/traces"));
    let mut shim = opening(&[], &ledger, &[&endpoint]);
    let _connection = ledger.next().await;
    shim.signal("TERM");
    assert_eq!(shim.ended().await, Some(0));
    assert_in_order(&shim);
}

/// The kernel drops a signal for the first process of a container that it does not handle.
#[tokio::test]
async fn the_first_process_of_a_container_is_ended_by_a_signal_as_well() {
    let unshare = ["unshare", "--pid", "--fork", "--kill-child"];
    if !Command::new(unshare[0]).args(&unshare[1..]).arg("true").status().is_ok_and(|ran| ran.success()) {
        eprintln!("no namespace of processes can be made here");
        return;
    }
    for signal in ["-TERM", "-INT"] {
        let ledger = RawListener::open().await;
        let mut shim = opening(&unshare, &ledger, &[]);
        let _connection = ledger.next().await;
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", shim.id())).unwrap();
        assert!(Command::new("kill").args([signal, children.trim()]).status().unwrap().success());
        assert_eq!(shim.ended().await, Some(0), "{signal}");
    }
}

/// Whether the process handles SIGTERM.
fn handles_sigterm(shim: &Binary) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", shim.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 1 << (SIGTERM - 1) != 0
}

/// A config on a file system that hangs, here a pipe that nobody writes to.
#[tokio::test]
async fn a_signal_ends_the_process_while_its_config_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("shim.toml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut shim = Binary::run_by(&[], dir, &["--config", pipe.to_str().unwrap()]);
    soon(async {
        while !handles_sigterm(&shim) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    shim.signal("TERM");
    assert_eq!(shim.ended().await, Some(0));
}
