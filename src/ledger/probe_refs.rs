//! References that `probe` converts with. They are kept apart from the claims, and written before they are sent.

use std::sync::LazyLock;

use jiff::Timestamp;

use super::claim::Key;
use super::claim_batches::{ClaimsByRefs, placeholders};
use super::connection::{Bind, Connection, Guarded, LedgerRequest, guarded};
use super::error::LedgerError;
use super::queries::{ClaimContextByRef, OwnedKey};
use super::{Ledger, Reader};

impl Ledger {
    /// Records a reference before it is sent.
    ///
    /// # Errors
    /// [`LedgerError`]; then it must not be sent.
    pub(crate) async fn record_probe_ref(&self, key: Key<'_>) -> Result<(), LedgerError> {
        self.write(RecordProbeRef(key.into())).await
    }
}

impl Reader {
    /// Those of the references that `probe` converts with.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn probe_refs_among(
        &self,
        tenant: &str,
        ref_ids: Vec<&str>,
    ) -> Result<Vec<String>, LedgerError> {
        if ref_ids.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(&ProbeRefsAmong(ClaimsByRefs::new(tenant, ref_ids))).await
    }
}

impl Reader {
    /// Whether `probe` converted with a reference.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(crate) async fn is_probe_ref(&self, key: Key<'_>) -> Result<bool, LedgerError> {
        Ok(!self.probe_refs_among(key.tenant(), vec![key.ref_id()]).await?.is_empty())
    }
}

struct RecordProbeRef(OwnedKey);

const RECORD: Guarded = guarded!(
    ["INSERT INTO probe_refs (tenant, ref_id, created_at_us) SELECT $2, $3, $4 WHERE "],
    [" ON CONFLICT (tenant, ref_id) DO NOTHING RETURNING ref_id"],
);

impl LedgerRequest for RecordProbeRef {
    type Output = ();

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        let [tenant, ref_id] = self.0.binds();
        let now = Bind::Number(Timestamp::now().as_microsecond());
        let rows: Vec<(String,)> = connection.guarded(&RECORD, &[tenant, ref_id, now]).await?;
        if rows.is_empty() {
            // Recorded before, or the guard did not hold, which `ClaimContextByRef` reports.
            ClaimContextByRef(&self.0).run(connection).await?;
        }
        Ok(())
    }
}

struct ProbeRefsAmong<'a>(ClaimsByRefs<'a>);

static AMONG: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT ref_id FROM probe_refs WHERE tenant = $1 AND ref_id IN ({})", placeholders(2))
});

impl LedgerRequest for ProbeRefsAmong<'_> {
    type Output = Vec<String>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let mut found = Vec::new();
        for binds in self.0.batches() {
            let rows: Vec<(String,)> = connection.rows(AMONG.as_str(), &binds).await?;
            found.extend(rows.into_iter().map(|(ref_id,)| ref_id));
        }
        Ok(found)
    }
}
