//! Pages whose calls ran out before their position: a retry of the request goes on from there, in this process.

use std::sync::Arc;
use std::time::Duration;

use http::header;
use moka::sync::Cache;

use super::RouteContext;
use crate::translate::list::progress::Progress;
use crate::translate::side::Side;

/// Maximum number of pages, of some kilobytes each.
const PAGES_MAX: u64 = 1000;
/// The sides' own cursors seldom live longer.
const LIFETIME: Duration = Duration::from_mins(10);

#[derive(Clone)]
pub(crate) struct ListProgress(Cache<PageKey, Arc<Progress>>);

/// What makes two requests ask for one page, as one caller.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct PageKey {
    query: String,
    authorization: Vec<u8>,
    sides: Vec<Side>,
}

impl PageKey {
    /// The key of a page that continues from a cursor.
    pub(super) fn of(context: &RouteContext, sides: &[Side]) -> Option<Self> {
        let query = context.head.uri.query()?.to_owned();
        let authorization = context.head.headers.get(header::AUTHORIZATION);
        let authorization = authorization.map(|value| value.as_bytes().to_vec()).unwrap_or_default();
        Some(Self { query, authorization, sides: sides.to_vec() })
    }
}

impl Default for ListProgress {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(PAGES_MAX).time_to_live(LIFETIME).build())
    }
}

impl ListProgress {
    /// It stays: an answer that is lost is asked for again.
    pub(super) fn of(&self, key: &PageKey) -> Option<Arc<Progress>> {
        self.0.get(key)
    }

    pub(super) fn remember(&self, key: PageKey, progress: Progress) {
        self.0.insert(key, Arc::new(progress));
    }
}
