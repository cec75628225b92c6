//! What the vendor's answers held that this version does not know, over all replicas and restarts. Bounded: names, never values.

use jiff::Timestamp;

use super::connection::{Bind, Connection, Guarded, LedgerRequest, guarded};
use super::error::LedgerError;
use super::queries::time;
use super::{Ledger, Reader};

/// Most rows that a tenant may have.
pub(crate) const ROWS_MAX: i64 = 200;

/// An unknown name at its first sight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriftRow {
    /// `new.record.label`.
    pub path: String,
    /// The JSON type of the value.
    pub value_type: String,
    /// Whether it may say something about money.
    pub is_money: bool,
    /// When a replica first saw it.
    pub first_seen: Timestamp,
}

struct KeepDrift {
    tenant: String,
    rows: Vec<DriftRow>,
    /// Paths that the config acknowledges.
    known: Vec<String>,
}

const FORGET: Guarded =
    guarded!(["DELETE FROM ledger_drift WHERE tenant = $2 AND path = $3 AND "], [" RETURNING path"]);

const KEEP: Guarded = guarded!(
    [
        "INSERT INTO ledger_drift (tenant, path, value_type, money, first_seen_us, version) SELECT $2, $3, $4, $5, $6, $7 \
         WHERE (SELECT COUNT(*) FROM ledger_drift WHERE tenant = $2) < $8 AND "
    ],
    [" ON CONFLICT (tenant, path, value_type) DO NOTHING RETURNING path"],
);

impl LedgerRequest for KeepDrift {
    type Output = ();

    const COMPOUND: bool = true;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<(), LedgerError> {
        use Bind::{Number, Text};
        let made_room = self.make_room(connection).await?;
        for row in self.rows.iter().filter(|row| !(made_room && self.known.contains(&row.path))) {
            let binds = [
                Text(&self.tenant),
                Text(&row.path),
                Text(&row.value_type),
                Number(i64::from(row.is_money)),
                Number(row.first_seen.as_microsecond()),
                Text(env!("CARGO_PKG_VERSION")),
                Number(ROWS_MAX),
            ];
            // No row comes back for one that is there already, or when the table is full.
            let _: Vec<(String,)> = connection.guarded(&KEEP, &binds).await?;
        }
        Ok(())
    }
}

impl KeepDrift {
    /// In a full table, names that are acknowledged make room for others; whether there was need.
    async fn make_room<C: Connection>(&self, connection: &mut C) -> Result<bool, LedgerError> {
        let rows = DriftOnRecord { tenant: &self.tenant }.run(connection).await?;
        let is_full = rows.len() as i64 >= ROWS_MAX;
        if is_full {
            for path in &self.known {
                let binds = [Bind::Text(&self.tenant), Bind::Text(path)];
                connection.guarded::<(String,)>(&FORGET, &binds).await?;
            }
        }
        Ok(is_full)
    }
}

struct DriftOnRecord<'a> {
    tenant: &'a str,
}

const ON_RECORD: &str = "SELECT path, value_type, money, first_seen_us FROM ledger_drift WHERE tenant = $1 ORDER BY path, value_type";

impl LedgerRequest for DriftOnRecord<'_> {
    type Output = Vec<DriftRow>;

    async fn run<C: Connection>(&self, connection: &mut C) -> Result<Self::Output, LedgerError> {
        let rows: Vec<(String, String, i64, i64)> =
            connection.rows(ON_RECORD, &[Bind::Text(self.tenant)]).await?;
        let row = |(path, value_type, money, at)| {
            Ok(DriftRow { path, value_type, is_money: money != 0, first_seen: time(at)? })
        };
        rows.into_iter().map(row).collect()
    }
}

impl Reader {
    /// What any replica saw that its version did not know, by path; at most 200 rows.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn drift(&self, tenant: &str) -> Result<Vec<DriftRow>, LedgerError> {
        self.ask(&DriftOnRecord { tenant }).await
    }
}

impl Ledger {
    /// Keeps what was seen. What is on record stays as it is, but in a full table, where what is `known` makes room for the rest.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn keep_drift(
        &self,
        tenant: &str,
        rows: Vec<DriftRow>,
        known: Vec<String>,
    ) -> Result<(), LedgerError> {
        self.check_suspended()?;
        self.write(KeepDrift { tenant: tenant.to_owned(), rows, known }).await
    }
}
