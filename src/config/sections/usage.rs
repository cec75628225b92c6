//! `[usage]`

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};

use crate::config::read::KeyReader;

#[derive(Clone, Debug)]
pub(crate) struct Usage {
    /// The header in which clients name themselves; `None` = none.
    pub(crate) client_header: Option<HeaderName>,
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Usage> {
    let client_header = keys.on_reload("usage.client_header").optional(client_header);
    Some(Usage { client_header: client_header? })
}

/// Refuses headers that hold credentials: the value is shown to operators.
fn client_header(text: &str) -> Result<HeaderName, String> {
    let name: HeaderName = text.parse().map_err(|_| format!("{text:?} is not the name of a header"))?;
    // The value becomes a client's name in logs, metrics and the ledger.
    match [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(&name) {
        true => Err(format!("{text:?} holds credentials")),
        false => Ok(name),
    }
}
