//! A record's path in another spelling than the canonical one: a side gets the id as the client wrote it, and may deny it for its spelling
//! alone.

use http::StatusCode;

use super::RouteContext;
use crate::failure::Failure;
use crate::translate::evidence;
use crate::translate::route::Id;
use crate::translate::side::Side;
use crate::upstream::Lane;

impl RouteContext {
    /// Whether legacy, which answered 404 to the path as written, denies its spelling and not the record: it shows the record under the
    /// canonical path. Then the 404 is the answer that the client gets from the old API itself.
    ///
    /// # Errors
    /// When the record could not be read.
    pub(super) async fn is_spelling_denied(&self, id: &Id) -> Result<bool, Failure> {
        let canonical = id.canonical();
        let path = format!("{}{}", self.config.base_path, canonical.path_on(Side::Legacy));
        Ok(self.head.uri.path() != path && self.is_shown_under(Side::Legacy, &canonical).await?)
    }

    /// Whether new, which answered 404 to the id as the client wrote it, shows the record under the id's canonical spelling.
    ///
    /// # Errors
    /// When the record could not be read.
    pub(super) async fn is_on_new_in_other_case(&self, id: &Id) -> Result<bool, Failure> {
        let canonical = id.canonical();
        Ok(canonical != *id && self.is_shown_under(Side::New, &canonical).await?)
    }

    async fn is_shown_under(&self, side: Side, id: &Id) -> Result<bool, Failure> {
        let reply = self.read_by_id(side, id, Lane::Read, self.deadline).await?;
        let shown = || evidence::found_conversion(side, reply.content());
        Ok(reply.status == StatusCode::OK && shown().is_some_and(|record| id.is_shown_as(&record.id)))
    }
}
