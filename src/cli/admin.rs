//! Where the admin listener of a running proxy is: as `--admin` says it, or as the config does, also one that is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;

use super::{CONFIG, ConfigArgs, FAILED, check, complain};
use crate::config::load::{Sources, examine};
use crate::config::{Problem, admin_listen};

/// What `--admin` takes: `ADDRESS:PORT`, `NAME:PORT`, or a port of this machine.
#[derive(Clone, Debug)]
pub(super) struct AdminAddr {
    host: String,
    port: u16,
}

impl FromStr for AdminAddr {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "write it as ADDRESS:PORT, NAME:PORT or PORT, for example 127.0.0.1:9090";
        if text.contains("://") || text.contains('/') {
            return Err("is a url; write only ADDRESS:PORT, for example 127.0.0.1:9090");
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("127.0.0.1", text));
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(WRONG)?;
        // An IPv6 address has colons of its own, and brackets around them here.
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        if host.is_empty() || (host.contains(':') && bare.is_none()) {
            return Err(WRONG);
        }
        Ok(Self { host: host.into(), port })
    }
}

/// Where to ask; an exit code when there is nobody to ask, having said why.
pub(super) fn find(asked: Option<AdminAddr>, config: ConfigArgs) -> Result<SocketAddr, u8> {
    let Some(AdminAddr { host, port }) = asked else { return configured(&config.into_sources(false)) };
    let found = (host.as_str(), port).to_socket_addrs().map(|mut found| found.next());
    let why = match found {
        Ok(Some(address)) => return Ok(address),
        Ok(None) => "has no address".to_owned(),
        Err(error) => error.to_string(),
    };
    complain(&format!("conversion-shim: --admin {host}: {why}\n"));
    Err(FAILED)
}

/// The address that the config gives to the admin listener. A config that is refused is no reason not to ask: the proxy runs with
/// the one before.
fn configured(sources: &Sources) -> Result<SocketAddr, u8> {
    let (found, source) = match examine(sources) {
        Ok(examined) => {
            let source = examined.rows().into_iter().find(|row| row.key == "admin.listen");
            (examined.config().admin.listen, source.map(|row| row.source).unwrap_or_default())
        }
        Err(problems) => {
            let address = admin_listen(sources).filter(|address| address.port() != 0);
            let Some(address) = address else { return Err(nobody(&problems)) };
            complain(&format!("the config file is refused (run `check`); asking {}\n", connects_to(address)));
            (Some(address), "the refused config".into())
        }
    };
    let refuse = |message: &str| nobody(&[Problem::new("admin.listen", message, source)]);
    match found {
        None => Err(refuse("is off, so nobody can be asked")),
        Some(address) if address.port() == 0 => Err(refuse("is any free port; the proxy's log says which")),
        Some(address) => Ok(connects_to(address)),
    }
}

fn nobody(problems: &[Problem]) -> u8 {
    check::refused(problems);
    complain("To ask a running proxy all the same: conversion-shim status --admin ADDRESS:PORT\n");
    CONFIG
}

/// "All interfaces" is where to listen, not where to connect to.
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
    fn a_place_is_an_address_a_name_or_a_port() {
        let place = |text: &str| text.parse::<AdminAddr>().map(|place| (place.host, place.port));
        assert_eq!(place("127.0.0.1:9090"), Ok(("127.0.0.1".into(), 9090)));
        assert_eq!(place("localhost:9090"), Ok(("localhost".into(), 9090)));
        assert_eq!(place("[::1]:9090"), Ok(("::1".into(), 9090)));
        assert_eq!(place("9090"), Ok(("127.0.0.1".into(), 9090)));
        for wrong in ["", "localhost", "localhost:", ":9090", "::1:9090", "127.0.0.1:0", "a:99999", "1:2:3"] {
            assert!(
                place(wrong).is_err_and(|why| why.contains("ADDRESS:PORT, NAME:PORT or PORT")),
                "{wrong}"
            );
        }
        assert!(place("http://localhost:9090").is_err_and(|why| why.contains("is a url")));
    }
}
