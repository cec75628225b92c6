//! HTTP bodies and header rules that every layer shares. Nothing here knows the proxy's routes or its config.

pub(crate) mod accept;
pub(crate) mod body;
pub(crate) mod capture;
pub(crate) mod decode;
pub(crate) mod descriptors;
pub(crate) mod detach;
pub(crate) mod forwarded;
pub(crate) mod headers;
pub(crate) mod hop_by_hop;
pub(crate) mod html;
pub(crate) mod peer;
pub(crate) mod received;
pub(crate) mod send_gate;
