//! The unit against the config that it is delivered with.

use std::net::SocketAddr;

use super::settings::{SYSTEMD, drain, files, run, settings};
use super::{read, seconds, words};

const UNIT: &str = "deploy/systemd/conversion-shim.service";

#[test]
fn the_unit_gives_the_proxy_what_its_config_asks_for() {
    let settings = settings(SYSTEMD);
    assert!(seconds(&words(UNIT, "TimeoutStopSec=")[0]) > drain(&settings));
    assert!(words(UNIT, "LimitNOFILE=")[0].parse::<u64>().unwrap() > files(&settings));
    let state = format!("/var/lib/{}/", words(UNIT, "StateDirectory=")[0]);
    assert!(
        read(SYSTEMD).contains(&format!("\"sqlite:{state}")),
        "the ledger is not in the one place that may be written to: {state}"
    );
    let records = &settings["shadow.log"];
    assert!(records.starts_with(&state), "nor is what shadow found: {records}");
    for document in ["docs/runbook.md", "README.md"] {
        assert!(read(document).contains(&format!("{records}*")), "{document} reads another file");
    }
}

#[test]
fn the_admin_port_of_a_machine_is_open_to_it_alone() {
    let admin: SocketAddr = settings(SYSTEMD)["admin.listen"].parse().unwrap();
    assert!(admin.ip().is_loopback(), "it needs no credentials: {admin}");
}

#[test]
fn a_start_does_not_write_the_whole_config_into_the_journal() {
    assert!(words(UNIT, "ExecStartPre=").contains(&"--quiet".to_owned()));
}

#[test]
fn the_program_knows_the_commands_of_the_unit() {
    for line in ["ExecStart=", "ExecStartPre="] {
        let command = words(UNIT, line);
        let arguments: Vec<_> = command[1..].iter().map(String::as_str).collect();
        // The config is not on this machine: it is refused for that, and not for the command line.
        let (code, said) = run(&arguments);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains("/etc/conversion-shim/conversion-shim.toml"), "{said}");
    }
}
