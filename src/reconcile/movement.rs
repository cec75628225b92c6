//! One movement of the vendor's report, and what it has to be to be one of its record's. Pure.

use std::borrow::Cow;

use crate::translate::conversion::Conversion;
use crate::translate::decimal;
use crate::translate::identifier;
use crate::translate::json::Text;
use crate::translate::side::Side;

/// The documented types of lines about conversions and orchestrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MovementKind {
    Creation,
    Settlement,
    Cancellation,
    Reserve,
    Unreserve,
}

impl MovementKind {
    pub(super) const ALL: [Self; 5] =
        [Self::Creation, Self::Settlement, Self::Cancellation, Self::Reserve, Self::Unreserve];

    /// The value of `TransactionType`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Creation => "CONVERSION_CREATION",
            Self::Settlement => "CONVERSION_SETTLEMENT",
            Self::Cancellation => "CONVERSION_CANCELLATION",
            Self::Reserve => "ORCHESTRATION_RESERVE",
            Self::Unreserve => "ORCHESTRATION_UNRESERVE",
        }
    }

    /// The side whose records have it.
    const fn side(self) -> Side {
        match self {
            Self::Creation | Self::Settlement | Self::Cancellation => Side::Legacy,
            Self::Reserve | Self::Unreserve => Side::New,
        }
    }

    /// Whether it takes from a balance; the others add to one.
    pub(super) const fn is_debit(self) -> bool {
        match self {
            Self::Creation | Self::Reserve => true,
            Self::Settlement | Self::Cancellation | Self::Unreserve => false,
        }
    }
}

/// One line. A transaction and its direction are unique, so that two equal lines are one movement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Movement {
    pub(super) kind: MovementKind,
    /// The direction; `None` where the report has none: a spreadsheet may have left the column out.
    pub(super) is_debit: Option<bool>,
    pub(super) tx_id: String,
    pub(super) amount: String,
    pub(super) assets: String,
    pub(super) profile_id: String,
}

impl Movement {
    /// Why this is no movement of that record; `None` if it is one.
    pub(super) fn differs(&self, side: Side, conversion: &Conversion<'_>) -> Option<String> {
        let (kind, name) = (self.kind, self.kind.name());
        if kind.side() != side {
            return Some(format!("the report has {name}, which is none of the {side} side's"));
        }
        if self.is_debit.is_some_and(|is_debit| is_debit != kind.is_debit()) {
            let direction = if kind.is_debit() { "credit" } else { "debit" };
            return Some(format!("the report has {name} as a {direction}"));
        }
        match kind {
            MovementKind::Creation | MovementKind::Reserve => {
                let field = self.source_differs(conversion)?;
                Some(format!("the report has another {field}"))
            }
            MovementKind::Cancellation | MovementKind::Unreserve => {
                let field = self.source_differs(conversion)?;
                Some(format!("the report has another {field} in {name}"))
            }
            MovementKind::Settlement => self.target_differs(conversion),
        }
    }

    /// Whether it says that the record's amount left a balance, and the record says which amount.
    pub(super) fn proves_debit(&self, conversion: &Conversion<'_>) -> bool {
        self.kind.is_debit()
            && self.is_debit != Some(false)
            && conversion.amount.is_some()
            && conversion.source_asset.is_some()
    }

    /// What is debited, and what comes back.
    fn source_differs(&self, conversion: &Conversion<'_>) -> Option<&'static str> {
        if self.has_other_amount(conversion) {
            return Some("amount");
        }
        if value(conversion.source_asset).is_some_and(|asset| !self.has_asset(&asset)) {
            return Some("asset");
        }
        let profile = value(conversion.profile_id).filter(|_| !self.profile_id.is_empty());
        profile.is_some_and(|profile| !identifier::same(&profile, &self.profile_id)).then_some("profile")
    }

    /// One unit of an asset is converted into one of the other.
    fn target_differs(&self, conversion: &Conversion<'_>) -> Option<String> {
        if let Some(asset) = value(conversion.target_asset).filter(|asset| !self.has_asset(asset)) {
            return Some(format!("the report does not credit {asset}"));
        }
        if self.has_other_amount(conversion) {
            return Some("the report credits another amount".into());
        }
        let profiles = [conversion.recipient_profile_id, conversion.profile_id].map(value);
        let mut named = profiles.iter().flatten().peekable();
        let is_known = named.peek().is_some() && !self.profile_id.is_empty();
        let is_other = is_known && named.all(|profile| !identifier::same(profile, &self.profile_id));
        is_other.then(|| "the report credits another profile".into())
    }

    fn has_other_amount(&self, conversion: &Conversion<'_>) -> bool {
        value(conversion.amount).is_some_and(|amount| !decimal::same(&amount, &self.amount))
    }

    fn has_asset(&self, asset: &str) -> bool {
        self.assets.split([',', ';', '/', ' ']).any(|named| identifier::same_asset(named, asset))
    }
}

pub(super) fn value(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.and_then(Text::value)
}
