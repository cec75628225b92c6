//! What a fault is: its effect, and which requests it affects. A new fault is a variant of [`FaultKind`], its place in
//! [`FaultKind::moment`] and its effect in `vendor`. The control API reads faults by the serde names here.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::operation::Operation;
use super::records::{HiddenRecords, milliseconds};
use crate::translate::side::Side;

/// The effect of a fault. `applied` says whether the write takes effect before it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// The request, or its answer, is held for a time.
    Delay {
        /// How long; `ms` in JSON.
        #[serde(rename = "ms", deserialize_with = "milliseconds")]
        pause: Duration,
        /// Whether the write takes effect before the wait.
        #[serde(default)]
        applied: bool,
    },
    /// The request, or its answer, is held until a test releases it: see [`ArmedFault`](super::ArmedFault).
    Gate {
        /// Whether the write takes effect before the gate.
        #[serde(default)]
        applied: bool,
    },
    /// The connection is reset (TCP RST) without a byte of an answer. On HTTP/2 this ends every request on the connection.
    Reset {
        /// Whether the write takes effect before the reset.
        #[serde(default)]
        applied: bool,
    },
    /// The answer's headers and half of its body, then the connection closes.
    Truncate,
    /// Another status instead of the answer.
    Status {
        /// The status that is answered instead.
        #[serde(deserialize_with = "status_code")]
        code: StatusCode,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
        /// The body of the answer.
        #[serde(default)]
        body: RefusalBody,
        /// Whether the write takes effect nevertheless.
        #[serde(default)]
        applied: bool,
    },
    /// A 200 whose JSON has fields of the wrong types.
    WrongTypes,
    /// A 200 with an HTML page.
    NotJson,
    /// A 200 without a body.
    EmptyBody,
    /// A list that ignores every filter, but not order, limit and cursor.
    IgnoreFilters,
    /// A list or get that does not show some records yet. Writes see them.
    Lag(HiddenRecords),
    /// A list without its rows and its cursor, and with other members beside the empty array, as of a search that was cut short.
    WithoutRows {
        /// What stands beside the array.
        #[serde(default)]
        members: Map<String, Value>,
    },
    /// A success that shows another record than the one that was asked for.
    Foreign {
        /// What is wrong with it.
        shows: ForeignRecord,
    },
    /// The connection, if it is HTTP/1.1, gets this answer once more: the next request on it is answered with the copy, and so on, each
    /// request with its predecessor's answer.
    Twice,
}

/// What [`FaultKind::Foreign`] shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForeignRecord {
    /// The record with another reference.
    AnotherRef,
    /// The record with another amount.
    AnotherAmount,
    /// Only `{"id":"x"}`.
    OnlyId,
}

impl ForeignRecord {
    /// The answer to a create, changed.
    pub(super) fn change(self, record: &mut Map<String, Value>) {
        let changes: &[(&str, &str)] = match self {
            Self::AnotherRef => &[("ref_id", "another")],
            Self::AnotherAmount => &[("amount", "987654"), ("source_amount", "987654")],
            Self::OnlyId => {
                record.clear();
                record.insert("id".to_owned(), "x".into());
                &[]
            }
        };
        for (name, value) in changes {
            if let Some(member) = record.get_mut(*name) {
                *member = Value::from(*value);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Before the request is handled.
    Before,
    During,
    /// On the answer, once a write has taken effect.
    After,
}

impl FaultKind {
    pub(super) const fn moment(&self) -> Moment {
        match self {
            Self::IgnoreFilters | Self::Lag(_) => Moment::During,
            Self::Delay { applied: false, .. }
            | Self::Gate { applied: false }
            | Self::Reset { applied: false }
            | Self::Status { applied: false, .. } => Moment::Before,
            Self::Delay { applied: true, .. }
            | Self::Gate { applied: true }
            | Self::Reset { applied: true }
            | Self::Status { applied: true, .. }
            | Self::Truncate
            | Self::WrongTypes
            | Self::NotJson
            | Self::EmptyBody
            | Self::WithoutRows { .. }
            | Self::Foreign { .. }
            | Self::Twice => Moment::After,
        }
    }
}

/// The body of [`FaultKind::Status`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalBody {
    /// A problem object.
    #[default]
    Problem,
    /// An HTML page, as a gateway sends it.
    Html,
    /// No body.
    Empty,
    /// A problem object of a type, and with a member, that the vendor does not document.
    UnknownType,
}

fn status_code<'de, D: Deserializer<'de>>(from: D) -> Result<StatusCode, D::Error> {
    StatusCode::from_u16(u16::deserialize(from)?).map_err(serde::de::Error::custom)
}

/// A fault and the requests that it affects; by default every request of any side and operation.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Only requests to this API. Tokens and unknown paths have no side.
    pub(crate) side: Option<Side>,
    pub(crate) operation: Option<Operation>,
    /// That many matching requests pass first.
    pub(crate) skip: u64,
    /// The fault acts that many times; `None` is always.
    pub(crate) times: Option<u64>,
    /// The percentage of matching requests that it affects, and the seed of the generator that picks them.
    pub(crate) chance: Option<(u8, u64)>,
    pub(crate) kind: FaultKind,
}

impl Fault {
    /// A fault that affects every request, always.
    #[must_use]
    pub const fn new(kind: FaultKind) -> Self {
        Self { side: None, operation: None, skip: 0, times: None, chance: None, kind }
    }

    /// Only on this side and operation.
    #[must_use]
    pub fn on(mut self, side: impl Into<Option<Side>>, operation: impl Into<Option<Operation>>) -> Self {
        (self.side, self.operation) = (side.into(), operation.into());
        self
    }

    /// The first `count` matching requests pass.
    #[must_use]
    pub const fn after(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// The fault acts `count` times and disarms itself.
    #[must_use]
    pub const fn times(mut self, count: u64) -> Self {
        self.times = Some(count);
        self
    }

    /// Affects `percent` of the matching requests, the same ones for the same seed.
    #[must_use]
    pub const fn sometimes(mut self, percent: u8, seed: u64) -> Self {
        self.chance = Some((percent, seed));
        self
    }
}
