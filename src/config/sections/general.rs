//! The keys above the first section.

use std::net::SocketAddr;

use super::modes::Stage;
use crate::config::read::KeyReader;
use crate::config::values::{address, canonical_path};

pub(in crate::config) const REPLICAS: &str = "replicas";
pub(crate) const STAGE: &str = "stage";

/// The top-level keys; `None` for a value that cannot be used.
pub(in crate::config) struct General {
    pub(in crate::config) listen: Option<SocketAddr>,
    pub(in crate::config) base_path: Option<String>,
    pub(in crate::config) stage: Option<Stage>,
    pub(in crate::config) replicas: Option<u32>,
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> General {
    General {
        listen: keys.on_restart("listen").parsed(address),
        base_path: keys.on_reload("base_path").parsed(|text| canonical_path(text).map(|()| text.to_owned())),
        stage: keys.on_reload(STAGE).choice(Stage::ALL, Stage::as_str),
        replicas: keys.on_reload(REPLICAS).number(1..=1000),
    }
}
