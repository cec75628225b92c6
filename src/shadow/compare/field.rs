//! Two values of one field: the kind of their difference and its severity.

use crate::shadow::json::Json;
use crate::shadow::types::{DiffKind, Severity};
use crate::translate::{decimal, timestamp};

/// The fields of a record whose differences have severity `money`.
pub(crate) const MONEY: [&str; 8] = [
    "amount",
    "source_asset",
    "target_asset",
    "profile_id",
    "recipient_profile_id",
    "id",
    "ref_id",
    "status",
];

/// How the values of a field are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldClass {
    /// A decimal in a string.
    Amount,
    /// An asset, a profile, an id or a status.
    Money,
    /// An RFC 3339 timestamp.
    Instant,
    /// A party within a customer with subledgers. The vendor's guides show "none" as absent, empty, or the nil UUID.
    Account,
    /// Metadata, and fields that this build does not know.
    Other,
}

impl FieldClass {
    pub(super) fn of(name: &str) -> Self {
        match name {
            "amount" => Self::Amount,
            money if MONEY.contains(&money) => Self::Money,
            "created_at" | "updated_at" | "settled_at" | "cancelled_at" => Self::Instant,
            "identity_id" | "account_id" => Self::Account,
            _ => Self::Other,
        }
    }

    /// The kind and the severity of the difference, if the values differ.
    pub(super) fn compare(self, served: Option<&Json>, other: Option<&Json>) -> Option<(DiffKind, Severity)> {
        let kind = presence(served, other).or_else(|| self.kind(served?, other?))?;
        Some((kind, self.severity(kind, served, other)))
    }

    fn kind(self, served: &Json, other: &Json) -> Option<DiffKind> {
        if served == other {
            return None;
        }
        // As decimals and instants: `1.50` and `1.5` are the same money, in other digits, which a client may still show differently.
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
            // A client that can parse one can parse the other. The times of the two APIs differ by nature.
            Self::Instant if kind == DiffKind::Value && parses(served) == parses(other) => Severity::Cosmetic,
            Self::Account if is_unset(served) && is_unset(other) => Severity::Cosmetic,
            Self::Instant | Self::Account | Self::Other => Severity::Contract,
        }
    }
}

/// The difference that shows without the values: one is missing, or the JSON types differ.
pub(super) fn presence(served: Option<&Json>, other: Option<&Json>) -> Option<DiffKind> {
    match (served, other) {
        (Some(_), None) => Some(DiffKind::Missing),
        (None, Some(_)) => Some(DiffKind::Extra),
        (Some(served), Some(other)) if !served.is_like(other) => Some(DiffKind::Type),
        (Some(_), Some(_)) | (None, None) => None,
    }
}

/// Whether an identity or account means "none".
#[must_use]
pub(crate) fn is_unset(value: Option<&Json>) -> bool {
    const NIL: &str = "00000000-0000-0000-0000-000000000000";
    match value {
        None | Some(Json::Null) => true,
        Some(value) => value.as_text().is_some_and(|text| text.is_empty() || text == NIL),
    }
}

/// Whether two timestamps are equal to the number of fraction digits that both have.
fn same_instant(one: &str, other: &str) -> bool {
    // One API writes microseconds, the other may cut them; a cut time is the same time, as far as both say it.
    let digits = fraction_digits(one).min(fraction_digits(other));
    let truncated = |text: &str| Some(timestamp::parse(text)?.as_nanosecond().div_euclid(unit(digits)));
    truncated(one).is_some_and(|one| Some(one) == truncated(other))
}

/// The nanoseconds of one unit in the last of so many fraction digits.
fn unit(digits: u32) -> i128 {
    10_i128.pow(9_u32.saturating_sub(digits))
}

fn fraction_digits(text: &str) -> u32 {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    u32::try_from(digits).unwrap_or(u32::MAX)
}
