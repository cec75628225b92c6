//! What a claim is: values only, no storage.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::translate::side::Side;

/// Longest tenant, in bytes.
pub const TENANT_MAX: usize = 256;
/// Longest `ref_id`, in bytes. With the tenant it fits one PostgreSQL index entry (about 2700 bytes).
pub const REF_ID_MAX: usize = 1024;
/// Longest record id that a claim remembers, in bytes.
pub const RECORD_ID_MAX: usize = 256;

/// What a claim is for: one client reference of one tenant.
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
    pub const fn tenant(&self) -> &'a str {
        self.tenant
    }

    /// The client's reference.
    #[must_use]
    pub const fn ref_id(&self) -> &'a str {
        self.ref_id
    }
}

/// A text that cannot be (part of) a key or a remembered id. Never shows the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The part is empty.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// The part is longer than the given number of bytes.
    #[error("{0} is longer than {1} bytes")]
    TooLong(&'static str, usize),
    /// The part holds U+0000.
    #[error("{0} contains a NUL character")]
    Nul(&'static str),
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

/// How far a claim has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClaimState {
    /// A side was chosen, nothing is known about the other one yet: look there before anything is sent.
    Claimed,
    /// The side is settled for good: the other one was seen empty, or the record was found on, or accepted by, this one.
    Checked,
}

impl ClaimState {
    /// The name in the table and on the operator's screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Checked => "fenced",
        }
    }
}

/// Which side a reference belongs to, and what is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The only side that a create with this reference may be sent to.
    pub side: Side,
    /// Whether that side can still change.
    pub state: ClaimState,
    /// The body that made the claim.
    pub fingerprint: Fingerprint,
    /// The record's id on `side`, once known.
    pub record_id: Option<String>,
    /// When the claim was made, by the clock of the process that made it.
    pub created_at: Timestamp,
    /// When it last changed, by the clock of the process that changed it.
    pub updated_at: Timestamp,
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The claim as it stands now; its side may be another than the one asked for.
    pub claim: Claim,
    /// Whether this call made it.
    pub fresh: bool,
}

/// The answer to a step that is allowed only while the claim stands as the caller believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransitionResult {
    /// The claim now stands as asked, by this call or an earlier one.
    Done(Claim),
    /// Not allowed; the claim is untouched and stands like this. Act on it: send to its
    /// side or to none, never to the one you had in mind.
    Refused(Claim),
    /// There is no such claim. Claims are kept, so this is a fault of the caller or a table restored from an older copy.
    Absent,
}

/// How many claims there are of one side and state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The claims' side.
    pub side: Side,
    /// The claims' state.
    pub state: ClaimState,
    /// How many there are.
    pub claims: u64,
}

/// The claims of one side that are not old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// How many there are.
    pub claims: u64,
    /// When the newest of them was made.
    pub last: Option<Timestamp>,
}

/// The whole table in a few numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// One entry for each side and state that occurs, legacy before new, claimed before fenced.
    pub counts: Vec<Count>,
    /// When the oldest claim was made.
    pub first: Option<Timestamp>,
    /// When the newest claim was made.
    pub last: Option<Timestamp>,
    /// A create went, or may have gone, to the new side since then.
    pub first_new_create_at: Option<Timestamp>,
}
