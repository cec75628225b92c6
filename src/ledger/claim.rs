//! The values of a claim, without storage.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::translate::side::Side;

pub use crate::config::TENANT_MAX;
/// Longest `ref_id`, in bytes. With the tenant it fits one PostgreSQL index entry (about 2700 bytes).
pub const REF_ID_MAX: usize = 1024;
/// Longest record id that a claim remembers, in bytes.
pub const RECORD_ID_MAX: usize = 256;

/// The key of a claim: one client reference of one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key<'a> {
    tenant: &'a str,
    ref_id: &'a str,
}

impl<'a> Key<'a> {
    /// A key that both backends store exactly as it is.
    ///
    /// # Errors
    /// When a part is empty, longer than [`TENANT_MAX`] or [`REF_ID_MAX`], or holds a NUL, which PostgreSQL cannot store. The
    /// fault is the caller's: the same reference will never fit.
    pub fn new(tenant: &'a str, ref_id: &'a str) -> Result<Self, KeyError> {
        fits("tenant", tenant, TENANT_MAX)?;
        fits("ref_id", ref_id, REF_ID_MAX)?;
        Ok(Self { tenant, ref_id })
    }

    /// The customer behind the credential.
    #[must_use]
    pub(crate) const fn tenant(&self) -> &'a str {
        self.tenant
    }

    #[must_use]
    pub(crate) const fn ref_id(&self) -> &'a str {
        self.ref_id
    }
}

/// Why a text cannot be stored as a key or as a record id. Never shows the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The part, by name, is empty.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// The part is longer than the given number of bytes.
    #[error("{0} is longer than {1} bytes")]
    TooLong(&'static str, usize),
    /// The part, by name, holds U+0000, which PostgreSQL cannot store.
    #[error("{0} contains a NUL character")]
    Nul(&'static str),
}

impl KeyError {
    /// What is wrong with the part, as the rest of a sentence that its name begins.
    pub(crate) fn predicate(self) -> String {
        let (Self::Empty(part) | Self::TooLong(part, _) | Self::Nul(part)) = self;
        self.to_string().split_off(part.len() + 1)
    }
}

pub(super) fn fits(part: &'static str, text: &str, most: usize) -> Result<(), KeyError> {
    match text {
        "" => Err(KeyError::Empty(part)),
        _ if text.len() > most => Err(KeyError::TooLong(part, most)),
        _ if text.contains('\0') => Err(KeyError::Nul(part)),
        _ => Ok(()),
    }
}

/// A 256-bit digest of a create's body, made by the caller. Equal fingerprints mean equal requests.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// In place of one: the claim was written for a record at the vendor, and the body of its create is not known.
    pub(crate) const NO_BODY: Self = Self([0; 32]);
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(const_hex::Buffer::<32>::new().format(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Fingerprint({self})")
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 64 hexadecimal digits")]
pub struct NotAFingerprint;

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Of 64 characters, so that the prefix "0x", which const-hex skips, is refused.
        if text.len() != 64 {
            return Err(NotAFingerprint);
        }
        const_hex::decode_to_array(text).map(Self).map_err(|_| NotAFingerprint)
    }
}

/// The state of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClaimState {
    /// A side was chosen; the other side has not been checked for a duplicate.
    Claimed,
    /// The side is final in this generation: the other one was checked, or the record was found on, or accepted by, this one.
    Checked,
    /// Every attempt of this generation ended without a conversion: the next one may choose the side anew.
    Refused,
}

impl ClaimState {
    pub(crate) const ALL: [Self; 3] = [Self::Claimed, Self::Checked, Self::Refused];

    /// The name in output for operators.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Checked => "checked",
            Self::Refused => "refused",
        }
    }

    /// The name in the table. Ledgers of 0.1 hold `fenced` for a checked claim, and stored words do not change.
    pub(super) const fn stored(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Checked => "fenced",
            Self::Refused => "refused",
        }
    }
}

/// The side that a reference belongs to, and what is known about its creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The only side that a create with this reference may be sent to in this generation.
    pub side: Side,
    /// How far it has come.
    pub state: ClaimState,
    /// The digest of the body that made the claim, or chose its side anew.
    pub fingerprint: Fingerprint,
    /// The record's id on `side`, once known.
    pub record_id: Option<String>,
    /// Counts how often the side was chosen; from 1.
    pub generation: i64,
    /// Attempts begun in this generation; from 1, because choosing the side begins the first.
    pub begun: i64,
    /// Attempts of this generation that are known to have made nothing.
    pub closed: i64,
    /// When the claim was made, by the clock of the process that made it.
    pub created_at: Timestamp,
    /// When it last changed, by the clock of the process that changed it.
    pub updated_at: Timestamp,
}

impl Claim {
    /// Whether a walk wrote it for a record of the vendor: it is no proof that the create came through here.
    #[must_use]
    pub(crate) fn is_adopted(&self) -> bool {
        self.fingerprint == Fingerprint::NO_BODY
    }
}

impl Claim {
    /// What the next statement about this claim expects to find.
    #[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "tests build it from a claim"))]
    #[must_use]
    pub const fn expected(&self) -> Expected {
        Expected { generation: self.generation, side: self.side, state: self.state }
    }
}

/// The claim as the caller read it. A statement that finds another one changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// As in [`Claim::generation`].
    pub generation: i64,
    /// [`Claim::side`].
    pub side: Side,
    /// [`Claim::state`].
    pub state: ClaimState,
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The claim as it is now; its side may be another than the one asked for.
    pub claim: Claim,
    /// Whether this call made it, and thereby began its first attempt.
    pub inserted: bool,
    /// Whether a create may have gone to the new side: the mark says so, or any claim names new. Read after the insert.
    pub created_on_new: bool,
    /// Whether a create with this reference on the new API's own path is recorded. Read after the insert, and not for a claim that this
    /// call made for the new side, where it decides nothing.
    pub native: bool,
    /// What the ledger alone says about the reference on the other side. Read by the statement that made the claim, and `Unknown` for one
    /// that this call did not make.
    pub other_side: OtherSide,
}

/// What the ledger alone says about a reference on the side that its claim does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherSide {
    /// Nothing: the side is not complete, or the reference was claimed before.
    Unknown,
    /// It does not hold the reference.
    Absent,
    /// It does not hold exactly this reference, and the ledger knows one that differs in case or in spaces around it.
    AbsentUnlessAlike,
}

/// What [`release`](super::Ledger::release) did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Released {
    /// The claim is refused now; the next create may choose its side anew.
    Done(Claim),
    /// It was refused before; nothing was changed.
    Already(Claim),
    /// An attempt may be younger than an hour; nothing was changed.
    TooYoung {
        /// The claim as it is.
        claim: Claim,
        /// When it may be released, unless another attempt begins.
        at: Timestamp,
    },
    /// No claim has this key.
    Absent,
}

/// The claims of one side since a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    pub(crate) claims: u64,
    /// When the newest of them was made.
    pub(crate) last: Option<Timestamp>,
}
