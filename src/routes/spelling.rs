//! A record's path in another spelling than the canonical one: legacy gets it as the client wrote it, and may deny it for its spelling alone.

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
        let canonical = format!("{}{}", self.config.base_path, id.path_on(Side::Legacy));
        if self.head.uri.path() == canonical {
            return Ok(false);
        }
        let reply = self.read_by_id(Side::Legacy, id, Lane::Read, self.deadline).await?;
        let shown = || evidence::found_conversion(Side::Legacy, reply.content());
        Ok(reply.status == StatusCode::OK && shown().is_some_and(|record| record.id == id.as_str()))
    }
}
