//! Records of new that do not look like conversions but were created through the proxy: the ledger is read before a record is hidden.

use super::RouteContext;
use super::presence::KnownSide;
use super::upstream_call::UpstreamResponse;
use crate::failure::{Failure, SideEffect};
use crate::translate::facts::Mirror;
use crate::translate::list::rows::Rows;
use crate::translate::mapping::{self, NotAConversion, Origin};
use crate::translate::orchestration::Orchestration;
use crate::translate::own_records::{HiddenRecord, OwnRecords};
use crate::translate::side::Side;

impl RouteContext {
    /// Why a record of new is hidden from legacy clients; `None` for a conversion, and for any record that was created here.
    ///
    /// # Errors
    /// When the record or the ledger cannot be read.
    pub(super) async fn hidden(
        &self,
        reply: &UpstreamResponse,
        record: &Orchestration<'_>,
        known: KnownSide,
    ) -> Result<Option<NotAConversion>, Failure> {
        let unreadable = reply.unreadable(SideEffect::None);
        // A record that was shown once stays visible.
        match known {
            KnownSide::On(Side::New) | KnownSide::Seen(Side::New) => return Ok(None),
            KnownSide::On(Side::Legacy)
            | KnownSide::Seen(Side::Legacy)
            | KnownSide::Nowhere
            | KnownSide::CouldNotLook => {}
        }
        let Some(why) = mapping::hidden(record, Origin::Unknown).map_err(&unreadable)? else {
            return Ok(None);
        };
        let Some(hidden) = HiddenRecord::of(record) else { return Ok(Some(why)) };
        let origin = self.own_records(&[hidden]).await?.origin(record);
        mapping::hidden(record, origin).map_err(unreadable)
    }

    /// Those of the records that the ledger knows as created here, in one query.
    ///
    /// # Errors
    /// When the ledger cannot be read: then no record may be hidden.
    pub(super) async fn own_records(&self, hidden: &[HiddenRecord]) -> Result<OwnRecords, Failure> {
        let mut own = OwnRecords::default();
        let Some(ledger) = self.services.ledger.as_ref().filter(|_| !hidden.is_empty()) else {
            return Ok(own);
        };
        let ids = hidden.iter().map(|record| record.id.as_str());
        let references = hidden.iter().filter_map(|record| record.ref_id.as_deref());
        let reader = ledger.reader();
        let claims = reader.claims_on(self.tenant(), Side::New, ids.collect(), references.collect()).await;
        for (ref_id, record_id) in claims.map_err(|error| Failure::Ledger(error.into()))? {
            own.add(ref_id, record_id);
        }
        Ok(own)
    }

    /// The references among rows of new whose claims name new, where rows of both sides may be one record under two ids.
    ///
    /// # Errors
    /// When the ledger cannot be asked.
    pub(super) async fn made_on_new(&self, rows: &Rows) -> Result<Vec<String>, Failure> {
        let facts = self.facts();
        let pairs = [facts.mirror, facts.mirror_back].contains(&Mirror::OtherId);
        let Some(ledger) = self.services.ledger.as_ref().filter(|_| pairs) else { return Ok(Vec::new()) };
        let references = rows.references().collect();
        let claims = ledger.reader().claims_on(self.tenant(), Side::New, Vec::new(), references).await;
        let claims = claims.map_err(|error| Failure::Ledger(error.into()))?;
        Ok(claims.into_iter().map(|(ref_id, _)| ref_id).collect())
    }

    /// Leaves out the rows of a side that are known as the other side's records, where it lists those under their own ids. The other
    /// side's list shows them; their times may differ, so that the two rows need not meet on one page.
    ///
    /// # Errors
    /// When the ledger cannot be asked.
    pub(super) async fn drop_mirrors(&self, side: Side, rows: &mut Rows) -> Result<(), Failure> {
        let facts = self.facts();
        let mirror = match side {
            Side::Legacy => facts.mirror_back,
            Side::New => facts.mirror,
        };
        let Some(ledger) = self.services.ledger.as_ref().filter(|_| mirror == Mirror::SameId) else {
            return Ok(());
        };
        let ids = rows.ids().collect();
        let claims = ledger.reader().claims_on(self.tenant(), side.other(), ids, Vec::new()).await;
        let claims = claims.map_err(|error| Failure::Ledger(error.into()))?;
        rows.drop_mirrored(&claims.into_iter().filter_map(|(_, record_id)| record_id).collect());
        Ok(())
    }
}
