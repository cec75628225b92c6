//! `[hold]`

use std::time::Duration;

use crate::config::read::KeyReader;

#[derive(Clone, Debug)]
pub(crate) struct Hold {
    /// `Retry-After` of a held create; whole seconds.
    pub(crate) retry_after: Duration,
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Hold> {
    let retry_after = keys.on_reload("hold.retry_after").whole_seconds();
    Some(Hold { retry_after: retry_after? })
}
