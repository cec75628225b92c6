//! `[list]`

use crate::config::read::KeyReader;

#[derive(Clone, Debug)]
pub(crate) struct List {
    /// Maximum number of upstream calls for one page; at least 2, one per side.
    pub(crate) upstream_calls_max: usize,
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<List> {
    let upstream_calls_max = keys.on_reload("list.upstream_calls_max").number(2..=1000);
    Some(List { upstream_calls_max: upstream_calls_max? })
}
