//! The address of the admin listener of a running proxy: from `--admin`, or from the config, even one that is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;

use super::check;
use super::config_args::ConfigArgs;
use super::exit::{CONFIG, FAILED};
use super::output::{complain, print_error};
use crate::config::keys;
use crate::config::load::{Sources, examine};
use crate::config::{ConfigProblem, admin_listen};

/// The value of `--admin`: `ADDRESS:PORT`, `NAME:PORT`, or a port of this machine.
#[derive(Clone, Debug)]
pub(super) struct AdminAddr {
    host: String,
    port: u16,
}

impl FromStr for AdminAddr {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORMS: &str = "expected ADDRESS:PORT, NAME:PORT or PORT, for example 127.0.0.1:9090";
        if text.contains("://") || text.contains('/') {
            return Err("is a URL; expected only ADDRESS:PORT, for example 127.0.0.1:9090");
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("127.0.0.1", text));
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(FORMS)?;
        // Brackets separate the colons of an IPv6 address from that of the port.
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        if host.is_empty() || (host.contains(':') && bare.is_none()) {
            return Err(FORMS);
        }
        Ok(Self { host: host.into(), port })
    }
}

/// The addresses to try, one after the other: a name may have one of each family, and the listener is at one of them. Without any, prints
/// why and returns the exit code.
pub(super) fn find(given: Option<AdminAddr>, config: ConfigArgs) -> Result<Vec<SocketAddr>, u8> {
    let Some(AdminAddr { host, port }) = given else {
        return configured(&config.into_sources()).map(|address| vec![address]);
    };
    let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    let reason = match found {
        Ok(addresses) if !addresses.is_empty() => return Ok(addresses),
        Ok(_) => "has no address".to_owned(),
        Err(error) => error.to_string(),
    };
    complain(format_args!("--admin {host}: {reason}"));
    Err(FAILED)
}

/// `admin.listen` of the config. A refused config is used as well: the proxy still runs with the previous one.
fn configured(sources: &Sources) -> Result<SocketAddr, u8> {
    let (found, source) = match examine(sources) {
        Ok(examined) => {
            let source = examined.rows().into_iter().find(|row| row.key == keys::ADMIN_LISTEN);
            (examined.config().admin.listen, source.map(|row| row.source).unwrap_or_default())
        }
        Err(problems) => {
            let address = admin_listen(sources).filter(|address| address.port() != 0);
            let Some(address) = address else { return Err(no_address(&problems)) };
            let address = connects_to(address);
            complain(format_args!("the config file is refused (run `check`); connecting to {address}"));
            (Some(address), "the refused config".into())
        }
    };
    let refuse = |message: &str| no_address(&[ConfigProblem::new(keys::ADMIN_LISTEN, message, source)]);
    match found {
        None => Err(refuse("is off, so there is no listener to connect to")),
        Some(address) if address.port() == 0 => {
            Err(refuse("is port 0, any free port; the proxy's log has the actual one"))
        }
        Some(address) => Ok(connects_to(address)),
    }
}

fn no_address(problems: &[ConfigProblem]) -> u8 {
    check::refused(problems);
    print_error("To name the address directly: conversion-shim status --admin ADDRESS:PORT\n");
    CONFIG
}

/// Replaces the unspecified address (all interfaces), which can be listened on but not connected to, by loopback.
pub(super) const fn connects_to(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_address_is_an_address_a_name_or_a_port() {
        let parse = |text: &str| text.parse::<AdminAddr>().map(|address| (address.host, address.port));
        assert_eq!(parse("127.0.0.1:9090"), Ok(("127.0.0.1".into(), 9090)));
        assert_eq!(parse("localhost:9090"), Ok(("localhost".into(), 9090)));
        assert_eq!(parse("[::1]:9090"), Ok(("::1".into(), 9090)));
        assert_eq!(parse("9090"), Ok(("127.0.0.1".into(), 9090)));
        for wrong in ["", "localhost", "localhost:", ":9090", "::1:9090", "127.0.0.1:0", "a:99999", "1:2:3"] {
            assert!(
                parse(wrong).is_err_and(|error| error.contains("ADDRESS:PORT, NAME:PORT or PORT")),
                "{wrong}"
            );
        }
        assert!(parse("http://localhost:9090").is_err_and(|error| error.contains("is a URL")));
    }
}
