//! The durable table of claims: which side a client's reference belongs to. It is what makes "at most one conversion per `ref_id`
//! over both APIs" hold under retries, several replicas and crashes. Here live what a claim is, the steps it may take, and where
//! it is kept (SQLite or PostgreSQL, the same SQL). When to claim, look, send or answer is not here: that is `cutover`'s.
//!
//! # The steps, and why they are safe
//!
//! ```text
//!              claim                    fence
//!   (nothing) ───────▶ claimed on S ───────────▶ fenced on S      record_id: none ──remember_id──▶ known
//!                          │   └──── remember_id ────▲
//!                          └──── move_to ──▶ fenced on O (the other side)
//! ```
//!
//! That is all; nothing leads back, and **a claim changes its side at most once, and never after it was fenced**.
//!
//! - [`claim`](Ledger::claim) is a unique insert: of any number of callers on any number of replicas one wins, and every one of
//!   them is told the winner's side.
//! - [`fence`](Ledger::fence) holds only while the claim is still on the side that the caller means to send to. Whoever is told
//!   [`TransitionResult::Done`] may send to that side, because from then on no [`move_to`](Ledger::move_to) can succeed: a side to which a
//!   POST may be under way never changes behind the sender's back. Fencing twice is harmless. A caller who looked while another
//!   one moved the claim is told [`TransitionResult::Refused`] and the claim as it stands: moved and fenced, on the side that holds the record.
//!   That side is the one he may send to now; it refuses a second record with the same reference by itself.
//! - [`move_to`](Ledger::move_to) is for a record found on the other side while the claim is not fenced, so nobody who keeps to the
//!   rule above has sent anything. It fences at once: that side refuses a second record with the same reference by itself.
//!   Moving where the claim already is, is harmless.
//! - [`remember_id`](Ledger::remember_id) is for a record that the claim's side accepted; it fences as well. An id never changes.
//!
//! A caller who by design does not look at the other side (it is gone, or nothing was ever created there) may send while the
//! claim is only `claimed`. He can lose it to a `move_to` meanwhile, but only to a side that already held the record.
//!
//! A step that is refused changes nothing. A call that *fails* may still have happened; it is safe to ask again, since each step,
//! done late, is one that was safe when it was asked for. Claims are never deleted.
//!
//! # The high-water mark
//!
//! [`first_new_create_at`](Ledger::new_since) is written in the transaction that makes or moves a claim to the new side, therefore before the
//! POST that follows can be sent. It errs on the safe side: the POST may not have happened.
//!
//! # Durable means synced
//!
//! SQLite: write-ahead log, `synchronous=FULL`, one writer that commits everything that waits together and answers afterwards.
//! PostgreSQL: `synchronous_commit=on` in every session, `fsync=off` refused. No call ever reports success earlier.

pub mod advisories;
mod claim;
mod commands;
mod connection;
mod error;
mod file_identity;
mod group_commit;
mod health;
mod postgres;
mod queries;
mod reader;
pub mod reload_guard;
mod schema;
mod settings;
mod sqlite;

use jiff::Timestamp;
use tokio::sync::watch;

pub use claim::{
    Claim, ClaimState, Claimed, Count, Fingerprint, Key, KeyError, NotAFingerprint, RECORD_ID_MAX,
    REF_ID_MAX, Recent, Stats, TENANT_MAX, TransitionResult,
};
pub use error::{LedgerError, OpenError};
pub use health::Health;
pub use reader::{Ended, Operation, Reader};
pub use settings::{Settings, check_url};

use crate::translate::side::Side;
use commands::{Applied, Change, Write};
use reader::{Reads, in_time};
use settings::DatabaseUrl;

/// The whole ledger. Cheap to clone; all clones share one writer or pool.
#[derive(Clone)]
pub struct Ledger {
    reader: Reader,
    store: Store,
}

#[derive(Clone)]
enum Store {
    Sqlite(sqlite::Store),
    Postgres(postgres::Store),
}

impl Ledger {
    /// Opens the ledger, makes its tables if they are missing, and takes the lock if only one process may have it.
    ///
    /// # Errors
    /// [`OpenError`], in particular [`OpenError::Locked`] when another process has the SQLite file.
    pub async fn open(settings: &Settings) -> Result<Self, OpenError> {
        let place: DatabaseUrl = settings.url.parse()?;
        let opening = async {
            Ok(match place {
                DatabaseUrl::Sqlite(path) => Store::Sqlite(sqlite::Store::open(&path, settings).await?),
                DatabaseUrl::Postgres(options) => {
                    Store::Postgres(postgres::Store::open(*options, settings, true).await?)
                }
            })
        };
        let store = in_time(settings.timeout, opening).await?;
        let reads = match &store {
            Store::Sqlite(store) => Reads::Sqlite(store.reads.clone()),
            Store::Postgres(store) => Reads::Postgres(store.clone()),
        };
        Ok(Self { reader: Reader::new(reads, settings), store })
    }

    /// Claims the key for `side`, or returns the claim that is there, untouched.
    ///
    /// # Errors
    /// [`LedgerError`]; the claim may have been made, nothing may be sent.
    pub async fn claim(
        &self,
        key: Key<'_>,
        side: Side,
        fingerprint: &Fingerprint,
    ) -> Result<Claimed, LedgerError> {
        self.write(Write::Change(Change::claim(key, side, fingerprint))).await?.try_into()
    }

    /// Settles the claim on `side`, whose other side was seen empty. Refused when the claim is not, or no longer, on `side`.
    ///
    /// # Errors
    /// [`LedgerError`]; nothing may be sent.
    pub async fn fence(&self, key: Key<'_>, side: Side) -> Result<TransitionResult, LedgerError> {
        self.change(Change::fence(key, side)).await
    }

    /// Settles the claim on `to`, where a record with this reference was found (its id, if it has one). Refused when the claim is
    /// already fenced on the other side.
    ///
    /// # Errors
    /// [`LedgerError`]; [`LedgerError::Unfit`] when the id cannot be stored (move without it).
    pub async fn move_to(
        &self,
        key: Key<'_>,
        to: Side,
        record_id: Option<&str>,
    ) -> Result<TransitionResult, LedgerError> {
        record_id.map_or(Ok(()), |id| claim::fits("record id", id, RECORD_ID_MAX))?;
        self.change(Change::move_to(key, to, record_id)).await
    }

    /// Remembers the id of the record that `side` accepted, and thereby settles the claim. Refused when the claim is on the other
    /// side or has another id.
    ///
    /// # Errors
    /// [`LedgerError`]; the record exists all the same.
    pub async fn remember_id(
        &self,
        key: Key<'_>,
        side: Side,
        record_id: &str,
    ) -> Result<TransitionResult, LedgerError> {
        claim::fits("record id", record_id, RECORD_ID_MAX)?;
        self.change(Change::remember(key, side, record_id)).await
    }

    /// [`Reader::look`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn look(&self, key: Key<'_>) -> Result<Option<Claim>, LedgerError> {
        self.reader.look(key).await
    }

    /// [`Reader::first_new_create_at`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn first_new_create_at(&self) -> Result<Option<Timestamp>, LedgerError> {
        self.reader.first_new_create_at().await
    }

    /// The reading half, with [`Reader::stats`].
    #[must_use]
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Makes one durable write that changes no claim: the whole way of a claim, so that [`health`](Self::health) turns ready only
    /// when creates can work again. Ask while the ledger is down; calls keep the state up to date otherwise.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn probe(&self) -> Result<(), LedgerError> {
        self.write(Write::Probe).await.map(drop)
    }

    /// What the last calls found.
    #[must_use]
    pub fn health(&self) -> Health {
        self.reader.health.now()
    }

    /// Told of every change between ready and down.
    #[must_use]
    pub fn watch_health(&self) -> watch::Receiver<Health> {
        self.reader.health.subscribe()
    }

    /// How many transactions this process committed: with SQLite many writes share one.
    #[must_use]
    pub fn commits(&self) -> u64 {
        match &self.store {
            Store::Sqlite(store) => store.commits(),
            Store::Postgres(store) => store.commits(),
        }
    }

    /// Ends in order: whatever was accepted is written, and a SQLite file is free for another process when this returns. Waits for the
    /// other clones to go. Not needed for durability.
    pub async fn close(self) {
        match self.store {
            Store::Sqlite(store) => store.close().await,
            Store::Postgres(store) => store.close().await,
        }
    }

    async fn change(&self, change: Change) -> Result<TransitionResult, LedgerError> {
        self.write(Write::Change(change)).await.map(TransitionResult::from)
    }

    async fn write(&self, write: Write) -> Result<Applied, LedgerError> {
        let writing = async {
            match &self.store {
                Store::Sqlite(store) => store.write(write).await,
                Store::Postgres(store) => store.write(write).await,
            }
        };
        self.reader.bounded(writing, true).await
    }
}
