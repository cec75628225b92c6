//! One field: whether its two values differ, in which way, and how much that matters.

use crate::shadow::json::Json;
use crate::shadow::types::{DiffKind, Severity};
use crate::translate::{decimal, timestamp};

/// The fields of a record that money hangs on: how much, what, whose, which one, and what became of it.
pub const MONEY: [&str; 8] = [
    "amount",
    "source_asset",
    "target_asset",
    "profile_id",
    "recipient_profile_id",
    "id",
    "ref_id",
    "status",
];

/// What a field of a record means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// How much.
    Amount,
    /// What, whose, which one, and what became of it.
    Money,
    /// When.
    Instant,
    /// Whose, within a customer with subledgers. Not given, it is absent, empty, or the nil UUID, depending on the vendor's year.
    Account,
    /// What is the client's own, and what this build does not know.
    Other,
}

impl Field {
    pub(super) fn of(name: &str) -> Self {
        match name {
            "amount" => Self::Amount,
            money if MONEY.contains(&money) => Self::Money,
            "created_at" | "updated_at" | "settled_at" | "cancelled_at" => Self::Instant,
            "identity_id" | "account_id" => Self::Account,
            _ => Self::Other,
        }
    }

    /// What differs between two values of this field, and how grave that is.
    pub(super) fn weigh(self, served: Option<&Json>, other: Option<&Json>) -> Option<(DiffKind, Severity)> {
        let kind = presence(served, other).or_else(|| self.kind(served?, other?))?;
        Some((kind, self.severity(kind, served, other)))
    }

    fn kind(self, served: &Json, other: &Json) -> Option<DiffKind> {
        if served == other {
            return None;
        }
        let same = match (served, other) {
            (Json::Text(served), Json::Text(other)) => match self {
                Self::Amount => decimal::same(served, other),
                Self::Instant => same_instant(served, other),
                Self::Money | Self::Account | Self::Other => false,
            },
            (Json::Number(served), Json::Number(other)) => decimal::same(served, other),
            _ => false,
        };
        Some(if same { DiffKind::Precision } else { DiffKind::Value })
    }

    fn severity(self, kind: DiffKind, served: Option<&Json>, other: Option<&Json>) -> Severity {
        let parses =
            |value: Option<&Json>| value.and_then(Json::as_text).and_then(timestamp::parse).is_some();
        match self {
            _ if kind == DiffKind::Precision => Severity::Cosmetic,
            Self::Amount | Self::Money => Severity::Money,
            // A client that can read the one can read the other.
            Self::Instant if kind == DiffKind::Value && parses(served) == parses(other) => Severity::Cosmetic,
            Self::Account if is_unset(served) && is_unset(other) => Severity::Cosmetic,
            Self::Instant | Self::Account | Self::Other => Severity::Contract,
        }
    }
}

/// What can be told without the values: whether both are there, and of one type.
pub(super) fn presence(served: Option<&Json>, other: Option<&Json>) -> Option<DiffKind> {
    match (served, other) {
        (Some(_), None) => Some(DiffKind::Missing),
        (None, Some(_)) => Some(DiffKind::Extra),
        (Some(served), Some(other)) if !served.is_like(other) => Some(DiffKind::Type),
        (Some(_), Some(_)) | (None, None) => None,
    }
}

/// Whether an identity or account says that there is none.
#[must_use]
pub fn is_unset(value: Option<&Json>) -> bool {
    const NIL: &str = "00000000-0000-0000-0000-000000000000";
    match value {
        None | Some(Json::Null) => true,
        Some(value) => value.as_text().is_some_and(|text| text.is_empty() || text == NIL),
    }
}

/// Whether two timestamps are the same, to the digits that both have.
fn same_instant(one: &str, other: &str) -> bool {
    let digits = fraction_digits(one).min(fraction_digits(other));
    let truncated = |text: &str| Some(timestamp::parse(text)?.as_nanosecond().div_euclid(unit(digits)));
    truncated(one).is_some_and(|one| Some(one) == truncated(other))
}

/// How many nanoseconds the last of so many digits counts.
fn unit(digits: u32) -> i128 {
    10_i128.pow(9_u32.saturating_sub(digits))
}

fn fraction_digits(text: &str) -> u32 {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    u32::try_from(digits).unwrap_or(u32::MAX)
}
