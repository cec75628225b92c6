//! `[forwarding]`

use ipnet::{IpNet, Ipv4Net};

use crate::config::read::KeyReader;

/// `[forwarding]`
#[derive(Clone, Debug)]
pub struct Forwarding {
    /// Add `Via` (RFC 9110, section 7.6.3).
    pub via: bool,
    /// Add `X-Forwarded-For`, `-Host` and `-Proto`.
    pub(crate) x_forwarded: bool,
    /// Add `Forwarded` (RFC 7239).
    pub(crate) forwarded: bool,
    /// Networks of proxies whose forwarding headers are trusted.
    pub trusted_proxies: Vec<IpNet>,
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Forwarding> {
    let via = keys.on_reload("forwarding.via").boolean();
    let x_forwarded = keys.on_reload("forwarding.x_forwarded").boolean();
    let forwarded = keys.on_reload("forwarding.forwarded").boolean();
    let trusted_proxies = networks(keys, "forwarding.trusted_proxies");
    Some(Forwarding {
        via: via?,
        x_forwarded: x_forwarded?,
        forwarded: forwarded?,
        trusted_proxies: trusted_proxies?,
    })
}

/// Requires a prefix length and no host bits: `10.0.0.1/8` may be a typo of a single address.
fn networks(keys: &mut KeyReader, key: &'static str) -> Option<Vec<IpNet>> {
    let texts = keys.on_reload(key).texts()?;
    let (mut networks, mut invalid) = (Vec::new(), Vec::new());
    for text in texts {
        match text.parse::<IpNet>() {
            // Bits beyond the prefix are a slip: `10.0.0.1/8` may have been meant as one address.
            Ok(network) if network.trunc() == network => networks.push(canonical(network)),
            Ok(_) | Err(_) => invalid.push(text),
        }
    }
    for text in &invalid {
        let message = format!("{text:?} is not a network, like 10.0.0.0/8, 192.0.2.1/32 or fd00::/8");
        keys.problem(key, message);
    }
    invalid.is_empty().then_some(networks)
}

/// Addresses are compared in their IPv4 form where they have one, so a network of IPv4-mapped ones is an IPv4 network.
fn canonical(network: IpNet) -> IpNet {
    // A client over IPv4 on a dual-stack socket has a mapped address, which is compared as IPv4.
    let IpNet::V6(mapped) = network else { return network };
    let length = mapped.prefix_len().checked_sub(96);
    let parts = mapped.addr().to_ipv4_mapped().zip(length);
    parts.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(network, IpNet::V4)
}
