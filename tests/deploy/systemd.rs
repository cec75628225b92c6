//! The unit against the config that it is delivered with.

use crate::settings::{SYSTEMD, drain, files, run, settings};
use crate::{read, seconds, words};

const UNIT: &str = "deploy/systemd/conversion-shim.service";

#[test]
fn the_unit_gives_the_proxy_what_its_config_asks_for() {
    let settings = settings(SYSTEMD);
    assert!(seconds(&words(UNIT, "TimeoutStopSec=")[0]) > drain(&settings));
    assert!(words(UNIT, "LimitNOFILE=")[0].parse::<u64>().unwrap() > files(&settings));
    let state = format!("\"sqlite:/var/lib/{}/", words(UNIT, "StateDirectory=")[0]);
    assert!(
        read(SYSTEMD).contains(&state),
        "the ledger is not in the one place that may be written to: {state}"
    );
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
