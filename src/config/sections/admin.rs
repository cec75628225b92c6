//! `[admin]`

use std::net::SocketAddr;

use crate::config::read::KeyReader;
use crate::config::values::address;

pub(crate) const LISTEN: &str = "admin.listen";

#[derive(Clone, Debug)]
pub(crate) struct Admin {
    /// Address of the operators' listener; `None` = no such listener.
    pub(crate) listen: Option<SocketAddr>,
}

/// `public` is the address of the clients' listener.
pub(in crate::config) fn read(keys: &mut KeyReader, public: Option<SocketAddr>) -> Option<Admin> {
    let listen = keys.on_restart(LISTEN).optional(address)?;
    // Port 0 is a free port, so two of them are not the same one.
    if listen.is_some_and(|listen| listen.port() != 0 && public == Some(listen)) {
        keys.problem(LISTEN, "is the same as listen");
    }
    Some(Admin { listen })
}
