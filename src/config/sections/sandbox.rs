//! `[sandbox]`

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::read::KeyReader;
use crate::config::values::address;

pub(crate) const LISTEN: &str = "sandbox.listen";

#[derive(Clone, Debug)]
pub(crate) struct Sandbox {
    /// Address of the embedded vendor.
    pub(crate) listen: SocketAddr,
    /// Time until a conversion settles.
    pub(crate) settle_after: Duration,
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Sandbox> {
    let listen = keys.on_restart(LISTEN).parsed(address);
    let settle_after = keys.on_restart("sandbox.settle_after").duration(Duration::ZERO);
    Some(Sandbox { listen: listen?, settle_after: settle_after? })
}
